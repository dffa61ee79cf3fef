//! What devices, authority, keystore and restorer say to each other, said for another purpose or by somebody else (ENR-4a,
//! ENR-13, REP-1a, REP-3a, REP-7a, JOB-2b).

use bailee_core::cbor;
use bailee_core::crypto::hpke;
use bailee_core::crypto::keys::{Owner, Secret, commitment};
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Effects, Peer};
use bailee_core::roles::authority::{self, Authority};
use bailee_core::roles::device::{Device, OnDisk};
use bailee_core::roles::keystore::Keystore;
use bailee_core::roles::restorer::Restorer;
use bailee_core::store::Batch;
use bailee_core::wire::{AdmissionBody, B32, Blob, Body, EscrowBody, ReceiptBody};
use bailee_spec::observation::Disk as DiskView;
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::common::{self, Desk, HOLDER, House, b32, granted, said, sent, signed, user};

const TENANT: &str = "tenant";

fn keystore_key() -> Signing {
    Signing::from_seed(&[2; 32])
}

fn restorer_key() -> Signing {
    Signing::from_seed(&[3; 32])
}

/// The keystore's receipt for a user, and its signature.
fn receipt(user: &str, commitment: B32, generation: u64) -> (Blob, Blob) {
    common::receipt(
        &keystore_key(),
        &ReceiptBody { tenant: TENANT.into(), user: user.into(), commitment, generation },
    )
}

// The authority.

/// An authority with two users, and what it answers.
struct Service {
    desk: Desk<Authority>,
}

impl Service {
    fn new() -> Self {
        let House { authority, .. } = House::new(1, &[(TENANT, "ann"), (TENANT, "bob")]);
        Service { desk: authority }
    }

    /// What a device says in an exchange.
    fn step(&mut self, exchange: B32, body: Body) -> Effects {
        self.desk.say(&Peer::Client, (exchange, body))
    }

    /// A session: the password of a user is the name.
    fn sign_in(&mut self, user: &str) -> B32 {
        let password = user.as_bytes().to_vec().into();
        let body = Body::SignIn { tenant: TENANT.into(), user: user.into(), password };
        sent(&self.desk.say(&Peer::Client, body), &Peer::Client).exchange.unwrap()
    }

    /// The keystore asks whether a grant may be consumed.
    fn consume(&mut self, exchange: B32, grant: B32) -> Result<(), Refusal> {
        let body = Body::ConsumeGrant { grant, challenge: b32(13) };
        self.desk.verdict(&Peer::Keystore(0), (exchange, 0, body))
    }

    /// The log names a key of the user, by the keystore's receipt.
    fn enrol(&mut self, user: &str) {
        let (receipt, signature) = receipt(user, b32(5), 0);
        let body = Body::Receipt { receipt, signature, escrow: Vec::new().into(), attempt: b32(6) };
        let verdict = self.desk.verdict(&Peer::Keystore(0), (b32(7), 0, body));
        assert_eq!(verdict, Err(Refusal::NotYourAttempt), "no attempt, and yet a fact");
        assert!(self.desk.peek(|step| authority::user(step, TENANT, user)).unwrap().enrolled.is_some());
    }

    fn add(&mut self, session: B32, device: &Signing, recipient: B32, proof: Blob) -> Effects {
        self.step(session, Body::AddDevice { device: device.public().into(), recipient, proof })
    }

    /// A device is added with a proof of its own; the id of its grant.
    fn grant(&mut self, session: B32, device: &Signing) -> B32 {
        let effects = self.add(session, device, b32(8), add_proof(device, session, b32(8)));
        granted(&effects).id
    }
}

fn add_proof(device: &Signing, session: B32, recipient: B32) -> Blob {
    device.sign(labels::SIGN_ADD_DEVICE, &cbor::encode(&(session, recipient))).into()
}

fn attempt_proof(device: &Signing, session: B32, attempt: B32, recipient: B32) -> Blob {
    device.sign(labels::SIGN_ATTEMPT, &cbor::encode(&(session, attempt, recipient))).into()
}

