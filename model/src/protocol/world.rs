//! The state of the symbolic reading: who knows which key by name, and what is on its way.
//!
//! A [`World`] is small and `Copy`. Keys are names ([`Key`]); two positions hold the same key when they hold the same
//! name. Sizes are parameters, so that the same rules run the packed scopes and the large random walks.
//!
//! Every part of a world is plain bytes without gaps, in the order in which [`super::layout`] goes over them: worlds are
//! compared and packed as bytes, which the explorer does for every transition.

use bailee_spec::action::Lane;
use bailee_spec::observation::{
    AccountState, Attempt, Capability, CeremonyState, DeviceState, Disk, Freshness, JobKind, JobState, Message,
    Program, ShareHeld, Standing, Window,
};
use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes, Unaligned};

/// The name of an archive key; [`NO_KEY`] is none.
pub type Key = u8;
/// No key.
pub const NO_KEY: Key = 0;
/// Nodes that a world has room for.
pub const NODES: usize = 2;
/// Custodians that a world has room for.
pub const CUSTODIANS: usize = 5;

/// A user, at the authority, the keystore, storage and in the adversary's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
#[repr(C)]
pub struct UserState {
    /// Standing at the authority.
    pub standing: Standing,
    /// The key that the authority's log names.
    pub enrolled: Key,
    /// The key in the escrow message that the authority keeps.
    pub kept: Key,
    /// The account in the keystore.
    pub account: AccountState,
    /// Its key.
    pub escrowed: Key,
    /// Whether the archive holds a backup set.
    pub archive: bool,
    /// The account in the snapshot.
    pub snapshot_account: AccountState,
    /// Its key.
    pub snapshot_key: Key,
    /// The key was in the store when the adversary read an unsealed host.
    pub opened_by_root: bool,
    /// The key was in the snapshot that the adversary took.
    pub stolen: bool,
    /// The key is opened by shares and the stolen snapshot.
    pub opened_by_shares: bool,
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

/// A message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
#[repr(C)]
pub struct LaneState {
    /// Its kind; none: the lane is empty.
    pub message: Slot,
    /// The key inside it.
    pub key: Key,
    /// Its session or grant period is not over.
    pub live: bool,
    /// The keystore waits for its grant to be consumed.
    pub pending: bool,
    /// It is of an earlier store generation.
    pub outdated: bool,
}

impl LaneState {
    /// An empty lane.
    pub const EMPTY: LaneState =
        LaneState { message: Slot::EMPTY, key: NO_KEY, live: false, pending: false, outdated: false };
}

/// A device and its records elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceRecord {
    /// The disk.
    pub disk: Disk,
    /// The key on it.
    pub disk_key: Key,
    /// The program.
    pub program: Program,
    /// The key in memory.
    pub memory_key: Key,
    /// Leave to append.
    pub capability: Capability,
    /// The device at the authority.
    pub at_authority: DeviceState,
    /// Its attempt there.
    pub attempt: Attempt,
    /// Its attempt is open at the keystore.
    pub attempt_at_keystore: bool,
    /// Its lane.
    pub lane: LaneState,
    /// Its late lane.
    pub late: LaneState,
}

/// A keystore node and custody's window for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
#[repr(C)]
pub struct NodeState {
    /// Lacks the root.
    pub sealed: bool,
    /// Its ceremony.
    pub ceremony: CeremonyState,
    /// Custody's window.
    pub window: Window,
}

/// A custodian.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    IntoBytes,
    TryFromBytes,
    Unaligned,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct CustodianState {
    /// The share in the client's memory.
    pub share: Share,
    /// Counted by node 0, by node 1.
    pub counted: [bool; NODES],
    /// Acknowledged the new share.
    pub acked: bool,
    /// Share and keys are in the adversary's hands.
    pub corrupt: bool,
}

