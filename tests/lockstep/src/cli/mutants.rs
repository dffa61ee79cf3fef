//! `cargo lockstep mutants`: every bug of the reference must be seen.

use bailee_core::quirks::{Quirk, Quirks};
use bailee_lockstep::replay::replay;
use bailee_model::command::{Failure, VIOLATION, line};
use bailee_model::protocol::{Protocol, mutation, scopes};
use serde_json::json;

/// Switches every bug on in turn, in the scope where the model's mutation of the same id lives.
pub(super) fn run_mutants(json: bool, threads: usize) -> Result<u8, Failure> {
    let scopes = scopes::committed();
    let mut caught = 0;
    for &quirk in Quirk::ALL {
        let home = mutation::find(quirk.id()).map(|mutation| mutation.scope());
        let home = home.ok_or_else(|| format!("{}: no mutation of the model says where it lives", quirk.id()))?;
        let scope =
            scopes.iter().find(|scope| scope.name == home).ok_or_else(|| format!("there is no scope {home}"))?;
        let protocol = Protocol::new(scope, None)?;
        let report = replay(&protocol, Quirks::only(quirk), threads, 1, &|_, _| ())?;
        let found = report.disagreements.first();
        caught += usize::from(found.is_some());
        let seconds = report.elapsed.as_secs_f64();
        let actions = found.map(|d| d.actions.len());
        if json {
            line(json!({"message_type": "mutant", "mutation": quirk.id(), "scope": home, "caught": found.is_some(),
                "actions": actions, "differences": found.map(|d| &d.differences), "seconds": seconds}));
        } else {
            let word = if found.is_some() { "caught" } else { "MISSED" };
            let difference = found.and_then(|d| d.differences.first()).map_or("", String::as_str);
            line(format_args!("{word} {:<24} {home:<16} {seconds:>5.1} s  {difference}", quirk.id()));
        }
    }
    let total = Quirk::ALL.len();
    if json {
        line(json!({"message_type": "summary", "total": total, "caught": caught}));
    } else {
        line(format_args!("{caught} of {total} mutations of the reference seen"));
    }
    Ok(if caught == total { 0 } else { VIOLATION })
}
