//! The carrier: it names who sends, applies batches before anything leaves, carries bytes and fires timers.

use std::collections::VecDeque;

use bailee_core::cbor;
use bailee_core::machine::{Effects, Input, Outgoing, Peer, Role, Timer, run};
use bailee_core::quirks::Quirks;
#[cfg(feature = "testing")]
use bailee_core::roles::custody;
use bailee_core::roles::device::OnDisk;
#[cfg(feature = "testing")]
use bailee_core::roles::keystore::Opened;
use bailee_core::store::{Batch, RECORD_BYTES, Read, Store};
use bailee_core::wire::{Body, Frame};
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::disks::Disks;
use crate::setup::{Roles, Size, first_day};

/// Where a role runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The authority.
    Authority,
    /// A keystore node.
    Keystore(u8),
    /// Storage.
    Storage,
    /// The restorer.
    Restorer,
    /// Custody.
    Custody,
    /// The client of a custodian, by index from 1.
    Custodian(u8),
    /// A device, from 0.
    Device(u8),
}

/// An encoded frame on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The sender, as its connection proves it.
    pub from: Peer,
    /// The receiver.
    pub to: At,
    /// The client at the other end of the exchange.
    pub client: At,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// An input that was handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// By whom.
    pub at: At,
    /// The frame's kind, or `Timer`.
    pub what: &'static str,
    /// How it ended.
    pub verdict: Result<(), Refusal>,
}

/// When roles stop and start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarts {
    /// Never.
    Never,
    /// Between any two inputs: those that keep nothing in memory always, the others whenever nothing of theirs is under way; and
    /// every store is closed and opened again.
    Always,
    /// Everything stops at once before the input with this number, and what is on its way is lost.
    PowerCut(usize),
    /// One role stops before the input with this number, and what is on its way to it is lost.
    One(At, usize),
}

/// The stores, one for each role; the keystore's nodes share one.
#[cfg_attr(feature = "testing", derive(Clone))]
struct Stores<S> {
    authority: S,
    keystore: S,
    storage: S,
    restorer: S,
    custody: S,
    custodians: Vec<S>,
    devices: Vec<S>,
}

/// What makes a copy of a world.
#[cfg(feature = "testing")]
type Copy<D> = fn(&World<D>) -> World<D>;

/// All roles, their stores, and what is between them.
#[cfg_attr(feature = "testing", derive(Clone))]
pub struct World<D: Disks> {
    /// Seconds on every clock.
    pub now: u64,
    /// When roles stop.
    pub restarts: Restarts,
    /// How many inputs were handled.
    pub inputs: usize,
    /// The inputs that were handled, in order.
    pub journal: Vec<Entry>,
    /// What people were told, in order.
    pub told: Vec<(Peer, Body)>,
    /// How many of each.
    pub size: Size,
    /// The code that each custodian's authenticator shows next.
    pub(crate) codes: Vec<u64>,
    /// The newest snapshot, as the operator keeps it.
    pub(crate) snapshot: Option<Vec<u8>>,
    disks: D,
    roles: Roles,
    stores: Stores<D::Store>,
    queue: VecDeque<Flight>,
    timers: Vec<(u64, At, Timer)>,
    rng: ChaCha8Rng,
    /// How the world is copied before each frame, if that is wanted.
    #[cfg(feature = "testing")]
    copy: Option<Copy<D>>,
    /// The world as it was before each frame, with the frame.
    #[cfg(feature = "testing")]
    history: Vec<(World<D>, Flight)>,
}

/// How long it takes until a lost machine is replaced, in seconds.
const NEW_MACHINE_SECONDS: u64 = 60;

fn filled<D: Disks>(disks: &mut D, name: &str, first: &Batch) -> D::Store {
    let mut store = disks.blank(name);
    store.apply(first).expect("an empty store takes a first batch");
    store
}

