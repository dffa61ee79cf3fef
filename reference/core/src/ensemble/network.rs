//! The network: frames are carried, batches applied before they leave, timers fired. It has no opinion on what it carries.

use std::collections::VecDeque;
use std::sync::Arc;

use bailee_spec::action::Lane;
use bailee_spec::limits::MESSAGE_BYTES;
use bailee_spec::outcome::Refusal;
use rand_core::CryptoRng;

use super::{At, Ensemble, Flight, own};
use crate::cbor;
use crate::machine::{Effects, Input, Outgoing, Peer, Person, Role, Timer, run};
use crate::roles::keystore::Snapshot;
use crate::store::MemoryStore;
use crate::wire::{B32, Body, Frame};

pub(super) type Done = Result<(), Refusal>;

/// A frame to be delivered now.
pub(super) struct Carried {
    pub(super) from: Peer,
    pub(super) to: At,
    pub(super) frame: Frame,
}

/// No exchange of the protocol has more frames.
const FRAMES: usize = 512;

impl Ensemble {
    /// Gives one input to a role, applies its batch, sets its timers, and has its passwords checked. What leaves it is returned.
    pub(super) fn input(&mut self, at: At, input: Input<'_>, rng: &mut dyn CryptoRng) -> Effects {
        let effects = self.step(at, input, rng);
        self.set_timers(at, &effects);
        match (effects.work, input) {
            (Some(work), Input::Frame { from, frame }) => {
                let checked = work.run();
                let effects = self.step(at, Input::Checked { from, frame, checked: &checked }, rng);
                self.set_timers(at, &effects);
                effects
            }
            (work, _) => Effects { work, ..effects },
        }
    }

    fn set_timers(&mut self, at: At, effects: &Effects) {
        if !effects.timers.is_empty() {
            let timers = Arc::make_mut(&mut self.timers);
            for (due, timer) in &effects.timers {
                timers.retain(|(_, of, known)| *of != at || known != timer);
                timers.push((*due, at, timer.clone()));
            }
        }
    }

    fn step(&mut self, at: At, input: Input<'_>, rng: &mut dyn CryptoRng) -> Effects {
        let (now, quirks) = (self.clock(at), self.quirks);
        let mut go = Go { now, quirks, input, rng };
        let stores = &mut self.stores;
        match at {
            At::Authority => go.at(own(&mut self.authority), &mut stores.authority),
            At::Keystore(node) => go.at(own(&mut self.keystore[node as usize]), &mut stores.keystore),
            At::Storage => go.at(own(&mut self.storage), &mut stores.storage),
            At::Restorer => go.at(own(&mut self.restorer), &mut stores.restorer),
            At::Custody => go.at(own(&mut self.custody), &mut stores.custody),
            At::Custodian(i) => go.at(own(&mut self.custodians[i as usize]), &mut stores.custodians[i as usize]),
            At::Device(d) => go.at(own(&mut self.devices[d as usize]), &mut stores.devices[d as usize]),
        }
    }

    /// A role's process stops and starts again.
    pub(super) fn restart(&mut self, at: At, rng: &mut dyn CryptoRng) {
        match at {
            At::Authority => own(&mut self.authority).restart(),
            At::Keystore(node) => own(&mut self.keystore[node as usize]).restart(),
            At::Storage => own(&mut self.storage).restart(),
            At::Restorer => own(&mut self.restorer).restart(),
            At::Custody => own(&mut self.custody).restart(),
            At::Custodian(i) => own(&mut self.custodians[i as usize]).restart(),
            At::Device(d) => own(&mut self.devices[d as usize]).restart(),
        }
        // What a role does at its start it does alone: only the authority sends something then, and it is not restarted here.
        let _ = self.input(at, Input::Timer(&Timer::Started), rng);
    }

    /// Who a role is to the one that hears from it: a device shows its client certificate as soon as it has an identity.
    pub(super) fn peer(&self, at: At) -> Peer {
        match at {
            At::Authority => Peer::Authority,
            At::Keystore(node) => Peer::Keystore(node),
            At::Storage => Peer::Storage,
            At::Restorer => Peer::Restorer,
            At::Custody => Peer::Custody,
            At::Custodian(i) => Peer::Custodian(i + 1),
            At::Device(d) => self.device_disk(d).id().map_or(Peer::Client, Peer::Device),
        }
    }

