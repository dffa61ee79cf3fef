//! `cargo model check`: the properties of each scope, by the project's own explorer or by stateright.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailee_model::check::{How, Report, Strategy, by_stateright, check};
use bailee_model::command::{FAILURE, Failure, NOTHING, VIOLATION, counted, line};
use bailee_model::junit::{self, Case, Suite};
use bailee_model::scope_file::Selection;
use bailee_spec::Scope;
use serde_json::json;

/// What to do besides checking.
pub(super) struct Options {
    /// Without this property.
    pub(super) without: Option<String>,
    /// Threads.
    pub(super) threads: usize,
    /// JSON lines.
    pub(super) json: bool,
    /// Where a JUnit report goes.
    pub(super) junit: Option<PathBuf>,
}

/// Says once in ten seconds how far a long exploration is.
fn tell_states(states: usize) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let since = last.get_or_insert_with(Instant::now);
    if since.elapsed().as_secs() >= 10 {
        *since = Instant::now();
        eprintln!("{states} states so far");
    }
}

/// What a run found, scope by scope, with the scopes that could not be explored.
struct Run {
    reports: Vec<Report>,
    failed: Vec<(String, String)>,
    /// The property that was left out, and the scopes that declare it.
    missing: Option<(&'static str, Vec<String>)>,
}

impl Run {
    fn code(&self) -> u8 {
        let missing = self.missing.as_ref().is_some_and(|(_, scopes)| !scopes.is_empty());
        match (self.failed.is_empty(), !missing && self.reports.iter().all(Report::passed)) {
            (false, _) => FAILURE,
            (true, true) => 0,
            (true, false) => VIOLATION,
        }
    }

    fn suites(&self) -> Vec<Suite> {
        let mut suites: Vec<Suite> = self.reports.iter().map(|report| self.suite(report)).collect();
        for (name, why) in &self.failed {
            suites.push(Suite { name: name.clone(), cases: vec![Case::new("model", Some(why.clone()))] });
        }
        suites
    }

    fn suite(&self, report: &Report) -> Suite {
        let mut cases = junit::cases(report);
        if let Some((id, scopes)) = &self.missing
            && scopes.contains(&report.scope)
        {
            cases.push(Case::new(id, Some("it is declared and was not checked".into())));
        }
        Suite { name: report.scope.clone(), cases }
    }
}

/// Checks scopes with the project's own explorer.
pub(super) fn run_check(selection: &Selection, options: &Options) -> Result<u8, Failure> {
    let without = known_property(options.without.as_deref())?;
    let mut run = Run { reports: Vec::new(), failed: Vec::new(), missing: None };
    for scope in &selection.chosen {
        if scope.properties.is_empty() {
            return Err(Failure::Usage(format!(
                "scope {}: it names no property, so nothing would be shown",
                scope.name
            )));
        }
        let how =
            How { strict: true, without, threads: options.threads, progress: Some(tell_states), ..How::default() };
        match check(scope, how) {
            Ok(report) => {
                if !options.json {
                    print_report(&report);
                }
                report.refused.iter().for_each(|why| eprintln!("{}: refused: {why}", report.scope));
                run.reports.push(report);
            }
            Err(why) => {
                eprintln!("error: {why}");
                run.failed.push((scope.name.clone(), why));
            }
        }
    }
    if selection.chosen.is_empty() {
        eprintln!("no scope was chosen, so nothing ran");
        return Ok(NOTHING);
    }
    if let Some(id) = without {
        let declared = selection.chosen.iter().filter(|scope| scope.properties.iter().any(|known| known == id));
        let scopes: Vec<String> = declared.map(|scope| scope.name.clone()).collect();
        if !scopes.is_empty() {
            eprintln!("property {id} is declared in {} and was not checked", scopes.join(", "));
        }
        run.missing = Some((id, scopes));
    }
    if options.json {
        line(check_summary(&run.reports, &selection.left_out));
    } else {
        print_sums(&run.reports, &selection.left_out);
    }
    write_junit(options.junit.as_ref(), &run.suites())?;
    Ok(run.code())
}

fn write_junit(path: Option<&PathBuf>, suites: &[Suite]) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, junit::report(suites)).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn print_report(report: &Report) {
    line(format_args!(
        "{:<18} {:>9} states {:>10} transitions  depth {:>3}  {:>7.2} s  {:>5.1} B/state",
        report.scope,
        report.states,
        report.transitions,
        report.depth,
        report.elapsed.as_secs_f64(),
        report.bytes_per_state,
    ));
    for verdict in &report.verdicts {
        let mark = if verdict.verdict == verdict.expected { " " } else { "!" };
        let note = match (verdict.exceptions, verdict.steps) {
            (Some(exceptions), _) => counted(exceptions, "exception"),
            (None, Some(steps)) => counted(steps.into(), "step"),
            (None, None) => String::new(),
        };
        let promise = if verdict.expected == "broken" { " (expected: the profile cannot keep it)" } else { "" };
        line(format_args!("  {mark} {:<30} {:<17} {}{promise}  {note}", verdict.id, verdict.kind, verdict.verdict));
    }
}

