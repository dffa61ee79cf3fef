//! Steps of the roles, in memory, on one core, through [`bailee_core::machine::run`]: how many a second, over stores of 10², 10⁴
//! and 10⁶ records, and by how much the cost of one grows. Requests are prepared before the clock starts; each is used once. The
//! clock is that of the thread's own time on its core, so that other programs disturb the figures little.

use std::time::Duration;

use bailee_core::cbor;
use bailee_core::crypto::keys::{ArchiveKey, Owner, Secret, commitment};
use bailee_core::crypto::sign::Signing;
use bailee_core::crypto::{hpke, labels};
use bailee_core::machine::{Effects, Input, Peer, Role, run};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{Authority, DeviceRecord, DeviceState, GrantHolder, GrantRecord, SessionRecord};
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::keystore::Keystore;
use bailee_core::roles::mark::{MARK, Mark};
use bailee_core::roles::signed::{attempt_proof, consumed_body, escrow_context};
use bailee_core::roles::storage::Storage;
use bailee_core::store::{Batch, MemoryStore, Store};
use bailee_core::wire::{AdmissionBody, B32, Blob, Body, CapabilityBody, EscrowBody, Frame, GrantBody};
use nix::time::{ClockId, clock_gettime};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The sizes of the stores, in records.
const SIZES: [usize; 3] = [100, 10_000, 1_000_000];
/// Rounds of each measurement; the one in the middle counts.
const ROUNDS: usize = 101;
/// Requests of each kind in a round: as many as the smallest store has users.
const REQUESTS: usize = 20;
/// Records in one batch while a store is filled.
const BATCH: usize = 10_000;

/// The time that this thread has spent on its core.
fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a thread has a clock").into()
}

/// The one in the middle.
fn middle(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort_unstable();
    rounds[rounds.len() / 2]
}

fn frame(exchange: Option<B32>, body: Body) -> Frame {
    Frame { exchange, generation: Some(0), body }
}

/// What one role is measured with: the role, its store, and how much time its steps took.
struct Bench<R> {
    role: R,
    store: MemoryStore,
    rng: ChaCha8Rng,
    took: Duration,
    steps: u32,
}

impl<R: Role> Bench<R> {
    fn new(role: R, store: MemoryStore) -> Self {
        Bench { role, store, rng: ChaCha8Rng::seed_from_u64(2), took: Duration::ZERO, steps: 0 }
    }

    /// One measured step, which must be accepted.
    fn step(&mut self, from: &Peer, frame: &Frame) -> Effects {
        let input = Input::Frame { from, frame };
        let started = own_time();
        let effects = run(&mut self.role, &mut self.store, 0, &mut self.rng, Quirks::none(), input);
        self.took += own_time().saturating_sub(started);
        self.steps += 1;
        let effects = effects.expect("a store in memory takes it");
        assert_eq!(effects.verdict, Ok(()), "{}", frame.body.name());
        effects
    }

    /// What a step took since the last time, on average.
    fn average(&mut self) -> Duration {
        let average = self.took / self.steps;
        (self.took, self.steps) = (Duration::ZERO, 0);
        average
    }
}

fn b32(rng: &mut ChaCha8Rng) -> B32 {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    B32::from(bytes)
}

/// Fills a store up to `records` records, a batch at a time.
fn fill(store: &mut MemoryStore, records: usize, mut put: impl FnMut(&mut Batch, usize)) {
    let mut next = 0;
    while store.len() < records {
        let mut batch = Batch::default();
        for _ in 0..BATCH.min(records - store.len()) {
            put(&mut batch, next);
            next += 1;
        }
        store.apply(&batch).expect("a store in memory takes it");
    }
}

const TENANT: &str = "tenant";

fn name(number: usize) -> String {
    format!("user-{number:07}")
}

/// The records of a user: an account, a device, and the list of the user's devices.
fn put_user(batch: &mut Batch, number: usize, rng: &mut ChaCha8Rng) -> B32 {
    let (user, id) = (name(number), b32(rng));
    Authority::add_user(batch, TENANT, &user, vec![7; 56]);
    let record = DeviceRecord {
        tenant: TENANT.into(),
        user: user.clone(),
        recipient: id,
        state: DeviceState::Active,
        expiry: u64::MAX,
        revoked_at: 0,
    };
    batch.put([b"d/".as_slice(), &id[..]].concat(), cbor::encode(&record));
    batch.put(format!("ud/{}/{TENANT}/{user}", TENANT.len()), cbor::encode(&vec![id]));
    id
}

/// What [`ask`] writes for one user.
const RECORDS_OF_A_REQUEST: usize = 5;

/// What is asked of the authority, four requests at a time: a capability, an enrolment, the consumption of a grant, a report.
struct Asked {
    device: Peer,
    session: B32,
    begin: Frame,
    consume: Frame,
}

