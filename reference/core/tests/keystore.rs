//! What the keystore's bytes give away, and what the roles do around them.

mod common;

use bailee_core::cbor;
use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::keys::Secret;
use bailee_core::crypto::labels;
use bailee_core::crypto::password::Cost;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::machine::Peer;
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::JobRecord;
use bailee_core::roles::keystore::{Keyring, RECORDS};
use bailee_core::store::{Batch, Read};
use bailee_core::wire::{B32, Body, Header};
use bailee_spec::action::{Action, Lane};
use bailee_spec::observation::{Disk, JobState};
use bailee_spec::outcome::{Outcome, Refusal};
use common::{House, b32};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

fn enrolled(devices_per_user: u8) -> (Ensemble, ChaCha8Rng) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let size = Size { users: 1, tenants: 1, devices_per_user, nodes: 1, custodians: 3, threshold: 2, late: false };
    let mut ensemble = Ensemble::new(size, Cost::TEST, Quirks::none(), &mut rng).unwrap();
    enrol(&mut ensemble, 0, 14, &mut rng);
    (ensemble, rng)
}

fn enrol(ensemble: &mut Ensemble, device: u8, messages: usize, rng: &mut ChaCha8Rng) {
    assert_eq!(ensemble.act(Action::SignIn { device }, rng), Outcome::Accepted);
    for _ in 0..messages {
        assert_eq!(ensemble.act(Action::Deliver { lane: Lane::Device(device) }, rng), Outcome::Accepted);
    }
}

#[test]
fn enrolment_takes_fourteen_messages() {
    let (ensemble, _) = enrolled(1);
    let seen = ensemble.observe(&[]);
    assert_eq!(seen.devices[0].disk, Disk::Key);
    assert_eq!(seen.users[0].escrowed, seen.devices[0].disk_key);
    assert_eq!(seen.devices[0].lane, None);
}

/// GEN-18, GEN-28.
#[test]
fn the_store_shows_no_name() {
    let (ensemble, _) = enrolled(1);
    let [_, (_, records), ..] = ensemble.disks();
    for (name, record) in records.iter() {
        for canary in ["tenant-0", "user-0", "account", "attempt"] {
            let holds = |bytes: &[u8]| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!holds(name) && !holds(record), "{canary} is legible in the store");
        }
    }
    let sealed = records.iter().filter(|(name, _)| name.starts_with(RECORDS)).count();
    assert!(sealed >= 3, "the check looked at nothing");
}

/// GEN-27.
#[test]
fn a_record_under_another_path_does_not_open() {
    let mut house = House::new(1, &[("t", "ann"), ("t", "bob")]);
    house.enrol(0);
    assert!(house.escrowed("t", "ann").is_some());
    let node = &mut house.nodes[0];
    let mut moved = Batch::default();
    let record = node.saved().get(&house.keyring.account_name("t", "ann")).unwrap().unwrap();
    moved.put(house.keyring.account_name("t", "bob"), record);
    node.write(&moved);
    assert!(house.escrowed("t", "bob").is_none(), "a record moved to another user's place opened");
    // To the keystore it is a damaged record, not an absent one, so nothing is written over it (GEN-27a).
    let body = Body::OpenEnrolment { tenant: "t".into(), user: "bob".into(), attempt: b32(1), device: b32(2) };
    house.nodes[0].refuses(&Peer::Authority, (b32(3), body), Refusal::StoreDamaged, "a moved record");
}

/// GEN-19, REP-7.
#[test]
fn a_replacement_stores_the_key_as_the_first_device_did() {
    let (mut ensemble, mut rng) = enrolled(2);
    enrol(&mut ensemble, 1, 8, &mut rng);
    let seen = ensemble.observe(&[]);
    assert_eq!(seen.devices[1].disk, Disk::Key);
    assert_eq!(seen.devices[0].disk_key, seen.devices[1].disk_key);
    let mut house = House::new(1, &[("t", "ann"), ("t", "ann")]);
    house.enrol(0);
    house.enrol(1);
    let names = |device: usize| -> Vec<Vec<u8>> {
        house.devices[device].saved().iter().map(|(name, _)| name.to_vec()).collect()
    };
    assert_eq!(names(0), names(1));
    assert!(names(0).len() >= 2, "the check looked at nothing");
}

#[test]
fn backup_goes_on_while_the_keystore_is_sealed() {
    let (mut ensemble, mut rng) = enrolled(1);
    ensemble.act(Action::Restart { node: 0 }, &mut rng);
    assert!(ensemble.observe(&[]).nodes[0].sealed);
    assert_eq!(ensemble.act(Action::OpenBackup { device: 0 }, &mut rng), Outcome::Accepted);
    assert_eq!(ensemble.act(Action::Append { device: 0 }, &mut rng), Outcome::Accepted);
    assert_eq!(ensemble.act(Action::Fetch { device: 0 }, &mut rng), Outcome::Accepted);
    assert_eq!(ensemble.act(Action::Snapshot, &mut rng), Outcome::Refused(Refusal::Sealed));
}

fn header(id: u8, share_epoch: u64) -> Header {
    Header {
        id: B32::from([id; 32]),
        share_epoch,
        threshold: 3,
        commitments: Vec::new(),
        custodians: Vec::new(),
        root: Vec::new().into(),
    }
}

/// GEN-27: the root alone does not open a keyring that was sealed for another header: one of a retired share epoch is
/// useless beside the header in force, even to a writer of the store who keeps the root.
#[test]
fn a_keyring_opens_only_beside_its_own_header() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let root = Secret::random(&mut rng);
    let sealed = Keyring::generate(&mut rng).seal(&root, &header(1, 1), &mut rng);
    assert!(Keyring::open(&root, &header(1, 1), &sealed).is_some());
    assert!(Keyring::open(&root, &header(2, 1), &sealed).is_none(), "another header");
    assert!(Keyring::open(&root, &header(1, 2), &sealed).is_none(), "another share epoch");
    assert!(Keyring::open(&Secret::random(&mut rng), &header(1, 1), &sealed).is_none(), "another root");
}

/// Numbers that no release wrote are no job, and no index out of range.
#[test]
fn a_job_record_of_unknown_kind_and_state_is_over() {
    let job =
        JobRecord { tenant: "t".into(), user: "u".into(), kind: u8::MAX, state: u8::MAX, deadline: 9, admin: None };
    let read: JobRecord = cbor::decode(&cbor::encode(&job), 64).unwrap();
    assert_eq!(read.kind(), None);
    assert_eq!(read.state_at(0), JobState::None);
}

/// CER-2a.
#[test]
fn a_share_opens_for_its_node_only() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let (node, fake) = (Recipient::generate(&mut rng), Recipient::generate(&mut rng));
    let sealed = seal_to(&node.public(), labels::HPKE_SHARE, b"ceremony 1", &[7; 32], &mut rng).unwrap();
    assert!(node.open(labels::HPKE_SHARE, b"ceremony 1", &sealed).is_some());
    assert!(node.open(labels::HPKE_SHARE, b"ceremony 2", &sealed).is_none(), "relayed to another ceremony");
    assert!(fake.open(labels::HPKE_SHARE, b"ceremony 1", &sealed).is_none(), "a node that was not named");
}
