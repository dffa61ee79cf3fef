//! Real bytes, by the rule of `spec/formats.cddl` that they must fit: every frame of a run of all roles, and every record that
//! the run leaves in a store.
//!
//! The roles are driven as a service drives them: frames, orders and timers in, batches and frames out. Nothing here is made by
//! hand except passwords and the orders of people.

use std::collections::{BTreeMap, VecDeque};

use bailee_core::cbor;
use bailee_core::crypto::keys::Owner;
use bailee_core::crypto::password::{self, Cost};
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Effects, Input, Outgoing, Peer, Person, Role, Timer, run};
use bailee_core::quirks::Quirks;
use bailee_core::roles::authority::{AdminRecord, Authority, PointRecord, set_up_point};
use bailee_core::roles::custodian::{Custodian, Dealt};
use bailee_core::roles::custody::Custody;
use bailee_core::roles::device::{Device, OnDisk};
use bailee_core::roles::keystore::{Keyring, Keystore, Snapshot};
use bailee_core::roles::mark::{MARK, Mark};
use bailee_core::roles::restorer::Restorer;
use bailee_core::roles::signed;
use bailee_core::roles::storage::Storage;
use bailee_core::store::{Batch, MemoryStore, RECORD_BYTES, Read, Store};
use bailee_core::wire::{B32, Blob, Body, Frame, Roster, StandingChange};
use bailee_spec::action::Point;
use bailee_spec::limits;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// A rule, and bytes that it must describe.
pub(crate) type Sample = (String, Vec<u8>);

/// A frame as it was carried: the number of its kind, and its bytes.
pub(crate) type Carried = (u8, Vec<u8>);

const TENANT: &str = "tenant";
const USER: &str = "user";
const CUSTODIANS: u8 = 3;
const NODES: u8 = 2;

/// Where a role runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Authority,
    Keystore(u8),
    Storage,
    Restorer,
    Custody,
    Custodian(u8),
    Device(u8),
}

impl At {
    /// The nodes share one store.
    fn store(self) -> At {
        if let At::Keystore(_) = self { At::Keystore(0) } else { self }
    }

    /// Whose records the rows of [`DISK`] speak of.
    fn place(self) -> &'static str {
        match self {
            At::Authority => "authority",
            At::Keystore(_) => "keystore",
            At::Storage => "storage",
            At::Restorer => "restorer",
            At::Custody => "custody",
            At::Custodian(_) => "client",
            At::Device(_) => "device",
        }
    }
}

/// A frame on its way, and at whose end of the exchange its client is.
struct Way {
    from: Peer,
    to: At,
    frame: Frame,
    client: At,
}

/// All roles with a store each, and every frame that went between them.
struct World {
    now: u64,
    rng: ChaCha20Rng,
    authority: Authority,
    keystore: Vec<Keystore>,
    storage: Storage,
    restorer: Restorer,
    custody: Custody,
    custodians: Vec<Custodian>,
    devices: Vec<Device>,
    stores: BTreeMap<At, MemoryStore>,
    frames: Vec<Carried>,
    snapshot: Vec<u8>,
    alerts_work: bool,
    /// New shares of a rekey, held back until they are wanted.
    new_shares: Vec<Outgoing>,
}

fn order(body: Body) -> Frame {
    Frame { exchange: None, generation: None, body }
}

fn admin(name: &str) -> Peer {
    Peer::Person(Person::Admin { tenant: TENANT.into(), admin: name.into() })
}

const HOLDER: Peer = Peer::Person(Person::Holder);
const OPERATOR: Peer = Peer::Person(Person::Operator);

fn b32(byte: u8) -> B32 {
    B32::from([byte; 32])
}

fn users(batch: &mut Batch) {
    Authority::add_user(batch, TENANT, USER, password::record(Cost::TEST, [1; 16], b"word"));
    Authority::add_user(batch, TENANT, "other", password::record(Cost::TEST, [2; 16], b"word"));
    let rights = AdminRecord { restore: true, users: true, rights: true };
    Authority::add_admin(batch, TENANT, "admin", rights);
    for point in Point::ALL {
        set_up_point(batch, point, &PointRecord { lease: limits::VALIDITY_SECONDS, ..PointRecord::default() });
    }
}

