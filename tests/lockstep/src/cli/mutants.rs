//! `cargo lockstep mutants`: every bug of the reference must be seen, by lockstep or by the test that is named for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bailee_core::quirks::{Quirk, Quirks};
use bailee_lockstep::bugs::{self, Bug, Ended, Programs, Test};
use bailee_lockstep::replay::replay;
use bailee_model::command::{Failure, VIOLATION, line};
use bailee_model::protocol::{Protocol, mutation, scopes};
use serde_json::json;

/// How many bugs there were, and how many were seen.
#[derive(Clone, Copy, Default)]
struct Count {
    total: usize,
    caught: usize,
}

impl Count {
    fn add(&mut self, caught: bool) {
        self.total += 1;
        self.caught += usize::from(caught);
    }
}

/// Switches every bug on in turn.
pub(super) fn run_mutants(json: bool, threads: usize) -> Result<u8, Failure> {
    let listed = bugs::parse(bugs::BUGS)?;
    let mut count = Count::default();
    for &quirk in Quirk::ALL {
        match mutation::find(quirk.id()) {
            Some(mutation) => count.add(in_lockstep(quirk, mutation.scope(), json, threads)?),
            None if listed.iter().any(|bug| bug.id == quirk.id()) => {}
            None => {
                let nobody = "no mutation of the model says where it lives, and no test is named for it";
                return Err(format!("{}: {nobody}", quirk.id()).into());
            }
        }
    }
    let by_test = in_tests(&listed, json, threads)?;
    // A bug that both see is one bug.
    let both = listed.iter().filter(|bug| mutation::find(&bug.id).is_some()).count();
    let claims = bailee_spec::claim::parse(bailee_spec::CLAIMS)?;
    let without = bugs::claims_without_a_bug(&claims, &listed);
    let total = count.total + by_test.total - both;
    let missed = (count.total - count.caught) + (by_test.total - by_test.caught);
    let caught = total - missed.min(total);
    if json {
        line(json!({"message_type": "summary", "total": total, "caught": caught, "by_lockstep": count.total,
            "by_tests": by_test.total, "by_both": both, "claims_without_a_bug": without}));
    } else {
        line(format_args!(
            "{caught} of {total} bugs of the reference seen: {} by lockstep, {} by tests, {both} by both",
            count.total, by_test.total
        ));
        without.iter().for_each(|claim| line(format_args!("{claim}: no bug makes its test fail")));
    }
    Ok(if missed == 0 && without.is_empty() { 0 } else { VIOLATION })
}

/// In the scope where the model's mutation of the same id lives.
fn in_lockstep(quirk: Quirk, home: &str, json: bool, threads: usize) -> Result<bool, Failure> {
    let scopes = scopes::committed();
    let scope = scopes.iter().find(|scope| scope.name == home).ok_or_else(|| format!("there is no scope {home}"))?;
    let protocol = Protocol::new(scope, None)?;
    let report = replay(&protocol, Quirks::only(quirk), threads, 1, &|_, _| ())?;
    let found = report.disagreements.first();
    let seconds = report.elapsed.as_secs_f64();
    let actions = found.map(|d| d.actions.len());
    if json {
        line(json!({"message_type": "mutant", "mutation": quirk.id(), "scope": home, "caught": found.is_some(),
            "actions": actions, "differences": found.map(|d| &d.differences), "seconds": seconds}));
    } else {
        let difference = found.and_then(|d| d.differences.first()).map_or("", String::as_str);
        say(found.is_some(), quirk.id(), home, seconds, difference);
    }
    Ok(found.is_some())
}

fn say(caught: bool, id: &str, by: &str, seconds: f64, why: &str) {
    let word = if caught { "caught" } else { "MISSED" };
    line(format_args!("{word} {id:<30} {by:<16} {seconds:>5.1} s  {why}"));
}

/// Runs every named test without a bug, where it must pass, and with its bug, where it must fail.
fn in_tests(listed: &[Bug], json: bool, threads: usize) -> Result<Count, Failure> {
    let mut tests: Vec<&Test> = listed.iter().map(|bug| &bug.test).collect();
    tests.sort_unstable();
    tests.dedup();
    let programs = Programs::build(tests.iter().copied())?;
    let controls = on_threads(&tests, threads, |test| programs.run(test, None));
    for (test, ended) in tests.iter().zip(&controls) {
        if *ended != Ended::Passed {
            return Err(format!("{test} is to see a bug, and does not pass without: {ended:?}").into());
        }
    }
    let mut count = Count::default();
    let runs = on_threads(listed, threads, |bug| {
        let started = Instant::now();
        (programs.run(&bug.test, Some(&bug.id)), started.elapsed().as_secs_f64())
    });
    for (bug, (ended, seconds)) in listed.iter().zip(runs) {
        let (caught, why) = match &ended {
            Ended::Passed => (false, "the test passes"),
            Ended::Failed(why) => (true, why.as_str()),
            Ended::NotRun(why) => (false, why.as_str()),
        };
        count.add(caught);
        if json {
            line(
                json!({"message_type": "mutant", "mutation": bug.id, "test": bug.test.to_string(), "caught": caught,
                "claims": bug.claims, "why": why, "seconds": seconds}),
            );
        } else {
            let short = bug.test.name.rsplit("::").next().unwrap_or(&bug.test.name);
            say(caught, &bug.id, &bug.test.target, seconds, &format!("{short}: {why}"));
        }
    }
    Ok(count)
}

/// What a function says of each item, on so many threads, in the order of the items.
fn on_threads<T: Sync, R: Send>(items: &[T], threads: usize, run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((at, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
                {
                    let result = run(item);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
