//! What every role is: a state machine that takes one input at a time and answers with effects.
#![doc = include_str!("../CONTRACT.md")]

use std::collections::BTreeMap;

use bailee_spec::action::Point;
use bailee_spec::limits;
use bailee_spec::outcome::Refusal;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor;
use crate::quirks::{Quirk, Quirks};
use crate::store::{Batch, NotApplied, Read, Record, Store, StoreFailed};
use crate::wire::{B32, Body, Frame};

/// Somebody who acts at an endpoint that names the caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    /// The person who has the program in their hands: a device's user, a custodian at the own client.
    Holder,
    /// A user in a console session, and whether the step-up is fresh (JOB-1b).
    User {
        /// The tenant.
        tenant: String,
        /// The user.
        user: String,
        /// Within `VALIDITY_SECONDS` of a step-up.
        stepped_up: bool,
    },
    /// An administrator of a tenant, in a console session.
    Admin {
        /// The tenant.
        tenant: String,
        /// The administrator.
        admin: String,
    },
    /// The schedule: nobody is signed in.
    Schedule,
    /// A registered operator, at the node's local endpoint.
    Operator,
    /// Anybody else at that endpoint.
    Stranger,
}

/// Who is at the other end, as the carrier has authenticated it (GEN-6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A program without a client certificate; or, as a receiver, the connection of the frame's exchange.
    Client,
    /// A device with the client certificate of this identity.
    Device(B32),
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
    /// The client of the custodian with this index.
    Custodian(u8),
    /// The sink that records alerts, outside custody.
    Alerts,
    /// A person.
    Person(Person),
}

/// Something that a role asked to be told of later. A timer may fire late or twice, and is then harmless.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The role was started: fires once after every start, before any frame.
    Started,
    /// The node's ceremony is out of time.
    Ceremony,
    /// The custodian's share is out of time.
    Share,
    /// The restorer's job is out of time.
    Job(B32),
    /// The authority did not answer a node that was opened.
    Wake,
    /// The alert sink did not answer.
    Alert(B32),
    /// The point's lease wants renewal, and what is new is to be told.
    Publish(Point),
    /// The leases are over that an acknowledgement waits for.
    Acknowledge,
}

/// What a role is given.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A frame, and who sent it.
    Frame {
        /// The sender, authenticated by the carrier.
        from: &'a Peer,
        /// The frame, decoded (GEN-5).
        frame: &'a Frame,
    },
    /// A timer fired.
    Timer(&'a Timer),
    /// A password was checked for a frame that asked for it.
    Checked {
        /// The sender of that frame.
        from: &'a Peer,
        /// That frame.
        frame: &'a Frame,
        /// How it ended.
        checked: &'a PasswordChecked,
    },
}

impl<'a> Input<'a> {
    /// The frame that this input answers in the end, and who sent it.
    fn answered(self) -> Option<(&'a Peer, &'a Frame)> {
        match self {
            Input::Frame { from, frame } | Input::Checked { from, frame, .. } => Some((from, frame)),
            Input::Timer(_) => None,
        }
    }
}

/// A password to be checked: the one effect that takes long (Argon2id, tens of milliseconds), so it is done outside the step.
pub struct PasswordCheck {
    /// The record of the password (GEN-29).
    pub record: Vec<u8>,
    /// What was typed.
    pub password: Zeroizing<Vec<u8>>,
}

/// How the check of a password ended.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordChecked {
    /// The record that it was checked against.
    pub record: Vec<u8>,
    /// Whether it matches.
    pub matches: bool,
}

impl PasswordCheck {
    /// Does the work: 19 MiB and two passes for a record of today.
    pub fn run(self) -> PasswordChecked {
        let matches = crate::crypto::password::matches(&self.record, &self.password);
        PasswordChecked { record: self.record, matches }
    }
}

impl std::fmt::Debug for PasswordChecked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.matches { "a password that matches" } else { "a password that does not match" })
    }
}

impl std::fmt::Debug for PasswordCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a password to be checked")
    }
}

