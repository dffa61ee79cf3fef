//! Two-phase commit, explored by stateright and by this explorer: the counts must be equal.
//!
//! `cargo run --release --package bailee-explorer --example two_phase_commit [MANAGERS]`
//!
//! A coordinator asks resource managers to commit together. A manager prepares, or aborts on its own. The coordinator
//! commits once it has heard that all are prepared, and may abort until then. Messages stay in the network for ever and arrive
//! in any order; a decision is on its way to everybody from the moment when it is taken.

use std::process::ExitCode;

use bailee_explorer::beside::{Strategy, Whole, walk};
use bailee_explorer::graph::{cannot_reach, unfulfilled};
use bailee_explorer::{Exploration, Key, Options, Packed, Stopped, Watch, explore};
use stateright::{Model, Property};

/// Where a manager is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Working,
    Prepared,
    Committed,
    Aborted,
}

const PHASES: [Phase; 4] = [Phase::Working, Phase::Prepared, Phase::Committed, Phase::Aborted];

/// A manager, and what is known of it elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Manager {
    phase: Phase,
    /// It said that it is prepared.
    said: bool,
    /// The coordinator heard it.
    heard: bool,
}

/// All managers, and the decision of the coordinator: `None` until it is taken, then whether to commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Commit {
    managers: Vec<Manager>,
    decision: Option<bool>,
}

/// What can happen. The numbers are those of managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    CoordinatorCommits,
    CoordinatorAborts,
    CoordinatorHears(usize),
    Prepares(usize),
    AbortsAlone(usize),
    Obeys(usize),
}

/// The protocol with this many managers.
#[derive(Clone)]
struct TwoPhase {
    managers: usize,
}

impl Model for TwoPhase {
    type State = Commit;
    type Action = Event;

    fn init_states(&self) -> Vec<Commit> {
        let manager = Manager { phase: Phase::Working, said: false, heard: false };
        vec![Commit { managers: vec![manager; self.managers], decision: None }]
    }

    fn actions(&self, state: &Commit, events: &mut Vec<Event>) {
        if state.decision.is_none() {
            events.push(Event::CoordinatorAborts);
            if state.managers.iter().all(|manager| manager.heard) {
                events.push(Event::CoordinatorCommits);
            }
        }
        for (number, manager) in state.managers.iter().enumerate() {
            if manager.said && !manager.heard && state.decision.is_none() {
                events.push(Event::CoordinatorHears(number));
            }
            if manager.phase == Phase::Working {
                events.extend([Event::Prepares(number), Event::AbortsAlone(number)]);
            }
            if state.decision.is_some_and(|commit| manager.phase != ordered(commit)) {
                events.push(Event::Obeys(number));
            }
        }
    }

    fn next_state(&self, last: &Commit, event: Event) -> Option<Commit> {
        let mut next = last.clone();
        match event {
            Event::CoordinatorCommits => next.decision = Some(true),
            Event::CoordinatorAborts => next.decision = Some(false),
            Event::CoordinatorHears(number) => next.managers[number].heard = true,
            Event::Prepares(number) => {
                next.managers[number].phase = Phase::Prepared;
                next.managers[number].said = true;
            }
            Event::AbortsAlone(number) => next.managers[number].phase = Phase::Aborted,
            Event::Obeys(number) => next.managers[number].phase = ordered(last.decision?),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nobody aborts what another commits", |_, state: &Commit| {
                let any = |phase| state.managers.iter().any(|manager| manager.phase == phase);
                !(any(Phase::Committed) && any(Phase::Aborted))
            }),
            Property::sometimes("all commit", |_, state: &Commit| all_are(state, Phase::Committed)),
            Property::sometimes("all abort", |_, state: &Commit| all_are(state, Phase::Aborted)),
        ]
    }
}

fn ordered(commit: bool) -> Phase {
    if commit { Phase::Committed } else { Phase::Aborted }
}

fn all_are(state: &Commit, phase: Phase) -> bool {
    state.managers.iter().all(|manager| manager.phase == phase)
}

/// Bits of a manager's part of a key: two of its phase, two of what is known of it.
const MANAGER: u32 = 4;
/// Bits of the decision.
const DECISION: u32 = 2;

impl Packed for TwoPhase {
    fn key_bits(&self) -> u32 {
        DECISION + MANAGER * self.managers as u32
    }

    fn pack_state(&self, state: &Commit) -> Key {
        let decision = state.decision.map_or(0, |commit| 1 + Key::from(commit));
        state.managers.iter().rev().fold(decision, |key, manager| {
            key << MANAGER | manager.phase as Key | Key::from(manager.said) << 2 | Key::from(manager.heard) << 3
        })
    }

    fn unpack_state(&self, key: Key) -> Commit {
        let manager = |number: usize| {
            let bits = key >> (MANAGER as usize * number);
            Manager { phase: PHASES[bits as usize % 4], said: bits >> 2 & 1 == 1, heard: bits >> 3 & 1 == 1 }
        };
        let decision = key >> (MANAGER as usize * self.managers);
        let decision = if decision == 0 { None } else { Some(decision == 2) };
        Commit { managers: (0..self.managers).map(manager).collect(), decision }
    }

