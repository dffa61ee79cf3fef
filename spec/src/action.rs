//! The alphabet: everything that can happen, one message or one event at a time.
//!
//! An [`Action`] names what happens, never how a reading carries it out. `spec/alphabet.md` says for each one which
//! checks are made in which order, what becomes durable and what follows; the rule ids in the comments are its own.

use serde::{Deserialize, Serialize};

use crate::about::{rule_in, without_rule};

/// A user, counted from 0.
pub type User = u8;
/// A tenant, counted from 0: users are shared out among the tenants in order, as many to each.
pub type Tenant = u8;
/// A device, counted from 0 over all users: device `d` belongs to user `d / devices_per_user`.
pub type Device = u8;
/// A keystore node, counted from 0.
pub type Node = u8;
/// A custodian, counted from 0; holds the unseal share of index `custodian + 1`.
pub type Custodian = u8;

/// A place where one message can be on its way (rule NET-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// The live connection of a device: its request, what the services say to each other about it, its reply.
    Device(Device),
    /// What a device sent before its connection broke and what still follows from it; its replies reach nobody.
    Late(Device),
    /// The traffic of the restore or maintenance job.
    Job,
    /// What authority and admission point say to each other about revocations, the newest message of it (PUB-1).
    Point(Point),
    /// An earlier message of the same, overtaken by the one in `Point`, or a copy of it.
    LatePoint(Point),
}

/// Who asks for a restore, for maintenance, or for a deauthorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requester {
    /// The user, in a console session with a fresh step-up.
    Owner,
    /// The user, in a console session whose step-up is too old.
    OwnerWithoutStepUp,
    /// Another user of the same tenant.
    Neighbour,
    /// The administrator of the user's tenant, who has the restore right unless it was withdrawn.
    Admin,
    /// The administrator of another tenant, who has the restore right there unless it was withdrawn.
    ForeignAdmin,
    /// The maintenance schedule: nobody is signed in.
    Schedule,
    /// The user of another tenant who has the same name, in a console session with a fresh step-up.
    Namesake,
}

/// What a ceremony is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Open the sealed keystore.
    Unseal,
    /// Replace the shares and rotate the root.
    Rekey,
}

/// Who calls the keystore's local endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// A registered operator.
    Operator,
    /// Anybody else.
    Stranger,
}

/// How a custodian asks custody for a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asking {
    /// For the own share, with a fresh code.
    Honestly,
    /// For the own share, without a second factor.
    WithoutCode,
    /// For the own share, with a code that was used before.
    WithUsedCode,
    /// For the share of the next custodian in the roll.
    ForAnother,
}

/// What a custodian hands to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handing {
    /// The share that custody gave out for this ceremony.
    Right,
    /// A share of the right form and a wrong value.
    Wrong,
    /// The share of the share epoch before this one.
    Retired,
    /// A share under the index of the next custodian in the roll, signed with the own key.
    AsAnother,
}

/// In what condition a new share reaches its custodian, or a snapshot its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// As it was made.
    Intact,
    /// Altered on the way.
    Damaged,
}

/// A service that admits requests and must hear of revocations (rule REV-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// The keystore.
    Keystore,
    /// The archive storage.
    Storage,
    /// The restorer.
    Restorer,
}

impl Point {
    /// All admission points, in the order of the observation.
    pub const ALL: [Point; 3] = [Point::Keystore, Point::Storage, Point::Restorer];
}

/// Whose clock goes on (rule TIME-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The authority's.
    Authority,
    /// The one that the admission points share.
    Points,
}