/// What a step has from outside.
pub struct Context<'a> {
    /// Seconds on the clock of this role.
    pub now: u64,
    /// Randomness.
    pub rng: &'a mut dyn CryptoRng,
    /// The role's own store, to be read.
    pub store: &'a dyn Read,
    /// Bugs that a test switched on.
    pub quirks: Quirks,
}

/// A frame to be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub to: Peer,
    /// What.
    pub frame: Frame,
}

/// What a step leads to. First the batch is applied; only then frames leave and timers are set (GEN-8).
#[must_use = "a batch that is not applied and frames that are not carried are lost"]
#[derive(Debug)]
pub struct Effects {
    /// Accepted, or why not.
    pub verdict: Result<(), Refusal>,
    /// To be made durable before anything leaves, with the preconditions under which it holds. There is one (GEN-3).
    pub batch: Batch,
    /// To be carried after that.
    pub frames: Vec<Outgoing>,
    /// To be set after that: when, in seconds on the clock of this role, and what.
    pub timers: Vec<(u64, Timer)>,
    /// A password to be checked outside; its end is [`Input::Checked`], with the frame that asked for it.
    pub work: Option<PasswordCheck>,
}

/// How a handler ends.
pub type Done = Result<(), Refusal>;

/// A step under way: what it reads, writes and sends. What it read is the precondition of what it writes, so two workers
/// of one role cannot lose a write.
pub struct Step<'a> {
    /// Seconds on the clock of this role.
    pub now: u64,
    /// Randomness.
    pub rng: &'a mut dyn CryptoRng,
    /// Bugs that a test switched on.
    pub quirks: Quirks,
    store: &'a dyn Read,
    read: BTreeMap<Vec<u8>, Option<Record>>,
    changed: BTreeMap<Vec<u8>, Option<Record>>,
    frames: Vec<Outgoing>,
    timers: Vec<(u64, Timer)>,
    failed: Option<Refusal>,
    keeps: bool,
    exchange: Option<B32>,
    generation: Option<u64>,
    refusal: Option<Outgoing>,
    work: Option<PasswordCheck>,
}

impl<'a> Step<'a> {
    /// A step over a context.
    pub fn new(cx: Context<'a>) -> Self {
        Step {
            now: cx.now,
            rng: cx.rng,
            quirks: cx.quirks,
            store: cx.store,
            read: BTreeMap::new(),
            changed: BTreeMap::new(),
            frames: Vec::new(),
            timers: Vec::new(),
            failed: None,
            keeps: false,
            exchange: None,
            generation: None,
            refusal: None,
            work: None,
        }
    }

    /// The bytes of a record; none if there is none, or the store fails (which then fails the step, GEN-14).
    pub fn bytes(&mut self, name: impl AsRef<[u8]>) -> Option<Record> {
        let name = name.as_ref();
        if let Some(changed) = self.changed.get(name) {
            return changed.clone();
        }
        if let Some(read) = self.read.get(name) {
            return read.clone();
        }
        match self.store.get(name) {
            Ok(record) => {
                self.read.insert(name.to_vec(), record.clone());
                record
            }
            Err(StoreFailed { .. }) => {
                self.failed = Some(Refusal::StoreUnavailable);
                None
            }
        }
    }

    /// A record. One that does not decode fails the step: it is not a record that is absent.
    pub fn get<T: for<'b> Decode<'b, ()> + Encode<()>>(&mut self, name: impl AsRef<[u8]>) -> Option<T> {
        let bytes = self.bytes(name)?;
        match cbor::decode(&bytes, crate::store::RECORD_BYTES) {
            Ok(record) => Some(record),
            Err(_) => {
                self.damaged();
                None
            }
        }
    }

    /// The step met a record that is not what the role wrote: it is refused as a whole.
    pub fn damaged(&mut self) {
        // What a failing medium did not give is not damage.
        self.failed.get_or_insert(Refusal::StoreDamaged);
    }

    /// At most `limit` records whose names begin with `prefix`, from `from` on. They are not preconditions, and changes of this
    /// step are not among them.
    pub fn scan(&mut self, prefix: &[u8], from: &[u8], limit: usize) -> Vec<(Vec<u8>, Record)> {
        match self.store.scan(prefix, from, limit) {
            Ok(records) => records,
            Err(StoreFailed { .. }) => {
                self.failed = Some(Refusal::StoreUnavailable);
                Vec::new()
            }
        }
    }

