//! The rig of these tests: a role with its store, its clock and its randomness, driven by frames and timers alone, and a house
//! of all roles with a network whose frames can be held back, lost and carried twice.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses a part of the rig")]

mod bug;
mod house;

use std::cell::RefCell;
use std::rc::Rc;

use bailee_core::cbor;
use bailee_core::crypto::labels;
use bailee_core::crypto::sign::Signing;
use bailee_core::machine::{Context, Effects, Input, Peer, Person, Role, Step, Timer, run};
use bailee_core::quirks::Quirks;
use bailee_core::store::{Batch, MemoryStore, NotApplied, RECORD_BYTES, Store};
use bailee_core::wire::{B32, Blob, Body, Frame, GrantBody, ReceiptBody};
use bailee_spec::outcome::Refusal;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

pub use bug::bug;
pub use house::{Flight, House, marked};

/// The person with the program in their hands.
pub const HOLDER: Peer = Peer::Person(Person::Holder);
/// The operator.
pub const OPERATOR: Peer = Peer::Person(Person::Operator);
/// The schedule.
pub const SCHEDULE: Peer = Peer::Person(Person::Schedule);

/// A user at a console, after a step-up.
pub fn user(tenant: &str, user: &str) -> Peer {
    Peer::Person(Person::User { tenant: tenant.into(), user: user.into(), stepped_up: true })
}

/// An administrator at a console.
pub fn admin(tenant: &str, admin: &str) -> Peer {
    Peer::Person(Person::Admin { tenant: tenant.into(), admin: admin.into() })
}

/// 32 bytes, all the same.
pub fn b32(byte: u8) -> B32 {
    B32::from([byte; 32])
}

/// What can be said: a body outside of any exchange, one in an exchange, or a whole frame.
pub trait Says {
    /// As a frame.
    fn frame(self) -> Frame;
}

impl Says for Frame {
    fn frame(self) -> Frame {
        self
    }
}

impl Says for Body {
    fn frame(self) -> Frame {
        Frame { exchange: None, generation: None, body: self }
    }
}

impl Says for (B32, Body) {
    fn frame(self) -> Frame {
        Frame { exchange: Some(self.0), generation: None, body: self.1 }
    }
}

/// What the keystore says in an exchange, of a store generation.
impl Says for (B32, u64, Body) {
    fn frame(self) -> Frame {
        Frame { exchange: Some(self.0), generation: Some(self.1), body: self.2 }
    }
}

/// A store that several workers or nodes may share.
pub type Shared = Rc<RefCell<MemoryStore>>;

/// A role at work: what a service has around it.
pub struct Desk<R> {
    /// The role.
    pub role: R,
    /// Its store.
    pub store: Shared,
    /// Its clock.
    pub now: u64,
    /// Its randomness.
    pub rng: ChaCha8Rng,
    /// The timers that it set.
    pub timers: Vec<(u64, Timer)>,
}

impl<R: Role> Desk<R> {
    /// A role over a store that begins with a batch.
    pub fn new(role: R, seed: u64, batch: &Batch) -> Self {
        let mut store = MemoryStore::default();
        store.apply(batch).unwrap();
        Desk::over(role, seed, Rc::new(RefCell::new(store)))
    }

    /// A role over a store that is there.
    pub fn over(role: R, seed: u64, store: Shared) -> Self {
        bug();
        Desk { role, store, now: 0, rng: ChaCha8Rng::seed_from_u64(seed), timers: Vec::new() }
    }

    /// One input, its batch applied.
    pub fn input(&mut self, input: Input<'_>) -> Effects {
        let mut store = self.store.borrow_mut();
        let effects = run(&mut self.role, &mut *store, self.now, &mut self.rng, Quirks::none(), input).unwrap();
        self.timers.extend(effects.timers.iter().cloned());
        effects
    }

    /// A frame, as it comes out of the carrier: from bytes, with its sender named. A password is checked at once.
    pub fn say(&mut self, from: &Peer, what: impl Says) -> Effects {
        let frame = carried(&what.frame());
        let mut effects = self.input(Input::Frame { from, frame: &frame });
        match effects.work.take() {
            Some(work) => self.input(Input::Checked { from, frame: &frame, checked: &work.run() }),
            None => effects,
        }
    }

    /// The verdict on a frame.
    pub fn verdict(&mut self, from: &Peer, what: impl Says) -> Result<(), Refusal> {
        self.say(from, what).verdict
    }

    /// A timer fires.
    pub fn fire(&mut self, timer: &Timer) -> Effects {
        self.input(Input::Timer(timer))
    }

