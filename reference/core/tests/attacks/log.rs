//! The decision log (REV-5): what was decided is an entry in the same write, and stays as it is.

use bailee_core::cbor;
use bailee_core::machine::Peer;
use bailee_core::roles::authority;
use bailee_core::store::{MemoryStore, RECORD_BYTES, Read};
use bailee_core::wire::{Body, Decision, LogEntry, StandingChange};
use bailee_spec::observation::Standing;

use crate::common::{Desk, House, OPERATOR, admin};

const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "bob"), ("t", "ann")];

/// The bytes of the log: its entries from 1 on, and no other.
fn entries(desk: &Desk<authority::Authority>) -> Vec<Vec<u8>> {
    let found = desk.saved().scan(b"l/", b"l/", usize::MAX).unwrap();
    for (at, (name, _)) in (1u64..).zip(&found) {
        assert_eq!(name[2..], at.to_be_bytes(), "numbered from 1 without a gap");
    }
    assert_eq!(found.len() as u64, desk.peek(authority::head), "the head is the length");
    found.into_iter().map(|(_, bytes)| bytes.to_vec()).collect()
}

fn decided(bytes: &[u8]) -> (String, Decision) {
    let LogEntry { user, decision, .. } = cbor::decode(bytes, RECORD_BYTES).unwrap();
    (user, decision)
}

fn set(user: &str, change: StandingChange) -> Body {
    Body::SetStanding { tenant: "t".into(), user: user.into(), change }
}

/// REV-5: each decision adds its entries, in the write of the decision, and changes none that is there.
#[test]
fn a_decision_is_an_entry_and_stays_one() {
    let mut house = House::new(1, PEOPLE);
    (0..3).for_each(|device| house.enrol(device));
    let mut known = entries(&house.authority);
    let enrolled: Vec<_> = known.iter().map(|bytes| decided(bytes)).collect();
    assert!(
        matches!(&enrolled[..], [(ann, Decision::Enrolled(_)), (bob, Decision::Enrolled(_))] if ann == "ann" && bob == "bob")
    );
    let (first, second) = (house.id_of(0), house.id_of(2));
    let revoke = Body::Deauthorize { tenant: "t".into(), user: "ann".into(), device: first };
    let standing = |to: Standing| Decision::Standing(to as u8);
    for (body, added) in [
        (set("bob", StandingChange::Suspend), vec![standing(Standing::Suspended)]),
        (set("bob", StandingChange::Resume), vec![standing(Standing::Active)]),
        (revoke, vec![Decision::Revoked(first)]),
        (set("ann", StandingChange::Deactivate), vec![Decision::Revoked(second), standing(Standing::Deactivated)]),
        (set("ann", StandingChange::Reactivate), vec![standing(Standing::Active)]),
        (set("ann", StandingChange::Deactivate), vec![standing(Standing::Deactivated)]),
        (set("ann", StandingChange::Purge), vec![standing(Standing::Purged)]),
    ] {
        let decision = house.authority.step(&admin("t", "boss"), body);
        assert_eq!(decision.verdict, Ok(()));
        assert_eq!(entries(&house.authority), known, "nothing is written yet");
        house.authority.apply(&decision).unwrap();
        let now = entries(&house.authority);
        assert_eq!(now[..known.len()], known, "an entry was changed");
        assert_eq!(now[known.len()..].iter().map(|bytes| decided(bytes).1).collect::<Vec<_>>(), added);
        known = now;
    }
}

/// REV-5: a key that comes back to a restored store is logged once more.
#[test]
fn a_key_that_comes_back_is_logged_once_more() {
    let mut house = House::new(1, PEOPLE);
    let snapshot = house.snapshot();
    house.enrol(1);
    let before = entries(&house.authority);
    assert_eq!(before.len(), 1);
    *house.nodes[0].store.borrow_mut() = MemoryStore::default();
    house.restart(0);
    house.must(&OPERATOR, Peer::Keystore(0), Body::Stage { snapshot: snapshot.into() });
    house.unseal(0);
    assert_eq!(entries(&house.authority), before);
    let replay = Body::ReplayKey { tenant: "t".into(), user: "bob".into() };
    house.must(&OPERATOR, Peer::Authority, replay);
    let after = entries(&house.authority);
    assert_eq!(after, [before[0].clone(), before[0].clone()], "the same key, in an entry of its own");
}