/// The job and the restorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
#[repr(C)]
pub struct JobRecord {
    /// State at the authority.
    pub state: JobState,
    /// What it is for; meaningless while `state` is none.
    pub kind: JobKind,
    /// A notice to the owner is in the log; meaningless while `state` is none.
    pub noticed: bool,
    /// The user it is about; 0 when the job is over and its lane is empty.
    pub user: u8,
    /// The restorer has a job key.
    pub waiting: bool,
    /// The archive key in the restorer's memory.
    pub held: Key,
    /// Its lane.
    pub lane: LaneState,
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

/// A state of the whole system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
#[repr(C)]
pub struct World<const U: usize, const N: usize> {
    /// By user.
    pub users: [UserState; U],
    /// By device.
    pub devices: [DeviceRecord; N],
    /// By node.
    pub nodes: [NodeState; NODES],
    /// By custodian.
    pub custodians: [CustodianState; CUSTODIANS],
    /// The job.
    pub job: JobRecord,
    /// Keystore, storage, restorer.
    pub points: [Freshness; 3],
    /// The snapshot.
    pub snapshot: SnapshotState,
    /// A restore is staged.
    pub restoring: bool,
    /// Shares of an earlier epoch exist.
    pub retired_shares: bool,
    /// The alert sink works.
    pub alerts_up: bool,
    /// The administrator has the restore right.
    pub admin_right: bool,
    /// Always 0: with them the world of a scope is a whole number of words.
    spare: [u8; 4],
}

impl<const U: usize, const N: usize> World<U, N> {
    /// A world in which nobody is enrolled, every node is unsealed and nothing is on its way.
    pub fn fresh() -> Self {
        World {
            users: [UserState {
                standing: Standing::Active,
                enrolled: NO_KEY,
                kept: NO_KEY,
                account: AccountState::None,
                escrowed: NO_KEY,
                archive: false,
                snapshot_account: AccountState::None,
                snapshot_key: NO_KEY,
                opened_by_root: false,
                stolen: false,
                opened_by_shares: false,
            }; U],
            devices: [DeviceRecord {
                disk: Disk::Blank,
                disk_key: NO_KEY,
                program: Program::Idle,
                memory_key: NO_KEY,
                capability: Capability::None,
                at_authority: DeviceState::None,
                attempt: Attempt::None,
                attempt_at_keystore: false,
                lane: LaneState::EMPTY,
                late: LaneState::EMPTY,
            }; N],
            nodes: [NodeState { sealed: false, ceremony: CeremonyState::None, window: Window::None }; NODES],
            custodians: [CustodianState { share: Share::NONE, counted: [false; NODES], acked: false, corrupt: false };
                CUSTODIANS],
            job: JobRecord {
                state: JobState::None,
                kind: JobKind::Own,
                noticed: false,
                user: 0,
                waiting: false,
                held: NO_KEY,
                lane: LaneState::EMPTY,
            },
            points: [Freshness::Current; 3],
            snapshot: SnapshotState::None,
            restoring: false,
            retired_shares: false,
            alerts_up: true,
            admin_right: true,
            spare: [0; 4],
        }
    }

    /// The lane.
    pub fn lane(&self, lane: Lane) -> &LaneState {
        match lane {
            Lane::Device(d) => &self.devices[d as usize].lane,
            Lane::Late(d) => &self.devices[d as usize].late,
            Lane::Job => &self.job.lane,
        }
    }

    /// The lane, to be changed.
    pub fn lane_mut(&mut self, lane: Lane) -> &mut LaneState {
        match lane {
            Lane::Device(d) => &mut self.devices[d as usize].lane,
            Lane::Late(d) => &mut self.devices[d as usize].late,
            Lane::Job => &mut self.job.lane,
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

    /// Calls `f` on every lane.
    pub fn each_lane(&mut self, mut f: impl FnMut(&mut LaneState)) {
        for device in &mut self.devices {
            f(&mut device.lane);
            f(&mut device.late);
        }
        f(&mut self.job.lane);
    }
}