impl World {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(8610);
        let [key, authority_key, restorer_key] = [1, 2, 3].map(|seed| Signing::from_seed(&[seed; 32]));
        let (pin, authority_pin) = (key.public(), authority_key.public());
        let custodians: Vec<Custodian> =
            (1..=CUSTODIANS).map(|index| Custodian::generate(index, pin, &mut rng)).collect();
        let keys: Vec<_> = custodians.iter().map(Custodian::keys).collect();
        let lease = limits::VALIDITY_SECONDS;
        let mut setup = Keystore::initialise(&keys, 2, lease, &mut rng).unwrap();
        let mut stores: BTreeMap<At, Batch> = BTreeMap::new();
        for (custodian, share) in custodians.iter().zip(&setup.shares) {
            let dealt = Dealt { index: share.index, wrapped: &share.sealed, header: &share.header };
            custodian.take_first(stores.entry(At::Custodian(share.index)).or_default(), dealt).unwrap();
            let custody = stores.entry(At::Custody).or_default();
            Custody::add_login(custody, share.index, custodian.authenticator());
            Custody::add_share(custody, &share.header, share.index, &share.sealed);
        }
        let keystore = (0..NODES).map(|node| {
            let mut one = Keystore::new(node, NODES, key.clone(), authority_pin);
            one.present(setup.opened.clone());
            one.open_channel(&mut setup.batch, &mut rng);
            one
        });
        let keystore = keystore.collect();
        stores.insert(At::Keystore(0), setup.batch);
        users(stores.entry(At::Authority).or_default());
        for point in [At::Storage, At::Restorer] {
            let mark = Mark { lease, ..Mark::default() };
            stores.entry(point).or_default().put(MARK, cbor::encode(&mark));
        }
        let restorer = Restorer::new(restorer_key, pin);
        World {
            now: 0,
            rng,
            authority: Authority::new(authority_key, pin, restorer.public()),
            keystore,
            storage: Storage::new(authority_pin),
            restorer,
            custody: Custody::new(pin),
            custodians,
            devices: (0..3).map(|_| Device::new(TENANT, USER, pin, authority_pin)).collect(),
            stores: stores.into_iter().map(|(at, batch)| (at, applied(&batch))).collect(),
            frames: Vec::new(),
            snapshot: Vec::new(),
            alerts_work: true,
            new_shares: Vec::new(),
        }
    }

    fn step(&mut self, at: At, input: Input<'_>) -> Effects {
        let store = self.stores.entry(at.store()).or_default();
        let (now, rng) = (self.now, &mut self.rng);
        fn go<R: Role>(
            role: &mut R,
            store: &mut MemoryStore,
            now: u64,
            rng: &mut ChaCha20Rng,
            input: Input<'_>,
        ) -> Effects {
            run(role, store, now, rng, Quirks::none(), input).unwrap()
        }
        let effects = match at {
            At::Authority => go(&mut self.authority, store, now, rng, input),
            At::Keystore(node) => go(&mut self.keystore[usize::from(node)], store, now, rng, input),
            At::Storage => go(&mut self.storage, store, now, rng, input),
            At::Restorer => go(&mut self.restorer, store, now, rng, input),
            At::Custody => go(&mut self.custody, store, now, rng, input),
            At::Custodian(index) => go(&mut self.custodians[usize::from(index) - 1], store, now, rng, input),
            At::Device(device) => go(&mut self.devices[usize::from(device)], store, now, rng, input),
        };
        match (effects.work, input) {
            (Some(work), Input::Frame { from, frame }) => {
                let checked = work.run();
                self.step(at, Input::Checked { from, frame, checked: &checked })
            }
            (work, _) => Effects { work, ..effects },
        }
    }

    fn peer(&self, at: At) -> Peer {
        match at {
            At::Authority => Peer::Authority,
            At::Keystore(node) => Peer::Keystore(node),
            At::Storage => Peer::Storage,
            At::Restorer => Peer::Restorer,
            At::Custody => Peer::Custody,
            At::Custodian(index) => Peer::Custodian(index),
            At::Device(_) => match self.stores.get(&at).and_then(|store| OnDisk(store).id()) {
                Some(id) => Peer::Device(id),
                None => Peer::Client,
            },
        }
    }

    /// Takes a frame down, and carries it with all that follows, until `stop` says of a frame that it is lost.
    fn carry(&mut self, first: Way, stop: impl Fn(&Body) -> bool) {
        let mut queue = VecDeque::from([first]);
        while let Some(way) = queue.pop_front() {
            self.frames.push((way.frame.body.number(), cbor::encode(&way.frame)));
            if stop(&way.frame.body) {
                continue;
            }
            let effects = self.step(way.to, Input::Frame { from: &way.from, frame: &way.frame });
            for out in effects.frames {
                queue.extend(self.next(way.to, out, way.client));
            }
        }
    }

    fn next(&mut self, from: At, out: Outgoing, client: At) -> Option<Way> {
        let peer = self.peer(from);
        let to = match &out.to {
            Peer::Client | Peer::Device(_) => client,
            Peer::Authority => At::Authority,
            Peer::Keystore(node) => At::Keystore(*node),
            Peer::Storage => At::Storage,
            Peer::Restorer => At::Restorer,
            Peer::Custody => At::Custody,
            Peer::Custodian(_) if matches!(out.frame.body, Body::NewShare { .. }) => {
                self.frames.push((out.frame.body.number(), cbor::encode(&out.frame)));
                self.new_shares.push(out);
                return None;
            }
            Peer::Custodian(index) => At::Custodian(*index),
            Peer::Alerts | Peer::Person(_) => {
                self.frames.push((out.frame.body.number(), cbor::encode(&out.frame)));
                return self.answered(from, &out, client);
            }
        };
        Some(Way { from: peer, to, frame: out.frame, client })
    }

    /// What the alert sink and the operator do by themselves.
    fn answered(&mut self, from: At, out: &Outgoing, client: At) -> Option<Way> {
        let body = match &out.frame.body {
            Body::Alert { id, .. } if self.alerts_work => Body::AlertRecorded { id: *id },
            Body::Alert { id, .. } => Body::AlertFailed { id: *id },
            Body::Snapshot { snapshot } => {
                self.snapshot = snapshot.to_vec();
                Body::SnapshotKept { digest: Snapshot::digest(snapshot) }
            }
            _ => return None,
        };
        Some(Way { from: out.to.clone(), to: from, frame: order(body), client })
    }

    fn order(&mut self, from: Peer, to: At, body: Body) {
        self.order_until(from, to, body, |_| false);
    }

    fn order_until(&mut self, from: Peer, to: At, body: Body, stop: impl Fn(&Body) -> bool) {
        self.carry(Way { from, to, frame: order(body), client: to }, stop);
    }

    fn fire(&mut self, at: At, timer: Timer) {
        let effects = self.step(at, Input::Timer(&timer));
        for out in effects.frames {
            if let Some(way) = self.next(at, out, At::Restorer) {
                self.carry(way, |_| false);
            }
        }
    }

    fn publish_all(&mut self) {
        for point in Point::ALL {
            self.fire(At::Authority, Timer::Publish(point));
        }
    }

    fn sign_in(&mut self, device: u8, password: &[u8], stop: impl Fn(&Body) -> bool) {
        let body = Body::EnterPassword { password: password.to_vec().into() };
        self.order_until(HOLDER, At::Device(device), body, stop);
    }

    fn device(&self, device: u8) -> B32 {
        OnDisk(&self.stores[&At::Device(device)]).id().unwrap()
    }
}