fn begin(device: &Signing, attempt: B32, recipient: B32, proof: Blob) -> Body {
    Body::BeginEnrolment { attempt, device: device.public().into(), recipient, proof }
}

/// ENR-4a, REP-1a: nothing that the proof names can be exchanged.
#[test]
fn a_proof_is_good_in_one_session_for_one_attempt_and_one_recipient() {
    let mut service = Service::new();
    let (first, second) = (service.sign_in("ann"), service.sign_in("ann"));
    let device = Signing::from_seed(&[9; 32]);
    let bad = Err(Refusal::BadCertificate);
    let proof = attempt_proof(&device, first, b32(10), b32(8));
    for (session, attempt, recipient) in
        [(second, b32(10), b32(8)), (first, b32(11), b32(8)), (first, b32(10), b32(12))]
    {
        let replayed = service.step(session, begin(&device, attempt, recipient, proof.clone()));
        assert_eq!(replayed.verdict, bad);
    }
    let known = service.desk.peek(|step| authority::device(step, &device.public().into()));
    assert!(known.is_none(), "a refusal leaves no record");
    assert_eq!(service.step(first, begin(&device, b32(10), b32(8), proof)).verdict, Ok(()));

    service.enrol("ann");
    let proof = add_proof(&device, first, b32(8));
    assert_eq!(service.add(second, &device, b32(8), proof.clone()).verdict, bad);
    assert_eq!(service.add(first, &device, b32(12), proof.clone()).verdict, bad);
    assert_eq!(service.add(first, &device, b32(8), proof).verdict, Ok(()));
}

/// ENR-4a, REP-1a: each verb has its own label.
#[test]
fn a_proof_for_one_verb_is_none_for_another() {
    let mut service = Service::new();
    let session = service.sign_in("ann");
    service.enrol("ann");
    let device = Signing::from_seed(&[9; 32]);
    let proof = attempt_proof(&device, session, b32(10), b32(8));
    assert_eq!(service.add(session, &device, b32(8), proof).verdict, Err(Refusal::BadCertificate));
    let proof = add_proof(&device, session, b32(8));
    let begun = service.step(session, begin(&device, b32(10), b32(8), proof));
    assert_eq!(begun.verdict, Err(Refusal::BadCertificate));
}

/// REP-3a, JOB-2b: a device's grant is not a job's.
#[test]
fn a_devices_grant_is_not_consumed_for_a_job() {
    let mut service = Service::new();
    let session = service.sign_in("ann");
    service.enrol("ann");
    let grant = service.grant(session, &Signing::from_seed(&[9; 32]));
    let job = assigned(&mut service);
    assert_eq!(service.consume(job, grant), Err(Refusal::GrantVoid));
    assert_eq!(service.consume(session, grant), Ok(()));
    assert_eq!(service.consume(session, grant), Err(Refusal::GrantVoid), "once");
}

/// JOB-2b: a job's grant is not a device's.
#[test]
fn a_jobs_grant_is_consumed_for_that_job() {
    let mut service = Service::new();
    let session = service.sign_in("ann");
    service.enrol("ann");
    let job = assigned(&mut service);
    let signature = restorer_key().sign(labels::SIGN_JOB_KEY, &[&job[..], &b32(8)[..]].concat());
    let job_key = Body::JobKey { recipient: b32(8), signature: signature.into() };
    let grant = granted(&service.desk.say(&Peer::Restorer, (job, job_key))).id;
    let refused = service.consume(session, grant);
    assert_eq!(refused, Err(Refusal::GrantVoid), "in a session");
    assert_eq!(service.consume(job, grant), Ok(()));
}

fn assigned(service: &mut Service) -> B32 {
    let request = Body::RequestJob { tenant: TENANT.into(), user: "ann".into() };
    let effects = service.desk.gives(&user(TENANT, "ann"), request, "a job");
    sent(&effects, &Peer::Restorer).exchange.unwrap()
}

// The keystore.

/// An unsealed keystore, driven by the authority's key.
struct Vault {
    desk: Desk<Keystore>,
    authority: Signing,
}

