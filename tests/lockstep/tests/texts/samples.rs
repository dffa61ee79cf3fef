//! Real bytes, by the rule of `spec/formats.cddl` that they must fit: frames from a run, and what the roles store.

use bailee_core::cbor;
use bailee_core::crypto::hpke;
use bailee_core::crypto::keys::{Owner, Secret, commitment};
use bailee_core::crypto::labels;
use bailee_core::crypto::password::{self, Cost};
use bailee_core::crypto::sign::Signing;
use bailee_core::ensemble::{Ensemble, Size};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{AttemptRecord, AttemptState, DeviceRecord, GrantRecord};
use bailee_core::roles::authority::{
    Authority, DeviceState, GrantHolder, JobRecord, PointRecord, SessionRecord, Totals, UserRecord,
};
use bailee_core::roles::custodian::Custodian;
use bailee_core::roles::custody::Custody;
use bailee_core::roles::device::Device;
use bailee_core::roles::keystore::{Attempt, Keyring, Keystore};
use bailee_core::roles::{Context, storage::Storage};
use bailee_core::wire::{B32, Blob, Body, CapabilityBody, Frame, ReceiptBody};
use bailee_spec::action::{Action, Caller, Lane, Purpose, Requester};
use bailee_spec::observation::Message;
use bailee_spec::outcome::Outcome;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// A rule, and bytes that it must describe.
pub(crate) type Sample = (String, Vec<u8>);

fn b32(byte: u8) -> B32 {
    B32::from([byte; 32])
}

/// A run, and every frame that was on its way in it.
struct Run {
    ensemble: Ensemble,
    rng: ChaCha20Rng,
    frames: Vec<(Message, Vec<u8>)>,
}

impl Run {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(8610);
        let size = Size { users: 2, devices_per_user: 2, nodes: 1, custodians: 5, threshold: 3, late: false };
        let ensemble = Ensemble::new(size, Cost::TEST, Quirks::none(), &mut rng).unwrap();
        Run { ensemble, rng, frames: Vec::new() }
    }

    fn act(&mut self, action: Action) -> Outcome {
        let outcome = self.ensemble.act(action, &mut self.rng);
        for lane in [Lane::Device(0), Lane::Device(1), Lane::Job] {
            if let Some(frame) = self.ensemble.in_flight(lane) {
                self.frames.push((frame.body.kind(), cbor::encode(&frame)));
            }
        }
        outcome
    }

    fn deliver(&mut self, lane: Lane, times: usize) {
        for _ in 0..times {
            self.act(Action::Deliver { lane });
        }
    }

    fn drain(&mut self, lane: Lane) {
        while self.ensemble.in_flight(lane).is_some() {
            self.deliver(lane, 1);
        }
    }

    /// Two devices race to enrol, one job runs to its end, and one is aborted too early for its key.
    fn all_kinds(mut self) -> Self {
        let (first, second) = (Lane::Device(0), Lane::Device(1));
        for device in [0, 1] {
            self.act(Action::SignIn { device });
            self.deliver(Lane::Device(device), 1);
        }
        self.drain(first);
        self.drain(second);
        self.act(Action::Request { by: Requester::Owner, user: 0 });
        self.drain(Lane::Job);
        self.act(Action::OpenBackup { device: 0 });
        self.act(Action::Append { device: 0 });
        self.act(Action::FinishJob);
        self.drain(Lane::Job);
        self.act(Action::Request { by: Requester::Schedule, user: 0 });
        self.deliver(Lane::Job, 2);
        self.act(Action::Abort);
        self.drain(Lane::Job);
        self
    }
}

/// NET-7: every frame of a run that shows each kind of message.
pub(crate) fn frames() -> Vec<(Message, Vec<u8>)> {
    Run::new().all_kinds().frames
}

fn encoded<T>(out: &mut Vec<Sample>, rule: &str, values: &[T], encode: impl Fn(&T) -> Vec<u8>) {
    out.extend(values.iter().map(|value| (rule.to_string(), encode(value))));
}

/// What the roles of core write to their disks, and what they sign.
pub(crate) fn records() -> Vec<Sample> {
    let mut out = Vec::new();
    let mut rng = ChaCha20Rng::seed_from_u64(9052);
    authority_records(&mut out);
    keystore_records(&mut out);
    device_records(&mut out, &mut rng);
    ceremony_records(&mut out, &mut rng);
    storage_records(&mut out);
    out
}

