//! Disasters: a store that is gone, snapshots that are old, and frames from before (DIS-1 to DIS-6).

use bailee_core::machine::{Peer, Person, Role};
use bailee_core::roles::authority;
use bailee_core::roles::keystore::{Snapshot, generation};
use bailee_core::store::{MemoryStore, Read};
use bailee_core::wire::{Body, StandingChange};
use bailee_spec::limits::PUBLISH_ENTRIES;
use bailee_spec::outcome::Refusal;

use crate::common::{Flight, HOLDER, House, OPERATOR, admin, b32, sent};

const PEOPLE: &[(&str, &str)] = &[("t", "ann"), ("t", "bob"), ("t", "ann")];

/// The store is lost with the node: an empty machine starts.
pub(crate) fn lose(house: &mut House) {
    *house.nodes[0].store.borrow_mut() = MemoryStore::default();
    house.restart(0);
    // A machine is not replaced within the second.
    house.set_clocks(house.authority.now + 1);
}

fn stage(house: &mut House, snapshot: &[u8]) {
    house.must(&OPERATOR, Peer::Keystore(0), Body::Stage { snapshot: snapshot.to_vec().into() });
}

/// Stages a snapshot, and unseals.
pub(crate) fn restore(house: &mut House, snapshot: &[u8]) {
    stage(house, snapshot);
    house.unseal(0);
    assert!(!house.is_sealed(0), "{:?}", house.refusals);
}

fn change(house: &mut House, user: &str, change: StandingChange) {
    let body = Body::SetStanding { tenant: "t".into(), user: user.into(), change };
    house.must(&admin("t", "boss"), Peer::Authority, body);
}

fn replay(house: &mut House, user: &str) -> Result<(), Refusal> {
    let body = Body::ReplayKey { tenant: "t".into(), user: user.into() };
    let done = house.order(&OPERATOR, Peer::Authority, 0, body);
    house.run();
    done
}

fn generation_of(house: &House) -> u64 {
    house.nodes[0].peek(generation)
}

/// (e), DIS-2b: a keystore whose disk is lost comes back from its snapshot, and what was escrowed after it comes back by replay.
#[test]
fn an_empty_machine_is_restored_from_a_snapshot() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    house.enrol(1);
    lose(&mut house);
    assert!(house.escrowed("t", "ann").is_none());
    restore(&mut house, &snapshot);
    assert_eq!(house.escrowed("t", "ann"), house.key_of(0).map(|key| key.to_vec()));
    assert_eq!(house.escrowed("t", "bob"), None);
    assert_eq!(replay(&mut house, "bob"), Ok(()));
    assert_eq!(house.escrowed("t", "bob"), house.key_of(1).map(|key| key.to_vec()));
    house.enrol(2);
    assert_eq!(house.key_of(2), house.key_of(0));
}

/// (e), DIS-3b, ENR-6a: the store of a blank machine takes no generation that was there before, restored once or twice.
#[test]
fn no_generation_is_repeated() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    for expected in 1..=3 {
        lose(&mut house);
        restore(&mut house, &snapshot);
        assert_eq!(generation_of(&house), expected);
        assert_eq!(house.authority.peek(authority::store).generation, expected);
    }
}

/// (e), DIS-2c: a snapshot that nobody witnessed, or another's bytes, or into an open node: refused, and nothing is staged.
#[test]
fn only_the_witnessed_snapshot_is_staged() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    let body = Body::Stage { snapshot: snapshot.clone().into() };
    house.nodes[0].refuses(&OPERATOR, body, Refusal::NotSealed, "the node is open");
    lose(&mut house);
    let blank = house.nodes[0].saved();
    let mut damaged = snapshot.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for (bytes, why) in [(damaged, Refusal::SnapshotDamaged), (Vec::new(), Refusal::SnapshotUnknown)] {
        stage(&mut house, &bytes);
        assert_eq!(house.last_refusal(), Some(why));
        assert!(house.nodes[0].saved().same(&blank));
    }
    restore(&mut house, &snapshot);
}

/// What is made wrong of a snapshot, and how.
type Forgery<'a> = (&'static str, &'a dyn Fn(&mut Snapshot));

