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
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A part of the protocol or a fault that a scope switches on: it decides which actions are tried.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Part { $($(#[$doc])* $name,)* }

        impl Part {
            /// Every part.
            pub const ALL: &'static [Part] = &[$(Part::$name,)*];
        }
    };
}

parts! {
    /// `SignIn` by devices without a key, and all that follows from it.
    SignIn,
    /// `OpenBackup`, `Append`, `Fetch`.
    Backup,
    /// `Deauthorize`, `PublishTogether` (or `Publish`, with `Publication`), `Contact`.
    Revocation,
    /// `Publish` and its confirmation as messages: `Publish` in place of `PublishTogether`, deliveries, `Duplicate`, `Drop`.
    Publication,
    /// `Suspend`, `Resume`.
    Suspension,
    /// `Deactivate`, `Reactivate`.
    Deactivation,
    /// `Purge`.
    Purge,
    /// `Request` by owner and neighbour, and all that follows.
    OwnRestore,
    /// `Request` by the administrators.
    OnBehalf,
    /// `Request` by the schedule.
    Maintenance,
    /// `Abort`, `DeliverAbort`.
    Abort,
    /// `WithdrawRight`, `GrantRight`.
    AdminRight,
    /// `OpenCeremony` to unseal, `Announce`, `RequestShare`, `SubmitShare`, `Seal`.
    Ceremony,
    /// `OpenCeremony` to rekey, `AckShare`, retired shares.
    Rekey,
    /// `UnsealTogether`.
    UnsealTogether,
    /// `RekeyTogether`.
    RekeyTogether,
    /// `Snapshot`, `StageRestore`.
    Disaster,
    /// `Replay`, `ReEscrow`.
    KeyReturn,
    /// `ReadHost`, `CorruptCustodian`, `StealSnapshot`.
    Adversary,
    /// `CrashDevice`.
    DeviceCrash,
    /// Messages outlive a broken connection; `DropLate`.
    Late,
    /// `DeliverThenCrash`.
    CrashAfterWrite,
    /// `Restart`.
    KeystoreRestart,
    /// `CrashRestorer`.
    RestorerCrash,
    /// `AlertSink`.
    AlertOutage,
    /// `Advance`.
    Time,
    /// `Tick`.
    Clocks,
}

fn every_point() -> Vec<Point> {
    Point::ALL.to_vec()
}

/// A bounded instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scope {
    /// Its name, as in `--scope`.
    pub name: String,
    /// What it is for, in one sentence.
    pub about: String,
    /// The profile.
    pub profile: Profile,
    /// Users: 1 or more.
    pub users: u8,
    /// Devices a user: 1 or more.
    pub devices_per_user: u8,
    /// Keystore nodes: 1 or 2.
    pub nodes: u8,
    /// Custodians: 2 to 5.
    pub custodians: u8,
    /// Shares needed: 2 or more, at most `custodians`.
    pub threshold: u8,
    /// Where it starts.
    pub start: Start,
    /// The admission points that the authority serves, in the order keystore, storage, restorer; all of them if not given. Fewer
    /// only with the part `publication`.
    #[serde(default = "every_point")]
    pub points: Vec<Point>,
    /// What is switched on.
    pub parts: Vec<Part>,
    /// Whether interchangeable users, devices and custodians are sorted.
    pub sorted: bool,
    /// Whether lockstep executes every transition (else the scope is for the model alone).
    pub lockstep: bool,
    /// Whether it belongs to the focused scopes that every run checks (else nightly or on demand).
    pub focused: bool,
    /// The ids of the properties checked here.
    pub properties: Vec<String>,
    /// Distinct states, transitions and depth that a run must find; absent in a user's own scope.
    pub expected: Option<Expected>,
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
