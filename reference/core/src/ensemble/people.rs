//! The people: users, administrators, custodians and the operator, and what they order.

use std::sync::Arc;

use bailee_spec::action::{Asking, Caller, Condition, Handing, Lane, Point, Purpose, Requester};
use bailee_spec::observation::{CeremonyState, JobState, Person as Who};
use bailee_spec::outcome::Refusal;
use rand_core::CryptoRng;

use super::network::{Carried, Done};
use super::{ADMIN, At, Ensemble, HEAD, admin_at_console, password_of, tenant_name, user_at_console};
use crate::cbor;
use crate::machine::{Input, Peer, Person, Timer};
use crate::roles::authority::{self, JobRecord};
use crate::roles::custodian::Custodian;
use crate::roles::keystore;
use crate::wire::{B32, Body, CeremonyBody, Header, Roster, StandingChange};

/// A scalar that is nobody's share.
const WRONG: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

const HOLDER: Peer = Peer::Person(Person::Holder);
const OPERATOR: Peer = Peer::Person(Person::Operator);

impl Ensemble {
    // Users and their devices.

    fn user_of(&self, device: u8) -> u8 {
        device / self.size.devices_per_user
    }

    /// ENR-1: what the device sends is put in its lane.
    pub(super) fn sign_in(&mut self, device: u8, rng: &mut dyn CryptoRng) -> Done {
        self.lane_is_empty(device)?;
        let frame = super::order(Body::EnterPassword { password: password_of(self.user_of(device)).into() });
        let at = At::Device(device);
        let effects = self.input(at, Input::Frame { from: &HOLDER, frame: &frame }, rng);
        effects.verdict?;
        for out in effects.frames {
            let flight = self.flight(self.peer(at), &out);
            self.put(Lane::Device(device), Some(flight));
        }
        Ok(())
    }

    fn lane_is_empty(&self, device: u8) -> Done {
        if self.in_flight(Lane::Device(device)).is_some() { Err(Refusal::OutOfTurn) } else { Ok(()) }
    }

    /// An order of its user to a device that has nothing on its way.
    pub(super) fn tell_device(&mut self, device: u8, body: Body, rng: &mut dyn CryptoRng) -> Done {
        self.lane_is_empty(device)?;
        self.order(HOLDER, At::Device(device), body, rng)
    }

    /// BAK-2 with content of the caller's: what the device seals and storage keeps.
    ///
    /// # Errors
    /// The first failed check.
    pub fn append_content(&mut self, device: u8, content: &[u8], rng: &mut dyn CryptoRng) -> Result<(), Refusal> {
        self.order(HOLDER, At::Device(device), Body::BackUp { content: content.to_vec().into() }, rng)
    }

    /// REV-4.
    pub(super) fn contact(&mut self, device: u8, rng: &mut dyn CryptoRng) -> Done {
        if self.in_flight(Lane::Late(device)).is_some() {
            return Err(Refusal::OutOfTurn);
        }
        self.tell_device(device, Body::CheckIn, rng)
    }

    // People at consoles.

    /// Somebody who asks about a user.
    fn requester(&self, by: Requester, user: u8) -> Peer {
        let (tenant, name) = (self.size.tenant_of(user), self.size.name_of(user));
        let elsewhere = self.size.other_tenant_of(user).unwrap_or_else(|| "elsewhere".into());
        match by {
            Requester::Owner => user_at_console(tenant, name, true),
            Requester::OwnerWithoutStepUp => user_at_console(tenant, name, false),
            Requester::Neighbour => user_at_console(tenant, "neighbour".into(), true),
            Requester::Namesake => user_at_console(elsewhere, name, true),
            Requester::Admin => admin_at_console(tenant, ADMIN),
            Requester::ForeignAdmin => admin_at_console(elsewhere, ADMIN),
            Requester::Schedule => Peer::Person(Person::Schedule),
        }
    }

    pub(super) fn deauthorize(&mut self, device: u8, by: Requester, rng: &mut dyn CryptoRng) -> Done {
        let user = self.user_of(device);
        let id = self.device_disk(device).id().unwrap_or(B32::from([0; 32]));
        let body = Body::Deauthorize { tenant: self.size.tenant_of(user), user: self.size.name_of(user), device: id };
        self.order(self.requester(by, user), At::Authority, body, rng)
    }