impl Vault {
    fn new() -> Self {
        let House { mut nodes, authority_key, .. } = House::new(1, &[(TENANT, "ann")]);
        Vault { desk: nodes.remove(0), authority: authority_key }
    }

    fn step(&mut self, body: Body) -> Effects {
        self.desk.say(&Peer::Authority, (b32(7), body))
    }

    /// An attempt of a user is opened: nonce and intake key.
    fn open(&mut self, user: &str, attempt: B32, device: &Signing) -> (B32, B32) {
        let device = device.public().into();
        let body = Body::OpenEnrolment { tenant: TENANT.into(), user: user.into(), attempt, device };
        let effects = self.step(body);
        let Body::EnrolmentOpened { nonce, intake, .. } = said(&effects) else { panic!("not opened: {effects:?}") };
        (nonce, intake)
    }

    fn create(&mut self, user: &str, attempt: B32, nonce: B32) -> Result<(), Refusal> {
        let body = AdmissionBody { tenant: TENANT.into(), user: user.into(), attempt, nonce };
        let (admission, signature) = signed(&self.authority, labels::SIGN_ADMISSION, &body);
        self.step(Body::CreateAccount { admission, signature }).verdict
    }

    fn escrow(&mut self, user: &str, attempt: B32, device: &Signing, intake: B32) -> Result<(), Refusal> {
        let key = Secret::random(&mut self.desk.rng);
        let commitment = B32::from(commitment(&key, &owner(user)));
        let context = cbor::encode(&(TENANT, user, commitment));
        let sealed =
            hpke::seal_to(&intake, labels::HPKE_INTAKE, &context, key.expose(), &mut self.desk.rng).unwrap().into();
        let escrow = cbor::encode(&EscrowBody { attempt, commitment, sealed });
        let signature = device.sign(labels::SIGN_ESCROW, &escrow).into();
        let (tenant, user, device) = (TENANT.into(), user.into(), device.public().into());
        self.step(Body::Escrow { tenant, user, device, escrow: escrow.into(), signature }).verdict
    }
}

fn owner(user: &str) -> Owner {
    Owner { tenant: TENANT.into(), user: user.into(), epoch: 0 }
}

/// ENR-9, ENR-13.
#[test]
fn an_attempt_serves_the_user_it_was_opened_for() {
    let mut vault = Vault::new();
    let device = Signing::from_seed(&[9; 32]);
    let (nonce, intake) = vault.open("ann", b32(10), &device);
    assert_eq!(vault.create("bob", b32(10), nonce), Err(Refusal::AdmissionInvalid));
    let (own_nonce, _) = vault.open("bob", b32(11), &Signing::from_seed(&[12; 32]));
    assert_eq!(vault.create("bob", b32(11), own_nonce), Ok(()));
    assert_eq!(vault.escrow("bob", b32(10), &device, intake), Err(Refusal::NotAdmitted));
    assert_eq!(vault.create("ann", b32(10), nonce), Ok(()));
    assert_eq!(vault.escrow("ann", b32(10), &device, intake), Ok(()));
}

// The device.

/// A device that asked to be added, and to which key it wants its own sealed.
struct Asking {
    desk: Desk<Device>,
    recipient: B32,
}

impl Asking {
    fn new() -> Self {
        let mut desk = Desk::new(Device::new(TENANT, "ann", keystore_key().public(), [0; 32]), 43, &Batch::default());
        desk.accepts(&HOLDER, Body::EnterPassword { password: b"ann".to_vec().into() }, "signs in");
        let opened = Body::SessionOpened { enrolled: Some(b32(5)) };
        let effects = desk.gives(&Peer::Authority, (b32(7), opened), "a session");
        let Body::AddDevice { recipient, .. } = said(&effects) else { panic!("it asks to be added") };
        Asking { desk, recipient }
    }

