//! What the keystore's bytes give away, and what the roles do around them.

mod common;

use bailee_core::cbor;
use bailee_core::crypto::hpke::Recipient;
use bailee_core::crypto::keys::Secret;
use bailee_core::crypto::labels;
use bailee_core::crypto::password::Cost;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::machine::Peer;
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{self, JobRecord};
use bailee_core::roles::keystore::{Keyring, RECORDS};
use bailee_core::store::{Batch, Read};
use bailee_core::wire::{B32, Body, CeremonyBody, Header, ShareBody};
use bailee_spec::action::{Action, Lane, Point};
use bailee_spec::limits::VALIDITY_SECONDS;
use bailee_spec::observation::{Disk, JobState};
use bailee_spec::outcome::{Outcome, Refusal};
use common::{HOLDER, House, b32};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

fn enrolled() -> (Ensemble, ChaCha8Rng) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let size = Size { users: 1, tenants: 1, devices_per_user: 1, nodes: 1, custodians: 3, threshold: 2, late: false };
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
    let (ensemble, _) = enrolled();
    let seen = ensemble.observe(&[]);
    assert_eq!(seen.devices[0].disk, Disk::Key);
    assert_eq!(seen.users[0].escrowed, seen.devices[0].disk_key);
    assert_eq!(seen.devices[0].lane, None);
}

