//! Command line.
use bailee_core::quirks::Quirks;
use bailee_lockstep::replay::replay;
use bailee_model::protocol::{Protocol, scopes};

fn main() {
    let only = std::env::args().nth(1);
    for scope in scopes::committed() {
        if only.as_ref().is_some_and(|only| *only != scope.name) {
            continue;
        }
        let model = Protocol::new(&scope, None).unwrap();
        let report = replay(&model, Quirks::none(), 2, 3, &|_, _| ()).unwrap();
        println!("{} states {} transitions {} executed {} refusals {} idle {} disagreements {} {:?}", scope.name, report.states, report.transitions, report.executed, report.refusals, report.idle, report.disagreements.len(), report.elapsed);
        for d in &report.disagreements { println!("{}\n  {}", d.actions.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join("; "), d.differences.join("\n  ")); }
    }
}