/// (m), DIS-3a: every part of a snapshot is under its code, and every bit of the code counts.
#[test]
fn a_snapshot_with_another_code_restores_nothing() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let genuine = house.snapshot();
    house.restart(0);
    let forgeries: [Forgery<'_>; 9] = [
        ("the first byte of the code", &|forged| forged.mac[0] ^= 0x80),
        ("the last byte of the code", &|forged| forged.mac[31] ^= 1),
        ("a record that is gone", &|forged| drop(forged.records.pop())),
        ("a record that is another", &|forged| forged.records[0].1.push(0)),
        ("two records that changed places", &|forged| {
            let (first, second) = (forged.records[0].1.clone(), forged.records[1].1.clone());
            (forged.records[0].1, forged.records[1].1) = (second, first);
        }),
        ("the generation", &|forged| forged.generation += 1),
        ("what it followed of the log", &|forged| forged.index += 1),
        ("what it covers of the log", &|forged| forged.covers += 1),
        ("the sealed keyring", &|forged| forged.keyring[50] ^= 1),
    ];
    for (what, forge) in forgeries {
        let mut forged = Snapshot::decode(&genuine).unwrap();
        forge(&mut forged);
        let bytes = forged.encode();
        let node = &mut house.nodes[0];
        node.accepts(&OPERATOR, Body::Stage { snapshot: bytes.clone().into() }, "staged");
        let asked = node.say(&OPERATOR, Body::Stage { snapshot: bytes.clone().into() });
        let mut witness = sent(&asked, &Peer::Authority);
        witness.body = Body::Witness { digests: vec![Snapshot::digest(&bytes)], generation: 0, index: 0 };
        node.accepts(&Peer::Authority, witness, "witnessed by an authority that lies");
        house.unseal(0);
        assert_eq!(house.last_refusal(), Some(Refusal::SnapshotDamaged), "{what}");
        assert!(house.is_sealed(0));
        assert_eq!(generation_of(&house), 0);
    }
    house.unseal(0);
    assert!(!house.is_sealed(0));
}

/// DIS-2c, DIS-2: a witness from before does not answer a later question.
#[test]
fn an_old_witness_is_no_answer() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let old = house.snapshot();
    lose(&mut house);
    house.order(&OPERATOR, Peer::Keystore(0), 0, Body::Stage { snapshot: old.clone().into() }).unwrap();
    let late = house.run_to("Witness");
    house.deliver(late.clone()).unwrap();
    house.run();
    house.unseal(0);
    assert_eq!(generation_of(&house), 1);
    let new = house.snapshot();
    lose(&mut house);
    house.order(&OPERATOR, Peer::Keystore(0), 0, Body::Stage { snapshot: old.into() }).unwrap();
    assert_eq!(house.deliver(late), Err(Refusal::OutOfTurn), "carried twice, and the second copy late");
    house.run();
    house.restart(0);
    restore(&mut house, &new);
    assert_eq!(generation_of(&house), 2, "no generation is repeated");
}

/// DIS-1c: word of an older snapshot that comes late does not displace a newer one, whose keys the authority keeps no more.
#[test]
fn a_late_word_of_an_older_snapshot_displaces_none() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.order(&OPERATOR, Peer::Keystore(0), 0, Body::TakeSnapshot).unwrap();
    house.run();
    let Some((_, Body::Snapshot { snapshot })) = house.told.last().cloned() else { panic!("no snapshot") };
    let kept = Body::SnapshotKept { digest: Snapshot::digest(&snapshot) };
    house.order(&OPERATOR, Peer::Keystore(0), 0, kept).unwrap();
    let late = house.run_to("SnapshotTaken");
    house.deliver(late.clone()).unwrap();
    house.run();
    house.enrol(1);
    let newer = house.snapshot();
    assert_eq!(house.deliver(late), Err(Refusal::SnapshotUnknown));
    house.run();
    lose(&mut house);
    restore(&mut house, &newer);
    assert_eq!(house.escrowed("t", "bob"), house.key_of(1).map(|key| key.to_vec()));
}