fn applied(batch: &Batch) -> MemoryStore {
    let mut store = MemoryStore::default();
    store.apply(batch).unwrap();
    store
}

// The run.

impl World {
    /// A wrong password is counted.
    fn mistype(&mut self) {
        self.sign_in(0, b"wrong", |_| false);
    }

    /// Two devices race to enrol; the release of the key to a third one is lost.
    fn enrol(&mut self) {
        // The second device is admitted before the first escrow, and loses the race.
        self.sign_in(1, b"word", |body| matches!(body, Body::EscrowKey { .. }));
        let lost = self.frames.last().unwrap().1.clone();
        self.sign_in(0, b"word", |_| false);
        let frame: Frame = cbor::decode(&lost, limits::MESSAGE_BYTES).unwrap();
        let from = self.peer(At::Device(1));
        self.carry(Way { from, to: At::Authority, frame, client: At::Device(1) }, |_| false);
        self.sign_in(2, b"word", |body| matches!(body, Body::SealedKey { .. }));
    }

    fn back_up(&mut self) {
        let device = At::Device(0);
        self.order(HOLDER, device, Body::StartBackup);
        // More than a purge removes at once.
        for number in 0..200u8 {
            self.order(HOLDER, device, Body::BackUp { content: vec![number].into() });
        }
        self.order(HOLDER, device, Body::ReadBack);
        self.order(HOLDER, device, Body::CheckIn);
    }