    /// Writes a record.
    pub fn put<T: Encode<()>>(&mut self, name: impl AsRef<[u8]>, record: &T) {
        self.put_bytes(name, cbor::encode(record));
    }

    /// Writes a record of raw bytes.
    pub fn put_bytes(&mut self, name: impl AsRef<[u8]>, bytes: Vec<u8>) {
        self.changed.insert(name.as_ref().to_vec(), Some(bytes.into()));
    }

    /// Removes a record.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        self.changed.insert(name.as_ref().to_vec(), None);
    }

    /// Sends a frame in the exchange of the frame that is being answered.
    pub fn send(&mut self, to: Peer, body: Body) {
        let exchange = self.exchange;
        self.send_in(to, exchange, body);
    }

    /// Sends a frame in an exchange.
    pub fn send_in(&mut self, to: Peer, exchange: Option<B32>, body: Body) {
        let frame = Frame { exchange, generation: self.generation, body };
        self.frames.push(Outgoing { to, frame });
    }

    /// What the frames that follow say of the store's generation (NET-7).
    pub fn speak_for(&mut self, generation: u64) {
        self.generation = Some(generation);
    }

    /// The exchange of the frame that is being handled.
    pub fn exchange(&self) -> Option<B32> {
        self.exchange
    }

    /// Sets a timer.
    pub fn set_timer(&mut self, at: u64, timer: Timer) {
        self.timers.push((at, timer));
    }

    /// The end of a validity period that starts now (TIME-1).
    pub fn deadline(&self) -> u64 {
        self.now.saturating_add(limits::VALIDITY_SECONDS)
    }

    /// 32 fresh random bytes (GEN-11).
    pub fn fresh_id(&mut self) -> B32 {
        fresh_id(self.rng)
    }

    /// What was written so far holds even if the step is refused from here on.
    pub fn keep(&mut self) {
        self.keeps = true;
    }

    /// What is sent if the step is refused, in place of the role's usual answer.
    pub fn if_refused(&mut self, to: Peer, body: Body) {
        let frame = Frame { exchange: self.exchange, generation: self.generation, body };
        self.refusal = Some(Outgoing { to, frame });
    }

    /// Has a password checked outside the step; its completion is an input of its own.
    pub fn check_password(&mut self, check: PasswordCheck) {
        self.work = Some(check);
    }

    fn finish(mut self, verdict: Done) -> Effects {
        let verdict = match self.failed {
            Some(failed) => Err(failed),
            None => verdict,
        };
        if verdict.is_err() && (!self.keeps || self.failed.is_some()) {
            self.changed.clear();
            self.timers.clear();
        }
        let mut batch = Batch::default();
        // What a step says rests on what it read, all of it at one moment, though it writes nothing (GEN-8a).
        let says = verdict.is_ok() && !self.frames.is_empty() && !self.quirks.has(Quirk::ReadsUnbound);
        if !self.changed.is_empty() || says {
            for (name, record) in self.read {
                batch.expect(name, record);
            }
            for (name, record) in self.changed {
                match record {
                    Some(bytes) => batch.put(name, bytes),
                    None => batch.remove(name),
                }
            }
        }
        let frames = match verdict {
            Ok(()) => self.frames,
            // A step whose store failed has not happened, so nobody is told how it would have ended.
            Err(_) if self.failed.is_some() => Vec::new(),
            Err(_) => self.refusal.into_iter().collect(),
        };
        let work = self.work.filter(|_| verdict.is_ok());
        Effects { verdict, batch, frames, timers: self.timers, work }
    }
}

/// A role.
pub trait Role {
    /// What is gone when the role's process stops. A copy is cheap.
    type Memory: Clone + Default;

    /// Its place in the table of who may send what to whom.
    fn place(&self) -> crate::wire::Place;

    /// Its memory.
    fn memory(&mut self) -> &mut Self::Memory;

