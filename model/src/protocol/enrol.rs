//! Enrolment and replacement (ENR, REP), role by role, with the job's part of the release (JOB-2, JOB-3).

use bailee_spec::action::{Device, Lane, User};
use bailee_spec::observation::{
    AccountState, Attempt, DeviceState, Disk, Freshness, JobState, Message, Program, Standing,
};
use bailee_spec::outcome::Refusal;

use super::mutation::Mutation;
use super::step::{Check, Reaction, Rules};
use super::world::{Key, NO_KEY, World};

fn accept(message: Message, key: Key) -> Reaction {
    Reaction { outcome: Ok(()), next: Some((message, key)) }
}

fn refuse(refusal: Refusal, answer: Option<Message>) -> Reaction {
    Reaction { outcome: Err(refusal), next: answer.map(|message| (message, NO_KEY)) }
}

fn device_of(lane: Lane) -> Option<usize> {
    match lane {
        Lane::Device(d) | Lane::Late(d) => Some(d as usize),
        Lane::Job => None,
    }
}

impl Rules {
    // The authority.

    pub(super) fn at_authority<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        message: Message,
    ) -> Reaction {
        let Some(d) = device_of(lane) else { return self.at_authority_for_job(w, message) };
        let device = d as Device;
        let user = self.user_of(device);
        let key = w.lane(lane).key;
        match message {
            Message::SignIn => self.authority_opens_session(w, lane, user),
            Message::BeginEnrolment => {
                self.answer(self.authority_begins(w, lane, device), Message::OpenEnrolment, NO_KEY, Message::Refusal)
            }
            Message::EnrolmentOpened => self.relay(w, lane, Message::Nonce, NO_KEY),
            Message::PresentCertificate => {
                self.answer(self.authority_admits(w, lane, device), Message::CreateAccount, NO_KEY, Message::Refusal)
            }
            Message::AccountCreated => self.relay(w, lane, Message::Admission, NO_KEY),
            Message::EscrowKey => self.authority_relays_escrow(w, device, key),
            Message::Receipt => self.authority_takes_receipt(w, lane, device, key),
            Message::AlreadyEscrowed => self.authority_learns_of_escrow(w, lane, device, key),
            Message::AddDevice => {
                self.answer(self.authority_adds(w, lane, device), Message::ReleaseKey, NO_KEY, Message::Refusal)
            }
            Message::ConsumeGrant => self.answer(
                self.authority_consumes(w, lane, device),
                Message::GrantConsumed,
                NO_KEY,
                Message::GrantRefused,
            ),
            Message::SealedKey => {
                self.answer(self.authority_passes_key(w, lane, device), Message::KeyDelivery, key, Message::Refusal)
            }
            Message::KeystoreRefusal => accept(Message::Refusal, NO_KEY),
            _ => refuse(Refusal::Malformed, None),
        }
    }

    fn answer(&self, check: Check, yes: Message, key: Key, no: Message) -> Reaction {
        match check {
            Ok(()) => accept(yes, key),
            Err(refusal) => refuse(refusal, Some(no)),
        }
    }

    /// ENR-6, ENR-10: a reply of the keystore goes on to the device.
    fn relay<const U: usize, const N: usize>(&self, w: &World<U, N>, lane: Lane, to: Message, key: Key) -> Reaction {
        self.answer(self.of_this_store(w, lane), to, key, Message::Refusal)
    }

    /// DIS-3.
    pub(super) fn of_this_store<const U: usize, const N: usize>(&self, w: &World<U, N>, lane: Lane) -> Check {
        if w.lane(lane).outdated && !self.has(Mutation::ReceiptOutlivesStore) {
            return Err(Refusal::ReceiptInvalid);
        }
        Ok(())
    }

    /// ENR-2.
    fn authority_opens_session<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        user: User,
    ) -> Reaction {
        let check = self.in_good_standing(w, user);
        if check.is_ok() {
            w.lane_mut(lane).live = true;
        }
        self.answer(check, Message::SessionOpened, w.users[user as usize].enrolled, Message::Refusal)
    }

    fn in_session<const U: usize, const N: usize>(&self, w: &World<U, N>, lane: Lane) -> Check {
        if w.lane(lane).live || self.has(Mutation::SessionNotChecked) { Ok(()) } else { Err(Refusal::SessionStale) }
    }

    fn not_revoked<const U: usize, const N: usize>(&self, w: &World<U, N>, device: Device) -> Check {
        match w.devices[device as usize].at_authority {
            DeviceState::Revoking | DeviceState::Revoked => Err(Refusal::DeviceRevoked),
            _ => Ok(()),
        }
    }

    /// The checks that ENR-4, ENR-8 and REP-1 begin with.
    fn may_enrol<const U: usize, const N: usize>(&self, w: &World<U, N>, lane: Lane, device: Device) -> Check {
        self.in_session(w, lane)?;
        self.in_good_standing(w, self.user_of(device))?;
        self.not_revoked(w, device)
    }

    /// ENR-4.
    fn authority_begins<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        device: Device,
    ) -> Check {
        self.may_enrol(w, lane, device)?;
        let d = &mut w.devices[device as usize];
        if d.attempt == Attempt::None {
            d.attempt = Attempt::Opened;
        }
        if d.at_authority == DeviceState::None {
            d.at_authority = DeviceState::Pending;
        }
        Ok(())
    }

    /// ENR-8.
    fn authority_admits<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        device: Device,
    ) -> Check {
        self.may_enrol(w, lane, device)?;
        let d = &mut w.devices[device as usize];
        if d.attempt == Attempt::None {
            return Err(Refusal::NotYourAttempt);
        }
        d.attempt = Attempt::Admitted;
        Ok(())
    }

    /// ENR-12.
    fn authority_relays_escrow<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        device: Device,
        key: Key,
    ) -> Reaction {
        let check = self.not_revoked(w, device).and_then(|()| {
            if w.devices[device as usize].attempt == Attempt::Admitted { Ok(()) } else { Err(Refusal::NotAdmitted) }
        });
        if check.is_ok() && self.has(Mutation::AuthoriseEarly) {
            w.devices[device as usize].at_authority = DeviceState::Active;
        }
        self.answer(check, Message::Escrow, key, Message::Refusal)
    }

    /// The log names the key, and the escrow message is kept (ENR-14, DIS-4).
    fn authority_logs_key<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User, key: Key) {
        let u = &mut w.users[user as usize];
        if u.enrolled == NO_KEY && u.standing != Standing::Purged {
            u.enrolled = key;
            if !self.has(Mutation::NothingIsKept) {
                u.kept = key;
            }
        }
    }

    /// ENR-14.
    fn authority_takes_receipt<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        device: Device,
        key: Key,
    ) -> Reaction {
        if let Err(refusal) = self.of_this_store(w, lane) {
            return refuse(refusal, Some(Message::Refusal));
        }
        self.authority_logs_key(w, self.user_of(device), key);
        let d = &mut w.devices[device as usize];
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
    fn authority_learns_of_escrow<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        device: Device,
        key: Key,
    ) -> Reaction {
        if let Err(refusal) = self.of_this_store(w, lane) {
            return refuse(refusal, Some(Message::Refusal));
        }
        self.authority_logs_key(w, self.user_of(device), key);
        w.devices[device as usize].attempt = Attempt::None;
        accept(Message::GoReplace, NO_KEY)
    }

    /// REP-1.
    fn authority_adds<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        device: Device,
    ) -> Check {
        self.may_enrol(w, lane, device)?;
        if w.users[self.user_of(device) as usize].enrolled == NO_KEY {
            return Err(Refusal::NotEnrolled);
        }
        w.devices[device as usize].at_authority = DeviceState::Active;
        Ok(())
    }

    /// REP-3.
    fn authority_consumes<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        device: Device,
    ) -> Check {
        let active = w.devices[device as usize].at_authority == DeviceState::Active;
        let usable = active && w.lane(lane).live;
        if !usable && !self.has(Mutation::RevokedConsumes) {
            return Err(Refusal::GrantVoid);
        }
        self.in_good_standing(w, self.user_of(device))
    }

    /// REP-6.
    fn authority_passes_key<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        device: Device,
    ) -> Check {
        self.of_this_store(w, lane)?;
        if w.devices[device as usize].at_authority != DeviceState::Active && !self.has(Mutation::RevokedIsServed) {
            return Err(Refusal::DeviceRevoked);
        }
        self.in_good_standing(w, self.user_of(device))
    }

    // The keystore.

    pub(super) fn at_keystore<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        message: Message,
    ) -> Reaction {
        let key = w.lane(lane).key;
        let no = Message::KeystoreRefusal;
        match message {
            Message::OpenEnrolment => self.keystore_opens(w, lane),
            Message::CreateAccount => self.keystore_creates(w, lane),
            Message::Escrow => self.keystore_escrows(w, lane, key),
            Message::ReleaseKey => match self.keystore_may_release(w, lane) {
                Ok(()) if self.has(Mutation::GrantNotConsumed) => {
                    accept(Message::SealedKey, self.released_key(w, lane))
                }
                Ok(()) => {
                    w.lane_mut(lane).pending = true;
                    accept(Message::ConsumeGrant, NO_KEY)
                }
                Err(refusal) => refuse(refusal, Some(no)),
            },
            Message::GrantConsumed => {
                let check = self.keystore_releases(w, lane);
                w.lane_mut(lane).pending = false;
                self.answer(check, Message::SealedKey, self.released_key(w, lane), no)
            }
            Message::GrantRefused => {
                w.lane_mut(lane).pending = false;
                accept(no, NO_KEY)
            }
            _ => refuse(Refusal::Malformed, None),
        }
    }

    fn released_key<const U: usize, const N: usize>(&self, w: &World<U, N>, lane: Lane) -> Key {
        let user = self.user_of_lane(w, lane);
        if self.has(Mutation::WrongAccount) && self.users > 1 {
            return w.users[(user ^ 1) as usize].escrowed;
        }
        w.users[user as usize].escrowed
    }

    pub(super) fn unsealed<const U: usize, const N: usize>(&self, w: &World<U, N>) -> Check {
        if w.nodes[0].sealed && !self.has(Mutation::ServesSealed) { Err(Refusal::Sealed) } else { Ok(()) }
    }

    /// The account takes no (further) key: the refusal, and whether the answer carries the receipt of record.
    fn may_take_key<const U: usize, const N: usize>(&self, w: &World<U, N>, user: User) -> Check {
        match w.users[user as usize].account {
            AccountState::Active if self.has(Mutation::EscrowOverwrites) => Ok(()),
            AccountState::Active | AccountState::Lost | AccountState::Dormant => Err(Refusal::AlreadyEscrowed),
            AccountState::Purged => Err(Refusal::AccountPurged),
            AccountState::None | AccountState::Empty => Ok(()),
        }
    }

    /// ENR-19: the answer to a refused enrolment message.
    fn refuse_enrolment<const U: usize, const N: usize>(
        &self,
        w: &World<U, N>,
        lane: Lane,
        refusal: Refusal,
    ) -> Reaction {
        if refusal != Refusal::AlreadyEscrowed || self.has(Mutation::LoserNotTold) {
            return refuse(refusal, Some(Message::KeystoreRefusal));
        }
        let user = self.user_of_lane(w, lane);
        let key = w.users[user as usize].escrowed;
        Reaction { outcome: Err(refusal), next: Some((Message::AlreadyEscrowed, key)) }
    }

    /// ENR-5.
    fn keystore_opens<const U: usize, const N: usize>(&self, w: &mut World<U, N>, lane: Lane) -> Reaction {
        let check = self.unsealed(w).and_then(|()| self.may_take_key(w, self.user_of_lane(w, lane)));
        if let Err(refusal) = check {
            return self.refuse_enrolment(w, lane, refusal);
        }
        if let Some(d) = device_of(lane) {
            w.devices[d].attempt_at_keystore = true;
        }
        accept(Message::EnrolmentOpened, NO_KEY)
    }

    fn attempt_open<const U: usize, const N: usize>(&self, w: &World<U, N>, lane: Lane) -> bool {
        device_of(lane).is_some_and(|d| w.devices[d].attempt_at_keystore)
    }

    /// ENR-9.
    fn keystore_creates<const U: usize, const N: usize>(&self, w: &mut World<U, N>, lane: Lane) -> Reaction {
        let user = self.user_of_lane(w, lane);
        let check = self.unsealed(w).and_then(|()| self.may_take_key(w, user)).and_then(|()| {
            // A nonce is as old as its session: if that is over, the attempt is open with another nonce.
            let this_nonce = self.attempt_open(w, lane) && w.lane(lane).live;
            if this_nonce || self.has(Mutation::AccountWithoutAttempt) {
                Ok(())
            } else {
                Err(Refusal::AdmissionInvalid)
            }
        });
        if let Err(refusal) = check {
            return self.refuse_enrolment(w, lane, refusal);
        }
        let account = &mut w.users[user as usize].account;
        if *account == AccountState::None {
            *account = AccountState::Empty;
        }
        accept(Message::AccountCreated, NO_KEY)
    }

    /// ENR-13.
    fn keystore_escrows<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        key: Key,
    ) -> Reaction {
        let user = self.user_of_lane(w, lane);
        let check = self.unsealed(w).and_then(|()| self.may_take_key(w, user)).and_then(|()| {
            let admitted = self.attempt_open(w, lane) || self.has(Mutation::EscrowOverwrites);
            if admitted && w.users[user as usize].account != AccountState::None {
                Ok(())
            } else {
                Err(Refusal::NotAdmitted)
            }
        });
        if let Err(refusal) = check {
            return self.refuse_enrolment(w, lane, refusal);
        }
        let u = &mut w.users[user as usize];
        u.account = AccountState::Active;
        u.escrowed = key;
        self.close_attempts(w, user);
        accept(Message::Receipt, key)
    }

    /// All attempts of the user are closed at the keystore.
    pub(super) fn close_attempts<const U: usize, const N: usize>(&self, w: &mut World<U, N>, user: User) {
        for d in self.devices_of(user) {
            w.devices[d].attempt_at_keystore = false;
        }
    }

    /// The devices of a user.
    pub fn devices_of(&self, user: User) -> std::ops::Range<usize> {
        let per_user = self.devices_per_user as usize;
        user as usize * per_user..(user as usize + 1) * per_user
    }

    fn releasable<const U: usize, const N: usize>(&self, w: &World<U, N>, user: User) -> Check {
        match w.users[user as usize].account {
            AccountState::Active => Ok(()),
            AccountState::Dormant if self.has(Mutation::DormantReleased) => Ok(()),
            AccountState::None | AccountState::Empty => Err(Refusal::NoAccount),
            AccountState::Lost => Err(Refusal::AccountLost),
            AccountState::Dormant => Err(Refusal::AccountDormant),
            AccountState::Purged => Err(Refusal::AccountPurged),
        }
    }

    /// REP-2.
    fn keystore_may_release<const U: usize, const N: usize>(&self, w: &World<U, N>, lane: Lane) -> Check {
        self.unsealed(w)?;
        if w.points[0] == Freshness::Fenced {
            return Err(Refusal::RevocationStale);
        }
        if !w.lane(lane).live {
            return Err(Refusal::GrantInvalid);
        }
        self.releasable(w, self.user_of_lane(w, lane))
    }

    /// REP-4.
    fn keystore_releases<const U: usize, const N: usize>(&self, w: &World<U, N>, lane: Lane) -> Check {
        self.unsealed(w)?;
        if !w.lane(lane).pending {
            return Err(Refusal::GrantVoid);
        }
        self.releasable(w, self.user_of_lane(w, lane))
    }

    // The device.

    pub(super) fn at_device<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        lane: Lane,
        message: Message,
    ) -> Reaction {
        let Some(d) = device_of(lane) else { return refuse(Refusal::Malformed, None) };
        let key = w.lane(lane).key;
        match message {
            Message::SessionOpened => self.device_starts(w, d, key != NO_KEY),
            Message::Nonce => accept(Message::PresentCertificate, NO_KEY),
            Message::Admission => {
                if self.has(Mutation::KeyBeforeReceipt) {
                    self.device_keeps(w, d, w.devices[d].memory_key);
                }
                accept(Message::EscrowKey, w.devices[d].memory_key)
            }
            Message::GoReplace => {
                if self.has(Mutation::LoserKeepsKey) {
                    self.device_keeps(w, d, w.devices[d].memory_key);
                    return Reaction { outcome: Ok(()), next: None };
                }
                w.devices[d].memory_key = NO_KEY;
                w.devices[d].program = Program::Replacing;
                accept(Message::AddDevice, NO_KEY)
            }
            Message::Authorised | Message::KeyDelivery => {
                if !self.has(Mutation::DeviceKeepsNothing) {
                    self.device_keeps(w, d, key);
                }
                self.device_rests(w, d);
                Reaction { outcome: Ok(()), next: None }
            }
            Message::Refusal => {
                self.device_rests(w, d);
                Reaction { outcome: Ok(()), next: None }
            }
            _ => refuse(Refusal::Malformed, None),
        }
    }

    /// ENR-3.
    fn device_starts<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        d: usize,
        enrolled: bool,
    ) -> Reaction {
        if w.devices[d].disk == Disk::Blank {
            w.devices[d].disk = Disk::Identity;
        }
        if enrolled {
            w.devices[d].program = Program::Replacing;
            return accept(Message::AddDevice, NO_KEY);
        }
        let fresh = if self.has(Mutation::StuckGenerator) { 1 } else { w.fresh_key() };
        w.devices[d].memory_key = fresh;
        w.devices[d].program = Program::Enrolling;
        accept(Message::BeginEnrolment, NO_KEY)
    }

    /// ENR-15, REP-7.
    fn device_keeps<const U: usize, const N: usize>(&self, w: &mut World<U, N>, d: usize, key: Key) {
        w.devices[d].disk = Disk::Key;
        w.devices[d].disk_key = key;
    }

    fn device_rests<const U: usize, const N: usize>(&self, w: &mut World<U, N>, d: usize) {
        w.devices[d].memory_key = NO_KEY;
        w.devices[d].program = Program::Idle;
    }

    // The job's part.

    fn at_authority_for_job<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        message: Message,
    ) -> Reaction {
        let user = w.job.user;
        let key = w.job.lane.key;
        let assigned = w.job.state == JobState::Assigned;
        match message {
            Message::JobKey if assigned => accept(Message::ReleaseKey, NO_KEY),
            Message::ConsumeGrant => {
                let check =
                    if assigned && w.job.lane.live { self.may_use_key(w, user) } else { Err(Refusal::GrantVoid) };
                self.answer(check, Message::GrantConsumed, NO_KEY, Message::GrantRefused)
            }
            Message::SealedKey if assigned => match self.of_this_store(w, Lane::Job) {
                Ok(()) => {
                    w.job.state = JobState::KeyHeld;
                    accept(Message::KeyDelivery, key)
                }
                Err(refusal) => {
                    w.job.state = JobState::None;
                    refuse(refusal, Some(Message::Refusal))
                }
            },
            Message::KeystoreRefusal => {
                w.job.state = JobState::None;
                accept(Message::Refusal, NO_KEY)
            }
            Message::JobEnd if w.job.state != JobState::None => {
                w.job.state = JobState::None;
                Reaction { outcome: Ok(()), next: None }
            }
            _ => refuse(Refusal::JobOver, None),
        }
    }

    /// JOB-1, JOB-2: no key is used for a user who is not in good standing.
    pub(super) fn may_use_key<const U: usize, const N: usize>(&self, w: &World<U, N>, user: User) -> Check {
        match w.users[user as usize].standing {
            Standing::Active => Ok(()),
            Standing::Suspended if self.has(Mutation::SuspendedRestores) => Ok(()),
            Standing::Suspended => Err(Refusal::RestoreSuspended),
            Standing::Deactivated | Standing::Purged => Err(Refusal::UserDeactivated),
        }
    }

    /// JOB-2, JOB-3 at the restorer.
    pub(super) fn at_restorer<const U: usize, const N: usize>(
        &self,
        w: &mut World<U, N>,
        message: Message,
    ) -> Reaction {
        match message {
            Message::AssignJob => {
                w.job.held = NO_KEY;
                w.job.waiting = true;
                accept(Message::JobKey, NO_KEY)
            }
            Message::KeyDelivery if w.job.waiting => {
                w.job.waiting = false;
                if !self.has(Mutation::NoJobKey) {
                    w.job.held = w.job.lane.key;
                }
                Reaction { outcome: Ok(()), next: None }
            }
            Message::Refusal => {
                w.job.waiting = false;
                Reaction { outcome: Ok(()), next: None }
            }
            _ => refuse(Refusal::JobOver, None),
        }
    }
}