    fn request_job(&mut self, by: Peer, stop: impl Fn(&Body) -> bool) {
        let body = Body::RequestJob { tenant: TENANT.into(), user: USER.into() };
        self.carry(Way { from: by, to: At::Authority, frame: order(body), client: At::Restorer }, stop);
    }

    fn abort_job(&mut self) {
        let running = self.stores[&At::Authority].get(b"running").unwrap().unwrap();
        let running: Vec<(B32, u64)> = cbor::decode(&running, RECORD_BYTES).unwrap();
        let body = Body::AbortJob { tenant: TENANT.into(), user: USER.into() };
        self.order(admin("admin"), At::Authority, body);
        self.fire(At::Authority, Timer::Job(running[0].0));
    }

    /// A job that completes, one that the keystore refuses, and one on behalf that is aborted.
    fn jobs(&mut self) {
        let owner = Peer::Person(Person::User { tenant: TENANT.into(), user: USER.into(), stepped_up: true });
        self.request_job(owner, |_| false);
        self.request_job(admin("admin"), |body| matches!(body, Body::KeyDelivery { .. }));
        self.abort_job();
        self.order(OPERATOR, At::Keystore(0), Body::SealNode);
        self.request_job(Peer::Person(Person::Schedule), |_| false);
    }

    fn announce(&mut self, node: u8, rekey: bool, roster: Option<Roster>) {
        self.order(OPERATOR, At::Keystore(node), Body::OpenCeremony { rekey, roster });
        let opened = self.frames.iter().rev().find(|(number, _)| *number == 47).unwrap();
        let frame: Frame = cbor::decode(&opened.1, limits::MESSAGE_BYTES).unwrap();
        let Body::Ceremony { ceremony, signature } = frame.body else { panic!("the node announces it") };
        self.order(OPERATOR, At::Custody, Body::Announce { ceremony, signature });
    }

    /// Two custodians bring their shares to a node, for a ceremony with this roster.
    fn bring_shares(&mut self, node: u8, code: u64, roster: Option<B32>) {
        for index in 1..=2 {
            let client = At::Custodian(index);
            self.order(HOLDER, client, Body::FetchShare { node, code: Some(code), roster });
            self.order(HOLDER, client, Body::HandIn { node });
        }
    }

    /// A snapshot from before the first escrow is restored at the next unsealing.
    fn restore(&mut self) {
        let snapshot = self.snapshot.clone().into();
        self.order(OPERATOR, At::Keystore(0), Body::Stage { snapshot });
    }

    /// The first alert of the unsealing fails. The key is lost in the restore, and comes back; then it is not lost any more.
    fn unseal(&mut self) {
        self.announce(0, false, None);
        self.alerts_work = false;
        self.order(HOLDER, At::Custodian(1), Body::FetchShare { node: 0, code: Some(1), roster: None });
        self.alerts_work = true;
        self.bring_shares(0, 2, None);
        self.order(OPERATOR, At::Custody, Body::CloseWindow { node: 0 });
        let body = Body::ReplayKey { tenant: TENANT.into(), user: USER.into() };
        self.order(OPERATOR, At::Authority, body);
        self.order(HOLDER, At::Device(0), Body::EscrowAgain);
    }

    /// Another person takes the last custodian's place.
    fn rekey(&mut self) {
        let successor = Custodian::generate(CUSTODIANS, Signing::from_seed(&[1; 32]).public(), &mut self.rng);
        let authenticator = successor.authenticator().into();
        self.custodians[usize::from(CUSTODIANS) - 1] = successor;
        self.stores.remove(&At::Custodian(CUSTODIANS));
        self.order(OPERATOR, At::Custody, Body::SetLogin { index: CUSTODIANS, authenticator });
        let custodians = self.custodians.iter().map(Custodian::keys).collect();
        let roster = Roster { threshold: 2, custodians };
        let agreed = roster.digest();
        self.announce(0, true, Some(roster));
        self.bring_shares(0, 3, Some(agreed));
    }

