//! One action on one world: the dispatch. The rules are in the modules beside this one; their ids are those of
//! `spec/alphabet.md`.

use bailee_spec::action::{Action, Device, Handing, Lane, Point, Tenant, User};
use bailee_spec::observation::{Capability, DeviceState, Freshness, JobState, Message, Program, Standing};
use bailee_spec::outcome::{Outcome, Refusal};

use super::mutation::Mutation;
use super::world::{Key, LaneState, NO_KEY, Slot, World};

/// Accepted, or the first failed check.
pub type Check<T = ()> = Result<T, Refusal>;

/// The sizes and switches that the rules read.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Users in use.
    pub users: u8,
    /// Tenants in use; at most as many as users.
    pub tenants: u8,
    /// Devices a user.
    pub devices_per_user: u8,
    /// Nodes in use.
    pub nodes: u8,
    /// Custodians in use.
    pub custodians: u8,
    /// Shares needed.
    pub threshold: u8,
    /// Messages outlive a broken connection.
    pub late: bool,
    /// Users enrol in it: attempts are opened.
    pub enrols: bool,
    /// Revocation is messages.
    pub publication: bool,
    /// The points that the authority serves: keystore, storage, restorer.
    pub points: [bool; 3],
    /// The bug that is switched on.
    pub mutation: Option<Mutation>,
}

/// What a receiver does with a message: its verdict, and what leaves it.
pub(super) struct Reaction {
    pub(super) outcome: Check,
    pub(super) next: Option<(Message, Key)>,
}

/// Who receives a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiver {
    Device,
    Authority,
    Keystore,
    Restorer,
    Point(Point),
}

impl Rules {
    /// Whether the bug is switched on.
    pub(super) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// The tenant of a user.
    pub fn tenant_of(&self, user: User) -> Tenant {
        (u32::from(user) * u32::from(self.tenants) / u32::from(self.users)) as Tenant
    }

    /// The owner of a device.
    pub fn user_of(&self, device: Device) -> User {
        device / self.devices_per_user
    }

    /// Carries the action out: its outcome, and the world after it.
    pub fn step<const U: usize, const N: usize>(
        &self,
        world: &World<U, N>,
        action: Action,
    ) -> (Outcome, World<U, N>) {
        let mut next = *world;
        let outcome = self.apply(&mut next, action);
        (outcome, next)
    }

    /// Carries the action out on the world itself.
    #[inline]
    pub fn apply<const U: usize, const N: usize>(&self, world: &mut World<U, N>, action: Action) -> Outcome {
        Turn { rules: self, w: world }.take(action)
    }

    /// The devices of a user.
    pub fn devices_of(&self, user: User) -> std::ops::Range<usize> {
        let per_user = self.devices_per_user as usize;
        user as usize * per_user..(user as usize + 1) * per_user
    }

    /// Whether the action is refused in every world, for who asks or for how: these are the rules' own first checks. Such an
    /// action moves nothing, so nobody who looks for transitions needs to try it.
    pub(super) fn always_refuses(&self, action: Action) -> bool {
        match action {
            Action::OpenCeremony { by, .. } => self.may_open(by).is_err(),
            Action::RequestShare { asking, .. } => self.may_ask(asking).is_err(),
            Action::SubmitShare { handing, .. } => !self.may_count(handing),
            Action::Deauthorize { by, .. } => self.may_deauthorize(by).is_err(),
            Action::Suspend { by, .. }
            | Action::Resume { by, .. }
            | Action::Deactivate { by, .. }
            | Action::Reactivate { by, .. } => self.may_manage(by).is_err(),
            Action::Abort { by } => self.may_abort(by).is_err(),
            Action::Request { by, .. } => self.may_ever_request(by).is_err(),
            _ => false,
        }
    }
}

/// One action on one world: the rules are its methods.
pub(super) struct Turn<'w, const U: usize, const N: usize> {
    pub(super) rules: &'w Rules,
    pub(super) w: &'w mut World<U, N>,
}

