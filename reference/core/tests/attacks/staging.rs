//! What is staged and what comes back: only what was asked for, witnessed, and of the store's own share epoch; a key that the log
//! named late is not lost (DIS-2a, DIS-2c, DIS-4a, DIS-4b, DIS-5a).

use bailee_core::machine::Peer;
use bailee_core::roles::authority::{self, StoreRecord, Witness};
use bailee_core::roles::keystore::{STAGED, Snapshot};
use bailee_core::store::{MemoryStore, Read};
use bailee_core::wire::{Body, Frame};
use bailee_spec::outcome::Refusal;

use crate::common::{House, OPERATOR, SCHEDULE, Says, admin, b32, sent};

const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "bob"), ("s", "ann")];

/// The operator stages; what the authority's answer to the node's question looks like, of no snapshot.
fn question(house: &mut House, bytes: &[u8]) -> Frame {
    let asked = house.nodes[0].gives(&OPERATOR, Body::Stage { snapshot: bytes.to_vec().into() }, "a question");
    let exchange = sent(&asked, &Peer::Authority).exchange.unwrap();
    (exchange, Body::Witness { digests: Vec::new(), generation: 0, index: 0 }).frame()
}

/// The same answer, with the bytes witnessed.
fn witnessed(mut answer: Frame, bytes: &[u8]) -> Frame {
    answer.body = Body::Witness { digests: vec![Snapshot::digest(bytes)], generation: 0, index: 0 };
    answer
}

fn is_staged(house: &House) -> bool {
    house.nodes[0].saved().get(STAGED.as_bytes()).unwrap().is_some()
}

/// DIS-2a, DIS-2c: each way in which an answer does not fit what was asked, and then the one that does.
#[test]
fn what_is_staged_was_asked_for_and_is_a_snapshot_of_this_store() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let genuine = house.snapshot();
    let mut retired = Snapshot::decode(&genuine).unwrap();
    retired.header.share_epoch += 1;
    let (retired, garbage) = (retired.encode(), b"no snapshot".to_vec());
    let unasked = witnessed((b32(1), Body::Done).frame(), &genuine);
    house.restart(0);
    let authority = &Peer::Authority;
    house.nodes[0].refuses(authority, unasked, Refusal::OutOfTurn, "nothing is on its way in");
    for (bytes, why) in [(&garbage, Refusal::SnapshotDamaged), (&retired, Refusal::EpochRetired)] {
        let answer = witnessed(question(&mut house, bytes), bytes);
        house.nodes[0].refuses(authority, answer, why, "witnessed by an authority that lies");
    }
    let answer = question(&mut house, &genuine);
    house.nodes[0].refuses(authority, answer, Refusal::SnapshotUnknown, "none is witnessed");
    let answer = witnessed(question(&mut house, &genuine), &garbage);
    house.nodes[0].refuses(authority, answer, Refusal::SnapshotDamaged, "another is");
    let late = witnessed(question(&mut house, &genuine), &genuine);
    house.unseal(0);
    house.nodes[0].refuses(authority, late, Refusal::NotSealed, "unsealed meanwhile");
    house.restart(0);
    let answer = witnessed(question(&mut house, &genuine), &genuine);
    assert!(!is_staged(&house));
    house.nodes[0].accepts(authority, answer, "as it was asked for");
    assert!(is_staged(&house));
}

/// DIS-4a: a kept message is covered up to what the witnessed snapshot covers, except in a range that a restore has lost.
#[test]
fn what_a_snapshot_covers_is_what_the_log_named_before_it_and_no_restore_lost() {
    let witness = Some(Witness { digest: b32(1), share_epoch: 1, covers: 9 });
    let none = StoreRecord::default();
    let some = StoreRecord { snapshot: witness, lost: vec![(3, 4), (7, 7)], ..StoreRecord::default() };
    assert!((1..20).all(|index| !none.covers(index)));
    let covered: Vec<u64> = (1..20).filter(|index| some.covers(*index)).collect();
    assert_eq!(covered, [1, 2, 5, 6, 8, 9]);
}

/// DIS-4b: a snapshot may hold a key that the log named only after it. The restored node says so, the authority logs the key once more,
/// and the next snapshot covers it.
#[test]
fn a_restored_node_says_which_keys_it_has_after_all() {
    let mut house = House::new(1, PEOPLE);
    house.sign_in(0);
    let receipt = house.run_to("Receipt");
    let snapshot = house.snapshot();
    house.deliver(receipt).unwrap();
    house.run();
    house.enrol(1);
    let kept = |house: &House, user: &str| {
        house.authority.peek(|step| authority::user(step, "t", user)).unwrap().kept.map(|kept| kept.index)
    };
    assert_eq!((kept(&house, "ann"), kept(&house, "bob")), (Some(1), Some(2)), "named after the snapshot");
    *house.nodes[0].store.borrow_mut() = MemoryStore::default();
    house.restart(0);
    house.must(&OPERATOR, Peer::Keystore(0), Body::Stage { snapshot: snapshot.into() });
    house.unseal(0);
    assert!(house.escrowed("t", "ann").is_some() && house.escrowed("t", "bob").is_none());
    assert_eq!(
        (kept(&house, "ann"), kept(&house, "bob")),
        (Some(3), Some(2)),
        "hers is named once more, his is lost"
    );
    house.publish_all();
    house.snapshot();
    house.publish_all();
    assert_eq!((kept(&house, "ann"), kept(&house, "bob")), (None, Some(2)), "hers is covered, his is not");
}

/// DIS-5a: who may have a key replayed, and of whom.
#[test]
fn a_key_is_replayed_for_those_who_may() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let replay = |tenant: &str, user: &str| Body::ReplayKey { tenant: tenant.into(), user: user.into() };
    let desk = &mut house.authority;
    for (from, body, why, note) in [
        (admin("s", "boss"), replay("t", "ann"), Refusal::OtherTenant, "another tenant's administrator"),
        (admin("t", "head"), replay("t", "ann"), Refusal::NoAdminRight, "one who may not manage users"),
        (admin("t", "boss"), replay("t", "nobody"), Refusal::BadCredential, "a user who does not exist"),
        (OPERATOR, replay("s", "nobody"), Refusal::BadCredential, "a user who does not exist"),
        (OPERATOR, replay("t", "bob"), Refusal::NothingKept, "a user who has no key"),
    ] {
        desk.refuses(&from, body, why, note);
    }
    for from in [admin("t", "boss"), OPERATOR, SCHEDULE] {
        desk.accepts(&from, replay("t", "ann"), "who may");
    }
    house.snapshot();
    house.publish_all();
    house.authority.refuses(&OPERATOR, replay("t", "ann"), Refusal::NothingKept, "what a snapshot covers");
}