    /// A key is delivered, sealed under the commitment of the receipt that comes with it.
    fn deliver(&mut self, key: &Secret<32>, named: B32, receipt: (Blob, Blob)) -> Result<(), Refusal> {
        let context = [&b32(10)[..], &named[..]].concat();
        let sealed =
            hpke::seal_to(&self.recipient, labels::HPKE_RELEASE, &context, key.expose(), &mut self.desk.rng).unwrap();
        let (receipt, signature) = receipt;
        let delivery = Body::KeyDelivery { grant: b32(10), sealed: sealed.into(), receipt, signature };
        self.desk.verdict(&Peer::Authority, (b32(7), delivery))
    }
}

/// REP-7a, with every part of the delivery exchanged in turn.
#[test]
fn a_device_takes_no_key_that_the_keystore_does_not_answer_for() {
    let mut rng = ChaCha8Rng::seed_from_u64(44);
    let (held, chosen) = (Secret::random(&mut rng), Secret::random(&mut rng));
    let of = |key: &Secret<32>, user: &str| B32::from(commitment(key, &owner(user)));
    let (anns, other) = (of(&held, "ann"), of(&chosen, "ann"));
    let forged = {
        let (body, _) = receipt("ann", other, 0);
        let signature = Signing::from_seed(&[3; 32]).sign(labels::SIGN_RECEIPT, &body);
        (body, signature.into())
    };
    let refused = Err(Refusal::Malformed);
    for (key, named, receipt, why) in [
        (&chosen, other, forged, "a receipt of the authority's own making"),
        (&chosen, anns, receipt("ann", anns, 0), "another key under a genuine receipt"),
        (&chosen, other, receipt("ann", anns, 0), "another key under another commitment"),
        (&held, of(&held, "bob"), receipt("bob", of(&held, "bob"), 0), "another user's receipt"),
    ] {
        let mut asking = Asking::new();
        assert_eq!(asking.deliver(key, named, receipt), refused, "{why}");
        assert_eq!(OnDisk(&asking.desk.saved()).view(), DiskView::Identity, "{why}");
    }
    let mut asking = Asking::new();
    assert_eq!(asking.deliver(&held, anns, receipt("ann", anns, 0)), Ok(()));
    assert_eq!(OnDisk(&asking.desk.saved()).key().unwrap().expose(), held.expose());
    // A second delivery finds the device at rest, and is no longer its business (NET-14).
    assert_eq!(asking.deliver(&held, anns, receipt("ann", anns, 0)), Err(Refusal::OutOfTurn));
}

/// REP-7a as JOB-3 has it: the restorer asks for the same receipt.
#[test]
fn a_restorer_takes_no_key_that_the_keystore_does_not_answer_for() {
    let mut rng = ChaCha8Rng::seed_from_u64(45);
    let (held, chosen) = (Secret::random(&mut rng), Secret::random(&mut rng));
    let [held_c, chosen_c] = [&held, &chosen].map(|key| B32::from(commitment(key, &owner("ann"))));
    for (key, named, taken) in [(&chosen, chosen_c, false), (&held, held_c, true)] {
        let role = Restorer::new(restorer_key(), keystore_key().public());
        let mut restorer = Desk::new(role, 46, &Batch::default());
        let (capability, signature) = (Vec::new().into(), Vec::new().into());
        let (tenant, user, deadline) = (TENANT.into(), "ann".into(), u64::MAX);
        let assign = Body::AssignJob { job: b32(7), tenant, user, deadline, capability, signature };
        let assigned = restorer.gives(&Peer::Authority, (b32(7), assign), "a job");
        let Body::JobKey { recipient, .. } = said(&assigned) else { panic!("no job key") };
        let context = [&b32(10)[..], &named[..]].concat();
        let sealed = hpke::seal_to(&recipient, labels::HPKE_RELEASE, &context, key.expose(), &mut rng).unwrap();
        let (receipt, signature) = receipt("ann", held_c, 0);
        let delivery = Body::KeyDelivery { grant: b32(10), sealed: sealed.into(), receipt, signature };
        let verdict = restorer.verdict(&Peer::Authority, (b32(7), delivery));
        assert_eq!(verdict, if taken { Ok(()) } else { Err(Refusal::JobOver) });
        assert_eq!(restorer.role.held().next().is_some(), taken);
    }
}