/// DIS-4a, DIS-5: word of a key that came back to a store that is lost since does not count for the next store.
#[test]
fn a_late_word_of_a_returned_key_does_not_erase_its_copy() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    house.enrol(1);
    lose(&mut house);
    restore(&mut house, &snapshot);
    let body = Body::ReplayKey { tenant: "t".into(), user: "bob".into() };
    house.order(&OPERATOR, Peer::Authority, 0, body).unwrap();
    let late = house.run_to("KeyReturned");
    lose(&mut house);
    restore(&mut house, &snapshot);
    let _ = house.deliver(late);
    house.run();
    house.publish_all();
    let newer = house.snapshot();
    house.publish_all();
    lose(&mut house);
    restore(&mut house, &newer);
    assert_eq!(replay(&mut house, "bob"), Ok(()), "its kept escrow is in no snapshot, and was erased");
    assert_eq!(house.escrowed("t", "bob"), house.key_of(1).map(|key| key.to_vec()));
}

/// CER-6b: a store that is many publications behind follows all of them before it serves, and does come to serve.
#[test]
fn a_store_far_behind_the_log_catches_up() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    for _ in 0..PUBLISH_ENTRIES + 2 {
        change(&mut house, "bob", StandingChange::Suspend);
        change(&mut house, "bob", StandingChange::Resume);
    }
    house.publish_all();
    lose(&mut house);
    restore(&mut house, &snapshot);
    house.publish_all();
    house.enrol(2);
    assert_eq!(house.key_of(2), house.key_of(0));
}

/// CER-6b, CER-6d, CER-6: an old publication does not make a restored node serve before it has followed the log.
#[test]
fn an_old_publication_does_not_open_a_node_that_is_behind() {
    let mut house = House::new(1, &[("t", "ann"), ("t", "ann")]);
    let snapshot = house.snapshot();
    let told = house.authority.fire(&bailee_core::machine::Timer::Publish(bailee_spec::action::Point::Keystore));
    house.put(&Peer::Authority, 0, told).unwrap();
    let old = house.run_to("Publish");
    // The second device begins while nobody has a key; the first one enrols.
    house.sign_in(1);
    let begin = house.run_to("BeginEnrolment");
    house.enrol(0);
    lose(&mut house);
    stage(&mut house, &snapshot);
    house.ceremony(0, Body::OpenCeremony { rekey: false, roster: None });
    house.fetch(0, 0);
    house.hand_in(0, 0);
    house.fetch(1, 0);
    house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
    let awake = house.run_to("Awake");
    let _ = house.deliver(old);
    let open = Body::OpenEnrolment { tenant: "t".into(), user: "ann".into(), attempt: b32(1), device: b32(2) };
    house.nodes[0].refuses(&Peer::Authority, (b32(9), open), Refusal::Sealed, "an old publication");
    assert!(house.wire.iter().any(|flight| flight.frame.body.name() == "Awake"), "it asks again");
    house.deliver(awake).unwrap();
    let answer = house.run_to("Publish");
    // The authority's answer is on its way. The network brings the other device's attempt first.
    house.wire.clear();
    let _ = house.deliver(begin);
    house.run();
    let _ = house.deliver(answer);
    house.run();
    assert!(house.key_of(1).is_none() || house.key_of(1) == house.key_of(0), "two keys for one user");
}

/// DIS-3: a restore brings nobody back who was purged after the snapshot.
#[test]
fn a_restore_revives_nobody_who_was_purged() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    change(&mut house, "ann", StandingChange::Deactivate);
    change(&mut house, "ann", StandingChange::Purge);
    house.publish_all();
    lose(&mut house);
    restore(&mut house, &snapshot);
    assert_eq!(house.escrowed("t", "ann"), None);
}

/// DIS-1a, DIS-1b: word that another snapshot is kept does not spoil the one that is being taken.
#[test]
fn a_wrong_word_of_a_kept_snapshot_is_refused_and_spoils_nothing() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.must(&OPERATOR, Peer::Keystore(0), Body::TakeSnapshot);
    let Some((_, Body::Snapshot { snapshot })) = house.told.last().cloned() else { panic!("no snapshot") };
    let node = &mut house.nodes[0];
    node.refuses(&OPERATOR, Body::SnapshotKept { digest: b32(1) }, Refusal::SnapshotUnknown, "another digest");
    let kept = Body::SnapshotKept { digest: Snapshot::digest(&snapshot) };
    node.accepts(&OPERATOR, kept.clone(), "its own");
    node.refuses(&OPERATOR, kept, Refusal::OutOfTurn, "twice");
}

