//! The only door to a verdict. It refuses vacuity: a bounded run, an action that never moved anything, a witness that was not
//! found, counts that are not the committed ones, a dead end that was not declared, a verdict that was not expected.

mod second;

use std::time::Duration;

use bailee_spec::Action;
use bailee_spec::outcome::Outcome;
use bailee_spec::scope::Scope;
use serde::Serialize;

use crate::explorer::graph::{cannot_reach, unfulfilled};
use crate::explorer::{Exploration, Id, Options, Predicate, Watch, explore};
use crate::protocol::model::{can_move, class_of, fair_classes};
use crate::protocol::properties::{self, Kind, Property, Step};
use crate::protocol::{Mutation, Protocol, SmallWorld};

pub use crate::explorer::beside::Strategy;
pub use second::{Counts, Second, by_stateright, serve};

/// A property's verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The property.
    pub id: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// The scope.
    pub scope: String,
    /// `holds` or `broken`.
    pub verdict: &'static str,
    /// The same words, as committed.
    pub expected: &'static str,
    /// Steps to the first state or action that decides it: the counterexample or the witness.
    pub steps: Option<u32>,
    /// For *can always still*: the states from which the goal is out of reach.
    pub exceptions: Option<u64>,
    /// The state that decides it.
    #[serde(skip)]
    pub at: Option<Id>,
}

impl Verdict {
    /// Whether it is the expected one.
    pub fn is_expected(&self) -> bool {
        self.verdict == self.expected
    }
}

/// What a check found.
#[derive(Debug)]
pub struct Report {
    /// The scope.
    pub scope: String,
    /// Distinct states.
    pub states: u64,
    /// Transitions.
    pub transitions: u64,
    /// Steps to the farthest state.
    pub depth: u32,
    /// Wall time.
    pub elapsed: Duration,
    /// Bytes a state.
    pub bytes_per_state: f64,
    /// The verdicts.
    pub verdicts: Vec<Verdict>,
    /// Why the run does not count, if it does not.
    pub refused: Vec<String>,
    /// The explored graph.
    pub graph: Exploration,
}

impl Report {
    /// Whether the run counts and every verdict is the expected one.
    pub fn passed(&self) -> bool {
        self.refused.is_empty() && self.verdicts.iter().all(Verdict::is_expected)
    }

    /// The verdict on a property, if it is not the expected one.
    pub fn unexpected(&self, id: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| verdict.id == id && !verdict.is_expected())
    }
}

/// How to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// With this bug, or mend.
    pub mutation: Option<Mutation>,
    /// Without this property: shows that a run notices.
    pub without: Option<&'static str>,
    /// Compare with the committed counts, and ask for coverage and witnesses. Off for mutants, whose graphs differ.
    pub strict: bool,
    /// Threads; one where the transitions are kept, and 0 is one.
    pub threads: usize,
    /// Is told the states so far, once a level.
    pub progress: Option<fn(usize)>,
}

fn word(holds: bool) -> &'static str {
    if holds { "holds" } else { "broken" }
}

/// The properties that a scope names.
///
/// # Errors
/// An id that is none.
pub fn properties_of(scope: &Scope) -> Result<Vec<&'static Property>, String> {
    scope
        .properties
        .iter()
        .map(|id| properties::find(id).ok_or_else(|| format!("scope {}: there is no property {id}", scope.name)))
        .collect()
}

/// A property as a predicate on states: a step property asks every action that is tried there.
fn predicate<'a>(model: &'a Protocol, kind: Kind) -> Owned<'a> {
    let rules = &model.rules;
    match kind {
        Kind::Always(holds) => Box::new(move |world| holds(rules, world)),
        Kind::Sometimes(shows) => Box::new(move |world| shows(rules, world)),
        Kind::AlwaysStep(holds) => {
            Box::new(move |world| model.actions.iter().all(|&action| holds_for(model, world, action, holds)))
        }
        Kind::CanAlwaysStill(_) | Kind::LeadsTo(..) => Box::new(|_| true),
    }
}

