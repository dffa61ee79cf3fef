//! The promises of the article that `classic` cannot keep, broken for real: the model's shortest story is replayed on the
//! reference, and a program that is given only the adversary's bytes opens the key.

use bailee_core::quirks::Quirks;
use bailee_lockstep::locksmith::{StolenShare, open_snapshot};
use bailee_lockstep::pair::Pair;
use bailee_model::protocol::{Protocol, properties, scopes};
use bailee_model::story::{self, Story};
use bailee_spec::{Action, Scope};

fn scope(name: &str) -> Scope {
    scopes::committed().into_iter().find(|scope| scope.name == name).unwrap()
}

/// Runs a story on both readings and asserts that they agree after every action.
fn play(scope: &Scope, story: &Story) -> Pair {
    let protocol = Protocol::new(scope, None).unwrap();
    let mut pair = Pair::start(&protocol, Quirks::none(), 0).unwrap();
    for step in &story.steps {
        let (outcome, world) = protocol.step(&pair.world, step.action);
        assert_eq!(pair.act(step.action), outcome, "{:?}", step.action);
        pair.world = world;
        let (model, reference) = pair.observe(&protocol);
        assert_eq!(model, reference, "after {:?}", step.action);
    }
    pair
}

fn told(scope_name: &str, property: &str) -> (Scope, Story) {
    let scope = scope(scope_name);
    let story = story::tell(&scope, properties::find(property).unwrap(), None).unwrap();
    (scope, story)
}

#[test]
fn each_broken_promise_runs_on_the_reference() {
    for property in ["key-only-in-session", "vendor-holds-no-key", "on-behalf-unseen"] {
        let (scope, story) = told("recovery", property);
        let pair = play(&scope, &story);
        assert!(pair.ensemble.restorer_key().is_some(), "{property}: the vendor's restorer holds a key");
    }
}

#[test]
fn a_host_opens_every_key() {
    let (scope, story) = told("betrayal", "no-master-key");
    let pair = play(&scope, &story);
    let keys: Vec<_> = (0..2).flat_map(|user| pair.loot.keys_of(user, scope.threshold)).collect();
    assert_eq!(keys.len(), 2, "one root opened two users' keys");
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn three_shares_and_a_snapshot_open_a_key_and_two_do_not() {
    let (scope, story) = told("betrayal", "shares-are-not-data");
    let pair = play(&scope, &story);
    let bytes = pair.ensemble.snapshot_bytes().unwrap();
    let taken: Vec<u8> = story
        .steps
        .iter()
        .filter_map(|step| match step.action {
            Action::CorruptCustodian { custodian } => Some(custodian),
            _ => None,
        })
        .collect();
    assert_eq!(taken.len(), 3, "the shortest story needs exactly the threshold");
    let shares: Vec<StolenShare> = taken
        .iter()
        .map(|&custodian| {
            let (header, value) = pair.ensemble.share_of(custodian).unwrap();
            StolenShare { index: custodian + 1, value, header }
        })
        .collect();
    let all: Vec<&StolenShare> = shares.iter().collect();
    assert!(open_snapshot(&bytes, &all, 0, scope.threshold).is_some());
    for missing in 0..3 {
        let two: Vec<&StolenShare> = (0..3).filter(|i| *i != missing).map(|i| &shares[i]).collect();
        assert!(open_snapshot(&bytes, &two, 0, scope.threshold).is_none());
        let repeated = [two[0], two[1], two[1]];
        assert!(open_snapshot(&bytes, &repeated, 0, scope.threshold).is_none());
    }
    assert!(open_snapshot(&bytes, &[], 0, scope.threshold).is_none());
}

#[test]
fn the_shortest_stories_are_the_reviewed_ones() {
    for (scope, property) in [
        ("recovery", "key-only-in-session"),
        ("recovery", "vendor-holds-no-key"),
        ("recovery", "on-behalf-unseen"),
        ("betrayal", "no-master-key"),
        ("betrayal", "shares-are-not-data"),
    ] {
        insta::assert_snapshot!(format!("{property}"), told(scope, property).1.text());
    }
}
