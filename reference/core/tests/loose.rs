//! What was once left loose and is bound now (`spec/protocol.md` §19.6): each test is the attack or the mishap itself.

mod common;

use bailee_core::cbor;
use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::keys::{Owner, Secret, commitment};
use bailee_core::crypto::password::Cost;
use bailee_core::crypto::sign::Signing;
use bailee_core::crypto::{labels, sharing};
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::machine::{Effects, Peer};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{self, Authority, StoreRecord};
use bailee_core::roles::device::{Device, OnDisk};
use bailee_core::roles::keystore::{HEADER, HEADER_DIGEST, header};
use bailee_core::roles::storage::Storage;
use bailee_core::store::Batch;
use bailee_core::wire::{AdmissionBody, B32, Blob, Body, CapabilityBody, Decision, Header, LogEntry, ReceiptBody};
use bailee_spec::action::{Action, Asking, Caller, Condition, Handing, Purpose};
use bailee_spec::observation::Standing;
use bailee_spec::outcome::{Outcome, Refusal};
use common::{Desk, HOLDER, House, b32, granted, marked, receipt, said, sent, share_for, signed, wrapped};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const NODES: Size =
    Size { users: 1, tenants: 1, devices_per_user: 1, nodes: 2, custodians: 3, threshold: 2, late: false };

struct System(Ensemble, ChaCha8Rng);

impl System {
    fn new(size: Size) -> Self {
        common::bug();
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        System(Ensemble::new(size, Cost::TEST, Quirks::none(), &mut rng).unwrap(), rng)
    }

    fn act(&mut self, action: Action) -> Outcome {
        self.0.act(action, &mut self.1)
    }

    fn must(&mut self, action: Action) {
        assert_eq!(self.act(action), Outcome::Accepted, "{action:?}");
    }
}

fn rekey_at(node: u8) -> Action {
    Action::OpenCeremony { node, purpose: Purpose::Rekey, by: Caller::Operator }
}

/// KEY-3d: a rekey at one node leaves no other with a root that opens nothing.
#[test]
fn a_restore_works_at_a_node_that_did_not_rekey() {
    let mut system = System::new(NODES);
    system.must(rekey_at(1));
    system.must(Action::Announce { node: 1 });
    for custodian in 0..2 {
        system.must(Action::RequestShare { custodian, node: 1, asking: Asking::Honestly });
        system.must(Action::SubmitShare { custodian, node: 1, handing: Handing::Right });
    }
    for custodian in 0..3 {
        system.must(Action::AckShare { custodian, condition: Condition::Intact });
    }
    system.must(Action::Snapshot);
    system.must(Action::Restart { node: 0 });
    system.must(Action::StageRestore { condition: Condition::Intact });
    system.must(Action::UnsealTogether { node: 0 });
}

/// KEY-1a.
#[test]
fn one_rekey_at_a_time_over_all_nodes() {
    let mut system = System::new(NODES);
    system.must(rekey_at(1));
    assert_eq!(system.act(rekey_at(0)), Outcome::Refused(Refusal::CeremonyOpen));
    system.must(Action::Advance);
    system.must(rekey_at(0));
}

/// CER-4b, GEN-26a, CER-4d, claim C22: anyone who writes the header cannot have an honest custodian blamed.
#[test]
fn other_commitments_under_the_same_id_are_refused_by_the_custodian() {
    let mut house = House::new(1, &[("t", "ann")]);
    let open = Body::OpenCeremony { rekey: false, roster: None };
    house.restart(0);
    house.ceremony(0, open.clone());
    house.fetch(0, 0);
    assert!(house.custodians[0].role.holds_for().is_some());
    let mut header: Header = house.nodes[0].peek(header).unwrap();
    let former = header.digest();
    let other = sharing::split(2, 3, &mut house.nodes[0].rng).unwrap();
    header.commitments = other.commitments.iter().copied().map(B32::from).collect();
    let mut batch = Batch::default();
    batch.put(HEADER, cbor::encode(&header));
    batch.put(HEADER_DIGEST, cbor::encode(&header.digest()));
    house.nodes[0].write(&batch);
    house.restart(0);
    let announced = house.ceremony(0, open);
    // An honest custody has no share of such a header (CER-4b).
    house.fetch(1, 0);
    assert_eq!(house.last_refusal(), Some(Refusal::NotYourShare));
    // Another gives the share all the same.
    let share = wrapped(&mut house, &former, 2);
    let release = share_for(announced, share);
    house.custodians[1].refuses(&Peer::Custody, release, Refusal::OwnShareDamaged, "a header that it does not know");
    assert!(house.custodians[1].role.holds_for().is_none());
}

