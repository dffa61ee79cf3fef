//! What was once left loose and is bound now (`spec/protocol.md` §19.6): each test is the attack or the mishap itself.

use bailee_core::cbor;
use bailee_core::crypto::hpke::{Recipient, seal_to};
use bailee_core::crypto::keys::{Owner, Secret, commitment};
use bailee_core::crypto::password::{self, Cost};
use bailee_core::crypto::sign::Signing;
use bailee_core::crypto::{labels, sharing};
use bailee_core::disk::Batch;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{Authority, Totals};
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::device::Device;
use bailee_core::roles::keystore::{Keystore, Setup};
use bailee_core::roles::storage::Storage;
use bailee_core::roles::{Context, Effects};
use bailee_core::wire::{AdmissionBody, B32, Blob, Body, CapabilityBody, Frame, Header, ReceiptBody};
use bailee_spec::action::{Action, Asking, Caller, Condition, Handing, Purpose};
use bailee_spec::outcome::{Outcome, Refusal};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const NODES: Size = Size { users: 1, devices_per_user: 1, nodes: 2, custodians: 3, threshold: 2, late: false };

struct System(Ensemble, ChaCha8Rng);

impl System {
    fn new(size: Size) -> Self {
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

fn keystore(rng: &mut ChaCha8Rng, authority: &Signing) -> (Keystore, Vec<Custodian>, Vec<Vec<u8>>, Signing) {
    let key = Signing::generate(rng);
    let mut people: Vec<Custodian> = (1..=3).map(|index| Custodian::generate(index, key.public(), rng)).collect();
    let keys: Vec<_> = people.iter().map(Custodian::keys).collect();
    let own = Signing::from_seed(&key.seed());
    let Setup { keystore, shares } = Keystore::initialise(1, &keys, 2, own, authority.public(), rng).unwrap();
    for (person, share) in people.iter_mut().zip(&shares) {
        person.take_new(share).unwrap();
    }
    (keystore, people, shares.into_iter().map(|share| share.sealed).collect(), key)
}

/// GEN-26a, CER-4d, claim C22: whoever writes the header cannot have an honest custodian blamed.
#[test]
fn other_commitments_under_the_same_id_are_refused_by_the_custodian() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut keystore, mut people, wrapped, _) = keystore(&mut rng, &Signing::from_seed(&[1; 32]));
    let open = |keystore: &mut Keystore, rng: &mut ChaCha8Rng| {
        keystore.restart(0);
        let mut cx = Context { now: 0, rng, quirks: Quirks::none() };
        keystore.open_ceremony(&mut cx, 0, Purpose::Unseal, Caller::Operator).unwrap()
    };
    let announced = open(&mut keystore, &mut rng);
    people[0].receive(&wrapped[0], &announced).unwrap();
    let mut header: Header = keystore.header().unwrap();
    let other = sharing::split(2, 3, &mut rng).unwrap();
    header.commitments = other.commitments.iter().copied().map(B32::from).collect();
    let mut batch = Batch::default();
    batch.put("header", &header);
    keystore.disk.commit(batch);
    let announced = open(&mut keystore, &mut rng);
    assert_eq!(people[0].receive(&wrapped[0], &announced), Err(Refusal::OwnShareDamaged));
}

fn frame(exchange: B32, body: Body) -> Frame {
    Frame { exchange: Some(exchange), generation: None, body }
}

fn signed_receipt(keystore: &Signing, said: &ReceiptBody) -> (Blob, Blob) {
    let receipt = cbor::encode(said);
    let signature = keystore.sign(labels::SIGN_RECEIPT, &receipt);
    (receipt.into(), signature.into())
}