    /// The new shares are taken, and the rekey becomes effective.
    fn finish_rekey(&mut self) {
        for out in std::mem::take(&mut self.new_shares) {
            let Peer::Custodian(index) = out.to else { panic!("a share is for a custodian") };
            let to = At::Custodian(index);
            self.carry(Way { from: Peer::Keystore(0), to, frame: out.frame, client: to }, |_| false);
        }
    }

    fn rights(&mut self) {
        let body = Body::SetRight { tenant: TENANT.into(), admin: "helper".into(), restore: true };
        self.order(admin("admin"), At::Authority, body);
        let (tenant, user, device) = (TENANT.into(), USER.into(), self.device(1));
        self.order(admin("admin"), At::Authority, Body::Deauthorize { tenant, user, device });
        self.order(HOLDER, At::Device(1), Body::CheckIn);
        for change in [StandingChange::Suspend, StandingChange::Deactivate, StandingChange::Purge] {
            let body = Body::SetStanding { tenant: TENANT.into(), user: USER.into(), change };
            self.order(admin("admin"), At::Authority, body);
        }
        self.publish_all();
        // A release of which the authority knows nothing.
        let body = Body::ConsumeGrant { grant: b32(8), challenge: b32(7) };
        let frame = Frame { exchange: Some(b32(9)), ..order(body) };
        self.carry(Way { from: Peer::Keystore(0), to: At::Authority, frame, client: At::Device(0) }, |_| false);
    }

    /// Every record of every store, by its rule; behind the barrier too.
    fn look(&self, out: &mut Vec<Stored>) {
        for (at, store) in &self.stores {
            for (name, bytes) in store.iter() {
                let row = row_of(at.place(), name).unwrap_or_else(|| panic!("{at:?} has {}", name.escape_ascii()));
                let bytes = if row.raw { cbor::encode(&Blob::from(bytes.to_vec())) } else { bytes.to_vec() };
                out.push((row, bytes));
            }
        }
        let opened = self.keystore.iter().find_map(Keystore::opened).unwrap();
        out.extend(behind_the_barrier(&opened.keyring, &self.stores[&At::Keystore(0)]));
    }
}

// Records.

/// A record, by the row of its name.
pub(crate) type Stored = (&'static Row, Vec<u8>);

/// Where a record is, how its name begins, or what it is where no slash ends it, and the rule of its bytes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    place: &'static str,
    name: &'static str,
    pub(crate) rule: &'static str,
    raw: bool,
}

const fn row(place: &'static str, name: &'static str, rule: &'static str) -> Row {
    Row { place, name, rule, raw: false }
}

const fn raw(place: &'static str, name: &'static str, rule: &'static str) -> Row {
    Row { place, name, rule, raw: true }
}

/// Every record that a role keeps.
pub(crate) static DISK: [Row; 53] = [
    row("device", "identity", "device-identity"),
    row("device", "key", "device-key"),
    row("authority", "u/", "user-record"),
    row("authority", "ad/", "admin-record"),
    row("authority", "gs/", "guesses"),
    row("authority", "us/", "newest-of-user"),
    row("authority", "ua/", "newest-of-user"),
    row("authority", "ug/", "newest-of-user"),
    row("authority", "uj/", "newest-of-user"),
    row("authority", "d/", "device-record"),
    row("authority", "ud/", "devices-of-user"),
    row("authority", "a/", "attempt-record"),
    row("authority", "s/", "session-record"),
    row("authority", "g/", "grant-record"),
    row("authority", "j/", "job-record"),
    row("authority", "p/", "point-record"),
    row("authority", "k/", "kept-of"),
    row("authority", "l/", "log-entry"),
    row("authority", "running", "jobs-running"),
    row("authority", "epochs", "epochs"),
    row("authority", "head", "count"),
    row("authority", "released", "count"),
    row("authority", "on-behalf", "on-behalf"),
    row("authority", "store", "store-record"),
    row("keystore", "header", "header"),
    row("keystore", "header-digest", "header-digest"),
    row("keystore", "candidate", "header"),
    raw("keystore", "keyring", "keyring-bytes"),
    row("keystore", "generation", "generation"),
    row("keystore", "mark", "mark"),
    row("keystore", "rekey", "rekey"),
    row("keystore", "n/", "channel-key"),
    row("keystore", "c/", "count"),
    row("keystore", "released", "count"),
    row("keystore", "covers", "count"),
    row("keystore", "staged", "staged"),
    raw("keystore", "r/", "sealed-bytes"),
    row("keystore", "account", "account"),
    row("keystore", "attempt", "keystore-attempt"),
    row("keystore", "attempts", "keystore-attempts"),
    row("custody", "l/", "custody-login"),
    row("custody", "w/", "custody-window"),
    raw("custody", "s/", "wrapped-share"),
    row("custody", "reads", "count"),
    row("custody", "alerts", "count"),
    row("client", "headers", "known-headers"),
    row("storage", "mark", "mark"),
    raw("storage", "archive/", "sealed-bytes"),
    row("storage", "length/", "count"),
    row("storage", "first/", "count"),
    row("storage", "purged/", "purged"),
    row("restorer", "mark", "mark"),
    row("keystore", "path", "record-path"),
];