impl<D: Disks> World<D> {
    /// A fresh system: every node unsealed, nobody enrolled, every role started.
    pub fn new(mut disks: D, size: Size, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (roles, first) = first_day(size, &mut rng);
        let disk = &mut disks;
        let custodians = (1..).zip(&first.custodians);
        let stores = Stores {
            authority: filled(disk, "authority", &first.authority),
            keystore: filled(disk, "keystore", &first.keystore),
            storage: filled(disk, "storage", &first.point),
            restorer: filled(disk, "restorer", &first.point),
            custody: filled(disk, "custody", &first.custody),
            custodians: custodians.map(|(i, batch)| filled(disk, &format!("custodian-{i}"), batch)).collect(),
            devices: (0..roles.devices.len()).map(|d| disk.blank(&format!("device-{d}"))).collect(),
        };
        let mut world = World {
            now: 0,
            restarts: Restarts::Never,
            inputs: 0,
            journal: Vec::new(),
            told: Vec::new(),
            size,
            codes: vec![1; roles.custodians.len()],
            snapshot: None,
            disks,
            roles,
            stores,
            queue: VecDeque::new(),
            timers: Vec::new(),
            rng,
            #[cfg(feature = "testing")]
            copy: None,
            #[cfg(feature = "testing")]
            history: Vec::new(),
        };
        world.start(At::Authority);
        world.settle();
        world
    }

    /// Every place at which a role runs.
    pub fn places(&self) -> Vec<At> {
        let mut places = vec![At::Authority, At::Storage, At::Restorer, At::Custody];
        places.extend((0..self.size.nodes).map(At::Keystore));
        places.extend((1..).take(self.roles.custodians.len()).map(At::Custodian));
        places.extend((0..).take(self.roles.devices.len()).map(At::Device));
        places
    }

    /// A role's store.
    pub fn store(&self, at: At) -> &D::Store {
        match at {
            At::Authority => &self.stores.authority,
            At::Keystore(_) => &self.stores.keystore,
            At::Storage => &self.stores.storage,
            At::Restorer => &self.stores.restorer,
            At::Custody => &self.stores.custody,
            At::Custodian(index) => &self.stores.custodians[usize::from(index) - 1],
            At::Device(device) => &self.stores.devices[usize::from(device)],
        }
    }

    /// A record, decoded.
    pub fn record<T: for<'a> minicbor::Decode<'a, ()> + minicbor::Encode<()>>(
        &self,
        at: At,
        name: impl AsRef<[u8]>,
    ) -> Option<T> {
        let bytes = self.store(at).get(name.as_ref()).expect("the store can be read")?;
        Some(cbor::decode(&bytes, RECORD_BYTES).expect("a record as a role wrote it"))
    }