/// REP-7a: an authority cannot give a device a key that the keystore does not hold for its user.
#[test]
fn a_device_takes_no_key_on_the_authoritys_word() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (keystore, liar) = (Signing::generate(&mut rng), Signing::generate(&mut rng));
    let owner = Owner { tenant: "t".into(), user: "u".into(), epoch: 0 };
    let (session, grant) = (B32::from([9; 32]), B32::from([8; 32]));
    let mut deliver = |signer: &Signing, user: &str| {
        let mut device = Device::new("t", "u", b"word", keystore.public(), liar.public());
        let mut cx = Context { now: 0, rng: &mut rng, quirks: Quirks::none() };
        let asked = device.step(&mut cx, &frame(session, Body::SessionOpened { enrolled: Some(B32::from([0; 32])) }));
        device.disk.commit(asked.batch);
        let Some(Body::AddDevice { recipient, .. }) = asked.send else { panic!("it asks to be added") };
        let key = Secret::random(cx.rng);
        let said = commitment(&key, &owner);
        let context = [&grant[..], &said[..]].concat();
        let sealed = seal_to(&recipient, labels::HPKE_RELEASE, &context, key.expose(), cx.rng).unwrap();
        let body = ReceiptBody { tenant: "t".into(), user: user.into(), commitment: said.into(), generation: 0 };
        let (receipt, signature) = signed_receipt(signer, &body);
        let delivery = Body::KeyDelivery { grant, sealed: sealed.into(), receipt, signature };
        let effects = device.step(&mut cx, &frame(session, delivery));
        device.disk.commit(effects.batch);
        (effects.verdict, device.kept_key().is_some())
    };
    assert_eq!(deliver(&keystore, "u"), (Ok(()), true));
    assert_eq!(deliver(&liar, "u"), (Err(Refusal::Malformed), false), "a receipt that is not the keystore's");
    assert_eq!(deliver(&keystore, "v"), (Err(Refusal::Malformed), false), "a receipt for another user");
}

/// An authority with two users, and what a device says to it.
struct Office {
    authority: Authority,
    keystore: Signing,
    rng: ChaCha8Rng,
}

impl Office {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let keystore = Signing::generate(&mut rng);
        let restorer = Signing::generate(&mut rng).public();
        let mut authority = Authority::new(Signing::generate(&mut rng), keystore.public(), restorer);
        for user in ["alice", "bob"] {
            authority.add_user("t", user, password::record(Cost::TEST, [7; 16], user.as_bytes()));
        }
        Office { authority, keystore, rng }
    }

    fn step(&mut self, exchange: Option<B32>, generation: Option<u64>, body: Body) -> Effects {
        let mut cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let mut effects = self.authority.step(&mut cx, &Frame { exchange, generation, body });
        self.authority.disk.commit(std::mem::take(&mut effects.batch));
        effects
    }

    fn sign_in(&mut self, user: &str) -> B32 {
        let password = user.as_bytes().to_vec().into();
        let body = Body::SignIn { tenant: "t".into(), user: user.into(), password };
        self.step(None, None, body).opens.unwrap()
    }

    /// The verdict on an attempt whose proof was made for `proved`.
    fn begin(&mut self, session: B32, proved: B32, device: &Signing) -> Result<(), Refusal> {
        let (attempt, recipient) = (B32::from([4; 32]), B32::from(Recipient::from_seed(&[5; 32]).public()));
        let proof = device.sign(labels::SIGN_ATTEMPT, &cbor::encode(&(proved, attempt, recipient)));
        let device = B32::from(device.public());
        self.step(Some(session), None, Body::BeginEnrolment { attempt, device, recipient, proof: proof.into() })
            .verdict
    }

    fn add(&mut self, session: B32, proved: B32, device: &Signing) -> Effects {
        let recipient = B32::from(Recipient::from_seed(&[5; 32]).public());
        let proof = device.sign(labels::SIGN_ADD_DEVICE, &cbor::encode(&(proved, recipient)));
        let device = B32::from(device.public());
        self.step(Some(session), None, Body::AddDevice { device, recipient, proof: proof.into() })
    }

    /// The log names a key for the user.
    fn enrol(&mut self, user: &str, said: u64) -> Result<(), Refusal> {
        let body =
            ReceiptBody { tenant: "t".into(), user: user.into(), commitment: B32::from([6; 32]), generation: said };
        let (receipt, signature) = signed_receipt(&self.keystore, &body);
        let attempt = B32::from([4; 32]);
        let body = Body::AlreadyEscrowed { receipt, signature, escrow: Vec::new().into(), attempt };
        let known = self.authority.totals().store_generation;
        self.step(Some(B32::from([1; 32])), Some(known), body).verdict
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
    let record = office.authority.device(0, &B32::from(device.public())).unwrap();
    assert_eq!(record.user, "alice");
}