fn ask(batch: &mut Batch, number: usize, rng: &mut ChaCha8Rng) -> Asked {
    let id = put_user(batch, number, rng);
    let (session, grant, attempt) = (b32(rng), b32(rng), b32(rng));
    let record = SessionRecord { tenant: TENANT.into(), user: name(number), expiry: u64::MAX };
    batch.put([b"s/".as_slice(), &session[..]].concat(), cbor::encode(&record));
    let holder = GrantHolder::Device(id);
    let record = GrantRecord { tenant: TENANT.into(), user: name(number), holder, exchange: session, used: false };
    batch.put([b"g/".as_slice(), &grant[..]].concat(), cbor::encode(&record));
    let (key, recipient) = (Signing::generate(rng), b32(rng));
    let proof = key.sign(labels::SIGN_ATTEMPT, &attempt_proof(&session, &attempt, &recipient)).into();
    let begin = Body::BeginEnrolment { attempt, device: key.public().into(), recipient, proof };
    let consume = Body::ConsumeGrant { grant, challenge: b32(rng) };
    let exchange = Some(session);
    Asked { device: Peer::Device(id), session, begin: frame(exchange, begin), consume: frame(exchange, consume) }
}

/// Steps of the authority without password hashing.
fn authority(records: usize) -> Duration {
    if records < REQUESTS * ROUNDS * RECORDS_OF_A_REQUEST {
        return small_authority(records);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut store, mut batch) = (MemoryStore::default(), Batch::default());
    let number = REQUESTS * ROUNDS;
    let asked: Vec<Asked> = (0..number).map(|number| ask(&mut batch, number, &mut rng)).collect();
    store.apply(&batch).expect("a store in memory takes it");
    fill(&mut store, records, |batch, at| {
        put_user(batch, number + at, &mut rng);
    });
    let mut bench = Bench::new(Authority::new(Signing::from_seed(&[1; 32]), [2; 32], [3; 32]), store);
    middle(asked.chunks(REQUESTS).map(|round| authority_round(&mut bench, round)).collect())
}

/// A store so small that the same few users ask in every round, each time over a fresh copy of it.
fn small_authority(records: usize) -> Duration {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut batch, users) = (Batch::default(), (records / RECORDS_OF_A_REQUEST).min(REQUESTS));
    let asked: Vec<Asked> = (0..users).map(|number| ask(&mut batch, number, &mut rng)).collect();
    let mut store = MemoryStore::default();
    store.apply(&batch).expect("a store in memory takes it");
    let round = |_| {
        let mut own = MemoryStore::default();
        own.apply(&batch).expect("a store in memory takes it");
        let mut bench = Bench::new(Authority::new(Signing::from_seed(&[1; 32]), [2; 32], [3; 32]), own);
        authority_round(&mut bench, &asked)
    };
    middle((0..ROUNDS).map(round).collect())
}

fn authority_round(bench: &mut Bench<Authority>, round: &[Asked]) -> Duration {
    let keystore = Peer::Keystore(0);
    for asked in round {
        let _ = bench.step(&asked.device, &frame(None, Body::GetCapability { read: false }));
        let _ = bench.step(&Peer::Client, &asked.begin);
        let _ = bench.step(&keystore, &asked.consume);
        let _ = bench.step(&asked.device, &frame(Some(asked.session), Body::Report));
    }
    bench.average()
}

/// A keystore in which some users have real keys, and the authority's key.
fn keystore_with(records: usize, users: usize) -> (Bench<Keystore>, Signing) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (key, authority) = (Signing::generate(&mut rng), Signing::generate(&mut rng));
    let custodians: Vec<_> = (1..=3).map(|index| Custodian::generate(index, key.public(), &mut rng).keys()).collect();
    let setup = Keystore::initialise(&custodians, 2, u64::MAX, &mut rng).expect("two of three");
    let intake = setup.opened.keyring.intake.public();
    let mut store = MemoryStore::default();
    store.apply(&setup.batch).expect("a store in memory takes it");
    let mut role = Keystore::new(0, 1, key, authority.public());
    role.present(setup.opened);
    let mut bench = Bench::new(role, store);
    for number in 0..users {
        escrow(&mut bench, &authority, &intake, number, &mut rng);
    }
    fill(&mut bench.store, records, |batch, _| {
        batch.put([b"r/".as_slice(), &b32(&mut rng)[..]].concat(), vec![7; 300]);
    });
    bench.average();
    (bench, authority)
}

