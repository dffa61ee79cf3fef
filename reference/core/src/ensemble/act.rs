//! One action of the alphabet, carried out by the roles themselves.

use bailee_spec::action::{Action, Lane, Point};
use bailee_spec::limits::{RESTORER_MARGIN_SECONDS, VALIDITY_SECONDS};
use bailee_spec::observation::Standing;
use bailee_spec::outcome::{Outcome, Refusal};
use rand_core::CryptoRng;

use super::{Ensemble, Receiver, name_of, own, receiver, tenant_of};
use crate::roles::keystore::Snapshot;
use crate::wire::{B32, Frame};

pub(super) type Done = Result<(), Refusal>;

impl Ensemble {
    /// Carries the action out.
    pub fn act(&mut self, action: Action, rng: &mut dyn CryptoRng) -> Outcome {
        match self.carry_out(action, rng) {
            Ok(()) => Outcome::Accepted,
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn carry_out(&mut self, action: Action, rng: &mut dyn CryptoRng) -> Done {
        match action {
            Action::Publish { .. }
            | Action::Tick { .. }
            | Action::Duplicate { .. }
            | Action::Drop { .. }
            | Action::Deliver { lane: Lane::Point(_) | Lane::LatePoint(_) }
            | Action::DeliverThenCrash { lane: Lane::Point(_) | Lane::LatePoint(_) } => {
                Err(Refusal::NotInThisProfile)
            }
            Action::Deliver { lane } => self.deliver(lane, false, rng),
            Action::DeliverThenCrash { lane } => self.deliver(lane, true, rng),
            Action::DropLate { device } => {
                self.in_flight(Lane::Late(device)).ok_or(Refusal::NothingInFlight)?;
                self.put(Lane::Late(device), None);
                Ok(())
            }
            Action::CrashDevice { device } => {
                self.crash_device(device);
                Ok(())
            }
            Action::CrashRestorer => {
                own(&mut self.restorer).purge();
                Ok(())
            }
            Action::Restart { node } | Action::Seal { node } => {
                own(&mut self.keystore).restart(node);
                Ok(())
            }
            Action::Advance => {
                self.advance();
                Ok(())
            }
            Action::SignIn { device } => self.sign_in(device),
            Action::OpenBackup { device } => self.open_backup(device, rng),
            Action::Append { device } => self.append(device, rng),
            Action::Fetch { device } => self.fetch(device),
            Action::Contact { device } => self.contact(device),
            Action::ReEscrow { device } => self.re_escrow(device, rng),
            Action::Deauthorize { device, by } => {
                let id = self.devices[device as usize].id();
                let unknown = B32::from([0; 32]);
                let cx = self.context(rng);
                let batch = self.authority.deauthorize(&cx, &id.unwrap_or(unknown), by)?;
                own(&mut self.authority).disk.commit(batch);
                Ok(())
            }
            Action::PublishTogether { point } => self.publish(point, rng),
            Action::Suspend { user } => self.change_user(user, |authority, t, u| authority.suspend(t, u)),
            Action::Resume { user } => self.change_user(user, |authority, t, u| authority.resume(t, u)),
            Action::Deactivate { user } => {
                let cx = self.context(rng);
                let batch = self.authority.deactivate(&cx, &tenant_of(user), &name_of(user))?;
                own(&mut self.authority).disk.commit(batch);
                Ok(())
            }
            Action::Reactivate { user } => self.change_user(user, |authority, t, u| authority.reactivate(t, u)),
            Action::Purge { user } => self.change_user(user, |authority, t, u| authority.purge(t, u)),
            Action::WithdrawRight => {
                let batch = self.authority.withdraw_right(self.now)?;
                own(&mut self.authority).disk.commit(batch);
                Ok(())
            }
            Action::GrantRight => {
                let batch = self.authority.grant_right();
                own(&mut self.authority).disk.commit(batch);
                Ok(())
            }
            Action::Request { by, user } => self.request(by, user, rng),
            Action::Abort => {
                let batch = self.authority.abort(self.now)?;
                own(&mut self.authority).disk.commit(batch);
                Ok(())
            }
            Action::DeliverAbort => self.deliver_abort(rng),
            Action::FinishJob => self.finish_job(rng),
            Action::FailJob => self.fail_job(rng),
            Action::OpenCeremony { node, purpose, by } => {
                let mut cx = self.context(rng);
                own(&mut self.keystore).open_ceremony(&mut cx, node, purpose, by).map(|_| ())
            }
            Action::Announce { node } => self.announce(node, rng),
            Action::RequestShare { custodian, node, asking } => self.request_share(custodian, node, asking, rng),
            Action::SubmitShare { custodian, node, handing } => self.submit_share(custodian, node, handing, rng),
            Action::AckShare { custodian, condition } => self.ack_share(custodian, condition, rng),
            Action::AlertSink { up } => {
                self.alerts_up = up;
                Ok(())
            }
            Action::UnsealTogether { node } => self.unseal_together(node, rng),
            Action::RekeyTogether => self.rekey_together(rng),
            Action::Snapshot => self.take_snapshot(),
            Action::StageRestore { condition } => self.stage_restore(condition, rng),
            Action::Replay { user } => self.replay(user, rng),
            // What an adversary copies is not the system's business; who watches it keeps the loot.
            Action::ReadHost { node } => self.keystore.opened(node).map(|_| ()).ok_or(Refusal::Sealed),
            Action::CorruptCustodian { .. } => Ok(()),
            Action::StealSnapshot => self.snapshot.as_ref().map(|_| ()).ok_or(Refusal::SnapshotUnknown),
        }
    }

    // The network.

    /// NET-2, NET-3.
    fn deliver(&mut self, lane: Lane, crash: bool, rng: &mut dyn CryptoRng) -> Done {
        let frame = self.in_flight(lane).ok_or(Refusal::NothingInFlight)?;
        let to = receiver(frame.body.kind());
        let mut cx = self.context(rng);
        let effects = match (to, lane) {
            (Receiver::Authority, _) => {
                let effects = self.authority.step(&mut cx, &frame);
                if !effects.batch.is_empty() {
                    own(&mut self.authority).disk.commit(effects.batch.clone());
                }
                effects
            }
            (Receiver::Keystore, _) => {
                let keystore = own(&mut self.keystore);
                let effects = keystore.step(&mut cx, &frame);
                keystore.disk.commit(effects.batch.clone());
                effects
            }
            (Receiver::Client, Lane::Job | Lane::Point(_) | Lane::LatePoint(_)) => {
                own(&mut self.restorer).step(&mut cx, &frame)
            }
            (Receiver::Client, Lane::Device(d) | Lane::Late(d)) => {
                let device = own(&mut self.devices[d as usize]);
                let effects = device.step(&mut cx, &frame);
                device.disk.commit(effects.batch.clone());
                effects
            }
        };
        let generation = (to == Receiver::Keystore).then(|| self.keystore.generation());
        let exchange = effects.opens.or(frame.exchange);
        let next = effects.send.map(|body| Frame { exchange, generation, body });
        let nobody = |frame: &Frame| matches!(lane, Lane::Late(_)) && receiver(frame.body.kind()) == Receiver::Client;
        self.put(lane, next.filter(|frame| !crash && !nobody(frame)));
        if crash {
            self.die(lane, to);
        }
        effects.verdict
    }

    fn die(&mut self, lane: Lane, receiver: Receiver) {
        match (receiver, lane) {
            (Receiver::Keystore, _) => own(&mut self.keystore).restart(0),
            (Receiver::Client, Lane::Job) => own(&mut self.restorer).purge(),
            _ => {}
        }
        if let Lane::Device(device) = lane {
            self.crash_device(device);
        }
    }

    /// NET-5.
    fn crash_device(&mut self, device: u8) {
        own(&mut self.devices[device as usize]).restart();
        let lost = self.in_flight(Lane::Device(device));
        self.put(Lane::Device(device), None);
        let survives = |frame: &Frame| receiver(frame.body.kind()) != Receiver::Client;
        if self.size.late && lost.as_ref().is_some_and(survives) && self.in_flight(Lane::Late(device)).is_none() {
            self.put(Lane::Late(device), lost);
        }
    }

    /// TIME-1.
    fn advance(&mut self) {
        self.now += VALIDITY_SECONDS - RESTORER_MARGIN_SECONDS + 1;
        own(&mut self.restorer).purge();
        self.now += RESTORER_MARGIN_SECONDS;
        let now = self.now;
        own(&mut self.keystore).expire(now);
        for custodian in &mut self.custodians {
            if custodian.holds_for().is_some() {
                own(custodian).expire();
            }
        }
        self.heartbeat();
        let batch = self.authority.acknowledge(now);
        own(&mut self.authority).disk.commit(batch);
    }

    /// The leases of the points that know all revocations are renewed.
    fn heartbeat(&mut self) {
        let (now, epoch) = (self.now, self.authority.totals().epoch);
        if self.keystore.mark() == epoch {
            let batch = self.keystore.renew_lease(now);
            own(&mut self.keystore).disk.commit(batch);
            self.confirm(Point::Keystore);
        }
        if self.storage.mark().0 == epoch {
            let batch = self.storage.hear(now, epoch, &[]);
            own(&mut self.storage).disk.commit(batch);
            self.confirm(Point::Storage);
        }
        if self.restorer.mark().0 == epoch {
            let batch = self.restorer.hear(now, epoch);
            own(&mut self.restorer).disk.commit(batch);
            self.confirm(Point::Restorer);
        }
    }

    fn confirm(&mut self, point: Point) {
        let batch = self.authority.confirmed(self.now, point);
        own(&mut self.authority).disk.commit(batch);
    }

    // The device and its user.

    fn sign_in(&mut self, device: u8) -> Done {
        if self.in_flight(Lane::Device(device)).is_some() {
            return Err(Refusal::OutOfTurn);
        }
        let body = own(&mut self.devices[device as usize]).sign_in()?;
        self.put(Lane::Device(device), Some(Frame { exchange: None, generation: None, body }));
        Ok(())
    }

    /// BAK-1: the device is at rest, with nothing in its lane, and has a key.
    fn may_ask(&self, device: u8) -> Result<B32, Refusal> {
        if self.in_flight(Lane::Device(device)).is_some() {
            return Err(Refusal::OutOfTurn);
        }
        self.devices[device as usize].may_ask()
    }

    fn open_backup(&mut self, device: u8, rng: &mut dyn CryptoRng) -> Done {
        let id = self.may_ask(device)?;
        let (body, signature) = self.authority.open_backup(&self.context(rng), &id)?;
        own(&mut self.devices[device as usize]).take_capability(body, signature);
        Ok(())
    }

    fn append(&mut self, device: u8, rng: &mut dyn CryptoRng) -> Done {
        self.append_content(device, b"a backup set", rng)
    }

    /// BAK-2 with content of the caller's: what the device seals and storage keeps.
    ///
    /// # Errors
    /// The first failed check.
    pub fn append_content(&mut self, device: u8, content: &[u8], rng: &mut dyn CryptoRng) -> Result<(), Refusal> {
        let mut cx = self.context(rng);
        let upload = self.devices[device as usize].upload(&mut cx, content)?;
        let batch = self.storage.append(&cx, &upload.capability, &upload.signature, &upload.block)?;
        own(&mut self.storage).disk.commit(batch);
        Ok(())
    }

    fn fetch(&self, device: u8) -> Done {
        let id = self.may_ask(device)?;
        let user = self.authority.may_fetch(self.now, &id)?;
        self.storage.in_lease(self.now)?;
        let blocks = self.storage.blocks(&user.tenant, &user.user);
        if blocks.is_empty() {
            return Err(Refusal::NothingStored);
        }
        let device = &self.devices[device as usize];
        let all_open = blocks.iter().all(|block| device.read(block).is_some());
        if all_open { Ok(()) } else { Err(Refusal::CommitmentMismatch) }
    }

    fn contact(&mut self, device: u8) -> Done {
        let busy = [Lane::Device(device), Lane::Late(device)].iter().any(|lane| self.in_flight(*lane).is_some());
        let Some(id) = self.devices[device as usize].id().filter(|_| !busy) else { return Err(Refusal::OutOfTurn) };
        let order = self.authority.wipe_order(self.now, &id);
        if let Some(order) = order
            && !self.quirks.has(crate::quirks::Quirk::NoWipe)
        {
            let device = own(&mut self.devices[device as usize]);
            let batch = device.obey(&order).ok_or(Refusal::BadSignature)?;
            device.disk.commit(batch);
        }
        Ok(())
    }

    fn re_escrow(&mut self, device: u8, rng: &mut dyn CryptoRng) -> Done {
        let id = self.may_ask(device)?;
        let (_, user) = self.authority.serves(self.now, &id)?;
        let keyring = self.keystore.opened(0).ok_or(Refusal::Sealed)?.keyring.clone();
        let intake = B32::from(keyring.intake.public());
        let mut cx = self.context(rng);
        let escrow = self.devices[device as usize].escrow_again(&mut cx, &intake)?;
        let logged = user.enrolled.unwrap_or(B32::from([0; 32]));
        self.take_back(&user.tenant, &user.user, &escrow, logged, rng)
    }

    fn take_back(&mut self, tenant: &str, user: &str, escrow: &[u8], logged: B32, rng: &mut dyn CryptoRng) -> Done {
        let log = self.authority.log();
        let entry = log.iter().find(|entry| entry.tenant == tenant && entry.user == user);
        let entry = entry.ok_or(Refusal::NoAccount)?;
        let mut cx = self.context(rng);
        let batch = self.keystore.take_back(&mut cx, entry, escrow, logged)?;
        own(&mut self.keystore).disk.commit(batch);
        Ok(())
    }

    fn replay(&mut self, user: u8, rng: &mut dyn CryptoRng) -> Done {
        let (tenant, name) = (tenant_of(user), name_of(user));
        let (kept, logged) = self.authority.kept(&tenant, &name)?;
        self.take_back(&tenant, &name, &kept, logged, rng)
    }

    // Rights.

    fn change_user(
        &mut self,
        user: u8,
        change: impl Fn(&crate::roles::authority::Authority, &str, &str) -> Result<crate::disk::Batch, Refusal>,
    ) -> Done {
        let batch = change(&self.authority, &tenant_of(user), &name_of(user))?;
        own(&mut self.authority).disk.commit(batch);
        Ok(())
    }

    /// REV-2, REV-3.
    fn publish(&mut self, point: Point, rng: &mut dyn CryptoRng) -> Done {
        let epoch = self.authority.totals().epoch;
        let log = self.authority.log();
        let mut cx = self.context(rng);
        match point {
            Point::Keystore => {
                self.keystore.opened(0).ok_or(Refusal::Sealed)?;
                let keystore = own(&mut self.keystore);
                let batch = keystore.hear(&mut cx, epoch, &log)?;
                keystore.disk.commit(batch);
            }
            Point::Storage => {
                let purged: Vec<(String, String)> = log
                    .into_iter()
                    .filter(|entry| entry.standing == Standing::Purged)
                    .map(|entry| (entry.tenant, entry.user))
                    .collect();
                let batch = self.storage.hear(self.now, epoch, &purged);
                own(&mut self.storage).disk.commit(batch);
            }
            Point::Restorer => {
                let batch = self.restorer.hear(self.now, epoch);
                own(&mut self.restorer).disk.commit(batch);
            }
        }
        self.confirm(point);
        let batch = self.authority.acknowledge(self.now);
        own(&mut self.authority).disk.commit(batch);
        Ok(())
    }

    // Jobs.

    fn request(&mut self, by: bailee_spec::action::Requester, user: u8, rng: &mut dyn CryptoRng) -> Done {
        if self.in_flight(Lane::Job).is_some() {
            return Err(Refusal::LaneBusy);
        }
        let mut cx = self.context(rng);
        let effects = self.authority.request(&mut cx, by, &tenant_of(user), &name_of(user))?;
        own(&mut self.authority).disk.commit(effects.batch);
        let frame = effects.send.map(|body| Frame { exchange: effects.opens, generation: None, body });
        self.put(Lane::Job, frame);
        Ok(())
    }

    fn deliver_abort(&mut self, rng: &mut dyn CryptoRng) -> Done {
        let job = self.authority.ending_job(self.now).ok_or(Refusal::NothingInFlight)?;
        let cx = self.context(rng);
        own(&mut self.restorer).abort(&cx);
        let batch = self.authority.job_ended(&job);
        own(&mut self.authority).disk.commit(batch);
        Ok(())
    }

    /// JOB-4, JOB-5: the restorer holds a key and nothing is on its way.
    fn restorer_may_end(&self) -> Done {
        self.restorer.held().ok_or(Refusal::OutOfTurn)?;
        if self.in_flight(Lane::Job).is_some() { Err(Refusal::LaneBusy) } else { Ok(()) }
    }

    fn finish_job(&mut self, rng: &mut dyn CryptoRng) -> Done {
        self.restorer_may_end()?;
        let owner = self.restorer.held().map(|(_, owner)| owner.clone()).ok_or(Refusal::OutOfTurn)?;
        let blocks = self.storage.in_lease(self.now).map(|()| self.storage.blocks(&owner.tenant, &owner.user));
        let cx = self.context(rng);
        let (outcome, body) = own(&mut self.restorer).finish(&cx, blocks);
        self.put_job_end(body);
        outcome
    }

    fn fail_job(&mut self, rng: &mut dyn CryptoRng) -> Done {
        self.restorer_may_end()?;
        let cx = self.context(rng);
        let body = own(&mut self.restorer).fail(&cx);
        self.put_job_end(body);
        Ok(())
    }

    fn put_job_end(&mut self, body: crate::wire::Body) {
        let exchange = self.authority.totals().job;
        self.put(Lane::Job, Some(Frame { exchange, generation: None, body }));
    }

    // Snapshots.

    fn take_snapshot(&mut self) -> Done {
        let (bytes, covered) = self.keystore.snapshot(&self.users())?;
        let batch = self.authority.witness(Snapshot::digest(&bytes), &covered);
        own(&mut self.authority).disk.commit(batch);
        self.snapshot = Some(bytes.into());
        Ok(())
    }

    fn stage_restore(&mut self, condition: bailee_spec::action::Condition, rng: &mut dyn CryptoRng) -> Done {
        let mut bytes = self.snapshot.as_deref().map(<[u8]>::to_vec);
        if condition == bailee_spec::action::Condition::Damaged
            && let Some(last) = bytes.as_mut().and_then(|bytes| bytes.last_mut())
        {
            *last ^= 1;
        }
        let witnessed = self.authority.totals().snapshot;
        let cx = self.context(rng);
        let batch = self.keystore.stage(&cx, bytes.as_deref(), witnessed)?;
        own(&mut self.keystore).disk.commit(batch);
        Ok(())
    }
}