fn authority_records(out: &mut Vec<Sample>) {
    let (tenant, user) = (|| "tenant".to_string(), || "user".to_string());
    let word = password::record(Cost::TEST, [1; 16], b"word");
    let blank =
        UserRecord { tenant: tenant(), user: user(), standing: 0, enrolled: None, kept: None, password: word.into() };
    let enrolled = UserRecord { enrolled: Some(b32(1)), ..blank.clone() };
    encoded(out, "user-record", &[blank, enrolled], cbor::encode);
    let device = DeviceRecord {
        tenant: tenant(),
        user: user(),
        recipient: b32(2),
        state: DeviceState::Active,
        expiry: u64::MAX,
    };
    encoded(out, "device-record", &[device], cbor::encode);
    let attempt = AttemptRecord { device: b32(3), state: AttemptState::Closed, expiry: 600 };
    encoded(out, "attempt-record", &[attempt], cbor::encode);
    encoded(out, "session-record", &[SessionRecord { tenant: tenant(), user: user(), expiry: 1 }], cbor::encode);
    let grant = |holder| GrantRecord { tenant: tenant(), user: user(), holder, exchange: None, used: true };
    let grants = [grant(GrantHolder::Device(b32(4))), grant(GrantHolder::Job(b32(5)))];
    encoded(out, "grant-record", &grants, cbor::encode);
    let job = JobRecord { tenant: tenant(), user: user(), kind: 2, state: 3, deadline: 600 };
    encoded(out, "job-record", &[job], cbor::encode);
    encoded(out, "point-record", &[PointRecord { confirmed: 0, lease: 600 }], cbor::encode);
    let totals = Totals { job: Some(b32(6)), ..Totals::default() };
    let witnessed = Totals { snapshot: Some(b32(7)), ..Totals::default() };
    encoded(out, "totals", &[Totals::default(), totals, witnessed], cbor::encode);
    let capability = CapabilityBody { tenant: tenant(), user: user(), device: b32(8), epoch: 1, expiry: 600 };
    encoded(out, "capability-body", &[capability], cbor::encode);
    let fresh = Authority::new(Signing::from_seed(&[1; 32]), [0; 32], [0; 32]);
    out.push(("admin-right".into(), fresh.disk.bytes("admin-right").unwrap().to_vec()));
}

/// What a keystore has on its disk after a run, opened with what its host has in memory.
fn keystore_records(out: &mut Vec<Sample>) {
    let mut run = Run::new().all_kinds();
    run.act(Action::SignIn { device: 2 });
    run.ensemble.act(Action::Snapshot, &mut run.rng);
    let (mut root, disk) = run.ensemble.host(0).unwrap();
    for rule in ["header", "mark"] {
        out.push((rule.into(), disk.bytes(rule).unwrap().to_vec()));
    }
    out.push(("count".into(), disk.bytes("released").unwrap().to_vec()));
    let keyring =
        Keyring::open(&Secret::take(&mut root), &disk.get("header").unwrap(), &disk.bytes("keyring").unwrap())
            .unwrap();
    out.push(("account".into(), cbor::encode(&keyring.account(&disk, "tenant-0", "user-0").unwrap())));
    let ids: Vec<B32> = keyring.read(&disk, &cbor::encode(&("attempts", "tenant-0", "user-0"))).unwrap();
    let attempt: Attempt = keyring.read(&disk, &cbor::encode(&("attempt", ids[0]))).unwrap();
    out.push(("keystore-attempt".into(), cbor::encode(&attempt)));
    out.push(("keystore-attempts".into(), cbor::encode(&ids)));
    out.push(("record-path".into(), cbor::encode(&("attempt", ids[0]))));
    out.push(("record-path".into(), cbor::encode(&("account", "tenant-0", "user-0"))));
    out.push(("snapshot".into(), run.ensemble.snapshot_bytes().unwrap()));
}