    /// Handles one input. The sender may send this kind to this role: that was checked.
    ///
    /// # Errors
    /// The first failed check. What the handler wrote is then dropped, unless it said [`Step::keep`].
    fn handle(&mut self, step: &mut Step<'_>, input: Input<'_>) -> Done;

    /// What the sender of a refused frame is told; none if nobody is told.
    fn answer(&self, from: &Peer, frame: &Frame, refusal: Refusal) -> Option<Outgoing> {
        let body = Body::Refusal { reason: refusal_code(refusal) };
        (!matches!(from, Peer::Alerts))
            .then(|| Outgoing { to: from.clone(), frame: Frame { exchange: frame.exchange, generation: None, body } })
    }

    /// The one entry point: one input, its effects. The caller is looked at first (GEN-7).
    fn step(&mut self, cx: Context<'_>, input: Input<'_>) -> Effects {
        let before = self.memory().clone();
        let mut step = Step::new(cx);
        let verdict = match input {
            Input::Frame { from, frame }
                if !frame.body.may_come(from, self.place()) && !step.quirks.has(Quirk::AnySender) =>
            {
                Err(Refusal::Unauthenticated)
            }
            Input::Frame { frame, .. } if !frame.body.names_fit() && !step.quirks.has(Quirk::NameOfAnyLength) => {
                Err(Refusal::Malformed)
            }
            Input::Frame { frame, .. } => {
                step.exchange = frame.exchange;
                self.handle(&mut step, input)
            }
            Input::Checked { frame, .. } => {
                step.exchange = frame.exchange;
                self.handle(&mut step, input)
            }
            Input::Timer(_) => self.handle(&mut step, input),
        };
        let generation = step.generation;
        if step.failed.is_some() {
            // What could not be read is not known to be absent, so nothing that was done because of it holds.
            *self.memory() = before;
        }
        let mut effects = step.finish(verdict);
        if let (Err(refusal), Some((from, frame))) = (effects.verdict, input.answered())
            && effects.frames.is_empty()
        {
            effects.frames.extend(self.answer(from, frame, refusal).map(|mut answer| {
                answer.frame.generation = generation;
                answer
            }));
        }
        effects
    }

    /// The process stopped: nothing in memory survives.
    fn restart(&mut self) {
        *self.memory() = Self::Memory::default();
    }
}

/// How often a step is tried again when another worker was faster.
const TRIES: usize = 8;

/// Runs one step of a role over its store: step, apply, and again if another worker wrote what the step had read. If the batch
/// is not applied, the role's memory is what it was.
///
/// # Errors
/// When the medium fails, or others were faster too often. Nothing of the step happened then.
pub fn run<R: Role>(
    role: &mut R,
    store: &mut dyn Store,
    now: u64,
    rng: &mut dyn CryptoRng,
    quirks: Quirks,
    input: Input<'_>,
) -> Result<Effects, NotApplied> {
    let before = role.memory().clone();
    let mut last = None;
    for _ in 0..TRIES {
        let effects = role.step(Context { now, rng, store: &*store, quirks }, input);
        if effects.batch.is_empty() {
            return Ok(effects);
        }
        match store.apply(&effects.batch) {
            Ok(()) => return Ok(effects),
            Err(not) => {
                *role.memory() = before.clone();
                let again = matches!(not, NotApplied::Conflict { .. });
                last = Some(not);
                if !again {
                    break;
                }
            }
        }
    }
    match last {
        Some(not) => Err(not),
        None => unreachable!("a step that is not applied says why"),
    }
}

/// The number of a refusal on the wire: its place in [`Refusal::ALL`] (GEN-10).
pub fn refusal_code(refusal: Refusal) -> u8 {
    Refusal::ALL.iter().position(|r| *r == refusal).map_or(u8::MAX, |at| at as u8)
}

/// 32 fresh random bytes.
pub fn fresh_id(rng: &mut dyn CryptoRng) -> B32 {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    B32::from(bytes)
}

impl Effects {
    /// A step that could not be applied: nothing happened.
    pub fn failed() -> Self {
        Effects {
            verdict: Err(Refusal::StoreUnavailable),
            batch: Batch::default(),
            frames: Vec::new(),
            timers: Vec::new(),
            work: None,
        }
    }
}