    pub(super) fn set_standing(
        &mut self,
        user: u8,
        by: Requester,
        change: StandingChange,
        rng: &mut dyn CryptoRng,
    ) -> Done {
        let body = Body::SetStanding { tenant: self.size.tenant_of(user), user: self.size.name_of(user), change };
        self.order(self.requester(by, user), At::Authority, body, rng)
    }

    /// JOB-8.
    pub(super) fn set_right(&mut self, tenant: u8, restore: bool, rng: &mut dyn CryptoRng) -> Done {
        let tenant = tenant_name(tenant);
        let body = Body::SetRight { tenant: tenant.clone(), admin: ADMIN.into(), restore };
        self.order(admin_at_console(tenant, HEAD), At::Authority, body, rng)
    }

    // Jobs.

    /// JOB-1: what the authority sends is put in the job's lane.
    pub(super) fn request(&mut self, by: Requester, user: u8, rng: &mut dyn CryptoRng) -> Done {
        if self.in_flight(Lane::Job).is_some() {
            return Err(Refusal::LaneBusy);
        }
        let frame =
            super::order(Body::RequestJob { tenant: self.size.tenant_of(user), user: self.size.name_of(user) });
        let by = self.requester(by, user);
        let effects = self.input(At::Authority, Input::Frame { from: &by, frame: &frame }, rng);
        effects.verdict?;
        for out in effects.frames.iter().filter(|out| out.to == Peer::Restorer) {
            let flight = self.flight(Peer::Authority, out);
            self.put(Lane::Job, Some(flight));
        }
        Ok(())
    }

    /// The job under way, and whose it is.
    pub(super) fn job(&self) -> Option<(u8, B32, JobRecord)> {
        (0..self.size.users).find_map(|user| {
            let job = self.peek(At::Authority, |step| {
                authority::job_of(step, &self.size.tenant_of(user), &self.size.name_of(user))
            });
            job.map(|(id, job)| (user, id, job))
        })
    }

    pub(super) fn abort(&mut self, by: Requester, rng: &mut dyn CryptoRng) -> Done {
        let user = self.job().map_or(0, |(user, ..)| user);
        let body = Body::AbortJob { tenant: self.size.tenant_of(user), user: self.size.name_of(user) };
        self.order(self.requester(by, user), At::Authority, body, rng)
    }

    /// JOB-7: the order to end, which the authority repeats until it is obeyed.
    pub(super) fn deliver_abort(&mut self, rng: &mut dyn CryptoRng) -> Done {
        let ending = self.job().filter(|(_, _, job)| job.state_at(self.now) == JobState::Ending);
        let (_, id, _) = ending.ok_or(Refusal::NothingInFlight)?;
        self.fire_authority(Timer::Job(id), true, rng)
    }

    fn restorer_may_end(&self) -> Done {
        self.restorer.held().next().ok_or(Refusal::OutOfTurn)?;
        if self.in_flight(Lane::Job).is_some() { Err(Refusal::LaneBusy) } else { Ok(()) }
    }

    /// JOB-4: what the restorer asked of storage is carried, and what it then reports is put in the job's lane.
    pub(super) fn finish_job(&mut self, rng: &mut dyn CryptoRng) -> Done {
        self.restorer_may_end()?;
        let mut outcome = Err(Refusal::OutOfTurn);
        while let Some(flight) = self.fetching.take() {
            let frame = crate::cbor::decode(&flight.bytes, bailee_spec::limits::MESSAGE_BYTES);
            let frame = frame.map_err(|_| Refusal::Malformed)?;
            let answers = self.input(At::Storage, Input::Frame { from: &flight.from, frame: &frame }, rng).frames;
            for answer in answers {
                outcome = self.tell_restorer(&answer.frame, rng);
            }
        }
        outcome
    }

    /// JOB-5: storage fails, as far as the restorer can see.
    pub(super) fn fail_job(&mut self, rng: &mut dyn CryptoRng) -> Done {
        self.restorer_may_end()?;
        let exchange = self.fetching.take().and_then(|flight| Self::exchange_of(&flight));
        let reason = crate::machine::refusal_code(Refusal::StoreUnavailable);
        let mut frame = super::order(Body::Refusal { reason });
        frame.exchange = exchange;
        let _ = self.tell_restorer(&frame, rng);
        Ok(())
    }

