//! What devices, authority, keystore and restorer say to each other, said for another purpose or by somebody else (ENR-4a,
//! ENR-13, REP-1a, REP-3a, REP-7a, JOB-2b).

use bailee_core::cbor;
use bailee_core::crypto::hpke;
use bailee_core::crypto::keys::{Owner, Secret, commitment};
use bailee_core::crypto::labels;
use bailee_core::crypto::password::{self, Cost};
use bailee_core::crypto::sign::Signing;
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::Authority;
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::device::Device;
use bailee_core::roles::keystore::Keystore;
use bailee_core::roles::{Context, Effects};
use bailee_core::wire::{AdmissionBody, B32, Blob, Body, EscrowBody, Frame, GrantBody, ReceiptBody};
use bailee_spec::action::Requester;
use bailee_spec::observation::Disk as DiskView;
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

const TENANT: &str = "tenant";

fn b32(byte: u8) -> B32 {
    B32::from([byte; 32])
}

fn keystore_key() -> Signing {
    Signing::from_seed(&[1; 32])
}

fn restorer_key() -> Signing {
    Signing::from_seed(&[2; 32])
}

/// The keystore's receipt for a user, and its signature.
fn receipt(user: &str, commitment: B32, generation: u64) -> (Blob, Blob) {
    let body = cbor::encode(&ReceiptBody { tenant: TENANT.into(), user: user.into(), commitment, generation });
    let signature = keystore_key().sign(labels::SIGN_RECEIPT, &body);
    (body.into(), signature.into())
}

// The authority.

/// An authority with two users, and what it answers.
struct Service {
    authority: Authority,
    rng: ChaCha8Rng,
}

impl Service {
    fn new() -> Self {
        let mut authority =
            Authority::new(Signing::from_seed(&[3; 32]), keystore_key().public(), restorer_key().public());
        for user in ["ann", "bob"] {
            authority.add_user(TENANT, user, password::record(Cost::TEST, [4; 16], user.as_bytes()));
        }
        Service { authority, rng: ChaCha8Rng::seed_from_u64(41) }
    }

    fn step_in(&mut self, exchange: Option<B32>, generation: Option<u64>, body: Body) -> Effects {
        let mut cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let mut effects = self.authority.step(&mut cx, &Frame { exchange, generation, body });
        self.authority.disk.commit(std::mem::take(&mut effects.batch));
        effects
    }

    fn step(&mut self, exchange: B32, body: Body) -> Effects {
        self.step_in(Some(exchange), Some(0), body)
    }

    /// A session: the password of a user is the name.
    fn sign_in(&mut self, user: &str) -> B32 {
        let password = user.as_bytes().to_vec().into();
        let effects = self.step_in(None, None, Body::SignIn { tenant: TENANT.into(), user: user.into(), password });
        effects.opens.unwrap()
    }

    /// The log names a key of the user, by the keystore's receipt.
    fn enrol(&mut self, user: &str) {
        let (receipt, signature) = receipt(user, b32(5), 0);
        let body = Body::Receipt { receipt, signature, escrow: Vec::new().into(), attempt: b32(6) };
        let verdict = self.step(b32(7), body).verdict;
        assert_eq!(verdict, Err(Refusal::NotYourAttempt), "no attempt, and yet a fact");
        assert!(self.authority.user(TENANT, user).unwrap().enrolled.is_some());
    }

    fn add(&mut self, session: B32, device: &Signing, recipient: B32, proof: Blob) -> Effects {
        self.step(session, Body::AddDevice { device: device.public().into(), recipient, proof })
    }

    /// A device is added with a proof of its own; the id of its grant.
    fn grant(&mut self, session: B32, device: &Signing) -> B32 {
        let effects = self.add(session, device, b32(8), add_proof(device, session, b32(8)));
        granted(effects)
    }
}

fn granted(effects: Effects) -> B32 {
    let Some(Body::ReleaseKey { grant, .. }) = effects.send else { panic!("no grant: {:?}", effects.verdict) };
    cbor::decode::<GrantBody>(&grant, 1024).unwrap().id
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
    assert!(service.authority.device(0, &device.public().into()).is_none(), "a refusal leaves no record");
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
    assert_eq!(service.step(job, Body::ConsumeGrant { grant }).verdict, Err(Refusal::GrantVoid));
    assert_eq!(service.step(session, Body::ConsumeGrant { grant }).verdict, Ok(()));
    assert_eq!(service.step(session, Body::ConsumeGrant { grant }).verdict, Err(Refusal::GrantVoid), "once");
}

/// JOB-2b: a job's grant is not a device's.
#[test]
fn a_jobs_grant_is_consumed_for_that_job() {
    let mut service = Service::new();
    let session = service.sign_in("ann");
    service.enrol("ann");
    let job = assigned(&mut service);
    let signature = restorer_key().sign(labels::SIGN_JOB_KEY, &[&job[..], &b32(8)[..]].concat());
    let grant = granted(service.step(job, Body::JobKey { recipient: b32(8), signature: signature.into() }));
    let refused = service.step(session, Body::ConsumeGrant { grant }).verdict;
    assert_eq!(refused, Err(Refusal::GrantVoid), "in a session");
    assert_eq!(service.step(job, Body::ConsumeGrant { grant }).verdict, Ok(()));
}

fn assigned(service: &mut Service) -> B32 {
    let mut cx = Context { now: 0, rng: &mut service.rng, quirks: Quirks::none() };
    let effects = service.authority.request(&mut cx, Requester::Owner, TENANT, "ann").unwrap();
    service.authority.disk.commit(effects.batch);
    effects.opens.unwrap()
}

// The keystore.

/// An unsealed keystore, driven by the authority's key.
struct Vault {
    keystore: Keystore,
    authority: Signing,
    rng: ChaCha8Rng,
}