/// REP-7a: an authority cannot give a device a key that the keystore does not hold for its user.
#[test]
fn a_device_takes_no_key_on_the_authoritys_word() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (keystore, liar) = (Signing::generate(&mut rng), Signing::generate(&mut rng));
    let owner = Owner { tenant: "t".into(), user: "u".into(), epoch: 0 };
    let (session, grant) = (b32(9), b32(8));
    let mut deliver = |signer: &Signing, user: &str| {
        let device = Device::new("t", "u", keystore.public(), liar.public());
        let mut desk = Desk::new(device, 4, &Batch::default());
        desk.accepts(&HOLDER, Body::EnterPassword { password: b"word".to_vec().into() }, "signs in");
        let opened = Body::SessionOpened { enrolled: Some(b32(0)) };
        let asked = desk.gives(&Peer::Authority, (session, opened), "a session");
        let Body::AddDevice { recipient, .. } = said(&asked) else { panic!("it asks to be added") };
        let key = Secret::random(&mut rng);
        let held = commitment(&key, &owner);
        let context = [&grant[..], &held[..]].concat();
        let sealed = seal_to(&recipient, labels::HPKE_RELEASE, &context, key.expose(), &mut rng).unwrap();
        let body = ReceiptBody { tenant: "t".into(), user: user.into(), commitment: held.into(), generation: 0 };
        let (receipt, signature) = receipt(signer, &body);
        let delivery = Body::KeyDelivery { grant, sealed: sealed.into(), receipt, signature };
        let verdict = desk.verdict(&Peer::Authority, (session, delivery));
        (verdict, OnDisk(&desk.saved()).key().is_some())
    };
    assert_eq!(deliver(&keystore, "u"), (Ok(()), true));
    assert_eq!(deliver(&liar, "u"), (Err(Refusal::Malformed), false), "a receipt that is not the keystore's");
    assert_eq!(deliver(&keystore, "v"), (Err(Refusal::Malformed), false), "a receipt for another user");
}

/// An authority with two users, and what a device says to it.
struct Office {
    desk: Desk<Authority>,
    keystore: Signing,
}

impl Office {
    fn new() -> Self {
        let House { authority, keystore_key, .. } = House::new(1, &[("t", "alice"), ("t", "bob")]);
        Office { desk: authority, keystore: keystore_key }
    }

    fn sign_in(&mut self, user: &str) -> B32 {
        let password = user.as_bytes().to_vec().into();
        let body = Body::SignIn { tenant: "t".into(), user: user.into(), password };
        sent(&self.desk.say(&Peer::Client, body), &Peer::Client).exchange.unwrap()
    }

    /// The verdict on an attempt whose proof was made for `proved`.
    fn begin(&mut self, session: B32, proved: B32, device: &Signing) -> Result<(), Refusal> {
        let (attempt, recipient) = (b32(4), B32::from(Recipient::from_seed(&[5; 32]).public()));
        let proof = device.sign(labels::SIGN_ATTEMPT, &cbor::encode(&(proved, attempt, recipient)));
        let device = B32::from(device.public());
        let body = Body::BeginEnrolment { attempt, device, recipient, proof: proof.into() };
        self.desk.verdict(&Peer::Client, (session, body))
    }

    fn add(&mut self, session: B32, proved: B32, device: &Signing) -> Effects {
        let recipient = B32::from(Recipient::from_seed(&[5; 32]).public());
        let proof = device.sign(labels::SIGN_ADD_DEVICE, &cbor::encode(&(proved, recipient)));
        let device = B32::from(device.public());
        self.desk.say(&Peer::Client, (session, Body::AddDevice { device, recipient, proof: proof.into() }))
    }

    /// The log names a key for the user.
    fn enrol(&mut self, user: &str, generation: u64) -> Result<(), Refusal> {
        let body = ReceiptBody { tenant: "t".into(), user: user.into(), commitment: b32(6), generation };
        let (receipt, signature) = receipt(&self.keystore, &body);
        let attempt = b32(4);
        let body = Body::AlreadyEscrowed { receipt, signature, escrow: Vec::new().into(), attempt };
        let known = self.desk.peek(authority::store).generation;
        self.desk.verdict(&Peer::Keystore(0), (b32(1), known, body))
    }
}

/// ENR-4a.
#[test]
fn a_proof_is_good_in_one_session_and_a_device_is_one_users() {
    let mut office = Office::new();
    let device = Signing::from_seed(&[2; 32]);
    let (alice, again, bob) = (office.sign_in("alice"), office.sign_in("alice"), office.sign_in("bob"));
    assert_eq!(office.begin(alice, again, &device), Err(Refusal::BadCertificate), "a proof for another session");
    assert_eq!(office.begin(alice, alice, &device), Ok(()));
    assert_eq!(office.begin(bob, bob, &device), Err(Refusal::BadCertificate), "another user's device");
}

