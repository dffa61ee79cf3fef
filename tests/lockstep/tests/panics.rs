//! A panic of a reading while an action is executed is a disagreement with its story, and never a hang.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use bailee_core::quirks::Quirks;
use bailee_lockstep::guard::Side;
use bailee_lockstep::replay::{Disagreement, Report, replay, replay_with};
use bailee_lockstep::shrink::{Ended, keep, parse, run_both, shrink, story};
use bailee_model::explorer::caught;
use bailee_model::protocol::step::Rules;
use bailee_model::protocol::{Protocol, scopes};
use bailee_spec::Action;
use bailee_spec::scope::Part;

const PLANTED: &str = "planted";

fn protocol() -> Protocol {
    let scope = scopes::committed().into_iter().find(|scope| scope.name == "betrayal").unwrap();
    Protocol::new(&scope, None).unwrap()
}

/// The work's result; fails if there is none in five minutes.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(Duration::from_secs(300)).expect("the replay hangs, or panicked itself")
}

/// A replay in which a side panics when it carries out its action number `at`, counted from 0, and only then.
fn planted(side: Side, at: usize, threads: usize) -> Report {
    in_time(move || {
        let calls = AtomicUsize::new(0);
        let plant = |who: Side, _: Action| {
            assert!(who != side || calls.fetch_add(1, Ordering::Relaxed) != at, "{PLANTED}");
        };
        replay_with(&protocol(), Quirks::none(), threads, 10, &|_, _| (), &plant).unwrap()
    })
}

/// The whole run, without a plant, tries this many actions.
fn tried() -> usize {
    replay(&protocol(), Quirks::none(), 2, 10, &|_, _| ()).unwrap().forks as usize
}

#[test]
fn a_panic_of_either_side_is_told_with_its_story_and_the_run_goes_on() {
    let protocol = protocol();
    let in_each = protocol.actions.len();
    let all = tried();
    for side in [Side::Model, Side::Reference] {
        for at in [0, 50 * in_each + 1] {
            for threads in [1, 2] {
                let report = planted(side, at, threads);
                let [found] = report.disagreements.as_slice() else { panic!("{:?}", report.disagreements) };
                assert_eq!(found.differences, [format!("{side} panicked: {PLANTED}")], "{threads} threads");
                // What leads to the panic is sound: both readings agree about it, and about the action without the plant.
                assert_eq!(found.actions.len() > 1, at > 0, "{:?}", found.actions);
                let (_, steps) = run_both(&protocol, Quirks::none(), &found.actions).unwrap();
                assert!(steps.len() == found.actions.len() && steps.iter().all(|step| step.differences.is_empty()));
                assert!(report.forks as usize > at + in_each, "the run went on after the panic");
                assert!(report.forks as usize <= all);
            }
        }
    }
}

#[test]
fn an_action_that_always_panics_ends_the_run_as_disagreements_do() {
    let doomed = *protocol().actions.last().unwrap();
    for threads in [1, 2] {
        let report = in_time(move || {
            let plant = |who: Side, action: Action| assert!(who != Side::Reference || action != doomed, "{PLANTED}");
            replay_with(&protocol(), Quirks::none(), threads, 3, &|_, _| (), &plant).unwrap()
        });
        assert!(report.disagreements.len() >= 3);
        assert!(report.disagreements.iter().all(|found| found.actions.last() == Some(&doomed)));
        assert!(report.executed < report.transitions, "it stopped early");
    }
}

#[test]
fn a_panic_of_who_is_told_the_progress_ends_the_run_with_an_error() {
    for threads in [1, 2] {
        let told = in_time(move || {
            let progress = |done: u64, _: u64| assert!(done < 40, "{PLANTED}");
            replay(&protocol(), Quirks::none(), threads, 1, &progress).unwrap_err()
        });
        assert_eq!(told, format!("a worker panicked: {PLANTED}"));
    }
}

/// A model that panics by itself: its rules have numbers that its worlds have no room for.
fn faulty(scope: &str, parts: Option<&[Part]>, alter: fn(&mut Rules)) -> Protocol {
    let mut scope = scopes::committed().into_iter().find(|known| known.name == scope).unwrap();
    scope.parts = parts.map_or(scope.parts, <[Part]>::to_vec);
    let mut protocol = Protocol::new(&scope, None).unwrap();
    alter(&mut protocol.rules);
    protocol
}

fn told_of(protocol: Protocol, threads: usize) -> Disagreement {
    let report = in_time(move || replay(&protocol, Quirks::none(), threads, 1, &|_, _| ()).unwrap());
    let [found] = report.disagreements.as_slice() else { panic!("{:?}", report.disagreements) };
    assert!(found.differences[0].starts_with("the model panicked: next_state panicked on "), "{found:?}");
    found.clone()
}

#[test]
fn a_panic_while_the_graph_is_made_is_told_with_the_way_to_it() {
    // Each user is looked at when a node is unsealed, which it is not in the first state.
    let parts = [Part::Disaster, Part::KeystoreRestart, Part::UnsealTogether];
    let protocol = faulty("disaster", Some(&parts), |rules| rules.users = 9);
    for threads in [1, 2] {
        let found = told_of(protocol.clone(), threads);
        let (last, before) = found.actions.split_last().unwrap();
        assert!(!before.is_empty(), "{found:?}");
        let world = before.iter().fold(protocol.start(), |world, action| protocol.step(&world, *action).1);
        let text = caught(|| protocol.step(&world, *last)).unwrap_err();
        assert!(found.differences[0].ends_with(&text), "{found:?}");
    }
}

#[test]
fn a_step_that_panics_is_told_made_small_and_kept() {
    let protocol = faulty("disaster", None, |rules| rules.users = 9);
    let found = told_of(protocol.clone(), 2);
    let (_, steps) = run_both(&protocol, Quirks::none(), &found.actions).unwrap();
    let last = steps.last().unwrap();
    assert_eq!((steps.len(), last.model), (found.actions.len(), Ended::Panicked));
    assert!(last.differences[0].starts_with("the model panicked: index out of bounds"), "{last:?}");
    assert!(story(&found.scope, protocol.scope.nodes, &steps).contains(": model panicked; reference "));
    assert_eq!(shrink(&protocol, Quirks::none(), &found.actions).last(), found.actions.last());
    let folder = tempfile::tempdir().unwrap();
    let path = keep(folder.path(), &found.scope, 1, &steps).unwrap();
    assert_eq!(parse(&std::fs::read_to_string(path).unwrap()).unwrap()[0].actions, found.actions);
}