    fn tell_restorer(&mut self, frame: &crate::wire::Frame, rng: &mut dyn CryptoRng) -> Done {
        let effects = self.input(At::Restorer, Input::Frame { from: &Peer::Storage, frame }, rng);
        for out in effects.frames {
            let flight = self.flight(Peer::Restorer, &out);
            match out.to {
                Peer::Storage => self.fetching = Some(Arc::new(flight)),
                _ => self.put(Lane::Job, Some(flight)),
            }
        }
        effects.verdict
    }

    // Custodians and the operator.

    pub(super) fn open_ceremony(&mut self, node: u8, purpose: Purpose, by: Caller, rng: &mut dyn CryptoRng) -> Done {
        let by = match by {
            Caller::Operator => OPERATOR,
            Caller::Stranger => Peer::Person(Person::Stranger),
        };
        let body = Body::OpenCeremony { rekey: purpose == Purpose::Rekey, roster: None };
        self.order(by, At::Keystore(node), body, rng)
    }

    /// Who a custodian is: one whose keys the header in force names, or not.
    pub(super) fn person(&self, custodian: u8) -> Who {
        let keys = self.custodians[custodian as usize].keys();
        let named = self.header().is_none_or(|header| header.custodians.contains(&keys));
        match (self.gone[custodian as usize], named) {
            (true, _) => Who::Gone,
            (false, true) => Who::Serving,
            (false, false) => Who::New,
        }
    }

    /// KEY-6: the one who acts is there and holds a share.
    fn serves(&self, custodian: u8) -> Done {
        if self.person(custodian) == Who::Serving { Ok(()) } else { Err(Refusal::OutOfTurn) }
    }

    /// KEY-6. An environment in which too few are left to open anything is not modelled.
    pub(super) fn lose_custodian(&mut self, custodian: u8, rng: &mut dyn CryptoRng) -> Done {
        self.serves(custodian)?;
        let serving = (0..self.size.custodians).filter(|other| self.person(*other) == Who::Serving).count();
        if serving <= usize::from(self.size.threshold) {
            return Err(Refusal::OutOfTurn);
        }
        self.gone[custodian as usize] = true;
        self.restart(At::Custodian(custodian), rng);
        Ok(())
    }

    /// KEY-7: the roster of a rekey, with new people in the place of those who are gone.
    pub(super) fn open_replacement(&mut self, node: u8, rng: &mut dyn CryptoRng) -> Done {
        let all = 0..self.size.custodians;
        if all.clone().all(|custodian| self.person(custodian) == Who::Serving) {
            return Err(Refusal::OutOfTurn);
        }
        let gone: Vec<u8> = all.clone().filter(|custodian| self.gone[*custodian as usize]).collect();
        let new: Vec<(u8, Custodian)> = gone
            .into_iter()
            .map(|custodian| (custodian, Custodian::generate(custodian + 1, self.keystore_key, rng)))
            .collect();
        let person = |custodian: u8| new.iter().find(|(of, _)| *of == custodian).map(|(_, person)| person.keys());
        let custodians = all.map(|custodian| {
            let present = || self.custodians[custodian as usize].keys();
            person(custodian).unwrap_or_else(present)
        });
        let roster = Roster { threshold: self.size.threshold, custodians: custodians.collect() };
        let body = Body::OpenCeremony { rekey: true, roster: Some(roster) };
        self.order(OPERATOR, At::Keystore(node), body, rng)?;
        for (custodian, person) in new {
            let authenticator = B32::from(person.authenticator());
            let place = custodian as usize;
            self.custodians[place] = Arc::new(person);
            self.stores.custodians[place] = crate::store::MemoryStore::default();
            (self.codes[place], self.gone[place]) = (1, false);
            self.order(OPERATOR, At::Custody, Body::SetLogin { index: custodian + 1, authenticator }, rng)?;
        }
        Ok(())
    }

    pub(super) fn announce(&mut self, node: u8, rng: &mut dyn CryptoRng) -> Done {
        let announced = self.peek(At::Keystore(node), |step| self.keystore[node as usize].announced(step));
        let (ceremony, signature) = announced.ok_or(Refusal::OutOfTurn)?;
        self.order(OPERATOR, At::Custody, Body::Announce { ceremony, signature }, rng)
    }

    /// The index of the next custodian in the roll.
    fn next_index(&self, custodian: u8) -> u8 {
        (custodian + 1) % self.size.custodians + 1
    }