/// REP-1a.
#[test]
fn nobody_takes_anothers_device_over() {
    let mut office = Office::new();
    let device = Signing::from_seed(&[2; 32]);
    let (alice, again, bob) = (office.sign_in("alice"), office.sign_in("alice"), office.sign_in("bob"));
    office.enrol("alice", 0).unwrap();
    office.enrol("bob", 0).unwrap();
    assert_eq!(
        office.add(alice, again, &device).verdict,
        Err(Refusal::BadCertificate),
        "a proof for another session"
    );
    assert_eq!(office.add(alice, alice, &device).verdict, Ok(()));
    assert_eq!(office.add(bob, bob, &device).verdict, Err(Refusal::BadCertificate), "another user's device");
    let record = office.desk.peek(|step| authority::device(step, &B32::from(device.public()))).unwrap();
    assert_eq!(record.user, "alice");
}

/// ENR-14a: the generation that counts is the one that the keystore signed.
#[test]
fn a_receipt_of_an_older_store_is_void_whatever_its_frame_says() {
    let mut office = Office::new();
    let mut batch = Batch::default();
    batch.put(authority::STORE, cbor::encode(&StoreRecord { generation: 1, ..StoreRecord::default() }));
    office.desk.write(&batch);
    assert_eq!(office.enrol("alice", 0), Err(Refusal::ReceiptInvalid));
    assert_eq!(office.enrol("alice", 1), Ok(()));
}

/// REP-3a.
#[test]
fn a_grant_is_consumed_in_its_own_exchange() {
    let mut office = Office::new();
    let device = Signing::from_seed(&[2; 32]);
    let (alice, bob) = (office.sign_in("alice"), office.sign_in("bob"));
    office.enrol("alice", 0).unwrap();
    let grant = granted(&office.add(alice, alice, &device)).id;
    let consume = |office: &mut Office, session| {
        office.desk.verdict(&Peer::Keystore(0), (session, Body::ConsumeGrant { grant, challenge: b32(3) }))
    };
    assert_eq!(consume(&mut office, bob), Err(Refusal::GrantVoid));
    assert_eq!(consume(&mut office, alice), Ok(()));
}

/// ENR-9: an admission is for the attempt's own user.
#[test]
fn an_admission_for_another_user_creates_nothing() {
    let House { mut nodes, authority_key, .. } = House::new(1, &[("t", "alice")]);
    let (node, attempt) = (&mut nodes[0], b32(4));
    let (tenant, user) = ("t".to_string(), "alice".to_string());
    let open = Body::OpenEnrolment { tenant, user, attempt, device: b32(2) };
    let opened = node.gives(&Peer::Authority, (b32(9), open), "an attempt");
    let Body::EnrolmentOpened { nonce, .. } = said(&opened) else { panic!("no nonce") };
    let admit = |user: &str| {
        let body = AdmissionBody { tenant: "t".into(), user: user.into(), attempt, nonce };
        let (admission, signature) = signed(&authority_key, labels::SIGN_ADMISSION, &body);
        (b32(9), Body::CreateAccount { admission, signature })
    };
    node.refuses(&Peer::Authority, admit("bob"), Refusal::AdmissionInvalid, "another user");
    node.accepts(&Peer::Authority, admit("alice"), "the attempt's own user");
}

/// BAK-2, claim C12: what is accepted is kept, whatever is published between.
#[test]
fn storage_keeps_every_block_that_it_accepts() {
    let authority = Signing::from_seed(&[1; 32]);
    let mut desk = Desk::new(Storage::new(authority.public()), 5, &marked());
    let purged =
        LogEntry { tenant: "t".into(), user: "v".into(), decision: Decision::Standing(Standing::Purged as u8) };
    let news =
        |at: u64| Body::Publish { from: at, entries: vec![purged.clone()], epoch: 0, head: at + 1, lease: Some(at) };
    let device = Peer::Device(b32(2));
    let leave = |read| {
        let (tenant, user) = ("t".into(), "u".into());
        let body = CapabilityBody { tenant, user, device: b32(2), epoch: 0, expiry: 600, read };
        signed(&authority, labels::SIGN_CAPABILITY, &body)
    };
    for block in 0..5u8 {
        let (capability, signature) = leave(false);
        let append = Body::Append { capability, signature, block: vec![block].into() };
        desk.accepts(&device, append, "an append");
        desk.accepts(&Peer::Authority, news(block.into()), "another user's archive is purged");
        desk.now = block.into();
    }
    let (capability, signature) = leave(true);
    let fetched = desk.gives(&device, Body::Fetch { capability, signature, from: 0 }, "a fetch");
    let Body::Blocks { blocks, next: None } = said(&fetched) else { panic!("not all of it") };
    assert_eq!(blocks, (0..5u8).map(|block| Blob::from(vec![block])).collect::<Vec<_>>());
}