/// ENR-14a: the generation that counts is the one that the keystore signed.
#[test]
fn a_receipt_of_an_older_store_is_void_whatever_its_frame_says() {
    let mut office = Office::new();
    let mut batch = Batch::default();
    batch.put("totals", &Totals { store_generation: 1, ..office.authority.totals() });
    office.authority.disk.commit(batch);
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
    let Some(Body::ReleaseKey { grant, .. }) = office.add(alice, alice, &device).send else { panic!("no grant") };
    let granted: bailee_core::wire::GrantBody = cbor::decode(&grant, 1 << 12).unwrap();
    let consume = |office: &mut Office, session| {
        office.step(Some(session), None, Body::ConsumeGrant { grant: granted.id }).verdict
    };
    assert_eq!(consume(&mut office, bob), Err(Refusal::GrantVoid));
    assert_eq!(consume(&mut office, alice), Ok(()));
}

/// ENR-9: an admission is for the attempt's own user.
#[test]
fn an_admission_for_another_user_creates_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let authority = Signing::from_seed(&[1; 32]);
    let (mut keystore, ..) = keystore(&mut rng, &authority);
    let attempt = B32::from([4; 32]);
    let mut step = |body| {
        let mut cx = Context { now: 0, rng: &mut rng, quirks: Quirks::none() };
        let effects = keystore.step(&mut cx, &frame(B32::from([9; 32]), body));
        keystore.disk.commit(effects.batch.clone());
        effects
    };
    let (tenant, user) = ("t".to_string(), "alice".to_string());
    let opened = step(Body::OpenEnrolment { tenant, user, attempt, device: B32::from([2; 32]) });
    let Some(Body::EnrolmentOpened { nonce, .. }) = opened.send else { panic!("no nonce") };
    let mut admit = |user: &str| {
        let body = cbor::encode(&AdmissionBody { tenant: "t".into(), user: user.into(), attempt, nonce });
        let signature = authority.sign(labels::SIGN_ADMISSION, &body).into();
        step(Body::CreateAccount { admission: body.into(), signature }).verdict
    };
    assert_eq!(admit("bob"), Err(Refusal::AdmissionInvalid));
    assert_eq!(admit("alice"), Ok(()));
}

/// BAK-2: what is accepted is kept.
#[test]
fn storage_keeps_every_block_that_it_accepts() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let authority = Signing::from_seed(&[1; 32]);
    let mut storage = Storage::new(authority.public());
    let body =
        CapabilityBody { tenant: "t".into(), user: "u".into(), device: B32::from([2; 32]), epoch: 0, expiry: 1 };
    let capability = cbor::encode(&body);
    let signature = authority.sign(labels::SIGN_CAPABILITY, &capability);
    let cx = Context { now: 0, rng: &mut rng, quirks: Quirks::none() };
    for block in 0..5u8 {
        let batch = storage.append(&cx, &capability, &signature, &[block]).unwrap();
        storage.disk.commit(batch);
    }
    let kept: Vec<Vec<u8>> = storage.blocks("t", "u").into_iter().map(|block| block.to_vec()).collect();
    assert_eq!(kept, (0..5u8).map(|block| vec![block]).collect::<Vec<_>>());
}
