//! The promises of the article that `classic` cannot keep, broken for real: the model's shortest story is replayed on the
//! reference, and a program of its own that is given only the adversary's bytes, as files, opens the key.

use std::process::Command;

use bailee_core::quirks::{Quirk, Quirks};
use bailee_lockstep::bugs::VARIABLE;
use bailee_lockstep::locksmith::{Bytes, Loot};
use bailee_lockstep::pair::Pair;
use bailee_model::protocol::{Protocol, properties, scopes};
use bailee_model::story::{self, Story};
use bailee_spec::{Action, Outcome, Scope};

fn scope(name: &str) -> Scope {
    scopes::committed().into_iter().find(|scope| scope.name == name).unwrap()
}

/// Runs a story on both readings and asserts that they agree after every action.
fn play(scope: &Scope, story: &Story) -> Pair {
    if let Ok(id) = std::env::var(VARIABLE) {
        Quirk::switch_on(&id);
    }
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

/// What the program says of a folder: whether anything came open, and every line.
fn locksmith(bytes: &Bytes) -> (bool, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("loot");
    bytes.write(&folder).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_bailee-locksmith")).arg(&folder).output().unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(matches!(run.status.code(), Some(0 | 4)), "{:?}: {}", run.status, String::from_utf8_lossy(&run.stderr));
    (run.status.success(), said.lines().map(str::to_string).collect())
}

/// JOB-1c.
#[test]
fn each_broken_promise_runs_on_the_reference() {
    for property in ["key-only-in-session", "vendor-holds-no-key", "on-behalf-unseen"] {
        let (scope, story) = told("recovery", property);
        let mut pair = play(&scope, &story);
        let bytes = Loot::at_the_restorer(&pair.ensemble).bytes(pair.ensemble.size());
        let (opened, said) = locksmith(&bytes);
        assert!(opened && said[0].contains("a sealed block of tenant-0/user-0, with the 32 bytes at"), "{said:?}");
        let storage_alone = Bytes { memories: Default::default(), ..bytes };
        assert_eq!(locksmith(&storage_alone), (false, vec!["nothing came open".to_string()]));

        assert_eq!(pair.act(Action::FinishJob), Outcome::Accepted);
        let afterwards = Loot::at_the_restorer(&pair.ensemble).bytes(pair.ensemble.size());
        assert!(!locksmith(&afterwards).0, "{property}: a job that is over leaves nothing");
    }
}

#[test]
fn a_host_opens_every_key() {
    let (scope, story) = told("betrayal", "no-master-key");
    let pair = play(&scope, &story);
    let keys: Vec<_> = (0..2).flat_map(|user| pair.loot.keys_of(pair.ensemble.size(), user)).collect();
    assert_eq!(keys.len(), 2, "one root opened two users' keys");
    assert_ne!(keys[0], keys[1]);

    let bytes = pair.loot.bytes(pair.ensemble.size());
    let (opened, said) = locksmith(&bytes);
    assert!(opened && said.len() == 2, "{said:?}");
    assert!(said[1].contains("a sealed account of tenant-0/user-1"), "{said:?}");
    let disk_alone = Bytes { memories: Default::default(), ..bytes };
    assert!(!locksmith(&disk_alone).0, "a sealed host gives nothing");
}

#[test]
fn three_shares_and_a_snapshot_open_a_key_and_two_do_not() {
    let (scope, story) = told("betrayal", "shares-are-not-data");
    let bytes = play(&scope, &story).loot.bytes(bailee_lockstep::pair::size_of(&scope));
    assert_eq!(bytes.shares.len(), 3, "the shortest story needs exactly the threshold");
    let (opened, said) = locksmith(&bytes);
    assert!(opened && said[0].contains("a sealed account of tenant-0/user-0, with 3 shares"), "{said:?}");
    for missing in 0..3 {
        let mut two = bytes.clone();
        two.shares.remove(missing);
        assert!(!locksmith(&two).0, "without share {missing}");
        let mut repeated = two.clone();
        repeated.shares.push(two.shares[0].clone());
        assert!(!locksmith(&repeated).0, "a share twice is one");
        // A folder keeps one file an index: the same in memory, where nothing hides the repetition.
        assert_eq!(repeated.open_all(), []);
    }
    let no_snapshot = Bytes { snapshot: None, ..bytes.clone() };
    assert!(!locksmith(&no_snapshot).0, "shares alone");
    assert!(!locksmith(&Bytes { shares: Vec::new(), ..bytes }).0, "a snapshot alone");
}

#[test]
fn the_locksmith_names_what_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = || Command::new(env!("CARGO_BIN_EXE_bailee-locksmith")).arg(folder.path()).output().unwrap();
    let said = |run: std::process::Output| (run.status.code(), String::from_utf8(run.stderr).unwrap());
    let (code, message) = said(run());
    assert!(code == Some(2) && message.contains("names"), "{message}");
    std::fs::write(folder.path().join("names"), "tenant-0 user-0\n").unwrap();
    assert_eq!(said(run()).0, Some(4));
    std::fs::create_dir(folder.path().join("shares")).unwrap();
    std::fs::write(folder.path().join("shares/1"), [0xff; 40]).unwrap();
    let (code, message) = said(run());
    assert!(code == Some(2) && message.contains("expected a share with its header"), "{message}");
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