/// A first device's disk and a replacement's.
fn device_records(out: &mut Vec<Sample>, rng: &mut ChaCha20Rng) {
    let keystore = Signing::from_seed(&[2; 32]);
    let mut cx = Context { now: 0, rng, quirks: Quirks::none() };
    let frame = |body| Frame { exchange: Some(b32(9)), generation: None, body };
    let mut step = |device: &mut Device, body| {
        let effects = device.step(&mut cx, &frame(body));
        assert_eq!(effects.verdict, Ok(()));
        device.disk.commit(effects.batch);
        effects.send
    };
    let owner = Owner { tenant: "tenant".into(), user: "user".into(), epoch: 0 };
    let mut first = Device::new("tenant", "user", b"word", keystore.public(), [0; 32]);
    step(&mut first, Body::SessionOpened { enrolled: None });
    let said = commitment(first.memory_key().unwrap(), &owner);
    let receipt =
        ReceiptBody { tenant: "tenant".into(), user: "user".into(), commitment: said.into(), generation: 0 };
    let receipt = cbor::encode(&receipt);
    let signature = keystore.sign(labels::SIGN_RECEIPT, &receipt);
    let (receipt, signature): (Blob, Blob) = (receipt.into(), signature.into());
    step(&mut first, Body::Authorised { receipt: receipt.clone(), signature: signature.clone() });
    let mut second = Device::new("tenant", "user", b"word", keystore.public(), [0; 32]);
    let asked = step(&mut second, Body::SessionOpened { enrolled: Some(said.into()) });
    let Some(Body::AddDevice { recipient, .. }) = asked else { panic!("it asks to be added") };
    let context = [&b32(10)[..], &said].concat();
    let key = first.kept_key().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let sealed = hpke::seal_to(&recipient, labels::HPKE_RELEASE, &context, key.expose(), &mut rng).unwrap();
    step(&mut second, Body::KeyDelivery { grant: b32(10), sealed: sealed.into(), receipt, signature });
    for device in [&first, &second] {
        out.push(("device-identity".into(), device.disk.bytes("identity").unwrap().to_vec()));
        out.push(("device-key".into(), device.disk.bytes("key").unwrap().to_vec()));
    }
    out.push(("owner".into(), cbor::encode(&owner)));
}

/// A ceremony, its window at custody, and a share on its way to the node.
fn ceremony_records(out: &mut Vec<Sample>, rng: &mut ChaCha20Rng) {
    let key = Signing::from_seed(&[3; 32]);
    let pin = key.public();
    let mut people: Vec<Custodian> = (1..=3).map(|index| Custodian::generate(index, pin, rng)).collect();
    let keys: Vec<_> = people.iter().map(Custodian::keys).collect();
    let setup = Keystore::initialise(1, &keys, 2, key, [0; 32], rng).unwrap();
    let mut keystore = setup.keystore;
    let mut custody = Custody::new(pin, &people.iter().map(Custodian::authenticator).collect::<Vec<_>>());
    custody.disk.commit(custody.store_share(&setup.shares[0].header, 1, &setup.shares[0].sealed));
    people[0].take_new(&setup.shares[0]).unwrap();
    keystore.restart(0);
    let mut cx = Context { now: 0, rng, quirks: Quirks::none() };
    let ceremony = keystore.open_ceremony(&mut cx, 0, Purpose::Unseal, Caller::Operator).unwrap();
    out.push(("ceremony-body".into(), ceremony.body.clone()));
    let batch = custody.announce(&cx, &ceremony).unwrap();
    custody.disk.commit(batch);
    out.push(("custody-window".into(), custody.disk.bytes([b'w', b'/', 0]).unwrap().to_vec()));
    let asked = people[0].ask(1, 0, Some(1));
    let (batch, wrapped, announced) = custody.request(&cx, &asked, || true).unwrap();
    custody.disk.commit(batch);
    out.push(("custody-login".into(), custody.disk.bytes([b'l', b'/', 1]).unwrap().to_vec()));
    people[0].receive(&wrapped, &announced).unwrap();
    let submission = people[0].submit(&mut cx, 0, |_| false).unwrap();
    out.push(("share-body".into(), submission.share.to_vec()));
}

fn storage_records(out: &mut Vec<Sample>) {
    let storage = Storage::new([0; 32]);
    out.push(("mark".into(), storage.disk.bytes("mark").unwrap().to_vec()));
    out.push(("archive-name".into(), cbor::encode(&("tenant", "user"))));
}
