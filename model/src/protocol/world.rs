//! The state of the symbolic reading: who knows which key by name, and what is on its way.
//!
//! A [`World`] is small and `Copy`. Keys are names ([`Key`]); two positions hold the same key when they hold the same
//! name. Sizes are parameters, so that the same rules run the packed scopes and the large random walks.
//!
//! Every part of a world is plain bytes without gaps, declared once, with the bits that a scope needs for it: worlds are
//! compared and packed as bytes, which the explorer does for every transition.

use bailee_spec::action::{Lane, Point};
use bailee_spec::observation::{
    AccountState, Attempt, Capability, CeremonyState, DeviceState, Disk, Freshness, JobKind, JobState, Message,
    Person, Program, ShareHeld, Standing, Window,
};
use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes, Unaligned};

use super::layout::{LaneRoom, Plan};
use super::publication::{FIRST_EPOCH, IN_STEP, NO_EPOCH, OVER, is_news};

/// The name of an archive key; [`NO_KEY`] is none.
pub type Key = u8;
/// No key.
pub const NO_KEY: Key = 0;
/// Nodes that a world has room for.
pub const NODES: usize = 2;
/// Custodians that a world has room for.
pub const CUSTODIANS: usize = 5;

/// Declares a part of a world: every field once, with what a fresh world holds there and the bits that a scope needs for it.
/// The last closure of a field tells [`Plan`] of its bytes, in their order.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $name:ident $(<$(const $size:ident),+>)? {
            $($(#[$doc:meta])* $field:ident: $type:ty = $fresh:expr, $lay:expr;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name $(<$(const $size: usize),+>)? {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $(<$(const $size: usize),+>)? $name $(<$($size),+>)? {
            /// As it is where nothing has happened yet.
            pub fn fresh() -> Self {
                $name { $($field: $fresh,)* }
            }

            /// Tells the plan of every byte.
            pub(super) fn lay(plan: &mut Plan) {
                $({
                    let lay: fn(&mut Plan) = $lay;
                    lay(plan);
                })*
            }
        }
    };
}

record! {
    /// A user, at the authority, the keystore, storage and in the adversary's hands.
    UserState {
        /// Standing at the authority.
        standing: Standing = Standing::Active, |p| p.bits(p.room.standing);
        /// The key that the authority's log names.
        enrolled: Key = NO_KEY, |p| p.key(p.room.keys_move);
        /// The key in the escrow message that the authority keeps.
        kept: Key = NO_KEY, |p| p.key(p.room.keys_are_kept);
        /// The account in the keystore.
        account: AccountState = AccountState::None, |p| p.when(p.room.accounts_move, 3);
        /// The user was deactivated or purged, and the keystore has not heard of it.
        ending: bool = false, |p| p.when(p.room.enrols && p.room.epochs_rise, 1);
        /// Its key.
        escrowed: Key = NO_KEY, |p| p.key(p.room.keys_move);
        /// Whether the archive holds a backup set.
        archive: bool = false, |p| p.when(p.room.archives_move, 1);
        /// The account in the snapshot.
        snapshot_account: AccountState = AccountState::None, |p| p.when(p.room.disaster, 3);
        /// Its key.
        snapshot_key: Key = NO_KEY, |p| p.key(p.room.keys_are_kept);
        /// The key was in the store when the adversary read an unsealed host.
        opened_by_root: bool = false, |p| p.when(p.room.adversary, 1);
        /// The key was in the snapshot that the adversary took.
        stolen: bool = false, |p| p.when(p.room.adversary, 1);
        /// The key is opened by shares and the stolen snapshot.
        opened_by_shares: bool = false, |p| p.when(p.room.adversary, 1);
    }
}

/// The kind of a message on its way, or none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Slot(u8);

impl Slot {
    /// No message.
    pub const EMPTY: Slot = Slot(0);

    /// A message of this kind.
    pub fn of(message: Message) -> Self {
        Slot(message as u8 + 1)
    }

    /// The kind.
    pub fn get(self) -> Option<Message> {
        self.0.checked_sub(1).map(|kind| Message::ALL[kind as usize])
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Slot::EMPTY
    }

    /// Whether there is one.
    pub fn is_some(self) -> bool {
        self != Slot::EMPTY
    }

    /// As a number: 0, or the kind's place from 1.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

/// The share in a custodian's client: none, of an earlier ceremony, or for a node's present one.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Share(u8);

impl Share {
    /// No share.
    pub const NONE: Share = Share(0);
    /// One of a ceremony that is over.
    pub const OLD: Share = Share(1);

    /// One for the present ceremony of a node.
    pub fn released_for(node: u8) -> Self {
        Share(2 + node)
    }

