//! A scope: a bounded instance of the protocol, as data. The committed ones are in `spec/scopes.toml`.

use serde::{Deserialize, Serialize};

use crate::action::Point;

/// Which reading of the article's promises is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The article as written.
    Classic,
}

/// Where a scope starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Nobody is enrolled; every node is unsealed; no archive.
    Fresh,
    /// The first device of every user is enrolled and has backed up once; every node is unsealed.
    Enrolled,
    /// As `Fresh`, and every node is sealed.
    Sealed,
}

macro_rules! parts {
    ($($(#[doc = $about:literal])+ $name:ident,)*) => {
        /// A part of the protocol or a fault that a scope switches on: it decides which actions are tried.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Part { $($(#[doc = $about])+ $name,)* }

        impl Part {
            /// Every part.
            pub const ALL: &'static [Part] = &[$(Part::$name,)*];

            /// What it switches on, in one sentence: its documentation.
            pub fn about(self) -> &'static str {
                match self { $(Part::$name => concat!($($about),+).trim_ascii_start(),)* }
            }
        }
    };
}

parts! {
    /// Devices without a key sign in, enrol or replace: `SignIn`, and all that follows from it.
    SignIn,
    /// Devices back up and read back: `OpenBackup`, `Append`, `Fetch`.
    Backup,
    /// Devices are deauthorized, and the admission points hear of it: `Deauthorize`, `PublishTogether` (or `Publish`, with
    /// `publication`), `Contact`.
    Revocation,
    /// What the points hear, and their answers, are messages: `Publish` in place of `PublishTogether`, deliveries, `Duplicate`,
    /// `Drop`.
    Publication,
    /// Users are suspended for a time: `Suspend`, `Resume`.
    Suspension,
    /// Users are deactivated, and may come back: `Deactivate`, `Reactivate`.
    Deactivation,
    /// Deactivated users are gone for good: `Purge`; needs `deactivation`.
    Purge,
    /// Users ask for a restore: `Request` by owner and neighbour, and all that follows.
    OwnRestore,
    /// Administrators ask for a restore: `Request` by the administrators, and all that follows.
    OnBehalf,
    /// The schedule asks for maintenance of an archive: `Request` by the schedule, and all that follows.
    Maintenance,
    /// Jobs are ended early: `Abort`, `DeliverAbort`.
    Abort,
    /// The administrator's right is withdrawn and given back: `WithdrawRight`, `GrantRight`.
    AdminRight,
    /// Nodes are unsealed step by step: `OpenCeremony` to unseal, `Announce`, `RequestShare`, `SubmitShare`, `Seal`.
    Ceremony,
    /// Shares are renewed step by step: `OpenCeremony` to rekey, `AckShare`, retired shares.
    Rekey,
    /// Custodians are gone for good, and are replaced: `LoseCustodian`, `OpenReplacement`, `AckShare`; needs `ceremony`.
    CustodianLoss,
    /// Nodes are unsealed in one action: `UnsealTogether`.
    UnsealTogether,
    /// Shares are renewed in one action: `RekeyTogether`.
    RekeyTogether,
    /// Snapshots are taken and restored: `Snapshot`, `StageRestore`.
    Disaster,
    /// Keys that a disaster lost come back: `Replay`, `ReEscrow`.
    KeyReturn,
    /// The least adversary takes what it can: `ReadHost`, `CorruptCustodian`, `StealSnapshot`.
    Adversary,
    /// Devices crash: `CrashDevice`.
    DeviceCrash,
    /// Messages outlive a broken connection: late deliveries, `DropLate`.
    Late,
    /// Receivers die after their write: `DeliverThenCrash`.
    CrashAfterWrite,
    /// Nodes restart: `Restart`.
    KeystoreRestart,
    /// The restorer crashes: `CrashRestorer`.
    RestorerCrash,
    /// The sink of the custody alerts fails and comes back: `AlertSink`.
    AlertOutage,
    /// One validity period passes: `Advance`.
    Time,
    /// The clocks of the authority and of the admission points go on apart: `Tick`.
    Clocks,
}

fn every_point() -> Vec<Point> {
    Point::ALL.to_vec()
}

/// A bounded instance. `spec/scopes.md` describes the file form, its limits and its defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scope {
    /// Its name, as in `--scope`.
    pub name: String,
    /// What it is for, in one sentence.
    #[serde(default)]
    pub about: String,
    /// The profile.
    #[serde(default = "classic")]
    pub profile: Profile,
    /// Users: 1 or more.
    #[serde(default = "one")]
    pub users: u8,
    /// Tenants: 1, or as many as users, with a user each and an administrator of their own.
    #[serde(default = "one")]
    pub tenants: u8,
    /// Devices a user: 1 or more.
    #[serde(default = "one")]
    pub devices_per_user: u8,
    /// Keystore nodes: 1 or 2.
    #[serde(default = "one")]
    pub nodes: u8,
    /// Custodians: 2 to 5.
    #[serde(default = "two")]
    pub custodians: u8,
    /// Shares needed: 2 or more, at most `custodians`.
    #[serde(default = "two")]
    pub threshold: u8,
    /// Where it starts.
    #[serde(default = "fresh")]
    pub start: Start,
    /// The admission points that the authority serves, in the order keystore, storage, restorer; all of them if not given. Fewer
    /// only with the part `publication`.
    #[serde(default = "every_point")]
    pub points: Vec<Point>,
    /// What is switched on.
    pub parts: Vec<Part>,
    /// Whether interchangeable users, devices and custodians are sorted.
    #[serde(default = "yes")]
    pub sorted: bool,
    /// Whether lockstep executes every transition (else the scope is for the model alone).
    #[serde(default = "yes")]
    pub lockstep: bool,
    /// Whether it belongs to the focused scopes that every run checks (else nightly or on demand).
    #[serde(default = "yes")]
    pub focused: bool,
    /// The ids of the properties checked here.
    #[serde(default)]
    pub properties: Vec<String>,
    /// Distinct states, transitions and depth that a run must find; absent in a user's own scope.
    pub expected: Option<Expected>,
}

fn classic() -> Profile {
    Profile::Classic
}

fn fresh() -> Start {
    Start::Fresh
}

fn one() -> u8 {
    1
}

fn two() -> u8 {
    2
}

fn yes() -> bool {
    true
}

/// The size that a committed scope must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expected {
    /// Distinct states.
    pub states: u64,
    /// Transitions that change the state.
    pub transitions: u64,
    /// Steps to the farthest state.
    pub depth: u32,
}