/// The sums of the lines above, and what this run left out.
fn print_sums(reports: &[Report], left_out: &[Scope]) {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let verdicts = || reports.iter().flat_map(|report| &report.verdicts);
    let count = |verdict: &str| verdicts().filter(|v| v.is_expected() && v.verdict == verdict).count();
    let unexpected = verdicts().filter(|v| !v.is_expected()).count();
    let time: Duration = reports.iter().map(|report| report.elapsed).sum();
    line(format_args!(
        "{}: {}, {}, {:.1} s; {}: {} hold, {} broken as expected, {unexpected} unexpected",
        counted(reports.len() as u64, "scope"),
        counted(sum(|report| report.states), "state"),
        counted(sum(|report| report.transitions), "transition"),
        time.as_secs_f64(),
        counted(verdicts().count() as u64, "verdict"),
        count("holds"),
        count("broken"),
    ));
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|scope| scope.name.as_str()).collect();
        line(format_args!("left out, because not focused: {}; run one with --scope", names.join(", ")));
    }
}

fn check_summary(reports: &[Report], left_out: &[Scope]) -> serde_json::Value {
    let scopes: Vec<_> = reports
        .iter()
        .map(|r| {
            json!({"scope": r.scope, "engine": "bailee", "states": r.states, "transitions": r.transitions,
                "depth": r.depth, "seconds": r.elapsed.as_secs_f64(), "refused": r.refused})
        })
        .collect();
    let properties: Vec<_> = reports.iter().flat_map(|r| &r.verdicts).collect();
    let left_out: Vec<&str> = left_out.iter().map(|scope| scope.name.as_str()).collect();
    json!({"message_type": "summary", "scopes": scopes, "properties": properties, "left_out": left_out})
}

/// Checks scopes with stateright, which must find what the own explorer finds.
pub(super) fn run_second(selection: &Selection, json: bool, junit: Option<&PathBuf>) -> Result<u8, Failure> {
    if selection.chosen.is_empty() {
        eprintln!("no scope was chosen, so nothing ran");
        return Ok(NOTHING);
    }
    let mut rows = Vec::new();
    let mut verdict_rows = Vec::new();
    let mut agree = true;
    let mut suites = Vec::new();
    for scope in &selection.chosen {
        let own = check(scope, How::default())?;
        let mut cases = Vec::new();
        for (engine, strategy) in [("stateright-bfs", Strategy::Breadth), ("stateright-dfs", Strategy::Depth)] {
            let started = Instant::now();
            let other = by_stateright(scope, How::default(), strategy)?;
            let seconds = started.elapsed().as_secs_f64();
            let same_verdicts = other
                .verdicts
                .iter()
                .all(|(id, holds)| own.verdicts.iter().any(|v| v.id == *id && (v.verdict == "holds") == *holds));
            let same = other.states == own.states && other.transitions == own.transitions && same_verdicts;
            agree &= same;
            if !json {
                let word = if same { "agrees" } else { "DISAGREES" };
                line(format_args!(
                    "{:<18} {engine} {word}: {} states, {} transitions, {seconds:.2} s (own: {}, {}, {:.2} s)",
                    scope.name,
                    other.states,
                    other.transitions,
                    own.states,
                    own.transitions,
                    own.elapsed.as_secs_f64()
                ));
            }
            let why = format!(
                "{} states, {} transitions; own {}, {}",
                other.states, other.transitions, own.states, own.transitions
            );
            cases.push(Case { name: engine.into(), time: started.elapsed(), failure: (!same).then_some(why) });
            rows.push(json!({"scope": scope.name, "engine": engine, "states": other.states,
                "transitions": other.transitions, "depth": own.depth, "seconds": seconds}));
        }
        suites.push(Suite { name: scope.name.clone(), cases });
        verdict_rows.extend(own.verdicts.into_iter().map(|v| json!(v)));
    }
    if json {
        line(json!({"message_type": "summary", "scopes": rows, "properties": verdict_rows}));
    }
    write_junit(junit, &suites)?;
    Ok(if agree { 0 } else { VIOLATION })
}

/// The property of an id, if an id is given.
pub(super) fn known_property(id: Option<&str>) -> Result<Option<&'static str>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let unknown = || Failure::Usage(format!("there is no property {id}; `cargo model list properties` names them"));
    bailee_model::protocol::properties::find(id).map(|property| Some(property.id)).ok_or_else(unknown)
}