/// Whether some bytes lie somewhere in others.
fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Two users of two tenants, enrolled; their names and their keys.
fn two_users() -> (House, Vec<(&'static str, Vec<u8>)>) {
    let mut house = House::new(1, &[("tenant-0", "user-0"), ("tenant-1", "user-1"), ("tenant-0", "user-0")]);
    (0..3).for_each(|device| house.enrol(device));
    let mut canaries: Vec<(&str, Vec<u8>)> =
        ["tenant-0", "user-0", "tenant-1", "user-1"].map(|name| (name, name.as_bytes().to_vec())).into();
    for device in [0, 1] {
        canaries.push(("an archive key", house.key_of(device).unwrap().to_vec()));
    }
    (house, canaries)
}

/// GEN-18, GEN-28, claims C07 and C19: neither in the store nor in a snapshot of it is a name, a key, or what opens them.
#[test]
fn the_store_shows_no_name() {
    let (mut house, mut canaries) = two_users();
    let root = house.nodes[0].role.opened().unwrap().root.expose().to_vec();
    canaries.push(("the root", root));
    canaries.extend(["account", "attempt"].map(|kind| (kind, kind.as_bytes().to_vec())));
    let snapshot = house.snapshot();
    let records = house.nodes[0].saved();
    for (what, canary) in &canaries {
        for (name, record) in records.iter() {
            assert!(!holds(name, canary) && !holds(record, canary), "{what} is legible in the store");
        }
        assert!(!holds(&snapshot, canary), "{what} is legible in a snapshot");
    }
    let sealed = records.iter().filter(|(name, _)| name.starts_with(RECORDS)).count();
    assert!(sealed >= 4, "the check looked at nothing");
    // What is in the accounts is what was searched for.
    for (at, (tenant, user)) in [("tenant-0", "user-0"), ("tenant-1", "user-1")].into_iter().enumerate() {
        assert_eq!(house.escrowed(tenant, user), house.key_of(at).map(|key| key.to_vec()));
    }
}

/// Claim C07: through an enrolment, a replacement, a backup, a job and a snapshot, no frame and no disk except the devices' own
/// shows a key or what is backed up.
#[test]
fn neither_the_wire_nor_a_service_shows_key_or_content() {
    let (mut house, canaries) = two_users();
    let content = b"what is backed up".to_vec();
    let mut secrets: Vec<_> = canaries.into_iter().filter(|(what, _)| *what == "an archive key").collect();
    secrets.push(("content", content.clone()));
    house.order(&HOLDER, Peer::Client, 0, Body::StartBackup).unwrap();
    house.run();
    house.order(&HOLDER, Peer::Client, 0, Body::BackUp { content: content.into() }).unwrap();
    house.run();
    house.order(&HOLDER, Peer::Client, 2, Body::ReadBack).unwrap();
    house.run();
    let job = Body::RequestJob { tenant: "tenant-0".into(), user: "user-0".into() };
    house.must(&common::user("tenant-0", "user-0"), Peer::Authority, job);
    house.order(&HOLDER, Peer::Client, 0, Body::EscrowAgain).unwrap();
    house.run();
    let _ = house.snapshot();
    for (what, secret) in &secrets {
        for frame in &house.carried {
            assert!(!holds(frame, secret), "{what} is legible on the wire");
        }
        let disks = [house.authority.saved(), house.storage.saved(), house.restorer.saved(), house.custody.saved()];
        for (name, record) in disks.iter().chain([&house.nodes[0].saved()]).flat_map(|disk| disk.iter()) {
            assert!(!holds(name, secret) && !holds(record, secret), "{what} is legible at a service");
        }
    }
    // The check can fail: names are on the wire, and the key is on the device's own disk.
    assert!(house.carried.iter().any(|frame| holds(frame, b"user-0")) && house.carried.len() > 60);
    assert!(house.devices[0].saved().iter().any(|(_, record)| holds(record, &secrets[0].1)));
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

/// GEN-19, REP-7, claim C29: key and receipt, under the same name and byte for byte.
#[test]
fn a_replacement_stores_the_key_as_the_first_device_did() {
    let mut house = House::new(1, &[("t", "ann"), ("t", "ann")]);
    house.enrol(0);
    house.enrol(1);
    let names = |device: usize| -> Vec<Vec<u8>> {
        house.devices[device].saved().iter().map(|(name, _)| name.to_vec()).collect()
    };
    assert_eq!(names(0), names(1));
    let kept = |device: usize| house.devices[device].saved().get(b"key").unwrap().unwrap().to_vec();
    assert_eq!(kept(0), kept(1), "the same key with the same receipt");
    assert!(kept(0).len() > 64, "there is a receipt beside the key");
    assert_ne!(house.id_of(0), house.id_of(1));
}

/// Claim C48: also for so long that the keystore has lost its lease, for devices that ask for leave anew, and after a revocation.
#[test]
fn backup_goes_on_while_the_keystore_is_sealed() {
    let mut house = House::new(1, &[("t", "ann"), ("t", "bob")]);
    house.enrol(0);
    house.enrol(1);
    house.restart(0);
    let backs_up = |house: &mut House, device: usize| {
        house.order(&HOLDER, Peer::Client, device, Body::StartBackup).unwrap();
        house.run();
        house.order(&HOLDER, Peer::Client, device, Body::BackUp { content: b"text".to_vec().into() }).unwrap();
        house.run();
        house.order(&HOLDER, Peer::Client, device, Body::ReadBack).unwrap();
        house.run();
        assert_eq!(house.last_refusal(), None);
    };
    for now in [0, VALIDITY_SECONDS, 10 * VALIDITY_SECONDS] {
        house.set_clocks(now);
        for _ in 0..2 {
            [Point::Storage, Point::Keystore].into_iter().for_each(|point| house.publish(point));
        }
        assert!(house.is_sealed(0));
        house.refusals.clear();
        backs_up(&mut house, 0);
    }
    let device = house.id_of(1);
    let body = Body::Deauthorize { tenant: "t".into(), user: "bob".into(), device };
    house.must(&common::admin("t", "boss"), Peer::Authority, body);
    // The keystore cannot confirm this one, so its lease runs out.
    house.set_clocks(20 * VALIDITY_SECONDS);
    (0..2).for_each(|_| [Point::Storage, Point::Keystore].into_iter().for_each(|point| house.publish(point)));
    let keystore = house.authority.peek(|step| authority::point(step, Point::Keystore));
    assert!(keystore.lease < house.authority.now);
    house.refusals.clear();
    backs_up(&mut house, 0);
    house.nodes[0].refuses(&common::OPERATOR, Body::TakeSnapshot, Refusal::Sealed, "it is sealed");
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

/// CER-2a, claim C55: what a custodian packs opens with the key of the node that the ceremony names, for that ceremony and that
/// custodian, and in no other way; the context is the one that the text names (§4, GEN-26).
#[test]
fn a_share_opens_for_its_node_only() {
    let mut house = House::new(1, &[("t", "ann")]);
    let (node, fake) = (Recipient::from_seed(&[1; 32]), Recipient::from_seed(&[2; 32]));
    let ceremony = CeremonyBody {
        id: b32(7),
        node: 0,
        rekey: false,
        recipient: node.public().into(),
        header: b32(8),
        share_epoch: 1,
        expiry: 600,
        number: 1,
        roster: None,
    };
    let desk = &mut house.custodians[0];
    let packed = desk.role.package(&ceremony, 1, &[9; 32], &mut desk.rng).unwrap();
    let Body::SubmitShare { share, .. } = packed else { panic!("{packed:?}") };
    let sealed = cbor::decode::<ShareBody>(&share, 4096).unwrap().sealed;
    let context = |ceremony: u8, custodian: u8| [&[ceremony; 32][..], &[custodian]].concat();
    let opens = |key: &Recipient, label, context: &[u8]| key.open(label, context, &sealed).is_some();
    assert!(opens(&node, labels::HPKE_SHARE, &context(7, 1)), "the node that is named");
    assert!(!opens(&fake, labels::HPKE_SHARE, &context(7, 1)), "a node that is not");
    assert!(!opens(&node, labels::HPKE_SHARE, &context(6, 1)), "relayed to another ceremony");
    assert!(!opens(&node, labels::HPKE_SHARE, &context(7, 2)), "as another custodian's");
    assert!(!opens(&node, labels::HPKE_SHARE, &[]), "bound to nothing");
    assert!(!opens(&node, labels::HPKE_WRAP, &context(7, 1)), "for another purpose");
}