impl<const U: usize, const N: usize> Turn<'_, U, N> {
    #[inline]
    fn take(mut self, action: Action) -> Outcome {
        let outcome = match self.act(action) {
            Ok(()) => Outcome::Accepted,
            Err(refusal) => Outcome::Refused(refusal),
        };
        if may_have_changed(action, outcome) {
            self.tidy();
        }
        outcome
    }

    fn act(&mut self, action: Action) -> Check {
        match action {
            Action::Deliver { lane } => self.deliver(lane, false),
            Action::DeliverThenCrash { lane } => self.deliver(lane, true),
            Action::DropLate { device } => self.drop_late(device),
            Action::CrashDevice { device } => {
                self.crash_device(device);
                Ok(())
            }
            Action::CrashRestorer => {
                self.crash_restorer();
                Ok(())
            }
            Action::Restart { node } | Action::Seal { node } => {
                self.restart(node);
                Ok(())
            }
            Action::Advance => {
                self.advance();
                Ok(())
            }
            Action::Tick { clock } => self.tick(clock),
            Action::Duplicate { lane } => self.duplicate(lane),
            Action::Drop { lane } => self.drop_message(lane),
            Action::SignIn { device } => self.sign_in(device),
            Action::OpenBackup { device } => self.open_backup(device),
            Action::Append { device } => self.append(device),
            Action::Fetch { device } => self.fetch(device),
            Action::Contact { device } => self.contact(device),
            Action::ReEscrow { device } => self.re_escrow(device),
            Action::Deauthorize { device, by } => self.deauthorize(device, by),
            Action::Publish { point } => self.publish(point),
            Action::PublishTogether { point } => self.publish_together(point),
            Action::Suspend { user, by } => self.suspend(user, by),
            Action::Resume { user, by } => self.resume(user, by),
            Action::Deactivate { user, by } => self.deactivate(user, by),
            Action::Reactivate { user, by } => self.reactivate(user, by),
            Action::Purge { user } => self.purge(user),
            Action::WithdrawRight { tenant } => self.withdraw_right(tenant),
            Action::GrantRight { tenant } => {
                self.w.admin_right[tenant as usize] = true;
                Ok(())
            }
            Action::Request { by, user } => self.request(by, user),
            Action::Abort { by } => self.abort(by),
            Action::DeliverAbort => self.deliver_abort(),
            Action::FinishJob => self.finish_job(),
            Action::FailJob => self.fail_job(),
            Action::OpenCeremony { node, purpose, by } => self.open_ceremony(node, purpose, by),
            Action::Announce { node } => self.announce(node),
            Action::RequestShare { custodian, node, asking } => self.request_share(custodian, node, asking),
            Action::SubmitShare { custodian, node, handing } => self.submit_share(custodian, node, handing),
            Action::AckShare { custodian, condition } => self.ack_share(custodian, condition),
            Action::LoseCustodian { custodian } => self.lose_custodian(custodian),
            Action::OpenReplacement { node } => self.open_replacement(node),
            Action::AlertSink { up } => {
                self.w.alerts_up = up;
                Ok(())
            }
            Action::UnsealTogether { node } => self.unseal_together(node),
            Action::RekeyTogether => self.rekey_together(),
            Action::Snapshot => self.take_snapshot(),
            Action::StageRestore { condition } => self.stage_restore(condition),
            Action::Replay { user } => self.replay(user),
            Action::ReadHost { node } => self.read_host(node),
            Action::CorruptCustodian { custodian } => self.corrupt_custodian(custodian),
            Action::StealSnapshot => self.steal_snapshot(),
        }
    }

    /// Clears what no longer means anything, so that equal situations are equal states.
    fn tidy(&mut self) {
        self.w.each_lane(|lane| {
            if lane.message.is_none() {
                *lane = LaneState::fresh();
            }
        });
        if self.rules.publication {
            self.tidy_publication();
        }
        for device in &mut self.w.devices {
            device.heard &= device.opening_may_come();
            device.lane.void &= device.lane.names_a_nonce();
            device.late.void &= device.late.names_a_nonce();
        }
        if self.w.job.state == JobState::None {
            self.w.job.kind = bailee_spec::observation::JobKind::Own;
            self.w.job.noticed = false;
            if self.w.job.lane.message.is_none() {
                self.w.job.user = 0;
            }
        }
    }

    /// NET-2, NET-3.
    fn deliver(&mut self, lane: Lane, crash: bool) -> Check {
        let message = self.w.lane(lane).message.get().ok_or(Refusal::NothingInFlight)?;
        let receiver = receiver(message, lane);
        let Reaction { outcome, next } = match receiver {
            Receiver::Authority => match lane {
                Lane::Point(point) | Lane::LatePoint(point) => self.at_authority_from_point(point, lane),
                _ => self.at_authority(lane, message),
            },
            Receiver::Keystore => self.at_keystore(lane, message),
            Receiver::Device => self.at_device(lane, message),
            Receiver::Restorer => self.at_restorer(message),
            Receiver::Point(point) => self.at_point(point, lane),
        };
        let next = if crash { None } else { next.filter(|(m, _)| !unreachable_reply(*m, lane)) };
        let at = self.w.lane_mut(lane);
        at.outdated = false;
        match next {
            Some((message, key)) => {
                at.message = Slot::of(message);
                at.key = key;
            }
            None => at.message = Slot::EMPTY,
        }
        if crash {
            self.die(lane, receiver);
        } else if let (Lane::Device(d), None) = (lane, next) {
            self.w.devices[d as usize].program = Program::Idle;
        }
        outcome
    }

    /// NET-3: what dies with the receiver.
    fn die(&mut self, lane: Lane, receiver: Receiver) {
        match receiver {
            Receiver::Keystore | Receiver::Point(Point::Keystore) => self.restart(0),
            Receiver::Restorer | Receiver::Point(Point::Restorer) => self.crash_restorer(),
            Receiver::Device | Receiver::Authority | Receiver::Point(Point::Storage) => {}
        }
        if let Lane::Device(d) = lane {
            self.crash_device(d);
        }
    }

    /// NET-4.
    fn drop_late(&mut self, device: Device) -> Check {
        let late = &mut self.w.devices[device as usize].late;
        late.message.get().ok_or(Refusal::NothingInFlight)?;
        *late = LaneState::fresh();
        Ok(())
    }

    /// NET-5.
    pub(super) fn crash_device(&mut self, device: Device) {
        let late_allowed = self.rules.late;
        let d = &mut self.w.devices[device as usize];
        d.program = Program::Idle;
        d.memory_key = NO_KEY;
        d.capability = Capability::None;
        let lost = d.lane;
        d.lane = LaneState::fresh();
        if let Some(message) = lost.message.get()
            && receiver(message, Lane::Device(device)) != Receiver::Device
            && late_allowed
            && d.late.message.is_none()
        {
            d.late = lost;
        }
    }

    /// TIME-1.
    fn advance(&mut self) {
        self.w.each_lane(|lane| {
            lane.live = false;
            lane.pending = false;
        });
        for device in &mut self.w.devices {
            device.attempt = bailee_spec::observation::Attempt::None;
            device.attempt_at_keystore = bailee_spec::observation::Attempt::None;
            if device.at_authority == DeviceState::Pending {
                device.at_authority = DeviceState::None;
            }
            if device.capability != Capability::None {
                device.capability = Capability::Dead;
            }
        }
        for point in &mut self.w.points {
            if point.freshness == Freshness::Behind {
                point.freshness = Freshness::Fenced;
            }
        }
        self.acknowledge();
        self.end_ceremonies();
        if !self.rules.has(Mutation::KeyLeftOnTimeout) {
            self.w.job.held = NO_KEY;
        }
        self.w.job.waiting = false;
        self.w.job.state = JobState::None;
    }

    /// ENR-1.
    fn sign_in(&mut self, device: Device) -> Check {
        let d = &mut self.w.devices[device as usize];
        if d.program != Program::Idle || d.lane.message.is_some() || d.disk_key != NO_KEY {
            return Err(Refusal::OutOfTurn);
        }
        d.program = Program::SigningIn;
        d.lane = LaneState { message: Slot::of(Message::SignIn), ..LaneState::fresh() };
        Ok(())
    }

    /// The standing that a user needs to be served as usual.
    pub(super) fn in_good_standing(&self, user: User) -> Check {
        match self.w.users[user as usize].standing {
            Standing::Active => Ok(()),
            Standing::Suspended => Err(Refusal::UserSuspended),
            Standing::Deactivated | Standing::Purged => Err(Refusal::UserDeactivated),
        }
    }

    /// The user that a lane's traffic is about.
    pub(super) fn user_of_lane(&self, lane: Lane) -> User {
        self.w.user_of_lane(self.rules, lane)
    }
}

