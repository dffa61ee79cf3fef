//! `cargo model mutants`: every change of the rules must change the verdicts that it names.

use std::collections::BTreeMap;

use bailee_model::check::{How, check, shape};
use bailee_model::command::{Failure, VIOLATION, counted, line};
use bailee_model::protocol::{Mutation, scopes};
use serde_json::json;

use super::check::known_property;

/// Switches every mutation on in turn.
pub(super) fn run_mutants(without: Option<&str>, json: bool) -> Result<u8, Failure> {
    let without = known_property(without)?;
    let scopes = scopes::committed();
    let mut right = BTreeMap::new();
    let mut caught = 0;
    for &mutation in Mutation::ALL {
        let scope = scopes.iter().find(|scope| scope.name == mutation.scope());
        let scope = scope.ok_or_else(|| format!("{}: there is no scope {}", mutation.id(), mutation.scope()))?;
        let report = check(scope, How { mutation: Some(mutation), without, ..How::default() })?;
        let seen: Vec<_> = mutation.properties().iter().filter_map(|id| report.unexpected(id)).collect();
        let right = match right.get(mutation.scope()) {
            Some(shape) => *shape,
            None => {
                let shape = shape(scope, None, &check(scope, How::default())?.graph)?;
                *right.entry(mutation.scope()).or_insert(shape)
            }
        };
        let changed = shape(scope, Some(mutation), &report.graph)? != right;
        let ok = seen.len() == mutation.properties().len() && changed;
        let steps = seen.iter().find_map(|verdict| verdict.steps);
        caught += u32::from(ok);
        let seconds = report.elapsed.as_secs_f64();
        if json {
            line(json!({"message_type": "mutant", "mutation": mutation.id(), "scope": scope.name,
                "properties": mutation.properties(), "caught": ok, "steps": steps, "changes_graph": changed,
                "seconds": seconds}));
        } else {
            let word = match (ok, changed) {
                (true, _) => "caught",
                (false, false) => "CHANGES NOTHING",
                (false, true) => "MISSED",
            };
            let steps = steps.map_or(String::new(), |steps| counted(steps.into(), "step"));
            let properties = mutation.properties().join(" and ");
            line(format_args!(
                "{word} {:<24} {:<16} {seconds:>5.2} s {steps:>9}  {properties}",
                mutation.id(),
                scope.name,
            ));
        }
    }
    let total = Mutation::ALL.len();
    if json {
        line(json!({"message_type": "summary", "total": total, "caught": caught}));
    } else {
        line(format_args!("{caught} of {total} mutations caught"));
    }
    Ok(if caught as usize == total { 0 } else { VIOLATION })
}
