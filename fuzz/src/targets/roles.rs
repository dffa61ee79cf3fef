//! Roles that real things have happened to, and arbitrary frames from anybody, orders of anybody, and timers at any time.

use bailee_core::cbor;
use bailee_core::machine::{Effects, Input, Peer, Person, Timer};
use bailee_core::wire::{B32, Body, Frame, Place};
use bailee_services::{ADMIN, At, HEAD, tenant_of, user_of};
use bailee_spec::action::Point;
use bailee_spec::limits::MESSAGE_BYTES;
use bailee_spec::outcome::Refusal;

use super::front;
use super::wire::assert_named;
use crate::law;
use crate::stage::{Moment, STAGE};

/// The moment that two bytes name.
fn moment(choice: [u8; 2]) -> Moment {
    let history = &STAGE.history;
    history[usize::from(u16::from_be_bytes(choice)) % history.len()].0.clone()
}

/// Everybody who can be at the other end. The order is that of the corpus.
pub fn peers(world: &Moment) -> Vec<Peer> {
    let user = |number, stepped_up| Person::User { tenant: tenant_of(number), user: user_of(number), stepped_up };
    let admin = |tenant: String, admin: &str| Person::Admin { tenant, admin: admin.into() };
    let persons = [
        Person::Holder,
        user(0, true),
        user(0, false),
        user(1, true),
        admin(tenant_of(0), ADMIN),
        admin(tenant_of(0), HEAD),
        admin(tenant_of(1), ADMIN),
        Person::Schedule,
        Person::Operator,
        Person::Stranger,
    ];
    let mut peers = vec![Peer::Client, Peer::Device(B32::from([9; 32])), Peer::Alerts];
    peers.extend(world.places().into_iter().map(|at| world.peer(at)));
    peers.push(Peer::Keystore(1));
    peers.extend(persons.map(Peer::Person));
    peers
}

/// How much later than the moment it is, by one byte: at once, and around each period of the protocol.
fn later(choice: u8) -> u64 {
    [0, 1, 30, 59, 61, 598, 599, 600, 601, 1_201, 100_000][usize::from(choice) % 11]
}

/// The timers that a role may be told of, with an id of the caller's choice among them.
fn timers(world: &Moment, id: B32) -> Vec<Timer> {
    let mut timers = vec![Timer::Started, Timer::Ceremony, Timer::Share, Timer::Job(id), Timer::Alert(id)];
    timers.push(Timer::Acknowledge);
    timers.extend(Point::ALL.map(Timer::Publish));
    timers.extend(world.timers().iter().map(|(_, _, timer)| timer.clone()));
    timers
}

/// A place (one of the moment's).
fn place(world: &Moment, choice: u8) -> At {
    let places = world.places();
    places[usize::from(choice) % places.len()]
}

/// A moment (two bytes), how much later it is, a role and a sender (one byte each), and a frame; or, if the role's byte is odd
/// beyond the places, a timer. The input is given twice, and each time keeps the laws of `give`.
pub fn deliver(mut data: &[u8]) {
    let [first, second, after, to, by] = front(&mut data);
    let mut world = moment([first, second]);
    world.now += later(after);
    let at = place(&world, to & 0x7f);
    if to & 0x80 != 0 {
        let timers = timers(&world, B32::from(front(&mut data)));
        let timer = &timers[usize::from(by) % timers.len()];
        for _ in 0..2 {
            let _ = give(&mut world, at, Input::Timer(timer));
        }
        return;
    }
    let peers = peers(&world);
    let from = &peers[usize::from(by) % peers.len()];
    let Some(frame) = law::cbor::<Frame>(data, MESSAGE_BYTES) else { return };
    for _ in 0..2 {
        let _ = give_frame(&mut world, at, from, &frame);
    }
}

/// Gives a frame to a role, and the end of its password check if it asks for one. What leaves it is returned.
pub(crate) fn give_frame(world: &mut Moment, at: At, from: &Peer, frame: &Frame) -> Effects {
    let mut effects = give(world, at, Input::Frame { from, frame });
    if let Some(work) = effects.work.take() {
        let checked = work.run();
        effects = give(world, at, Input::Checked { from, frame, checked: &checked });
    }
    effects
}

/// One input, and the laws of any input: no panic; a refusal has a name and leaves the store as it was, unless a rule says that
/// it keeps something; a kind that may not come from there is refused whatever it says; what leaves is a frame; nothing that an
/// outsider sends makes it larger than its limit; and no secret is in it.
///
/// # Panics
/// When a law is broken.
pub(crate) fn give(world: &mut Moment, at: At, input: Input<'_>) -> Effects {
    let before = world.clone();
    let effects = world.input(at, input);
    let secrets = if effects.frames.is_empty() { Vec::new() } else { [before.secrets(), world.secrets()].concat() };
    let (from, body) = match input {
        Input::Frame { from, frame } | Input::Checked { from, frame, .. } => (Some(from), Some(&frame.body)),
        Input::Timer(_) => (None, None),
    };
    if let Err(refusal) = effects.verdict {
        assert_named(refusal);
        let unchanged = world.store(at).same(before.store(at));
        assert!(unchanged || keeps(at, body, refusal), "{refusal:?} changed the store of {at:?}");
    }
    if let (Some(from), Some(body)) = (from, body)
        && !body.may_come(from, place_of(at))
    {
        assert_eq!(effects.verdict, Err(Refusal::Unauthenticated));
        assert!(effects.frames.iter().all(|out| told_a_refusal(&out.frame.body)), "{:?}", effects.frames);
    }
    let said = body.map(cbor::encode).unwrap_or_default();
    for out in &effects.frames {
        let bytes = cbor::encode(&out.frame);
        assert_eq!(cbor::decode::<Frame>(&bytes, usize::MAX).as_ref(), Ok(&out.frame));
        assert!(
            bytes.len() <= out.frame.body.limit() || !from.is_none_or(is_outsider),
            "{} of {} bytes",
            out.frame.body.name(),
            bytes.len()
        );
        // What the sender said itself is not told by the role.
        let leaks = |secret: &[u8; 32]| contains(&bytes, secret) && !contains(&said, secret);
        assert!(!secrets.iter().any(leaks), "a secret in {} to {:?}", out.frame.body.name(), out.to);
    }
    effects
}

