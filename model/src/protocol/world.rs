//! The state of the symbolic reading: who knows which key by name, and what is on its way.
//!
//! A [`World`] is small and `Copy`. Keys are names ([`Key`]); two positions hold the same key when they hold the same
//! name. Sizes are parameters, so that the same rules run the packed scopes and the large random walks.
//!
//! The fields stand in memory in the order in which [`super::layout`] goes over them (`repr(C)`), so that copying them out is
//! a copy of bytes and not a shuffle: measured, packing is a quarter faster for it.

use bailee_spec::action::Lane;
use bailee_spec::observation::{
    AccountState, Attempt, Capability, CeremonyState, DeviceState, Disk, Freshness, JobKind, JobState, Message,
    Program, ShareHeld, Standing, Window,
};

/// The name of an archive key; [`NO_KEY`] is none.
pub type Key = u8;
/// No key.
pub const NO_KEY: Key = 0;
/// Nodes that a world has room for.
pub const NODES: usize = 2;
/// Custodians that a world has room for.
pub const CUSTODIANS: usize = 5;

/// A user, at the authority, the keystore, storage and in the adversary's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// A message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LaneState {
    /// Its kind; none: the lane is empty.
    pub message: Option<Message>,
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
        LaneState { message: None, key: NO_KEY, live: false, pending: false, outdated: false };
}

/// A device and its records elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct CustodianState {
    /// The share in the client's memory.
    pub share: ShareHeld,
    /// Counted by node 0, by node 1.
    pub counted: [bool; NODES],
    /// Acknowledged the new share.
    pub acked: bool,
    /// Share and keys are in the adversary's hands.
    pub corrupt: bool,
}

/// The job and the restorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct JobRecord {
    /// State at the authority.
    pub state: JobState,
    /// What it is for; meaningless while `state` is none.
    pub kind: JobKind,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotState {
    /// None.
    None,
    /// Of the present share epoch.
    Current,
    /// Of a retired share epoch.
    Retired,
}

/// What must never be: set only by a step that does it, never by a right model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct Broken {
    /// A share left custody without an alert.
    pub share_without_alert: bool,
    /// A key was released without a consumed grant in the log.
    pub release_without_record: bool,
    /// An administrator's job without a notice.
    pub job_without_notice: bool,
}

/// A state of the whole system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// What must never be.
    pub broken: Broken,
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
            custodians: [CustodianState {
                share: ShareHeld::None,
                counted: [false; NODES],
                acked: false,
                corrupt: false,
            }; CUSTODIANS],
            job: JobRecord {
                state: JobState::None,
                kind: JobKind::Own,
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
            broken: Broken::default(),
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

    /// The least key name that no position holds.
    pub fn fresh_key(&self) -> Key {
        let mut used = [false; 256];
        let mut copy = *self;
        copy.each_key(|key| used[*key as usize] = true);
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