fn row_of(place: &str, name: &[u8]) -> Option<&'static Row> {
    DISK.iter().find(|row| {
        let whole = !row.name.ends_with('/');
        row.place == place && if whole { name == row.name.as_bytes() } else { name.starts_with(row.name.as_bytes()) }
    })
}

/// What the keyring opens: the account, its attempts, and the paths under which they are sealed.
fn behind_the_barrier(keyring: &Keyring, store: &MemoryStore) -> Vec<Stored> {
    let row = |name: &str| row_of("keystore", name.as_bytes()).unwrap();
    let (account, attempts) = (cbor::encode(&("account", TENANT, USER)), cbor::encode(&("attempts", TENANT, USER)));
    let mut out = Vec::new();
    if let Some(found) = keyring.account(store, TENANT, USER) {
        out.extend([(row("account"), cbor::encode(&found)), (row("path"), account)]);
    }
    let ids: Vec<B32> = keyring.read(store, &attempts).unwrap_or_default();
    for id in &ids {
        out.push((row("attempt"), cbor::encode(&keyring.attempt(store, id).unwrap())));
        out.push((row("path"), cbor::encode(&("attempt", *id))));
    }
    out.extend([(row("attempts"), cbor::encode(&ids)), (row("path"), attempts)]);
    out
}

/// What is signed or bound and is in no frame.
pub(crate) fn bodies() -> Vec<Sample> {
    let [one, two, three] = [1, 2, 3].map(b32);
    let bytes = |bytes: Vec<u8>| cbor::encode(&Blob::from(bytes));
    let samples = [
        ("attempt-proof", signed::attempt_proof(&one, &two, &three)),
        ("add-proof", signed::add_proof(&one, &two)),
        ("intake-body", signed::intake_body(&one, &two)),
        ("consumed-body", signed::consumed_body(&one, &two, 1)),
        ("factor-body", signed::factor_body(&one, 1, 2)),
        ("job-key-bytes", bytes(signed::job_key_body(&one, &two))),
        ("intake-context", signed::escrow_context(TENANT, USER, &one)),
        ("release-context-bytes", bytes(signed::release_context(&one, &two))),
        ("wrap-context-bytes", bytes(signed::wrap_context(&one, 1))),
        ("share-context-bytes", bytes(signed::share_context(&one, 1))),
        ("archive-name", cbor::encode(&(TENANT, USER))),
        ("owner", cbor::encode(&Owner { tenant: TENANT.into(), user: USER.into(), epoch: 0 })),
    ];
    samples.map(|(rule, bytes)| (rule.to_string(), bytes)).into()
}

/// A run of everything that the roles do: every frame that was carried, and every record that was on a disk after a part.
pub(crate) fn run_all() -> (Vec<Carried>, Vec<Stored>) {
    let mut world = World::new();
    let mut records = Vec::new();
    world.order(OPERATOR, At::Keystore(0), Body::TakeSnapshot);
    let parts: [fn(&mut World); 11] = [
        World::mistype,
        World::enrol,
        World::back_up,
        World::publish_all,
        World::jobs,
        World::restore,
        World::unseal,
        World::rekey,
        World::finish_rekey,
        World::rights,
        World::publish_all,
    ];
    for part in parts {
        part(&mut world);
        world.look(&mut records);
    }
    (world.frames, records)
}
