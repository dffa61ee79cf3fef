//! A small scope that is not among the committed ones, for faults that were found in it: every transition, on both readings.

use bailee_core::quirks::Quirks;
use bailee_lockstep::replay::{Report, replay};
use bailee_model::protocol::Protocol;
use bailee_spec::Refusal;
use bailee_spec::action::Point;
use bailee_spec::scope::{Part, Profile, Scope, Start};

/// Two unsealed nodes over one store, two custodians who are both needed.
fn two_nodes(parts: &[Part]) -> Scope {
    Scope {
        name: "two-nodes".into(),
        about: "a rekey at one of two nodes".into(),
        profile: Profile::Classic,
        users: 1,
        tenants: 1,
        devices_per_user: 1,
        nodes: 2,
        custodians: 2,
        threshold: 2,
        start: Start::Fresh,
        points: Point::ALL.to_vec(),
        parts: parts.to_vec(),
        sorted: true,
        lockstep: true,
        focused: false,
        properties: Vec::new(),
        expected: None,
    }
}

fn agree(scope: &Scope) -> Report {
    let protocol = Protocol::new(scope, None).unwrap();
    let report = replay(&protocol, Quirks::none(), 2, 1, &|_, _| ()).unwrap();
    assert!(report.disagreements.is_empty(), "{:#?}", report.disagreements);
    assert_eq!(report.executed, report.transitions);
    report
}

/// KEY-1a, KEY-3d, KEY-3f, KEY-3g: a rekey at one node, ceremonies at the other, and a snapshot that may be staged before it
/// or after.
#[test]
fn a_rekey_at_one_of_two_nodes_agrees() {
    let report = agree(&two_nodes(&[Part::Ceremony, Part::Rekey, Part::Disaster]));
    assert!(report.states > 1000, "only {} states", report.states);
    for refusal in [Refusal::CeremonyOpen, Refusal::CeremonyExpired, Refusal::WrongEpoch, Refusal::EpochRetired] {
        assert!(report.by_refusal.contains_key(&refusal), "{refusal:?} was never met");
    }
}