    /// Where a peer runs; `client` is who is at the other end of the exchange.
    pub(super) fn place(&self, peer: &Peer, client: At) -> Option<At> {
        match peer {
            // Where a person asked a service, the person is the client, and reads the answer there.
            Peer::Client | Peer::Device(_) => {
                matches!(client, At::Device(_) | At::Custodian(_) | At::Restorer).then_some(client)
            }
            Peer::Authority => Some(At::Authority),
            Peer::Keystore(node) => Some(At::Keystore(*node)),
            Peer::Storage => Some(At::Storage),
            Peer::Restorer => Some(At::Restorer),
            Peer::Custody => Some(At::Custody),
            Peer::Custodian(index) => index.checked_sub(1).map(At::Custodian),
            Peer::Alerts | Peer::Person(_) => None,
        }
    }

    // Whole exchanges, without incident.

    /// An order of a person to a role, and all that follows from it. The first refusal is the outcome; what was sent is carried
    /// all the same.
    pub(super) fn order(&mut self, by: Peer, at: At, body: Body, rng: &mut dyn CryptoRng) -> Done {
        self.carry(Carried { from: by, to: at, frame: super::order(body) }, at, rng)
    }

    /// Carries a frame and all that follows. `client` is the client of its exchange.
    pub(super) fn carry(&mut self, first: Carried, client: At, rng: &mut dyn CryptoRng) -> Done {
        let effects = self.input(first.to, Input::Frame { from: &first.from, frame: &first.frame }, rng);
        let outcome = effects.verdict;
        let rest = self.carry_all(first.to, effects.frames, client, rng);
        outcome.and(rest)
    }

    /// Carries what left a role, and all that follows.
    pub(super) fn carry_all(&mut self, from: At, frames: Vec<Outgoing>, client: At, rng: &mut dyn CryptoRng) -> Done {
        let mut outcome = Ok(());
        let mut queue: VecDeque<(At, Outgoing)> = frames.into_iter().map(|frame| (from, frame)).collect();
        for _ in 0..FRAMES {
            let Some((from, outgoing)) = queue.pop_front() else { break };
            let Some(carried) = self.next_stop(from, outgoing, client, rng) else { continue };
            let effects = self.input(carried.to, Input::Frame { from: &carried.from, frame: &carried.frame }, rng);
            outcome = outcome.and(effects.verdict);
            queue.extend(effects.frames.into_iter().map(|frame| (carried.to, frame)));
        }
        outcome
    }

    /// Where a frame goes next. What waits for an action of its own is put by; what goes to people is read by them.
    fn next_stop(&mut self, from: At, out: Outgoing, client: At, rng: &mut dyn CryptoRng) -> Option<Carried> {
        let peer = self.peer(from);
        match (&out.to, &out.frame.body) {
            (Peer::Custodian(_), Body::NewShare { .. }) => {
                Arc::make_mut(&mut self.new_shares).push(out);
                None
            }
            (Peer::Storage, Body::Fetch { .. }) if from == At::Restorer => {
                self.fetching = Some(Arc::new(self.flight(peer, &out)));
                None
            }
            (Peer::Alerts, Body::Alert { id, .. }) => {
                let id = *id;
                let body = if self.alerts_up { Body::AlertRecorded { id } } else { Body::AlertFailed { id } };
                Some(Carried { from: Peer::Alerts, to: from, frame: super::order(body) })
            }
            (Peer::Person(Person::Operator), Body::Snapshot { snapshot }) => {
                self.snapshot = Some(snapshot.to_vec().into());
                let body = Body::SnapshotKept { digest: Snapshot::digest(snapshot) };
                Some(Carried { from: out.to, to: from, frame: super::order(body) })
            }
            (to, _) => {
                let _ = rng;
                let to = self.place(to, client)?;
                Some(Carried { from: peer, to, frame: out.frame })
            }
        }
    }

    pub(super) fn flight(&self, from: Peer, out: &Outgoing) -> Flight {
        Flight { from, to: out.to.clone(), bytes: cbor::encode(&out.frame).into() }
    }

    // Lanes: one frame at a time.

    pub(super) fn put(&mut self, lane: Lane, flight: Option<Flight>) {
        let slot = self.slot(lane);
        self.lanes[slot] = flight.map(Arc::new);
    }