    /// What is on a device's disk.
    pub fn device_disk(&self, device: u8) -> OnDisk<'_> {
        OnDisk(self.store(At::Device(device)))
    }

    /// One input, as `CONTRACT.md` says: the step, its batch, its timers. What leaves the role is returned, not carried.
    pub fn input(&mut self, at: At, input: Input<'_>) -> Effects {
        let (roles, stores) = (&mut self.roles, &mut self.stores);
        let mut go = Go { now: self.now, input, rng: &mut self.rng };
        let effects = match at {
            At::Authority => go.at(&mut roles.authority, &mut stores.authority),
            At::Keystore(node) => go.at(&mut roles.keystore[usize::from(node)], &mut stores.keystore),
            At::Storage => go.at(&mut roles.storage, &mut stores.storage),
            At::Restorer => go.at(&mut roles.restorer, &mut stores.restorer),
            At::Custody => go.at(&mut roles.custody, &mut stores.custody),
            At::Custodian(index) => {
                let place = usize::from(index) - 1;
                go.at(&mut roles.custodians[place], &mut stores.custodians[place])
            }
            At::Device(device) => {
                let place = usize::from(device);
                go.at(&mut roles.devices[place], &mut stores.devices[place])
            }
        };
        for (due, timer) in &effects.timers {
            self.timers.retain(|(_, of, known)| *of != at || known != timer);
            self.timers.push((*due, at, timer.clone()));
        }
        effects
    }

    /// Who a role is to the one that hears from it: a device shows its client certificate as soon as it has an identity.
    pub fn peer(&self, at: At) -> Peer {
        match at {
            At::Authority => Peer::Authority,
            At::Keystore(node) => Peer::Keystore(node),
            At::Storage => Peer::Storage,
            At::Restorer => Peer::Restorer,
            At::Custody => Peer::Custody,
            At::Custodian(index) => Peer::Custodian(index),
            At::Device(device) => self.device_disk(device).id().map_or(Peer::Client, Peer::Device),
        }
    }

    fn place(&self, peer: &Peer, client: At) -> Option<At> {
        match peer {
            Peer::Client | Peer::Device(_) => matches!(client, At::Device(_)).then_some(client),
            Peer::Authority => Some(At::Authority),
            Peer::Keystore(node) => Some(At::Keystore(*node)),
            Peer::Storage => Some(At::Storage),
            Peer::Restorer => Some(At::Restorer),
            Peer::Custody => Some(At::Custody),
            Peer::Custodian(index) => Some(At::Custodian(*index)),
            Peer::Alerts | Peer::Person(_) => None,
        }
    }

    /// Takes a frame that left a role on its way, as bytes. What is for people is told to them; the sink records every alert.
    pub fn carry(&mut self, from: At, out: &Outgoing, client: At) {
        let sender = self.peer(from);
        let bytes = cbor::encode(&out.frame);
        assert!(bytes.len() <= out.frame.body.limit(), "{} of {} bytes", out.frame.body.name(), bytes.len());
        match (&out.to, &out.frame.body) {
            (Peer::Alerts, Body::Alert { id, .. }) => {
                let body = Body::AlertRecorded { id: *id };
                self.send(Peer::Alerts, from, client, &Frame { exchange: None, generation: None, body });
            }
            (Peer::Person(_), body) => self.told.push((out.to.clone(), body.clone())),
            (to, _) => {
                let client = if matches!(from, At::Device(_)) { from } else { client };
                if let Some(to) = self.place(to, client) {
                    self.queue.push_back(Flight { from: sender, to, client, bytes });
                }
            }
        }
    }

    /// Puts a frame on its way.
    pub fn send(&mut self, from: Peer, to: At, client: At, frame: &Frame) {
        self.queue.push_back(Flight { from, to, client, bytes: cbor::encode(frame) });
    }

    /// What is on its way, in order.
    pub fn on_its_way(&self) -> impl Iterator<Item = &Flight> {
        self.queue.iter()
    }

    /// Loses what is on its way.
    pub fn lose(&mut self, lost: impl Fn(&Flight) -> bool) {
        self.queue.retain(|flight| !lost(flight));
    }

    /// Takes a frame off its way; the oldest is number 0.
    pub fn take_off(&mut self, number: usize) -> Option<Flight> {
        self.queue.remove(number)
    }

    /// The timers that are set: when, where, and what.
    pub fn timers(&self) -> &[(u64, At, Timer)] {
        &self.timers
    }

    /// Delivers one frame from its bytes, has its password checked, and carries what follows.
    pub fn deliver(&mut self, flight: &Flight) {
        let frame = Frame::decode(&flight.bytes).expect("a frame that a role encoded");
        let (from, client) = (&flight.from, flight.client);
        let mut effects = self.input(flight.to, Input::Frame { from, frame: &frame });
        if let Some(work) = effects.work.take() {
            let checked = work.run();
            effects = self.input(flight.to, Input::Checked { from, frame: &frame, checked: &checked });
        }
        self.note(flight.to, frame.body.name(), effects, client);
    }

    fn note(&mut self, at: At, what: &'static str, effects: Effects, client: At) {
        self.journal.push(Entry { at, what, verdict: effects.verdict });
        for out in &effects.frames {
            self.carry(at, out, client);
        }
    }

    /// Delivers the frame that is next, unless a restart loses it. Whether there was one.
    pub fn deliver_next(&mut self) -> bool {
        let Some(flight) = self.queue.front().cloned() else { return false };
        self.before_input(flight.to, Some(&flight.from));
        // A power cut lost it.
        if self.queue.front() != Some(&flight) {
            return true;
        }
        self.queue.pop_front();
        #[cfg(feature = "testing")]
        self.remember(&flight);
        self.deliver(&flight);
        true
    }

    /// Delivers everything that is on its way and fires every timer that is due, until nothing is left. A timer that was set again
    /// by a restart fires once: a carrier may be late.
    pub fn settle(&mut self) {
        let mut fired: Vec<(At, Timer)> = Vec::new();
        loop {
            while self.deliver_next() {}
            let fresh = |at: &At, timer: &Timer| !fired.iter().any(|(of, known)| of == at && known == timer);
            let due = self.timers.iter().find(|(due, at, timer)| *due <= self.now && fresh(at, timer)).cloned();
            let Some((due, at, timer)) = due else { return };
            fired.push((at, timer.clone()));
            self.timers.retain(|known| *known != (due, at, timer.clone()));
            self.before_input(at, None);
            self.fire(at, &timer);
        }
    }

    /// Fires a timer: when it is due, early, late or again.
    pub fn fire(&mut self, at: At, timer: &Timer) {
        let effects = self.input(at, Input::Timer(timer));
        self.note(at, "Timer", effects, at);
    }

    /// Time passes.
    pub fn advance(&mut self, seconds: u64) {
        self.now += seconds;
        self.settle();
    }

    // Restarts.

    /// What happens before a role takes its next input; `from` is the sender of a frame.
    fn before_input(&mut self, at: At, from: Option<&Peer>) {
        let number = self.inputs;
        self.inputs += 1;
        match self.restarts {
            Restarts::Never => {}
            Restarts::Always => {
                let order = self.queue.len() <= 1 && from.is_none_or(|from| matches!(from, Peer::Person(_)));
                for place in self.places() {
                    if self.may_stop(place, order) {
                        self.restart(place);
                    }
                }
                self.reopen_store(at);
            }
            Restarts::PowerCut(cut) if cut == number => self.power_cut(),
            Restarts::One(at, cut) if cut == number => {
                self.queue.retain(|flight| flight.to != at);
                self.restart(at);
            }
            Restarts::PowerCut(_) | Restarts::One(..) => {}
        }
    }

    /// Whether nothing that the role has in memory is needed for what is under way; `order` says that nothing but the order of a
    /// person is.
    fn may_stop(&self, at: At, order: bool) -> bool {
        match at {
            At::Authority | At::Storage => true,
            At::Custody => !self.queue.iter().any(|flight| flight.from == Peer::Alerts),
            At::Keystore(_) => false,
            At::Restorer => {
                let restorer = &self.roles.restorer;
                restorer.held().next().is_none() && !restorer.waiting()
            }
            At::Custodian(index) => order && self.roles.custodians[usize::from(index) - 1].holds_for().is_none(),
            At::Device(device) => order && self.roles.devices[usize::from(device)].capability().is_none(),
        }
    }

    /// A role's process stops and starts: its memory and its timers are gone.
    pub fn restart(&mut self, at: At) {
        match at {
            At::Authority => self.roles.authority.restart(),
            At::Keystore(node) => self.roles.keystore[usize::from(node)].restart(),
            At::Storage => self.roles.storage.restart(),
            At::Restorer => self.roles.restorer.restart(),
            At::Custody => self.roles.custody.restart(),
            At::Custodian(index) => self.roles.custodians[usize::from(index) - 1].restart(),
            At::Device(device) => self.roles.devices[usize::from(device)].restart(),
        }
        self.timers.retain(|(_, of, _)| *of != at);
        self.start(at);
    }

    fn start(&mut self, at: At) {
        let effects = self.input(at, Input::Timer(&Timer::Started));
        self.note(at, "Started", effects, at);
    }

    /// Every process stops at once, and every connection breaks. Then all start again.
    pub fn power_cut(&mut self) {
        self.queue.clear();
        for at in self.places() {
            self.reopen_store(at);
            self.restart(at);
        }
    }

    fn reopen_store(&mut self, at: At) {
        let stores = &mut self.stores;
        let store = match at {
            At::Authority => &mut stores.authority,
            At::Keystore(_) => &mut stores.keystore,
            At::Storage => &mut stores.storage,
            At::Restorer => &mut stores.restorer,
            At::Custody => &mut stores.custody,
            At::Custodian(index) => &mut stores.custodians[usize::from(index) - 1],
            At::Device(device) => &mut stores.devices[usize::from(device)],
        };
        self.disks.reopen(store);
    }

    /// The keystore's machines are gone with their disks: empty ones take their place, later. A blank node counts its ceremonies
    /// from 1 again, so custody orders them by time (CER-3b).
    pub fn lose_keystore(&mut self) {
        self.advance(NEW_MACHINE_SECONDS);
        self.stores.keystore = self.disks.blank("keystore");
        for node in 0..self.size.nodes {
            self.restart(At::Keystore(node));
        }
    }

    /// Whether a node is sealed.
    pub fn is_sealed(&self, node: u8) -> bool {
        self.roles.keystore[usize::from(node)].opened().is_none()
    }

    /// Whether the restorer holds an archive key.
    pub fn restorer_holds(&self) -> bool {
        self.roles.restorer.held().next().is_some()
    }
}