impl<const U: usize, const N: usize> World<U, N> {
    /// The user that a lane's traffic is about.
    pub(super) fn user_of_lane(&self, rules: &Rules, lane: Lane) -> User {
        match lane {
            Lane::Device(d) | Lane::Late(d) => rules.user_of(d),
            Lane::Job | Lane::Point(_) | Lane::LatePoint(_) => self.job.user,
        }
    }
}

/// Whether the action can have changed anything: GEN-1, a refusal consumes a delivered message, the share that a custodian
/// held and handed in, or a job's key, and changes nothing else.
pub fn may_have_changed(action: Action, outcome: Outcome) -> bool {
    let consumes = matches!(
        action,
        Action::Deliver { .. }
            | Action::DeliverThenCrash { .. }
            | Action::SubmitShare { handing: Handing::Right, .. }
            | Action::FinishJob
    );
    match outcome {
        Outcome::Accepted => true,
        Outcome::Refused(_) => consumes && !is_idle(outcome),
    }
}

/// The network and the environment say this, not a role: nothing was tried on anybody.
pub fn is_idle(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Refused(Refusal::NothingInFlight | Refusal::OutOfTurn | Refusal::LaneBusy))
}

/// Who receives a message of this kind in this lane (NET-1).
pub(crate) fn receiver(message: Message, lane: Lane) -> Receiver {
    use Message as M;
    match message {
        M::SignIn
        | M::BeginEnrolment
        | M::EnrolmentOpened
        | M::PresentCertificate
        | M::AccountCreated
        | M::EscrowKey
        | M::Receipt
        | M::AddDevice
        | M::ConsumeGrant
        | M::SealedKey
        | M::AlreadyEscrowed
        | M::KeystoreRefusal
        | M::JobKey
        | M::JobEnd
        | M::Confirm => Receiver::Authority,
        M::OpenEnrolment | M::CreateAccount | M::Escrow | M::ReleaseKey | M::GrantConsumed | M::GrantRefused => {
            Receiver::Keystore
        }
        M::Publish => match lane {
            Lane::Point(point) | Lane::LatePoint(point) => Receiver::Point(point),
            Lane::Device(_) | Lane::Late(_) | Lane::Job => Receiver::Device,
        },
        M::SessionOpened
        | M::Nonce
        | M::Admission
        | M::Authorised
        | M::KeyDelivery
        | M::GoReplace
        | M::Refusal
        | M::AssignJob => {
            if lane == Lane::Job {
                Receiver::Restorer
            } else {
                Receiver::Device
            }
        }
    }
}

/// In a late lane nobody is there to be answered (NET-2).
fn unreachable_reply(message: Message, lane: Lane) -> bool {
    matches!(lane, Lane::Late(_)) && receiver(message, lane) == Receiver::Device
}