    /// Who is the client of a lane.
    pub(super) fn client_of(lane: Lane) -> At {
        match lane {
            Lane::Device(d) | Lane::Late(d) => At::Device(d),
            Lane::Job | Lane::Point(_) | Lane::LatePoint(_) => At::Restorer,
        }
    }

    /// NET-2, NET-3, NET-13.
    pub(super) fn deliver(&mut self, lane: Lane, crash: bool, rng: &mut dyn CryptoRng) -> Done {
        let slot = self.slot(lane);
        let flight = self.lanes[slot].take().ok_or(Refusal::NothingInFlight)?;
        let client = Self::client_of(lane);
        let to = self.place(&flight.to, client).ok_or(Refusal::NothingInFlight)?;
        let frame: Frame = cbor::decode(&flight.bytes, MESSAGE_BYTES).map_err(|_| Refusal::Malformed)?;
        let effects = self.input(to, Input::Frame { from: &flight.from, frame: &frame }, rng);
        if crash {
            self.die(lane, to, rng);
            return effects.verdict;
        }
        for out in effects.frames {
            let next = self.place(&out.to, client);
            let work = matches!((&out.to, &out.frame.body), (Peer::Storage, Body::Fetch { .. }));
            let nobody = matches!(lane, Lane::Late(_)) && next == Some(client);
            if work {
                self.fetching = Some(Arc::new(self.flight(self.peer(to), &out)));
            } else if !nobody && next.is_some() {
                let flight = self.flight(self.peer(to), &out);
                self.put(lane, Some(flight));
            }
        }
        effects.verdict
    }

    fn die(&mut self, lane: Lane, receiver: At, rng: &mut dyn CryptoRng) {
        match (receiver, lane) {
            (At::Keystore(node), _) => self.restart(At::Keystore(node), rng),
            (At::Restorer | At::Storage, _) => self.restart(receiver, rng),
            _ => {}
        }
        if let Lane::Device(device) = lane {
            self.crash_device(device, rng);
        }
    }

    /// NET-5.
    pub(super) fn crash_device(&mut self, device: u8, rng: &mut dyn CryptoRng) {
        self.restart(At::Device(device), rng);
        let slot = self.slot(Lane::Device(device));
        let lost = self.lanes[slot].take();
        let late = self.slot(Lane::Late(device));
        let survives = |flight: &Arc<Flight>| !matches!(flight.to, Peer::Client | Peer::Device(_));
        if self.size.late && self.lanes[late].is_none() {
            self.lanes[late] = lost.filter(survives);
        }
    }

    // Timers.

    /// Fires what is due, except the authority's: publications, and what waits for them, are carried on their own.
    pub(super) fn fire_due(&mut self, rng: &mut dyn CryptoRng) {
        let by_messages = self.publication.is_some();
        let is_due =
            |(due, at, _): &(u64, At, Timer)| *due <= self.clock(*at) && !(by_messages && *at == At::Authority);
        let (due, waiting): (Vec<_>, Vec<_>) = self.timers.iter().cloned().partition(is_due);
        if due.is_empty() {
            return;
        }
        self.timers = Arc::new(waiting);
        for (_, at, timer) in due {
            if at != At::Authority {
                let effects = self.input(at, Input::Timer(&timer), rng);
                let _ = self.carry_all(at, effects.frames, at, rng);
            }
        }
    }

    /// Fires one timer of the authority; what it sends is carried if `carried` says so.
    pub(super) fn fire_authority(&mut self, timer: Timer, carried: bool, rng: &mut dyn CryptoRng) -> Done {
        let effects = self.input(At::Authority, Input::Timer(&timer), rng);
        let outcome = effects.verdict;
        if !carried {
            return outcome;
        }
        outcome.and(self.carry_all(At::Authority, effects.frames, At::Restorer, rng))
    }

    /// The exchange of a flight.
    pub(super) fn exchange_of(flight: &Flight) -> Option<B32> {
        cbor::decode::<Frame>(&flight.bytes, MESSAGE_BYTES).ok()?.exchange
    }
}

/// One step of some role.
struct Go<'a> {
    now: u64,
    quirks: crate::quirks::Quirks,
    input: Input<'a>,
    rng: &'a mut dyn CryptoRng,
}

impl Go<'_> {
    fn at<R: Role>(&mut self, role: &mut R, store: &mut MemoryStore) -> Effects {
        match run(role, store, self.now, self.rng, self.quirks, self.input) {
            Ok(effects) => effects,
            Err(_) => Effects::failed(),
        }
    }
}