    /// As it is observed.
    pub fn held(self) -> ShareHeld {
        match self.0 {
            0 => ShareHeld::None,
            1 => ShareHeld::Old,
            node => ShareHeld::For(node - 2),
        }
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.held().fmt(f)
    }
}

record! {
    /// A message on its way.
    LaneState {
        /// Its kind; none: the lane is empty.
        message: Slot = Slot::EMPTY, |p| p.when(p.lane.used, 5);
        /// The key inside it.
        key: Key = NO_KEY, |p| p.key(p.lane.speaks);
        /// Its session or grant period is not over.
        live: bool = false, |p| p.when(p.lane.speaks, 1);
        /// The keystore waits for its grant to be consumed.
        pending: bool = false, |p| p.when(p.lane.speaks, 1);
        /// The nonce that it names is no longer its attempt's: the keystore closed the attempt (REV-2h).
        void: bool = false, |p| p.when(p.lane.speaks && p.room.enrols && p.room.epochs_rise, 1);
        /// It is of an earlier store generation.
        outdated: bool = false, |p| p.when(p.lane.speaks && p.room.disaster, 1);
        /// The revocation epoch that it names.
        epoch: u8 = NO_EPOCH, |p| p.when(p.lane.used && !p.lane.speaks && p.room.publication, p.room.epoch);
        /// The end that it or its session names (TIME-2).
        end: u8 = OVER, |p| p.when(p.lane.used && p.room.publication, 3);
    }
}

record! {
    /// A device and its records elsewhere.
    DeviceRecord {
        /// The disk.
        disk: Disk = Disk::Blank, |p| p.when(p.room.disks_move, 2);
        /// The key on it.
        disk_key: Key = NO_KEY, |p| p.key(p.room.keys_move);
        /// The program.
        program: Program = Program::Idle, |p| p.when(p.room.signs_in, 2);
        /// The key in memory.
        memory_key: Key = NO_KEY, |p| p.key(p.room.enrols);
        /// Leave to append.
        capability: Capability = Capability::None, |p| p.when(p.room.backs_up, 2);
        /// The epoch that it names.
        capability_epoch: u8 = NO_EPOCH, |p| p.when(p.room.backs_up && p.room.publication, p.room.epoch);
        /// The end that it names.
        capability_end: u8 = OVER, |p| p.when(p.room.backs_up && p.room.publication, 3);
        /// The device at the authority.
        at_authority: DeviceState = DeviceState::None, |p| p.when(p.room.disks_move, 3);
        /// Its attempt there.
        attempt: Attempt = Attempt::None, |p| p.when(p.room.enrols, 2);
        /// Its attempt at the keystore.
        attempt_at_keystore: Attempt = Attempt::None, |p| p.when(p.room.enrols, 2);
        /// The keystore has heard of its deauthorization, and an opening of its attempt may still come.
        heard: bool = false, |p| p.when(p.room.enrols && p.room.epochs_rise, 1);
        /// Its lane.
        lane: LaneState = LaneState::fresh(), |p| p.lane(LaneRoom { used: p.room.signs_in, speaks: p.room.signs_in });
        /// Its late lane.
        late: LaneState = LaneState::fresh(), |p| p.lane(LaneRoom { used: p.room.late, speaks: p.room.late });
    }
}

impl LaneState {
    /// It names the nonce of an attempt.
    pub fn names_a_nonce(&self) -> bool {
        use Message::{CreateAccount, EnrolmentOpened, Nonce, PresentCertificate};
        matches!(self.message.get(), Some(EnrolmentOpened | Nonce | PresentCertificate | CreateAccount))
    }
}

impl DeviceRecord {
    /// The keystore closes its attempt: what was sent for it is void.
    pub fn close_attempt(&mut self) {
        self.attempt_at_keystore = Attempt::None;
        for lane in [&mut self.lane, &mut self.late] {
            lane.void |= lane.names_a_nonce();
        }
    }