    pub(super) fn request_share(&mut self, custodian: u8, node: u8, asking: Asking, rng: &mut dyn CryptoRng) -> Done {
        self.serves(custodian)?;
        let at = At::Custodian(custodian);
        let own_index = custodian + 1;
        let window = self.peek(At::Custody, |step| crate::roles::custody::window(step, node));
        let (index, code) = match asking {
            Asking::Honestly => {
                // A code that the client had no occasion to show stays unused.
                let code = Some(self.codes[custodian as usize]);
                self.codes[custodian as usize] += u64::from(window.is_some());
                // KEY-5a: the person has read the roster that is announced, and agrees to it.
                let announced =
                    window.and_then(|window| cbor::decode::<CeremonyBody>(&window.ceremony, usize::MAX).ok());
                let roster = announced.and_then(|body| body.roster).map(|roster| roster.digest());
                return self.order(HOLDER, at, Body::FetchShare { node, code, roster }, rng);
            }
            Asking::WithoutCode => (own_index, None),
            Asking::WithUsedCode => (own_index, Some(self.codes[custodian as usize] - 1)),
            Asking::ForAnother => (self.next_index(custodian), Some(self.codes[custodian as usize])),
        };
        // Somebody with the custodian's keys, and no honest client between.
        let ceremony = window.map_or(B32::from([0; 32]), |window| window.id);
        let frame = super::order(self.custodians[custodian as usize].request(&ceremony, index, node, code));
        self.carry(Carried { from: Peer::Custodian(own_index), to: At::Custody, frame }, at, rng)
    }

    fn header(&self) -> Option<Header> {
        self.peek(At::Keystore(0), keystore::header)
    }

    /// The ceremony that collects at a node.
    pub(super) fn collecting(&self, node: u8) -> Option<CeremonyBody> {
        self.peek(At::Keystore(node), |step| self.keystore[node as usize].collecting(step).cloned())
    }

    pub(super) fn ceremony_state(&self, node: u8) -> CeremonyState {
        self.peek(At::Keystore(node), |step| self.keystore[node as usize].ceremony_state(step))
    }

    /// The ceremony that collects at a node, or one that is nobody's.
    fn ceremony_at(&self, node: u8) -> CeremonyBody {
        self.collecting(node).unwrap_or_else(|| CeremonyBody {
            id: B32::from([0; 32]),
            node,
            rekey: false,
            recipient: self.custodians[0].keys().recipient,
            header: B32::from([0; 32]),
            share_epoch: 0,
            expiry: 0,
            number: 0,
            roster: None,
        })
    }

    pub(super) fn submit_share(
        &mut self,
        custodian: u8,
        node: u8,
        handing: Handing,
        rng: &mut dyn CryptoRng,
    ) -> Done {
        self.serves(custodian)?;
        if handing == Handing::Right {
            return self.hand_in(custodian, node, rng);
        }
        let ceremony = self.ceremony_at(node);
        let client = &self.custodians[custodian as usize];
        let index = custodian + 1;
        let packed = match handing {
            Handing::Right | Handing::Wrong => client.package(&ceremony, index, &WRONG, rng),
            Handing::AsAnother => client.package(&ceremony, self.next_index(custodian), &WRONG, rng),
            Handing::Retired => {
                let header = self.former_header.as_ref().ok_or(Refusal::OutOfTurn)?;
                let epoch = header.share_epoch;
                let wrapped =
                    self.peek(At::Custody, |step| crate::roles::custody::wrapped(step, &header.digest(), index));
                let value = client.unwrap(header, &wrapped.ok_or(Refusal::OutOfTurn)?)?;
                let retired = CeremonyBody { share_epoch: epoch, header: header.digest(), ..ceremony };
                client.package(&retired, index, &value, rng)
            }
        };
        let frame = super::order(packed.ok_or(Refusal::Malformed)?);
        let at = At::Custodian(custodian);
        self.carry(Carried { from: Peer::Custodian(index), to: At::Keystore(node), frame }, at, rng)
    }

    /// CER-5: the custodian hands over what the client holds. A share for a ceremony that still collects at another node stays; one
    /// for a ceremony that is over goes to the node that it was for.
    fn hand_in(&mut self, custodian: u8, node: u8, rng: &mut dyn CryptoRng) -> Done {
        let held = self.custodians[custodian as usize].holds_for().ok_or(Refusal::OutOfTurn)?;
        let (of, id) = (held.node, held.id);
        let elsewhere = of != node && self.collecting(of).is_some_and(|ceremony| ceremony.id == id);
        if elsewhere {
            return Err(Refusal::OutOfTurn);
        }
        let before = self.header();
        let done = self.order(HOLDER, At::Custodian(custodian), Body::HandIn { node: of }, rng);
        self.note_rekey(before);
        done
    }