    /// A step whose batch is not applied yet: what one of several workers has in its hands.
    pub fn step(&mut self, from: &Peer, what: impl Says) -> Effects {
        let frame = carried(&what.frame());
        let store = self.store.borrow();
        let cx = Context { now: self.now, rng: &mut self.rng, store: &*store, quirks: Quirks::none() };
        self.role.step(cx, Input::Frame { from, frame: &frame })
    }

    /// Applies what a step left.
    pub fn apply(&mut self, effects: &Effects) -> Result<(), NotApplied> {
        self.store.borrow_mut().apply(&effects.batch)
    }

    /// Looks at the store with the role's own eyes.
    pub fn peek<T>(&self, look: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let store = self.store.borrow();
        look(&mut Step::new(Context { now: self.now, rng: &mut rng, store: &*store, quirks: Quirks::none() }))
    }

    /// A copy of the store, which costs nothing.
    pub fn saved(&self) -> MemoryStore {
        self.store.borrow().clone()
    }

    /// Writes into the store past the role: what only somebody with the disk can do.
    pub fn write(&mut self, batch: &Batch) {
        self.store.borrow_mut().apply(batch).unwrap();
    }

    /// Refuses: with this refusal, the store as it was, no timer set, and nothing sent but that refusal.
    pub fn refuses(&mut self, from: &Peer, what: impl Says, why: Refusal, note: &str) {
        let saved = self.saved();
        let effects = self.say(from, what);
        assert_eq!(effects.verdict, Err(why), "{note}");
        assert!(self.saved().same(&saved), "{note}: the store changed");
        assert!(effects.timers.is_empty(), "{note}: a timer was set");
        for out in &effects.frames {
            assert!(tells_a_refusal(&out.frame.body), "{note}: {} was sent", out.frame.body.name());
        }
    }

    /// Accepts.
    pub fn accepts(&mut self, from: &Peer, what: impl Says, note: &str) {
        let _ = self.gives(from, what, note);
    }

    /// Accepts, and what that leads to.
    pub fn gives(&mut self, from: &Peer, what: impl Says, note: &str) -> Effects {
        let effects = self.say(from, what);
        assert_eq!(effects.verdict, Ok(()), "{note}");
        effects
    }
}

/// What may leave a role that refuses: the refusal, in the words that the receiver understands, or the decision that stands.
fn tells_a_refusal(body: &Body) -> bool {
    matches!(
        body,
        Body::Refusal { .. }
            | Body::KeystoreRefusal { .. }
            | Body::GrantRefused { .. }
            | Body::AlreadyEscrowed { .. }
            | Body::KeyReturned { .. }
    )
}

fn carried(frame: &Frame) -> Frame {
    cbor::decode(&cbor::encode(frame), RECORD_BYTES).unwrap()
}

/// The frame that was sent to a peer; there is one.
pub fn sent(effects: &Effects, to: &Peer) -> Frame {
    let frames: Vec<_> = effects.frames.iter().filter(|out| out.to == *to).collect();
    assert_eq!(frames.len(), 1, "to {to:?} went {frames:?}, verdict {:?}", effects.verdict);
    frames[0].frame.clone()
}

/// The body of the only frame that was sent.
pub fn said(effects: &Effects) -> Body {
    assert_eq!(effects.frames.len(), 1, "{:?}, verdict {:?}", effects.frames, effects.verdict);
    effects.frames[0].frame.body.clone()
}

/// The grant in a `ReleaseKey`.
pub fn granted(effects: &Effects) -> GrantBody {
    let Body::ReleaseKey { grant, .. } = said(effects) else { panic!("no grant: {effects:?}") };
    cbor::decode(&grant, 1 << 12).unwrap()
}

/// The wrapped share of a header, as custody has it.
pub fn wrapped(house: &mut House, header: &B32, index: u8) -> Blob {
    house.custody.peek(|step| bailee_core::roles::custody::wrapped(step, header, index)).unwrap()
}

/// What a custody that gives any share for any ceremony says.
pub fn share_for(announced: Body, wrapped: Blob) -> Body {
    let Body::Announce { ceremony, signature } = announced else { panic!("{announced:?}") };
    Body::ReleasedShare { wrapped, ceremony, signature }
}

/// A receipt of a keystore, and its signature.
pub fn receipt(keystore: &Signing, body: &ReceiptBody) -> (Blob, Blob) {
    signed(keystore, labels::SIGN_RECEIPT, body)
}

/// Any body, and a signature over it.
pub fn signed<T: minicbor::Encode<()>>(key: &Signing, label: &str, body: &T) -> (Blob, Blob) {
    let body = cbor::encode(body);
    let signature = key.sign(label, &body);
    (body.into(), signature.into())
}
