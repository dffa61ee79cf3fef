//! Enrolment and replacement (ENR, REP), role by role, with the job's part of the release (JOB-2, JOB-3).

use bailee_spec::action::{Device, Lane, Point, User};
use bailee_spec::observation::{AccountState, Attempt, DeviceState, Disk, JobState, Message, Program, Standing};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::publication::FRESH_END;
use super::step::{Check, Reaction, Turn};
use super::world::{Key, NO_KEY};

fn accept(message: Message, key: Key) -> Reaction {
    Reaction { outcome: Ok(()), next: Some((message, key)) }
}

fn refuse(refusal: Refusal, answer: Option<Message>) -> Reaction {
    Reaction { outcome: Err(refusal), next: answer.map(|message| (message, NO_KEY)) }
}

fn answer(check: Check, yes: Message, key: Key, no: Message) -> Reaction {
    match check {
        Ok(()) => accept(yes, key),
        Err(refusal) => refuse(refusal, Some(no)),
    }
}

fn device_of(lane: Lane) -> Option<usize> {
    match lane {
        Lane::Device(d) | Lane::Late(d) => Some(d as usize),
        Lane::Job | Lane::Point(_) | Lane::LatePoint(_) => None,
    }
}

impl<const U: usize, const N: usize> Turn<'_, U, N> {
    // The authority.

    pub(super) fn at_authority(&mut self, lane: Lane, message: Message) -> Reaction {
        let Some(d) = device_of(lane) else { return self.at_authority_for_job(message) };
        let device = d as Device;
        let user = self.rules.user_of(device);
        let key = self.w.lane(lane).key;
        match message {
            Message::SignIn => self.authority_opens_session(lane, user),
            Message::BeginEnrolment => {
                answer(self.authority_begins(lane, device), Message::OpenEnrolment, NO_KEY, Message::Refusal)
            }
            Message::EnrolmentOpened => self.relay(lane, Message::Nonce, NO_KEY),
            Message::PresentCertificate => {
                answer(self.authority_admits(lane, device), Message::CreateAccount, NO_KEY, Message::Refusal)
            }
            Message::AccountCreated => self.relay(lane, Message::Admission, NO_KEY),
            Message::EscrowKey => self.authority_relays_escrow(device, key),
            Message::Receipt => self.authority_takes_receipt(lane, device, key),
            Message::AlreadyEscrowed => self.authority_learns_of_escrow(lane, device, key),
            Message::AddDevice => {
                answer(self.authority_adds(lane, device), Message::ReleaseKey, NO_KEY, Message::Refusal)
            }
            Message::ConsumeGrant => {
                answer(self.authority_consumes(lane, device), Message::GrantConsumed, NO_KEY, Message::GrantRefused)
            }
            Message::SealedKey => {
                answer(self.authority_passes_key(lane, device), Message::KeyDelivery, key, Message::Refusal)
            }
            Message::KeystoreRefusal => accept(Message::Refusal, NO_KEY),
            _ => refuse(Refusal::Malformed, None),
        }
    }

    /// ENR-6, ENR-10: a reply of the keystore goes on to the device.
    fn relay(&self, lane: Lane, to: Message, key: Key) -> Reaction {
        answer(self.of_this_store(lane), to, key, Message::Refusal)
    }

    /// DIS-3.
    pub(super) fn of_this_store(&self, lane: Lane) -> Check {
        if self.w.lane(lane).outdated && !self.rules.has(Mutation::ReceiptOutlivesStore) {
            return Err(Refusal::ReceiptInvalid);
        }
        Ok(())
    }

    /// ENR-2.
    fn authority_opens_session(&mut self, lane: Lane, user: User) -> Reaction {
        let check = self.in_good_standing(user);
        if check.is_ok() {
            self.w.lane_mut(lane).live = true;
            self.validate(lane);
        }
        answer(check, Message::SessionOpened, self.w.users[user as usize].enrolled, Message::Refusal)
    }

    /// TIME-2: the lane's session, or the job's grant, has a validity period from now. A device's grant ends with its session.
    fn validate(&mut self, lane: Lane) {
        if self.rules.publication {
            self.w.lane_mut(lane).end = FRESH_END;
        }
    }

    /// `skipped_by`: the bug that leaves this check out for the message at hand.
    fn in_session(&self, lane: Lane, skipped_by: Mutation) -> Check {
        if self.w.lane(lane).live || self.rules.has(Mutation::SessionNotChecked) || self.rules.has(skipped_by) {
            Ok(())
        } else {
            Err(Refusal::SessionStale)
        }
    }

    fn not_revoked(&self, device: Device) -> Check {
        match self.w.devices[device as usize].at_authority {
            DeviceState::Revoking | DeviceState::Revoked => Err(Refusal::DeviceRevoked),
            _ => Ok(()),
        }
    }

    /// The checks that ENR-4, ENR-8 and REP-1 begin with.
    fn may_enrol(&self, lane: Lane, device: Device, no_session: Mutation) -> Check {
        self.in_session(lane, no_session)?;
        self.in_good_standing(self.rules.user_of(device))?;
        self.not_revoked(device)
    }

    /// ENR-4.
    fn authority_begins(&mut self, lane: Lane, device: Device) -> Check {
        self.may_enrol(lane, device, Mutation::NoSessionAtBeginning)?;
        let d = &mut self.w.devices[device as usize];
        if d.attempt == Attempt::None {
            d.attempt = Attempt::Opened;
        }
        if d.at_authority == DeviceState::None {
            d.at_authority = DeviceState::Pending;
        }
        Ok(())
    }

    /// ENR-8.
    fn authority_admits(&mut self, lane: Lane, device: Device) -> Check {
        self.may_enrol(lane, device, Mutation::NoSessionAtCertificate)?;
        let d = &mut self.w.devices[device as usize];
        if d.attempt == Attempt::None {
            return Err(Refusal::NotYourAttempt);
        }
        d.attempt = Attempt::Admitted;
        Ok(())
    }

    /// ENR-12.
    fn authority_relays_escrow(&mut self, device: Device, key: Key) -> Reaction {
        let check = self.not_revoked(device).and_then(|()| {
            if self.w.devices[device as usize].attempt == Attempt::Admitted {
                Ok(())
            } else {
                Err(Refusal::NotAdmitted)
            }
        });
        if check.is_ok() && self.rules.has(Mutation::AuthoriseEarly) {
            self.w.devices[device as usize].at_authority = DeviceState::Active;
        }
        answer(check, Message::Escrow, key, Message::Refusal)
    }

    /// The log names the key, and the escrow message is kept (ENR-14, DIS-4).
    fn authority_logs_key(&mut self, user: User, key: Key) {
        let u = &mut self.w.users[user as usize];
        if u.enrolled == NO_KEY && u.standing != Standing::Purged {
            u.enrolled = key;
            if !self.rules.has(Mutation::NothingIsKept) {
                u.kept = key;
            }
        }
    }

    /// ENR-14.
    fn authority_takes_receipt(&mut self, lane: Lane, device: Device, key: Key) -> Reaction {
        if let Err(refusal) = self.of_this_store(lane) {
            return refuse(refusal, Some(Message::Refusal));
        }
        self.authority_logs_key(self.rules.user_of(device), key);
        let d = &mut self.w.devices[device as usize];
        d.attempt = Attempt::None;
        if d.at_authority == DeviceState::Pending {
            d.at_authority = DeviceState::Active;
        }
        match d.at_authority {
            DeviceState::Active => accept(Message::Authorised, key),
            DeviceState::Revoking | DeviceState::Revoked => refuse(Refusal::DeviceRevoked, Some(Message::Refusal)),
            DeviceState::None | DeviceState::Pending => refuse(Refusal::NotYourAttempt, Some(Message::Refusal)),
        }
    }

    /// ENR-16.
    fn authority_learns_of_escrow(&mut self, lane: Lane, device: Device, key: Key) -> Reaction {
        if let Err(refusal) = self.of_this_store(lane) {
            return refuse(refusal, Some(Message::Refusal));
        }
        self.authority_logs_key(self.rules.user_of(device), key);
        self.w.devices[device as usize].attempt = Attempt::None;
        accept(Message::GoReplace, NO_KEY)
    }

    /// REP-1.
    fn authority_adds(&mut self, lane: Lane, device: Device) -> Check {
        match self.may_enrol(lane, device, Mutation::NoSessionAtReplacement) {
            Err(Refusal::UserSuspended) if self.rules.has(Mutation::SuspendedAdds) => {}
            check => check?,
        }
        if self.w.users[self.rules.user_of(device) as usize].enrolled == NO_KEY {
            return Err(Refusal::NotEnrolled);
        }
        self.w.devices[device as usize].at_authority = DeviceState::Active;
        Ok(())
    }

    /// REP-3.
    fn authority_consumes(&mut self, lane: Lane, device: Device) -> Check {
        let active = self.w.devices[device as usize].at_authority == DeviceState::Active;
        let usable = active && self.w.lane(lane).live;
        let revoking = self.w.devices[device as usize].at_authority == DeviceState::Revoking;
        let lenient = revoking && self.w.lane(lane).live && self.rules.has(Mutation::RevokingConsumes);
        if !usable && !lenient && !self.rules.has(Mutation::RevokedConsumes) {
            return Err(Refusal::GrantVoid);
        }
        self.unsuspended_unless(Mutation::SuspendedConsumes, device)
    }

    /// The user of the device is in good standing; suspended is good enough with the bug.
    fn unsuspended_unless(&self, bug: Mutation, device: Device) -> Check {
        match self.in_good_standing(self.rules.user_of(device)) {
            Err(Refusal::UserSuspended) if self.rules.has(bug) => Ok(()),
            check => check,
        }
    }

    /// REP-6.
    fn authority_passes_key(&mut self, lane: Lane, device: Device) -> Check {
        self.of_this_store(lane)?;
        let state = self.w.devices[device as usize].at_authority;
        let lenient = state == DeviceState::Revoked && self.rules.has(Mutation::AcknowledgedIsServed);
        if state != DeviceState::Active && !lenient && !self.rules.has(Mutation::RevokedIsServed) {
            return Err(Refusal::DeviceRevoked);
        }
        self.unsuspended_unless(Mutation::SuspendedIsServed, device)
    }

    // The keystore.

    pub(super) fn at_keystore(&mut self, lane: Lane, message: Message) -> Reaction {
        let key = self.w.lane(lane).key;
        let no = Message::KeystoreRefusal;
        match message {
            Message::OpenEnrolment => self.keystore_opens(lane),
            Message::CreateAccount => self.keystore_creates(lane),
            Message::Escrow => self.keystore_escrows(lane, key),
            Message::ReleaseKey => match self.keystore_may_release(lane) {
                Ok(()) if self.rules.has(Mutation::GrantNotConsumed) => {
                    accept(Message::SealedKey, self.released_key(lane))
                }
                Ok(()) => {
                    self.w.lane_mut(lane).pending = true;
                    accept(Message::ConsumeGrant, NO_KEY)
                }
                Err(refusal) => refuse(refusal, Some(no)),
            },
            Message::GrantConsumed => {
                let check = self.keystore_releases(lane);
                self.w.lane_mut(lane).pending = false;
                answer(check, Message::SealedKey, self.released_key(lane), no)
            }
            Message::GrantRefused => {
                self.w.lane_mut(lane).pending = false;
                accept(no, NO_KEY)
            }
            _ => refuse(Refusal::Malformed, None),
        }
    }

    fn released_key(&self, lane: Lane) -> Key {
        let user = self.user_of_lane(lane);
        let bug = if lane == Lane::Job { Mutation::WrongAccount } else { Mutation::WrongAccountForDevice };
        if self.rules.has(bug) && self.rules.users > 1 {
            return self.w.users[(user ^ 1) as usize].escrowed;
        }
        self.w.users[user as usize].escrowed
    }

    pub(super) fn unsealed(&self) -> Check {
        if self.w.nodes[0].sealed && !self.rules.has(Mutation::ServesSealed) { Err(Refusal::Sealed) } else { Ok(()) }
    }

    /// The account takes no (further) key: the refusal, and whether the answer carries the receipt of record.
    fn may_take_key(&self, user: User) -> Check {
        match self.w.users[user as usize].account {
            AccountState::Active if self.rules.has(Mutation::EscrowOverwrites) => Ok(()),
            AccountState::Active | AccountState::Lost | AccountState::Dormant => Err(Refusal::AlreadyEscrowed),
            AccountState::Purged => Err(Refusal::AccountPurged),
            AccountState::None | AccountState::Empty => Ok(()),
        }
    }

    /// ENR-19: the answer to a refused enrolment message.
    fn refuse_enrolment(&self, lane: Lane, refusal: Refusal) -> Reaction {
        if refusal != Refusal::AlreadyEscrowed || self.rules.has(Mutation::LoserNotTold) {
            return refuse(refusal, Some(Message::KeystoreRefusal));
        }
        let user = self.user_of_lane(lane);
        let key = self.w.users[user as usize].escrowed;
        Reaction { outcome: Err(refusal), next: Some((Message::AlreadyEscrowed, key)) }
    }

    /// ENR-5.
    fn keystore_opens(&mut self, lane: Lane) -> Reaction {
        let user = self.user_of_lane(lane);
        let check = self.admits(Mutation::FencedOpens).and_then(|()| self.may_take_key(user));
        if let Err(refusal) = check {
            return self.refuse_enrolment(lane, refusal);
        }
        if let Some(d) = device_of(lane)
            && self.w.devices[d].attempt_at_keystore == Attempt::None
        {
            self.w.devices[d].attempt_at_keystore = Attempt::Opened;
        }
        if self.rules.has(Mutation::AccountAtOpening) {
            self.make_account(user);
        }
        accept(Message::EnrolmentOpened, NO_KEY)
    }

    /// The attempt of the lane's device at the keystore.
    fn attempt_of(&self, lane: Lane) -> Attempt {
        device_of(lane).map_or(Attempt::None, |d| self.w.devices[d].attempt_at_keystore)
    }

    /// The keystore is unsealed, and within its lease. `skipped_by`: the bug that does not look at the lease for this message.
    fn admits(&self, skipped_by: Mutation) -> Check {
        self.unsealed()?;
        let skipped = self.rules.has(Mutation::FencedServes) || self.rules.has(skipped_by);
        if self.fenced(Point::Keystore) && !skipped {
            return Err(Refusal::RevocationStale);
        }
        Ok(())
    }

    /// ENR-9.
    fn keystore_creates(&mut self, lane: Lane) -> Reaction {
        let user = self.user_of_lane(lane);
        let admits = self.admits(Mutation::FencedServes);
        let check = admits.and_then(|()| self.may_take_key(user)).and_then(|()| {
            // A nonce is as old as its session: if that is over, the attempt is open with another nonce. So it is if KS closed the
            // attempt (REV-2h) and it was opened again.
            let at = self.w.lane(lane);
            let current = at.live && !at.void || self.rules.has(Mutation::AnyNonce);
            let this_nonce = self.attempt_of(lane) != Attempt::None && current;
            if this_nonce || self.rules.has(Mutation::AccountWithoutAttempt) {
                Ok(())
            } else {
                Err(Refusal::AdmissionInvalid)
            }
        });
        if let Err(refusal) = check {
            return self.refuse_enrolment(lane, refusal);
        }
        if let Some(d) = device_of(lane)
            && self.w.devices[d].attempt_at_keystore == Attempt::Opened
        {
            self.w.devices[d].attempt_at_keystore = Attempt::Admitted;
        }
        self.make_account(user);
        accept(Message::AccountCreated, NO_KEY)
    }

    fn make_account(&mut self, user: User) {
        let account = &mut self.w.users[user as usize].account;
        if *account == AccountState::None {
            *account = AccountState::Empty;
        }
    }

    /// ENR-13.
    fn keystore_escrows(&mut self, lane: Lane, key: Key) -> Reaction {
        let user = self.user_of_lane(lane);
        let admits = self.admits(Mutation::FencedServes);
        let check = admits.and_then(|()| self.may_take_key(user)).and_then(|()| {
            let attempt = self.attempt_of(lane);
            let lenient = self.rules.has(Mutation::EscrowNotAdmitted) && attempt == Attempt::Opened;
            let admitted = attempt == Attempt::Admitted || lenient || self.rules.has(Mutation::EscrowOverwrites);
            if admitted && self.w.users[user as usize].account != AccountState::None {
                Ok(())
            } else {
                Err(Refusal::NotAdmitted)
            }
        });
        if let Err(refusal) = check {
            return self.refuse_enrolment(lane, refusal);
        }
        let mut of = user;
        if self.rules.has(Mutation::EscrowToNeighbour) && self.rules.users > 1 {
            of ^= 1;
        }
        let u = &mut self.w.users[of as usize];
        u.account = AccountState::Active;
        u.escrowed = key;
        self.close_attempts(user);
        accept(Message::Receipt, key)
    }

    /// All attempts of the user are closed at the keystore.
    pub(super) fn close_attempts(&mut self, user: User) {
        for d in self.rules.devices_of(user) {
            self.w.devices[d].attempt_at_keystore = Attempt::None;
        }
    }

    fn releasable(&self, user: User) -> Check {
        match self.w.users[user as usize].account {
            AccountState::Active => Ok(()),
            AccountState::Dormant if self.rules.has(Mutation::DormantReleased) => Ok(()),
            AccountState::None | AccountState::Empty => Err(Refusal::NoAccount),
            AccountState::Lost => Err(Refusal::AccountLost),
            AccountState::Dormant => Err(Refusal::AccountDormant),
            AccountState::Purged => Err(Refusal::AccountPurged),
        }
    }

    /// REP-2.
    fn keystore_may_release(&self, lane: Lane) -> Check {
        self.admits(Mutation::FencedServes)?;
        if !self.grant_in_time(lane) {
            return Err(Refusal::GrantInvalid);
        }
        self.releasable(self.user_of_lane(lane))
    }

    /// TIME-2: by the keystore's own clock.
    fn grant_in_time(&self, lane: Lane) -> bool {
        let lane = self.w.lane(lane);
        lane.live && (!self.rules.publication || lane.end > self.over_up_to())
    }

    /// REP-4.
    fn keystore_releases(&self, lane: Lane) -> Check {
        self.unsealed()?;
        if self.rules.has(Mutation::DecidedWhenAsked) {
            return Ok(());
        }
        if !self.w.lane(lane).pending && !self.rules.has(Mutation::PendingNotAsked) {
            return Err(Refusal::GrantVoid);
        }
        if self.fenced(Point::Keystore) && !self.rules.has(Mutation::FencedReleases) {
            return Err(Refusal::RevocationStale);
        }
        self.releasable(self.user_of_lane(lane))
    }

    // The device.

    pub(super) fn at_device(&mut self, lane: Lane, message: Message) -> Reaction {
        let Some(d) = device_of(lane) else { return refuse(Refusal::Malformed, None) };
        let key = self.w.lane(lane).key;
        match message {
            Message::SessionOpened => self.device_starts(d, key != NO_KEY),
            Message::Nonce => accept(Message::PresentCertificate, NO_KEY),
            Message::Admission => {
                if self.rules.has(Mutation::KeyBeforeReceipt) {
                    self.device_keeps(d, self.w.devices[d].memory_key);
                }
                accept(Message::EscrowKey, self.w.devices[d].memory_key)
            }
            Message::GoReplace => {
                if self.rules.has(Mutation::LoserKeepsKey) {
                    self.device_keeps(d, self.w.devices[d].memory_key);
                    return Reaction { outcome: Ok(()), next: None };
                }
                self.w.devices[d].memory_key = NO_KEY;
                self.w.devices[d].program = Program::Replacing;
                accept(Message::AddDevice, NO_KEY)
            }
            Message::Authorised | Message::KeyDelivery => {
                if !self.rules.has(Mutation::DeviceKeepsNothing) {
                    self.device_keeps(d, key);
                }
                self.device_rests(d);
                Reaction { outcome: Ok(()), next: None }
            }
            Message::Refusal => {
                self.device_rests(d);
                Reaction { outcome: Ok(()), next: None }
            }
            _ => refuse(Refusal::Malformed, None),
        }
    }

    /// ENR-3.
    fn device_starts(&mut self, d: usize, enrolled: bool) -> Reaction {
        if self.w.devices[d].disk == Disk::Blank {
            self.w.devices[d].disk = Disk::Identity;
        }
        if enrolled {
            if self.rules.has(Mutation::ReplacementDrawsKey) {
                self.w.devices[d].memory_key = self.w.fresh_key();
            }
            self.w.devices[d].program = Program::Replacing;
            return accept(Message::AddDevice, NO_KEY);
        }
        let fresh = if self.rules.has(Mutation::StuckGenerator) { 1 } else { self.w.fresh_key() };
        self.w.devices[d].memory_key = fresh;
        self.w.devices[d].program = Program::Enrolling;
        accept(Message::BeginEnrolment, NO_KEY)
    }

    /// ENR-15, REP-7.
    fn device_keeps(&mut self, d: usize, key: Key) {
        self.w.devices[d].disk = Disk::Key;
        self.w.devices[d].disk_key = key;
    }

    fn device_rests(&mut self, d: usize) {
        self.w.devices[d].memory_key = NO_KEY;
        self.w.devices[d].program = Program::Idle;
    }

    // The job's part.

    fn at_authority_for_job(&mut self, message: Message) -> Reaction {
        let user = self.w.job.user;
        let key = self.w.job.lane.key;
        let assigned = self.w.job.state == JobState::Assigned;
        match message {
            Message::JobKey if assigned => {
                self.validate(Lane::Job);
                accept(Message::ReleaseKey, NO_KEY)
            }
            Message::ConsumeGrant => {
                let check = match self.may_use_key(user) {
                    _ if !assigned || !self.w.job.lane.live => Err(Refusal::GrantVoid),
                    Err(Refusal::RestoreSuspended) if self.rules.has(Mutation::SuspendedJobConsumes) => Ok(()),
                    check => check,
                };
                answer(check, Message::GrantConsumed, NO_KEY, Message::GrantRefused)
            }
            Message::SealedKey if assigned => match self.of_this_store(Lane::Job) {
                Ok(()) => {
                    self.w.job.state = JobState::KeyHeld;
                    accept(Message::KeyDelivery, key)
                }
                Err(refusal) => {
                    self.w.job.state = JobState::None;
                    refuse(refusal, Some(Message::Refusal))
                }
            },
            Message::KeystoreRefusal => {
                self.w.job.state = JobState::None;
                accept(Message::Refusal, NO_KEY)
            }
            Message::JobEnd if self.w.job.state != JobState::None => {
                self.w.job.state = JobState::None;
                Reaction { outcome: Ok(()), next: None }
            }
            _ => refuse(Refusal::JobOver, None),
        }
    }

    /// JOB-1, JOB-2: no key is used for a user who is not in good standing.
    pub(super) fn may_use_key(&self, user: User) -> Check {
        match self.w.users[user as usize].standing {
            Standing::Active => Ok(()),
            Standing::Suspended if self.rules.has(Mutation::SuspendedRestores) => Ok(()),
            Standing::Suspended => Err(Refusal::RestoreSuspended),
            Standing::Deactivated | Standing::Purged => Err(Refusal::UserDeactivated),
        }
    }

    /// JOB-2, JOB-3 at the restorer.
    pub(super) fn at_restorer(&mut self, message: Message) -> Reaction {
        match message {
            // JOB-9a: the restorer has a deadline of its own, and begins no job after it.
            Message::AssignJob if !self.w.job.lane.live => refuse(Refusal::JobOver, None),
            Message::AssignJob => {
                self.w.job.held = NO_KEY;
                self.w.job.waiting = true;
                accept(Message::JobKey, NO_KEY)
            }
            Message::KeyDelivery if self.w.job.waiting => {
                self.w.job.waiting = false;
                if !self.rules.has(Mutation::NoJobKey) {
                    self.w.job.held = self.w.job.lane.key;
                }
                Reaction { outcome: Ok(()), next: None }
            }
            Message::Refusal => {
                self.w.job.waiting = false;
                Reaction { outcome: Ok(()), next: None }
            }
            _ => refuse(Refusal::JobOver, None),
        }
    }
}