    /// An opening of its attempt is on its way to the keystore, or came there.
    pub fn opening_may_come(&self) -> bool {
        let opening = Slot::of(Message::OpenEnrolment);
        self.attempt_at_keystore != Attempt::None || self.lane.message == opening || self.late.message == opening
    }
}

record! {
    /// A keystore node and custody's window for it.
    NodeState {
        /// Lacks the root.
        sealed: bool = false, |p| p.when(p.room.nodes_seal, 1);
        /// Its ceremony.
        ceremony: CeremonyState = CeremonyState::None, |p| p.when(p.room.ceremonies, 2);
        /// Custody's window.
        window: Window = Window::None, |p| p.when(p.room.ceremonies, 2);
    }
}

record! {
    /// A custodian.
    #[derive(PartialOrd, Ord)]
    CustodianState {
        /// The share in the client's memory.
        share: Share = Share::NONE, |p| p.when(p.room.ceremonies, 2);
        /// Counted by node 0, by node 1.
        counted: [bool; NODES] = [false; NODES], |p| {
            for node in 0..NODES {
                p.when(p.room.ceremonies && node < p.room.nodes, 1);
            }
        };
        /// Acknowledged the new share.
        acked: bool = false, |p| p.when(p.room.rekeys, 1);
        /// Who it is.
        person: Person = Person::Serving, |p| p.when(p.room.custodians_go, 2);
        /// Began to serve after the ceremony of the window: the share of that ceremony's epoch was another's.
        joined: bool = false, |p| p.when(p.room.custodians_go, 1);
        /// Share and keys are in the adversary's hands.
        corrupt: bool = false, |p| p.when(p.room.adversary, 1);
    }
}

record! {
    /// The job and the restorer.
    JobRecord {
        /// State at the authority.
        state: JobState = JobState::None, |p| p.when(p.room.jobs, 2);
        /// What it is for; meaningless while `state` is none.
        kind: JobKind = JobKind::Own, |p| p.when(p.room.jobs, 2);
        /// A notice to the owner is in the log; meaningless while `state` is none.
        noticed: bool = false, |p| p.when(p.room.on_behalf, 1);
        /// The user it is about; 0 when the job is over and its lane is empty.
        user: u8 = 0, |p| p.when(p.room.jobs && p.room.users > 1, 1);
        /// The restorer has a job key.
        waiting: bool = false, |p| p.when(p.room.jobs, 1);
        /// The archive key in the restorer's memory.
        held: Key = NO_KEY, |p| p.key(p.room.jobs);
        /// Its lane.
        lane: LaneState = LaneState::fresh(), |p| p.lane(LaneRoom { used: p.room.jobs, speaks: p.room.jobs });
    }
}

record! {
    /// An admission point, and what the authority has on record about it.
    PointRecord {
        /// Where revocation is no message: what it knows.
        freshness: Freshness = Freshness::Current, |p| p.when(p.room.epochs_rise && !p.room.publication, 2);
        /// The newest epoch that it has stored.
        mark: u8 = FIRST_EPOCH, |p| p.when(p.room.serves(), p.room.epoch);
        /// The end of its lease.
        lease: u8 = OVER, |p| p.when(p.room.serves(), 3);
        /// The authority has a confirmation of its newest epoch.
        confirmed: bool = true, |p| p.when(p.room.serves(), 1);
        /// The latest end that the authority named to it.
        named: u8 = OVER, |p| p.when(p.room.serves(), 3);
        /// What they say to each other.
        lane: LaneState = LaneState::fresh(), |p| p.lane(LaneRoom { used: p.room.serves(), speaks: false });
        /// An earlier message of it.
        late: LaneState = LaneState::fresh(), |p| p.lane(LaneRoom { used: p.room.serves(), speaks: false });
    }
}

/// The snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
#[repr(u8)]
pub enum SnapshotState {
    /// None.
    None,
    /// Of the present share epoch.
    Current,
    /// Of a retired share epoch.
    Retired,
}

/// Bytes that fill up the last word of a world.
const SPARE: usize = 4;

record! {
    /// A state of the whole system.
    World<const U, const N> {
        /// By user.
        users: [UserState; U] = [UserState::fresh(); U], |p| p.each(U, p.room.users, UserState::lay);
        /// By device.
        devices: [DeviceRecord; N] = [DeviceRecord::fresh(); N], |p| p.each(N, p.room.devices, DeviceRecord::lay);
        /// By node.
        nodes: [NodeState; NODES] = [NodeState::fresh(); NODES], |p| p.each(NODES, p.room.nodes, NodeState::lay);
        /// By custodian.
        custodians: [CustodianState; CUSTODIANS] = [CustodianState::fresh(); CUSTODIANS], |p| p.custodians();
        /// The job.
        job: JobRecord = JobRecord::fresh(), JobRecord::lay;
        /// Keystore, storage, restorer.
        points: [PointRecord; 3] = [PointRecord::fresh(); 3], |p| {
            for point in Point::ALL {
                p.point(point);
            }
        };
        /// The newest epoch.
        newest: u8 = FIRST_EPOCH, |p| p.when(p.room.publication, p.room.epoch);
        /// How far the points' clock is ahead of the authority's.
        skew: u8 = IN_STEP, |p| p.when(p.room.clocks, 2);
        /// The snapshot.
        snapshot: SnapshotState = SnapshotState::None, |p| p.when(p.room.disaster, 2);
        /// A restore is staged.
        restoring: bool = false, |p| p.when(p.room.disaster, 1);
        /// Shares of an earlier epoch exist.
        retired_shares: bool = false, |p| p.when(p.room.shares_retire, 1);
        /// The alert sink works.
        alerts_up: bool = true, |p| p.when(p.room.alerts_fail, 1);
        /// By tenant: its administrator has the restore right.
        admin_right: [bool; U] = [true; U], |p| p.each(U, p.room.tenants, |p| p.when(p.room.rights_move, 1));
        /// Always 0: with them the world of a scope is a whole number of words.
        spare: [u8; SPARE] = [0; SPARE], |p| p.each(SPARE, 0, |p| p.bits(0));
    }
}

impl<const U: usize, const N: usize> World<U, N> {
    /// The lane.
    pub fn lane(&self, lane: Lane) -> &LaneState {
        match lane {
            Lane::Device(d) => &self.devices[d as usize].lane,
            Lane::Late(d) => &self.devices[d as usize].late,
            Lane::Job => &self.job.lane,
            Lane::Point(p) => &self.points[p as usize].lane,
            Lane::LatePoint(p) => &self.points[p as usize].late,
        }
    }