macro_rules! actions {
    ($(#[$doc:meta])* pub enum Action {
        $($(#[doc = $about:literal])+ $name:ident $({ $($field:ident: $type:ty),+ })?,)*
    }) => {
        $(#[$doc])*
        pub enum Action { $($(#[doc = $about])+ $name $({ $($field: $type),+ })?,)* }

        impl Action {
            /// What happens, in one sentence: its documentation.
            pub fn about(&self) -> &'static str {
                match self { $(Action::$name { .. } => concat!($($about),+).trim_ascii_start(),)* }
            }
        }
    };
}

actions! {
/// One thing that happens. The fields are named after the types they hold.
#[allow(missing_docs, reason = "every field is named after its type")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    // The network and the machines.
    /// The message in the lane reaches its receiver (NET-2).
    Deliver { lane: Lane },
    /// The same, and the receiver dies after its durable write and before anything leaves it (NET-3).
    DeliverThenCrash { lane: Lane },
    /// The late message of a device is lost for good (NET-4).
    DropLate { device: Device },
    /// The device's program or its connection dies, and it starts again from its disk (NET-5).
    CrashDevice { device: Device },
    /// The restorer's process dies and starts again (JOB-9).
    CrashRestorer,
    /// A keystore node stops and starts again, sealed (CER-1).
    Restart { node: Node },
    /// One validity period passes: every deadline now outstanding runs out (TIME-1).
    Advance,
    /// One of the clocks goes on by a tick (TIME-2).
    Tick { clock: Clock },
    /// The message in the lane arrives once more later: a copy of it is on its way (NET-11).
    Duplicate { lane: Lane },
    /// The message in the lane is lost (NET-12).
    Drop { lane: Lane },

    // The device and its user.
    /// The user signs in at the device with the right credentials (ENR-1).
    SignIn { device: Device },
    /// The device asks the authority for leave to append to its archive (BAK-1).
    OpenBackup { device: Device },
    /// The device appends a backup set to its archive (BAK-2).
    Append { device: Device },
    /// The device reads a backup set from its archive (BAK-3).
    Fetch { device: Device },
    /// The device reports to the authority and obeys what it is told (REV-4).
    Contact { device: Device },
    /// The device escrows its key again after the keystore lost it (DIS-6).
    ReEscrow { device: Device },

    // Rights.
    /// Somebody deauthorizes the device (REV-1).
    Deauthorize { device: Device, by: Requester },
    /// The authority sends an admission point the newest revocations and a new lease (PUB-1).
    Publish { point: Point },
    /// A whole publication without incident, in one action: sent, heard, confirmed (REV-2).
    PublishTogether { point: Point },
    /// An administrator suspends the user (SUS-1).
    Suspend { user: User, by: Requester },
    /// An administrator lifts the suspension (SUS-2).
    Resume { user: User, by: Requester },
    /// An administrator deactivates the user (DEA-1).
    Deactivate { user: User, by: Requester },
    /// An administrator reactivates the user (DEA-2).
    Reactivate { user: User, by: Requester },
    /// The retention time of a deactivated user is over: the account is purged (DEA-3).
    Purge { user: User },
    /// The tenant withdraws the restore right from its administrator (JOB-8).
    WithdrawRight { tenant: Tenant },
    /// The tenant gives the restore right back to its administrator (JOB-8).
    GrantRight { tenant: Tenant },

    // Jobs.
    /// Somebody asks for a job that needs the user's key (JOB-1).
    Request { by: Requester, user: User },
    /// Whoever asked for the job, or the owner by veto, ends it (JOB-6).
    Abort { by: Requester },
    /// The order to end the job reaches the restorer (JOB-7).
    DeliverAbort,
    /// The restorer does its job with the key it holds, purges, and reports (JOB-4).
    FinishJob,
    /// The restorer's job fails for a reason of its own; it purges and reports (JOB-5).
    FailJob,

    // Ceremonies.
    /// A ceremony is opened at a node (CER-2).
    OpenCeremony { node: Node, purpose: Purpose, by: Caller },
    /// The operator announces the node's ceremony to custody (CER-3).
    Announce { node: Node },
    /// A custodian asks custody for a share for the ceremony announced for the node (CER-4).
    RequestShare { custodian: Custodian, node: Node, asking: Asking },
    /// A custodian hands a share to the node (CER-5).
    SubmitShare { custodian: Custodian, node: Node, handing: Handing },
    /// A custodian checks the new share, stores it in custody and acknowledges it (KEY-2).
    AckShare { custodian: Custodian, condition: Condition },
    /// The operator seals the node (CER-7).
    Seal { node: Node },
    /// The sink of the custody alerts fails or comes back (CER-4).
    AlertSink { up: bool },
    /// A whole unseal ceremony without incident, in one action, for scopes whose subject is another (CER-8).
    UnsealTogether { node: Node },
    /// A whole rekey without incident, in one action (KEY-4).
    RekeyTogether,

    // Custodians who go.
    /// A custodian is gone for good, with client, keys and share (KEY-6).
    LoseCustodian { custodian: Custodian },
    /// The operator opens a rekey whose roster names new people in the place of those who are gone (KEY-7).
    OpenReplacement { node: Node },

    // Snapshots and disaster.
    /// The keystore writes a snapshot and the authority witnesses it (DIS-1).
    Snapshot,
    /// The operator stages the snapshot on a sealed node (DIS-2).
    StageRestore { condition: Condition },
    /// The authority hands the keystore the escrow message it kept (DIS-5).
    Replay { user: User },

    // The least adversary of `classic`.
    /// Root on the node copies its memory and disk (ADV-1).
    ReadHost { node: Node },
    /// A custodian's present share and keys are in the adversary's hands (ADV-2).
    CorruptCustodian { custodian: Custodian },
    /// The adversary takes a copy of the snapshot (ADV-3).
    StealSnapshot,
}
}

impl Action {
    /// What happens, without the rule.
    pub fn says(&self) -> &'static str {
        without_rule(self.about())
    }

    /// Its rule in `spec/alphabet.md`.
    pub fn rule(&self) -> &'static str {
        rule_in(self.about())
    }
}