/// What only tests with copies may do.
#[cfg(feature = "testing")]
impl<D: Disks> World<D> {
    fn remember(&mut self, flight: &Flight) {
        if let Some(copy) = self.copy.take() {
            let history = std::mem::take(&mut self.history);
            let moment = copy(self);
            self.history = history;
            self.history.push((moment, flight.clone()));
            self.copy = Some(copy);
        }
    }

    /// The world before each frame since [`World::keep_history`], and that frame.
    pub fn take_history(&mut self) -> Vec<(World<D>, Flight)> {
        self.copy = None;
        std::mem::take(&mut self.history)
    }

    /// The open barrier of a node.
    pub fn opened(&self, node: u8) -> Option<&Opened> {
        self.roles.keystore[usize::from(node)].opened()
    }

    /// Secrets that no frame may hold in clear: roots, archive keys wherever they are, present shares, signing keys of devices.
    pub fn secrets(&self) -> Vec<[u8; 32]> {
        let mut secrets: Vec<[u8; 32]> =
            (0..self.size.nodes).filter_map(|node| self.opened(node)).map(|opened| *opened.root.expose()).collect();
        for device in (0..).take(self.roles.devices.len()) {
            secrets.extend(self.device_disk(device).key().map(|key| *key.expose()));
            secrets.extend(self.device_disk(device).signing().map(|key| key.seed()));
        }
        secrets.extend(self.roles.devices.iter().filter_map(|device| device.memory_key()).map(|key| *key.expose()));
        secrets.extend(self.roles.restorer.held().map(|(key, _)| *key.expose()));
        if let Some(header) = self.header() {
            for (custodian, index) in self.roles.custodians.iter().zip(1u8..) {
                let digest = header.digest();
                let wrapped = self.peek(At::Custody, |step| custody::wrapped(step, &digest, index));
                secrets
                    .extend(wrapped.and_then(|wrapped| custodian.unwrap(&header, &wrapped).ok()).map(|value| *value));
            }
        }
        secrets
    }

    /// Keeps a copy of the world before each frame from now on.
    pub fn keep_history(&mut self)
    where
        World<D>: Clone,
    {
        self.copy = Some(World::clone);
    }
}

/// One step of some role.
struct Go<'a> {
    now: u64,
    input: Input<'a>,
    rng: &'a mut ChaCha8Rng,
}

impl Go<'_> {
    fn at<R: Role>(&mut self, role: &mut R, store: &mut dyn Store) -> Effects {
        run(role, store, self.now, self.rng, Quirks::none(), self.input).unwrap_or_else(|_| Effects::failed())
    }
}