    fn class(&self, _: &Commit, event: &Event) -> u8 {
        match *event {
            Event::CoordinatorCommits => 0,
            Event::CoordinatorAborts => 1,
            Event::CoordinatorHears(number) => 2 + 4 * number as u8,
            Event::Prepares(number) => 3 + 4 * number as u8,
            Event::AbortsAlone(number) => 4 + 4 * number as u8,
            Event::Obeys(number) => 5 + 4 * number as u8,
        }
    }
}

/// Explores with this explorer; the model's own stateright properties are what it watches.
fn own(model: &TwoPhase, threads: usize, keep_transitions: bool) -> Result<Exploration, Stopped> {
    let properties = model.properties();
    let judge = |place: usize| {
        let condition = properties[place].condition;
        move |state: &Commit| condition(model, state)
    };
    let (agree, commit, abort) = (judge(0), judge(1), judge(2));
    let watch = Watch { invariants: &[&agree], witnesses: &[&commit, &abort], ..Watch::default() };
    explore(model, Options { threads, keep_transitions, limit: None }, &watch)
}

/// Whether everybody can always still decide, and whether everybody does in the end, with fairness and without.
fn outlook(model: &TwoPhase, found: &Exploration) -> Option<(bool, bool, bool)> {
    let graph = found.graph.as_ref()?;
    let decided = |id| {
        let state = model.unpack_state(found.key(id));
        all_are(&state, Phase::Committed) || all_are(&state, Phase::Aborted)
    };
    // The coordinator gives up in the end, and a decision arrives in the end; nobody is forced to prepare.
    let mut fair = [false; 256];
    fair[model.class(&model.init_states()[0], &Event::CoordinatorAborts) as usize] = true;
    (0..model.managers).for_each(|number| fair[5 + 4 * number] = true);
    let in_the_end = |fair| unfulfilled(graph, |_| true, decided, fair).is_none();
    Some((cannot_reach(graph, decided).is_empty(), in_the_end(&fair), in_the_end(&[false; 256])))
}

fn main() -> ExitCode {
    let managers = std::env::args().nth(1).map_or(Ok(5), |number| number.parse::<usize>());
    let Ok(managers @ 1..=31) = managers else {
        eprintln!("error: expected the number of managers, 1 to 31");
        return ExitCode::from(2);
    };
    let model = TwoPhase { managers };
    let theirs = walk(Whole(model.clone()), Strategy::Breadth, &[]);
    let ours = match own(&model, 2, false).and_then(|two| Ok((two, own(&model, 1, true)?))) {
        Ok((two, one)) if two.states() == one.states() => one,
        Ok(_) => {
            eprintln!("error: one thread and two find different states");
            return ExitCode::FAILURE;
        }
        Err(stopped) => {
            eprintln!("error: {stopped}");
            return ExitCode::FAILURE;
        }
    };
    println!("stateright    {:>9} states {:>10} transitions", theirs.states, theirs.transitions);
    println!("this explorer {:>9} states {:>10} transitions", ours.states(), ours.transitions);
    println!("{} bits a key, {:.1} bytes a state", model.key_bits(), ours.bytes_per_state());
    println!("nobody aborts what another commits: {}", ours.broken[0].is_none());
    if let Some(id) = ours.witnessed[1] {
        println!("all abort, soonest after:");
        ours.steps(&model, id).iter().for_each(|step| println!("  {:?}", step.action));
    }
    if let Some((can, fair, unfair)) = outlook(&model, &ours) {
        println!("all can always still decide: {can}; they do in the end: {fair}, without fairness: {unfair}");
    }
    let equal = (theirs.states, theirs.transitions) == (ours.states() as u64, ours.transitions);
    ExitCode::from(u8::from(!equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of states are those that stateright's own example asserts for its model of the same protocol.
    #[test]
    fn both_engines_find_the_same() {
        for (managers, states) in [(3, 288), (5, 8_832)] {
            let model = TwoPhase { managers };
            for strategy in [Strategy::Breadth, Strategy::Depth] {
                let theirs = walk(Whole(model.clone()), strategy, &[]);
                assert_eq!(theirs.states, states);
                for (threads, keep) in [(1, false), (2, false), (4, false), (1, true)] {
                    let ours = own(&model, threads, keep).unwrap();
                    assert!(ours.complete);
                    assert_eq!((ours.states() as u64, ours.transitions), (theirs.states, theirs.transitions));
                }
            }
        }
    }

    #[test]
    fn the_properties_hold_and_the_witnesses_are_the_nearest() {
        let model = TwoPhase { managers: 3 };
        let found = own(&model, 2, false).unwrap();
        assert_eq!(found.broken, [None]);
        let steps: Vec<usize> =
            found.witnessed.iter().map(|witness| found.steps(&model, witness.unwrap()).len()).collect();
        // Three prepare, are heard and obey, and one decision; three abort on their own.
        assert_eq!(steps, [10, 3]);
        assert_eq!(outlook(&model, &own(&model, 1, true).unwrap()), Some((true, true, false)));
    }

    #[test]
    fn every_key_is_that_of_its_state() {
        let model = TwoPhase { managers: 4 };
        let found = own(&model, 1, false).unwrap();
        for key in found.ids().map(|id| found.key(id)) {
            assert_eq!(model.pack_state(&model.unpack_state(key)), key);
        }
    }
}