/// The four frames by which a user's key comes into the keystore.
fn escrow(bench: &mut Bench<Keystore>, authority: &Signing, intake: &[u8; 32], number: usize, rng: &mut ChaCha8Rng) {
    let (tenant, user) = (TENANT.to_string(), name(number));
    let (device, attempt) = (Signing::generate(rng), b32(rng));
    let id = B32::from(device.public());
    let body = Body::OpenEnrolment { tenant: tenant.clone(), user: user.clone(), attempt, device: id };
    let opened = bench.step(&Peer::Authority, &frame(None, body));
    let Some(Body::EnrolmentOpened { nonce, .. }) = opened.frames.first().map(|out| &out.frame.body) else {
        panic!("an attempt is opened")
    };
    let admission = AdmissionBody { tenant: tenant.clone(), user: user.clone(), attempt, nonce: *nonce };
    let admission = cbor::encode(&admission);
    let signature = authority.sign(labels::SIGN_ADMISSION, &admission).into();
    let body = Body::CreateAccount { admission: admission.into(), signature };
    let _ = bench.step(&Peer::Authority, &frame(None, body));
    let key: ArchiveKey = Secret::random(rng);
    let owner = Owner { tenant: tenant.clone(), user: user.clone(), epoch: 0 };
    let commitment = B32::from(commitment(&key, &owner));
    let context = escrow_context(&tenant, &user, &commitment);
    let sealed = hpke::seal_to(intake, labels::HPKE_INTAKE, &context, key.expose(), rng).expect("a key");
    let escrow = cbor::encode(&EscrowBody { attempt, commitment, sealed: sealed.into() });
    let signature = device.sign(labels::SIGN_ESCROW, &escrow).into();
    let body = Body::Escrow { tenant, user, device: id, escrow: escrow.into(), signature };
    let _ = bench.step(&Peer::Authority, &frame(None, body));
}

/// Releases of the keystore: the grant, and the authority's word that it was consumed. The time of one release, both steps.
fn keystore(records: usize) -> Duration {
    let users = (records / 4).min(REQUESTS);
    let (mut bench, authority) = keystore_with(records, users);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let recipient = B32::from(hpke::Recipient::generate(&mut rng).public());
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        for number in 0..REQUESTS {
            let id = b32(&mut rng);
            let (tenant, user) = (TENANT.to_string(), name(number % users));
            let grant = GrantBody { id, tenant, user, recipient, epoch: 0, expiry: u64::MAX };
            let grant = cbor::encode(&grant);
            let signature = authority.sign(labels::SIGN_GRANT, &grant).into();
            let asked =
                bench.step(&Peer::Authority, &frame(None, Body::ReleaseKey { grant: grant.into(), signature }));
            let Some(Body::ConsumeGrant { challenge, .. }) = asked.frames.first().map(|out| &out.frame.body) else {
                panic!("the keystore asks for the grant's consumption")
            };
            let signature = authority.sign(labels::SIGN_CONSUMED, &consumed_body(&id, challenge, 0)).into();
            let body = Body::GrantConsumed { grant: id, challenge: *challenge, epoch: 0, signature };
            let _ = bench.step(&Peer::Authority, &frame(None, body));
        }
        rounds.push(bench.average() * 2);
    }
    middle(rounds)
}

/// Appends of storage, to an archive of `records` blocks.
fn storage(records: usize) -> Duration {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (authority, device) = (Signing::generate(&mut rng), b32(&mut rng));
    let archive = cbor::encode(&(TENANT, "user"));
    let mut store = MemoryStore::default();
    fill(&mut store, records, |batch, at| {
        let number = at as u64;
        batch.put([b"archive/".as_slice(), &archive, &number.to_be_bytes()].concat(), vec![7; 128]);
    });
    let mut batch = Batch::default();
    batch.put([b"length/".as_slice(), &archive].concat(), cbor::encode(&(records as u64)));
    batch.put(MARK, cbor::encode(&Mark { lease: u64::MAX, ..Mark::default() }));
    store.apply(&batch).expect("a store in memory takes it");
    let leave = CapabilityBody {
        tenant: TENANT.into(),
        user: "user".into(),
        device,
        epoch: 0,
        expiry: u64::MAX,
        read: false,
    };
    let capability = Blob::from(cbor::encode(&leave));
    let signature = Blob::from(authority.sign(labels::SIGN_CAPABILITY, &capability));
    let append = frame(None, Body::Append { capability, signature, block: vec![7; 128].into() });
    let mut bench = Bench::new(Storage::new(authority.public()), store);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        for _ in 0..REQUESTS {
            let appended = bench.step(&Peer::Device(device), &append);
            assert!(matches!(appended.frames[0].frame.body, Body::Appended { number } if number >= records as u64));
        }
        rounds.push(bench.average());
    }
    middle(rounds)
}

/// Measures one step over a store of this many records.
type Measure = fn(usize) -> Duration;

fn main() {
    // `cargo test` runs benches once, to see that they run.
    let sizes = if std::env::args().any(|argument| argument == "--test") { &SIZES[..2] } else { &SIZES[..] };
    let measured: [(&str, Measure); 3] = [
        ("authority, steps without password hashing", authority),
        ("keystore, releases (two steps each)", keystore),
        ("storage, appends", storage),
    ];
    for (what, measure) in measured {
        let took: Vec<Duration> = sizes.iter().map(|records| measure(*records)).collect();
        for (records, took) in sizes.iter().zip(&took) {
            let micros = took.as_secs_f64() * 1e6;
            println!("{what}: {records:>9} records: {:>9.0} a second, {micros:>6.1} µs each", 1e6 / micros);
        }
        if let [first, .., last] = took[..] {
            let (from, to) = (sizes[0], sizes[sizes.len() - 1]);
            let ratio = last.as_secs_f64() / first.as_secs_f64();
            println!("{what}: from {from} to {to} records the cost of one grows {ratio:.2} ×");
        }
    }
}