impl Vault {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(42);
        let (key, authority) = (keystore_key(), Signing::from_seed(&[3; 32]));
        let people: Vec<_> = (1..=2).map(|index| Custodian::generate(index, key.public(), &mut rng)).collect();
        let keys: Vec<_> = people.iter().map(Custodian::keys).collect();
        let setup = Keystore::initialise(1, &keys, 2, key, authority.public(), &mut rng).unwrap();
        Vault { keystore: setup.keystore, authority, rng }
    }

    fn step(&mut self, body: Body) -> Effects {
        let mut cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let mut effects = self.keystore.step(&mut cx, &Frame { exchange: Some(b32(7)), generation: None, body });
        self.keystore.disk.commit(std::mem::take(&mut effects.batch));
        effects
    }

    /// An attempt of a user is opened: nonce and intake key.
    fn open(&mut self, user: &str, attempt: B32, device: &Signing) -> (B32, B32) {
        let device = device.public().into();
        let body = Body::OpenEnrolment { tenant: TENANT.into(), user: user.into(), attempt, device };
        let effects = self.step(body);
        let Some(Body::EnrolmentOpened { nonce, intake, .. }) = effects.send else {
            panic!("not opened: {:?}", effects.verdict)
        };
        (nonce, intake)
    }

    fn create(&mut self, user: &str, attempt: B32, nonce: B32) -> Result<(), Refusal> {
        let body = cbor::encode(&AdmissionBody { tenant: TENANT.into(), user: user.into(), attempt, nonce });
        let signature = self.authority.sign(labels::SIGN_ADMISSION, &body);
        self.step(Body::CreateAccount { admission: body.into(), signature: signature.into() }).verdict
    }

    fn escrow(&mut self, user: &str, attempt: B32, device: &Signing, intake: B32) -> Result<(), Refusal> {
        let key = Secret::random(&mut self.rng);
        let commitment = B32::from(commitment(&key, &owner(user)));
        let context = cbor::encode(&(TENANT, user, commitment));
        let sealed =
            hpke::seal_to(&intake, labels::HPKE_INTAKE, &context, key.expose(), &mut self.rng).unwrap().into();
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
    device: Device,
    recipient: B32,
    rng: ChaCha8Rng,
}

impl Asking {
    fn new() -> Self {
        let device = Device::new(TENANT, "ann", b"ann", keystore_key().public(), [0; 32]);
        let mut asking = Asking { device, recipient: b32(0), rng: ChaCha8Rng::seed_from_u64(43) };
        let effects = asking.step(Body::SessionOpened { enrolled: Some(b32(5)) });
        let Some(Body::AddDevice { recipient, .. }) = effects.send else { panic!("it asks to be added") };
        asking.recipient = recipient;
        asking
    }

    fn step(&mut self, body: Body) -> Effects {
        let mut cx = Context { now: 0, rng: &mut self.rng, quirks: Quirks::none() };
        let mut effects = self.device.step(&mut cx, &Frame { exchange: Some(b32(7)), generation: None, body });
        self.device.disk.commit(std::mem::take(&mut effects.batch));
        effects
    }

    /// A key is delivered, sealed under the commitment of the receipt that comes with it.
    fn deliver(&mut self, key: &Secret<32>, named: B32, receipt: (Blob, Blob)) -> Result<(), Refusal> {
        let context = [&b32(10)[..], &named[..]].concat();
        let sealed =
            hpke::seal_to(&self.recipient, labels::HPKE_RELEASE, &context, key.expose(), &mut self.rng).unwrap();
        let (receipt, signature) = receipt;
        self.step(Body::KeyDelivery { grant: b32(10), sealed: sealed.into(), receipt, signature }).verdict
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
        assert_eq!(asking.device.disk_view(), DiskView::Identity, "{why}");
    }
    let mut asking = Asking::new();
    assert_eq!(asking.deliver(&held, anns, receipt("ann", anns, 0)), Ok(()));
    assert_eq!(asking.device.kept_key().unwrap().expose(), held.expose());
}

/// REP-7a as JOB-3 has it: the restorer asks for the same receipt.
#[test]
fn a_restorer_takes_no_key_that_the_keystore_does_not_answer_for() {
    use bailee_core::roles::restorer::Restorer;
    let mut rng = ChaCha8Rng::seed_from_u64(45);
    let (held, chosen) = (Secret::random(&mut rng), Secret::random(&mut rng));
    let [held_c, chosen_c] = [&held, &chosen].map(|key| B32::from(commitment(key, &owner("ann"))));
    for (key, named, taken) in [(&chosen, chosen_c, false), (&held, held_c, true)] {
        let mut restorer = Restorer::new(restorer_key(), keystore_key().public());
        let mut step = |body| {
            let mut cx = Context { now: 0, rng: &mut rng, quirks: Quirks::none() };
            restorer.step(&mut cx, &Frame { exchange: Some(b32(7)), generation: None, body })
        };
        let assigned = step(Body::AssignJob { job: b32(7), tenant: TENANT.into(), user: "ann".into() });
        let Some(Body::JobKey { recipient, .. }) = assigned.send else { panic!("no job key") };
        let context = [&b32(10)[..], &named[..]].concat();
        let mut other = ChaCha8Rng::seed_from_u64(46);
        let sealed = hpke::seal_to(&recipient, labels::HPKE_RELEASE, &context, key.expose(), &mut other).unwrap();
        let (receipt, signature) = receipt("ann", held_c, 0);
        let delivered = step(Body::KeyDelivery { grant: b32(10), sealed: sealed.into(), receipt, signature });
        assert_eq!(delivered.verdict.is_ok(), taken);
        assert_eq!(restorer.held().is_some(), taken);
    }
}