/// KEY-3g, (e): between a rekey and the next snapshot the former snapshot still restores an empty machine.
#[test]
fn a_rekey_does_not_leave_the_keys_without_a_snapshot() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let snapshot = house.snapshot();
    house.ceremony(0, Body::OpenCeremony { rekey: true, roster: None });
    house.quorum(0);
    house.must(&OPERATOR, Peer::Custody, Body::CloseWindow { node: 0 });
    lose(&mut house);
    restore(&mut house, &snapshot);
    assert_eq!(house.escrowed("t", "ann"), house.key_of(0).map(|key| key.to_vec()));
    let store = house.nodes[0].saved();
    assert!(store.get(b"header").unwrap().is_some());
    house.nodes[0].role.restart();
    let _: Option<Flight> = house.wire.pop_front();
}

/// CER-6d: an answer that is lost is asked for again, and the node comes to serve.
#[test]
fn a_node_whose_answer_is_lost_asks_again() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    house.restart(0);
    house.ceremony(0, Body::OpenCeremony { rekey: false, roster: None });
    house.fetch(0, 0);
    house.hand_in(0, 0);
    house.fetch(1, 0);
    house.order(&HOLDER, Peer::Custodian(2), 0, Body::HandIn { node: 0 }).unwrap();
    let _ = house.run_to("Awake");
    house.wire.clear();
    let open = Body::OpenEnrolment { tenant: "t".into(), user: "bob".into(), attempt: b32(1), device: b32(2) };
    house.nodes[0].refuses(&Peer::Authority, (b32(9), open.clone()), Refusal::Sealed, "before the answer");
    house.publish(bailee_spec::action::Point::Keystore);
    house.nodes[0].accepts(&Peer::Authority, (b32(9), open), "after it");
}

/// DIS-2a: what an authority that lies calls witnessed must be a snapshot all the same, and of the share epoch in force.
#[test]
fn a_witnessed_snapshot_is_one_and_of_the_epoch_in_force() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let former = house.snapshot();
    house.ceremony(0, Body::OpenCeremony { rekey: true, roster: None });
    house.quorum(0);
    let present = house.snapshot();
    house.restart(0);
    let mut garbled = present.clone();
    garbled.push(0);
    for (bytes, expected) in
        [(garbled, Err(Refusal::SnapshotDamaged)), (former, Err(Refusal::EpochRetired)), (present, Ok(()))]
    {
        let saved = house.nodes[0].saved();
        let asked = house.nodes[0].say(&OPERATOR, Body::Stage { snapshot: bytes.clone().into() });
        let mut witness = sent(&asked, &Peer::Authority);
        witness.body = Body::Witness { digests: vec![Snapshot::digest(&bytes)], generation: 0, index: 0 };
        assert_eq!(house.nodes[0].verdict(&Peer::Authority, witness), expected);
        assert_eq!(house.nodes[0].saved().same(&saved), expected.is_err());
    }
}

/// DIS-5a: a key is replayed by the operator, and by an administrator of the user's tenant who may manage its users.
#[test]
fn a_key_is_replayed_for_those_who_may() {
    let mut house = House::new(1, PEOPLE);
    house.enrol(0);
    let order = |user: &str| Body::ReplayKey { tenant: "t".into(), user: user.into() };
    let desk = &mut house.authority;
    desk.refuses(&admin("s", "boss"), order("ann"), Refusal::OtherTenant, "another tenant's");
    desk.refuses(&admin("t", "head"), order("ann"), Refusal::NoAdminRight, "without the right");
    desk.refuses(&OPERATOR, order("nobody"), Refusal::BadCredential, "a user who does not exist");
    desk.refuses(&Peer::Person(Person::Stranger), order("ann"), Refusal::Unauthenticated, "a stranger");
    desk.refuses(&OPERATOR, order("bob"), Refusal::NothingKept, "a user without a key");
    desk.accepts(&admin("t", "boss"), order("ann"), "who may");
    desk.accepts(&OPERATOR, order("ann"), "the operator");
}