/// What tells a refusal, and nothing else.
fn told_a_refusal(body: &Body) -> bool {
    matches!(body, Body::Refusal { .. } | Body::KeystoreRefusal { .. } | Body::GrantRefused { .. })
}

/// The refusals after which something stays written, each by a rule.
fn keeps(at: At, body: Option<&Body>, refusal: Refusal) -> bool {
    match (at, body, refusal) {
        // ENR-2b: a wrong password is counted.
        (At::Authority, Some(Body::SignIn { .. }), Refusal::BadCredential) => true,
        // ENR-14: the escrow is a fact, whatever became of the device.
        (At::Authority, Some(Body::Receipt { .. }), Refusal::NotYourAttempt | Refusal::DeviceRevoked) => true,
        // JOB-10: a job whose key is of a former store is over.
        (At::Authority, Some(Body::SealedKey { .. }), Refusal::ReceiptInvalid) => true,
        // CER-4e: a code is spent, whatever becomes of the request.
        (At::Custody, Some(Body::RequestShare { .. }), Refusal::NoRestartPending) => true,
        // DIS-3e: a forged snapshot is given up.
        (At::Keystore(_), Some(Body::SubmitShare { .. }), Refusal::SnapshotDamaged) => true,
        _ => false,
    }
}

/// Anybody who is no service of the operator's.
fn is_outsider(peer: &Peer) -> bool {
    match peer {
        Peer::Client | Peer::Device(_) | Peer::Custodian(_) => true,
        Peer::Person(person) => !matches!(person, Person::Operator | Person::Schedule),
        _ => false,
    }
}

fn place_of(at: At) -> Place {
    match at {
        At::Authority => Place::Authority,
        At::Keystore(_) => Place::Keystore,
        At::Storage => Place::Storage,
        At::Restorer => Place::Restorer,
        At::Custody => Place::Custody,
        At::Custodian(_) => Place::Custodian,
        At::Device(_) => Place::Device,
    }
}

fn contains(bytes: &[u8], secret: &[u8; 32]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// The most things that one input has happen in [`hostile`].
pub const MOST_EVENTS: usize = 64;

/// A moment (two bytes), and what a hostile network does after it, four bytes each: frames that overtake others, are lost,
/// duplicated, altered, replayed from any time, or come from anybody to anybody; timers early, late and twice; restarts.
pub fn hostile(mut data: &[u8]) {
    let mut world = moment(front(&mut data));
    for event in data.as_chunks::<4>().0.iter().take(MOST_EVENTS) {
        happen(&mut world, *event);
    }
}

fn happen(world: &mut Moment, [what, one, two, three]: [u8; 4]) {
    let waiting = world.on_its_way().count();
    let chosen = usize::from(one) % waiting.max(1);
    let any = &STAGE.history[usize::from(u16::from_be_bytes([one, two])) % STAGE.history.len()].1;
    match what % 8 {
        0 => {
            if let Some(flight) = world.take_off(chosen) {
                arrive(world, flight.to, &flight.from, &flight.bytes, flight.client);
            }
        }
        1 => drop(world.take_off(chosen)),
        2 => {
            let twice = world.on_its_way().nth(chosen).cloned();
            if let Some(flight) = twice {
                arrive(world, flight.to, &flight.from, &flight.bytes, flight.client);
            }
        }
        3 => {
            if let Some(mut flight) = world.take_off(chosen) {
                let place = usize::from(u16::from_be_bytes([two, three])) % flight.bytes.len();
                flight.bytes[place] ^= 1 << (three % 8);
                arrive(world, flight.to, &flight.from, &flight.bytes, flight.client);
            }
        }
        4 => arrive(world, any.to, &any.from, &any.bytes, any.client),
        5 => {
            let (peers, at) = (peers(world), place(world, three & 15));
            let from = &peers[usize::from(three) % peers.len()];
            arrive(world, at, from, &any.bytes, any.client);
        }
        6 => {
            let timers = timers(world, B32::from([one; 32]));
            let (at, timer) = (place(world, one), &timers[usize::from(two) % timers.len()]);
            world.now += later(three);
            let effects = give(world, at, Input::Timer(timer));
            carry(world, at, &effects, at);
        }
        _ => world.restart(place(world, one)),
    }
}

/// The bytes of a frame arrive: they are a frame or nothing, and what follows from it is on its way.
fn arrive(world: &mut Moment, at: At, from: &Peer, bytes: &[u8], client: At) {
    let Ok(frame) = Frame::decode(bytes) else { return };
    let effects = give_frame(world, at, from, &frame);
    carry(world, at, &effects, client);
}

fn carry(world: &mut Moment, at: At, effects: &Effects, client: At) {
    for out in &effects.frames {
        world.carry(at, out, client);
    }
}