    /// Keeps the header that a rekey replaced, for shares of the former epoch.
    fn note_rekey(&mut self, before: Option<Header>) {
        let now = self.header();
        if let (Some(before), Some(now)) = (before, now)
            && before.digest() != now.digest()
        {
            self.former_header = Some(Arc::new(before));
            self.new_shares = Arc::new(Vec::new());
        }
    }

    /// KEY-2, KEY-3.
    pub(super) fn ack_share(&mut self, custodian: u8, condition: Condition, rng: &mut dyn CryptoRng) -> Done {
        if self.person(custodian) == Who::Gone {
            return Err(Refusal::OutOfTurn);
        }
        let collecting = |node: &u8| self.ceremony_state(*node) == CeremonyState::RekeyAcks;
        let node = (0..self.size.nodes).find(collecting).ok_or(Refusal::OutOfTurn)?;
        let index = custodian + 1;
        let new = self.new_shares.iter().rev().find(|share| share.to == Peer::Custodian(index)).cloned();
        let mut frame = new.ok_or(Refusal::OutOfTurn)?.frame;
        if let (Condition::Damaged, Body::NewShare { wrapped, .. }) = (condition, &mut frame.body)
            && let Some(last) = wrapped.last_mut()
        {
            *last ^= 1;
        }
        let before = self.header();
        let at = At::Custodian(custodian);
        let done = self.carry(Carried { from: Peer::Keystore(node), to: at, frame }, at, rng);
        self.note_rekey(before);
        done
    }

    /// A ceremony by honest custodians, up to the threshold.
    fn hold_ceremony(&mut self, node: u8, purpose: Purpose, rng: &mut dyn CryptoRng) -> Done {
        self.open_ceremony(node, purpose, Caller::Operator, rng)?;
        self.announce(node, rng)?;
        for custodian in 0..self.size.threshold {
            self.request_share(custodian, node, Asking::Honestly, rng)?;
            self.submit_share(custodian, node, Handing::Right, rng)?;
        }
        self.order(OPERATOR, At::Custody, Body::CloseWindow { node }, rng)
    }

    /// CER-8.
    pub(super) fn unseal_together(&mut self, node: u8, rng: &mut dyn CryptoRng) -> Done {
        if !self.is_sealed(node) {
            return Err(Refusal::AlreadyUnsealed);
        }
        self.hold_ceremony(node, Purpose::Unseal, rng)
    }

    /// KEY-4.
    pub(super) fn rekey_together(&mut self, rng: &mut dyn CryptoRng) -> Done {
        if self.is_sealed(0) {
            return Err(Refusal::NotUnsealed);
        }
        self.hold_ceremony(0, Purpose::Rekey, rng)?;
        for custodian in 0..self.size.custodians {
            self.ack_share(custodian, Condition::Intact, rng)?;
        }
        Ok(())
    }

    // The operator's other orders, and the authority's publications.

    pub(super) fn take_snapshot(&mut self, rng: &mut dyn CryptoRng) -> Done {
        self.order(OPERATOR, At::Keystore(0), Body::TakeSnapshot, rng)
    }

    pub(super) fn stage_restore(&mut self, condition: Condition, rng: &mut dyn CryptoRng) -> Done {
        let mut bytes = self.snapshot.as_deref().map(<[u8]>::to_vec).unwrap_or_default();
        if let (Condition::Damaged, Some(last)) = (condition, bytes.last_mut()) {
            *last ^= 1;
        }
        self.order(OPERATOR, At::Keystore(0), Body::Stage { snapshot: bytes.into() }, rng)
    }

    pub(super) fn replay(&mut self, user: u8, rng: &mut dyn CryptoRng) -> Done {
        let body = Body::ReplayKey { tenant: self.size.tenant_of(user), user: self.size.name_of(user) };
        self.order(OPERATOR, At::Authority, body, rng)
    }

    /// REV-2, REV-3.
    pub(super) fn publish(&mut self, point: Point, rng: &mut dyn CryptoRng) -> Done {
        self.fire_authority(Timer::Publish(point), true, rng)
    }
}