/// A predicate that a check owns.
type Owned<'a> = Box<dyn Fn(&SmallWorld) -> bool + Sync + 'a>;

fn borrowed<'a>(list: &'a [Owned<'_>]) -> Vec<Predicate<'a, SmallWorld>> {
    list.iter().map(|predicate| &**predicate as Predicate<'a, SmallWorld>).collect()
}

/// Whether a step property holds for one action.
pub fn holds_for(model: &Protocol, before: &SmallWorld, action: Action, holds: fn(&Step<'_>) -> bool) -> bool {
    let (outcome, after) = model.step(before, action);
    holds(&Step { rules: &model.rules, before, action, outcome, after: &after })
}

/// Marks the properties that some action breaks: each action is taken once for all of them.
fn judge_steps(model: &Protocol, steps: &[&'static Property], before: &SmallWorld, breaks: &mut [bool]) {
    for &action in &model.actions {
        let (outcome, after) = model.step(before, action);
        let step = Step { rules: &model.rules, before, action, outcome, after: &after };
        for (property, broken) in steps.iter().zip(&mut *breaks) {
            if let Kind::AlwaysStep(holds) = property.kind {
                *broken |= !holds(&step);
            }
        }
    }
}

/// Checks a scope: every reachable state, every action in each.
///
/// # Errors
/// When the scope contradicts itself, names no property, or is too large.
pub fn check(scope: &Scope, how: How) -> Result<Report, String> {
    let model = Protocol::new(scope, how.mutation)?;
    let mut wanted = properties_of(scope)?;
    wanted.retain(|property| Some(property.id) != how.without);
    if wanted.is_empty() {
        return Err(format!("scope {}: no property is checked, so nothing is shown", scope.name));
    }
    if scope.sorted && wanted.iter().any(|p| matches!(p.kind, Kind::LeadsTo(..))) {
        return Err(format!("scope {}: sorting loses who does what; leads-to needs an unsorted scope", scope.name));
    }
    let of = |wanted: &[&'static Property], pick: fn(&Kind) -> bool| -> Vec<&'static Property> {
        wanted.iter().copied().filter(|property| pick(&property.kind)).collect()
    };
    let invariants = of(&wanted, |kind| matches!(kind, Kind::Always(_)));
    let steps = of(&wanted, |kind| matches!(kind, Kind::AlwaysStep(_)));
    let witnesses = of(&wanted, |kind| matches!(kind, Kind::Sometimes(_)));
    let boxes = |list: &[&'static Property]| -> Vec<_> { list.iter().map(|p| predicate(&model, p.kind)).collect() };
    let (held, shown) = (boxes(&invariants), boxes(&witnesses));
    let judge = |world: &SmallWorld, breaks: &mut [bool]| judge_steps(&model, &steps, world, breaks);
    let watch = Watch {
        invariants: &borrowed(&held),
        witnesses: &borrowed(&shown),
        steps: (!steps.is_empty()).then_some((steps.len(), &judge)),
        progress: how.progress.as_ref().map(|tell| tell as &(dyn Fn(usize) + Sync)),
    };
    let graph_kinds = |kind: &Kind| matches!(kind, Kind::CanAlwaysStill(_) | Kind::LeadsTo(..));
    let keep_transitions = wanted.iter().any(|p| graph_kinds(&p.kind));
    let options = Options { keep_transitions, threads: how.threads.max(1), limit: None };
    let graph = explore(&model, options, &watch).map_err(|stopped| format!("scope {}: {stopped}", scope.name))?;
    let mut verdicts = Vec::new();
    for (property, broken) in invariants.iter().zip(&graph.broken) {
        verdicts.push(verdict(scope, &graph, property, broken.is_none(), *broken));
    }
    for (property, broken) in steps.iter().zip(&graph.broken_steps) {
        verdicts.push(verdict(scope, &graph, property, broken.is_none(), *broken));
    }
    for (property, witness) in witnesses.iter().zip(&graph.witnessed) {
        verdicts.push(verdict(scope, &graph, property, witness.is_some(), *witness));
    }
    for property in wanted.iter().filter(|property| graph_kinds(&property.kind)) {
        verdicts.push(graph_verdict(scope, &model, &graph, property));
    }
    let refused = if how.strict { refusals(scope, &model, &graph) } else { Vec::new() };
    Ok(Report {
        scope: scope.name.clone(),
        states: graph.states() as u64,
        transitions: graph.transitions,
        depth: graph.depth(),
        elapsed: graph.elapsed,
        bytes_per_state: graph.bytes_per_state(),
        verdicts,
        refused,
        graph,
    })
}

fn verdict(scope: &Scope, graph: &Exploration, property: &Property, holds: bool, at: Option<Id>) -> Verdict {
    Verdict {
        id: property.id,
        kind: property.kind.name(),
        scope: scope.name.clone(),
        verdict: word(holds),
        expected: word(property.holds),
        steps: at.map(|id| graph.path(id).len() as u32 - 1),
        exceptions: None,
        at,
    }
}

fn graph_verdict(scope: &Scope, model: &Protocol, graph: &Exploration, property: &Property) -> Verdict {
    let Some(transitions) = &graph.graph else { return verdict(scope, graph, property, false, None) };
    let world = |id: Id| model.unpack(graph.key(id));
    match property.kind {
        Kind::CanAlwaysStill(goal) => {
            let stuck = cannot_reach(transitions, |id| goal(&model.rules, &world(id)));
            let mut verdict = verdict(scope, graph, property, stuck.is_empty(), stuck.first().copied());
            verdict.exceptions = Some(stuck.len() as u64);
            verdict
        }
        Kind::LeadsTo(from, to) => {
            let lasso = unfulfilled(
                transitions,
                |id| from(&model.rules, &world(id)),
                |id| to(&model.rules, &world(id)),
                &fair_classes(),
            );
            verdict(scope, graph, property, lasso.is_none(), lasso.map(|lasso| lasso.entry))
        }
        _ => verdict(scope, graph, property, false, None),
    }
}

/// What a graph is told apart by: a mutation that leaves all of it as it was changed nothing, whatever it was meant to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    states: u64,
    transitions: u64,
    depth: u32,
    /// Of the set of states.
    fingerprint: u64,
    /// Actions that are accepted, over all states.
    accepted: u64,
}

/// The shape of an explored scope.
///
/// # Errors
/// When the scope contradicts itself.
pub fn shape(scope: &Scope, mutation: Option<Mutation>, graph: &Exploration) -> Result<Shape, String> {
    let model = Protocol::new(scope, mutation)?;
    let accepted = |id: Id| {
        let world = model.unpack(graph.key(id));
        model.actions.iter().filter(|action| model.step(&world, **action).0 == Outcome::Accepted).count() as u64
    };
    Ok(Shape {
        states: graph.states() as u64,
        transitions: graph.transitions,
        depth: graph.depth(),
        fingerprint: graph.fingerprint(),
        accepted: graph.ids().map(accepted).sum(),
    })
}

/// Why a run does not count.
fn refusals(scope: &Scope, model: &Protocol, graph: &Exploration) -> Vec<String> {
    let mut refused = Vec::new();
    if !graph.complete {
        refused.push("the run was bounded".to_string());
    }
    if let Some(expected) = scope.expected {
        let found = (graph.states() as u64, graph.transitions, graph.depth());
        if found != (expected.states, expected.transitions, expected.depth) {
            refused.push(format!(
                "found {} states, {} transitions, depth {}; committed are {}, {}, {}",
                found.0, found.1, found.2, expected.states, expected.transitions, expected.depth
            ));
        }
    }
    for action in model.actions.iter().filter(|action| can_move(action)) {
        // A backup appended to an archive that has one already is no new state.
        let appended = matches!(action, Action::Append { .. }) && scope.start == bailee_spec::scope::Start::Enrolled;
        if graph.fired[class_of(&model.start(), action) as usize] == 0 && !never_moves(action) && !appended {
            refused.push(format!("{action:?} never changed a state"));
        }
    }
    let ends = graph.deadlocks.iter().filter(|id| !is_end(model, &model.unpack(graph.key(**id)))).count();
    if ends > 0 {
        refused.push(format!("{ends} states are dead ends"));
    }
    refused
}

/// Variants of an action whose other form does move, under the same class.
fn never_moves(action: &Action) -> bool {
    use bailee_spec::action::{Caller, Condition};
    matches!(
        action,
        Action::OpenCeremony { by: Caller::Stranger, .. } | Action::StageRestore { condition: Condition::Damaged }
    )
}

/// Everybody is enrolled and nothing more can happen.
fn is_end(_: &Protocol, world: &SmallWorld) -> bool {
    world.devices.iter().all(|d| d.lane.message.is_none() && d.late.message.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::scopes;

    fn scope(name: &str) -> Scope {
        scopes::committed().into_iter().find(|scope| scope.name == name).unwrap()
    }

    #[test]
    fn a_run_without_properties_is_refused() {
        let mut empty = scope("nodes");
        empty.properties.clear();
        assert!(check(&empty, How::default()).unwrap_err().contains("no property"));
    }

    #[test]
    fn leads_to_on_a_sorted_scope_is_refused() {
        let mut sorted = scope("fairness");
        sorted.sorted = true;
        assert!(check(&sorted, How::default()).unwrap_err().contains("unsorted"));
    }

    #[test]
    fn counts_that_are_not_the_committed_ones_are_refused() {
        let mut other = scope("nodes");
        if let Some(expected) = &mut other.expected {
            expected.states += 1;
        }
        let report = check(&other, How { strict: true, ..How::default() }).unwrap();
        assert!(report.refused[0].contains("committed"), "{:?}", report.refused);
        assert!(!report.passed());
    }

    #[test]
    fn an_action_that_never_moves_is_refused() {
        let mut idle = scope("betrayal");
        idle.parts.push(bailee_spec::scope::Part::Suspension);
        idle.parts.push(bailee_spec::scope::Part::RestorerCrash);
        idle.parts.retain(|part| *part != bailee_spec::scope::Part::KeystoreRestart);
        let report = check(&idle, How { strict: true, ..How::default() }).unwrap();
        assert!(report.refused.iter().any(|why| why.contains("never changed a state")), "{:?}", report.refused);
    }

    #[test]
    fn a_witness_that_is_not_found_fails_the_run() {
        let mut vain = scope("nodes");
        vain.properties.push("rekeyed".into());
        let report = check(&vain, How::default()).unwrap();
        assert!(!report.passed());
    }

    #[test]
    fn an_unexpected_holds_fails_like_an_unexpected_broken() {
        let mut tame = scope("betrayal");
        tame.parts.retain(|part| *part != bailee_spec::scope::Part::Adversary);
        let report = check(&tame, How::default()).unwrap();
        assert!(!report.passed(), "with no adversary the broken promises hold, and that must be noticed");
    }

    #[test]
    fn sorting_hides_no_verdict_and_saves_states() {
        let plain = scope("unsorted");
        let mut sorted = plain.clone();
        sorted.sorted = true;
        sorted.expected = None;
        let (plain, sorted) = (check(&plain, How::default()).unwrap(), check(&sorted, How::default()).unwrap());
        assert!(sorted.states < plain.states);
        let words = |report: &Report| report.verdicts.iter().map(|v| (v.id, v.verdict)).collect::<Vec<_>>();
        assert_eq!(words(&plain), words(&sorted));
    }
}