    /// The lane, to be changed.
    pub fn lane_mut(&mut self, lane: Lane) -> &mut LaneState {
        match lane {
            Lane::Device(d) => &mut self.devices[d as usize].lane,
            Lane::Late(d) => &mut self.devices[d as usize].late,
            Lane::Job => &mut self.job.lane,
            Lane::Point(p) => &mut self.points[p as usize].lane,
            Lane::LatePoint(p) => &mut self.points[p as usize].late,
        }
    }

    /// Calls `f` on every position that can hold a key, in the order of the observation.
    #[inline(always)]
    pub fn each_key(&mut self, mut f: impl FnMut(&mut Key)) {
        for user in &mut self.users {
            f(&mut user.enrolled);
            f(&mut user.kept);
            f(&mut user.escrowed);
            f(&mut user.snapshot_key);
        }
        for device in &mut self.devices {
            f(&mut device.disk_key);
            f(&mut device.memory_key);
            f(&mut device.lane.key);
            f(&mut device.late.key);
        }
        f(&mut self.job.held);
        f(&mut self.job.lane.key);
    }

    /// Calls `f` with every key, in the order of [`World::each_key`].
    #[inline(always)]
    pub fn keys(&self, mut f: impl FnMut(Key)) {
        for user in &self.users {
            f(user.enrolled);
            f(user.kept);
            f(user.escrowed);
            f(user.snapshot_key);
        }
        for device in &self.devices {
            f(device.disk_key);
            f(device.memory_key);
            f(device.lane.key);
            f(device.late.key);
        }
        f(self.job.held);
        f(self.job.lane.key);
    }

    /// The least key name that no position holds.
    pub fn fresh_key(&self) -> Key {
        let mut used = [false; 256];
        self.keys(|key| used[key as usize] = true);
        (1..=255).find(|&key| !used[key as usize]).unwrap_or(NO_KEY)
    }

    /// Calls `f` on every end.
    pub fn each_end(&mut self, mut f: impl FnMut(&mut u8)) {
        for device in &mut self.devices {
            f(&mut device.capability_end);
            f(&mut device.lane.end);
            f(&mut device.late.end);
        }
        f(&mut self.job.lane.end);
        for point in &mut self.points {
            f(&mut point.lease);
            f(&mut point.named);
            f(&mut point.lane.end);
            f(&mut point.late.end);
        }
    }

    /// Calls `f` on every epoch that is named somewhere, by a point that the authority serves among others (OBS-3).
    pub fn each_epoch(&mut self, served: &[bool; 3], mut f: impl FnMut(&mut u8)) {
        let newest = self.newest;
        f(&mut self.newest);
        for (point, _) in self.points.iter_mut().zip(served).filter(|(_, served)| **served) {
            f(&mut point.mark);
            for lane in [&mut point.lane, &mut point.late].into_iter().filter(|lane| is_news(lane, newest)) {
                f(&mut lane.epoch);
            }
        }
        for device in &mut self.devices {
            if device.capability != Capability::None {
                f(&mut device.capability_epoch);
            }
        }
    }

    /// Calls `f` on every lane of devices and of the job.
    pub fn each_lane(&mut self, mut f: impl FnMut(&mut LaneState)) {
        for device in &mut self.devices {
            f(&mut device.lane);
            f(&mut device.late);
        }
        f(&mut self.job.lane);
    }
}
