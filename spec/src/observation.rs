//! What an onlooker may know of each role after an action: the value that two readings must agree on.
//!
//! Every field is derived from a role's memory, its disk, or the bytes on their way; none is a flag kept for the
//! observer. Keys appear as names: two positions show the same [`KeyName`] exactly when they hold the same key, and
//! names are numbered in the order in which the fields of the observation mention them (rule OBS-2).

use serde::{Deserialize, Serialize};
use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes, Unaligned};

use crate::about::{rule_in, without_rule};
use crate::action::{Lane, Node};

/// The name of an archive key within one observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyName(pub u8);

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $about:literal])+ $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[derive(IntoBytes, TryFromBytes, Unaligned, Immutable, KnownLayout)]
        #[repr(u8)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[doc = $about])+ $variant,)* }

        impl $name {
            /// Every member, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// What it is, in one sentence: its documentation.
            pub fn about(self) -> &'static str {
                match self { $($name::$variant => concat!($($about),+).trim_ascii_start(),)* }
            }
        }
    };
}

closed_set! {
    /// The kind of a message on its way (rule NET-1): who sends it to whom is part of the kind.
    Message {
        /// Device to authority: who the user is (ENR-2).
        SignIn,
        /// Authority to device: a session, and whether the user is enrolled (ENR-3).
        SessionOpened,
        /// Device to authority: an attempt to enrol (ENR-4).
        BeginEnrolment,
        /// Authority to keystore: the attempt to enrol (ENR-5).
        OpenEnrolment,
        /// Keystore to authority: the nonce and the intake key (ENR-6).
        EnrolmentOpened,
        /// Authority to device: the nonce and the intake key (ENR-7).
        Nonce,
        /// Device to authority: the enrolment certificate (ENR-8).
        PresentCertificate,
        /// Authority to keystore: the admission (ENR-9).
        CreateAccount,
        /// Keystore to authority: the account stands (ENR-10).
        AccountCreated,
        /// Authority to device: the admission (ENR-11).
        Admission,
        /// Device to authority: the sealed archive key (ENR-12).
        EscrowKey,
        /// Authority to keystore: the sealed archive key (ENR-13).
        Escrow,
        /// Keystore to authority: the receipt for the key (ENR-14).
        Receipt,
        /// Authority to device: certificate and receipt (ENR-15).
        Authorised,
        /// Device to authority: admit me to an enrolled user (REP-1).
        AddDevice,
        /// Authority to keystore: release the key under this grant (REP-2, JOB-2).
        ReleaseKey,
        /// Keystore to authority: consume this grant (REP-3, JOB-2).
        ConsumeGrant,
        /// Authority to keystore: the grant is consumed (REP-4, JOB-2).
        GrantConsumed,
        /// Authority to keystore: the grant is not consumed (REP-5, JOB-2).
        GrantRefused,
        /// Keystore to authority: the key, sealed to the recipient (REP-6, JOB-2).
        SealedKey,
        /// Authority to device or restorer: the key, sealed to the recipient (REP-7, JOB-2).
        KeyDelivery,
        /// Keystore to authority: the account holds a key already; with its receipt (ENR-16).
        AlreadyEscrowed,
        /// Authority to device: the user has a key already; with its receipt (ENR-17).
        GoReplace,
        /// Keystore to authority: the keystore refuses (ENR-18, JOB-3).
        KeystoreRefusal,
        /// Authority to device or restorer: the authority refuses (ENR-18, JOB-3).
        Refusal,
        /// Authority to restorer: a job (JOB-2).
        AssignJob,
        /// Restorer to authority: the job's own key (JOB-2).
        JobKey,
        /// Restorer to authority: the job is over and the key is purged (JOB-10).
        JobEnd,
        /// Authority to admission point: all revocations up to an epoch, and a lease up to a time (PUB-3).
        Publish,
        /// Admission point to authority: the newest epoch that it has stored (PUB-4).
        Confirm,
    }
}

impl Message {
    /// Its sender, its receiver, and what it says: the parts of [`Message::about`].
    pub fn parts(self) -> (&'static str, &'static str, &'static str) {
        let (parties, says) = self.about().split_once(": ").unwrap_or_default();
        let (from, to) = parties.split_once(" to ").unwrap_or_default();
        (from, to, without_rule(says))
    }

    /// The rule of `spec/alphabet.md` for its receiver. Where there are two, the second is for the job lane.
    pub fn rule(self, lane: Lane) -> &'static str {
        let rules = rule_in(self.about());
        match rules.split_once(", ") {
            Some((_, of_job)) if lane == Lane::Job => of_job,
            Some((of_device, _)) => of_device,
            None => rules,
        }
    }
}

closed_set! {
    /// A user's standing at the authority.
    Standing {
        /// May do everything.
        Active,
        /// May only go on backing up.
        Suspended,
        /// Signed out everywhere; the archive is cold.
        Deactivated,
        /// Gone for good.
        Purged,
    }
}

closed_set! {
    /// The state of an account in the keystore.
    AccountState {
        /// No record.
        None,
        /// Created, and no key yet.
        Empty,
        /// Holds a key.
        Active,
        /// Held a key before a disaster.
        Lost,
        /// Holds a key that is never released.
        Dormant,
        /// A tombstone.
        Purged,
    }
}

closed_set! {
    /// What the device's program is doing: volatile.
    Program {
        /// Waiting for its user.
        Idle,
        /// Signing in.
        SigningIn,
        /// Enrolling.
        Enrolling,
        /// Replacing another device.
        Replacing,
    }
}

closed_set! {
    /// The device's disk.
    Disk {
        /// Nothing of ours.
        Blank,
        /// Identity keys and an attempt id.
        Identity,
        /// Identity keys, an archive key and its receipt.
        Key,
    }
}

closed_set! {
    /// A device at the authority.
    DeviceState {
        /// Unknown, under its present identity.
        None,
        /// Enrolling.
        Pending,
        /// Admitted.
        Active,
        /// Deauthorized; not every admission point has confirmed.
        Revoking,
        /// Deauthorized and acknowledged.
        Revoked,
    }
}

closed_set! {
    /// An enrolment attempt, at the authority or at the keystore.
    Attempt {
        /// None, or over.
        None,
        /// Begun.
        Opened,
        /// Certificate checked; at the keystore: its admission came.
        Admitted,
    }
}

closed_set! {
    /// A device's leave to append.
    Capability {
        /// None.
        None,
        /// Issued since the last revocation.
        Current,
        /// Issued before the last revocation, which storage has not stored yet.
        Overtaken,
        /// Refused by storage: too old, or overtaken by a revocation that storage knows.
        Dead,
    }
}

closed_set! {
    /// What an admission point knows of the revocations.
    Freshness {
        /// All of them.
        Current,
        /// Not all, and its lease still runs.
        Behind,
        /// Not all, and its lease is over: it admits nothing.
        Fenced,
    }
}

closed_set! {
    /// What a job is for.
    JobKind {
        /// The user's own restore.
        Own,
        /// A restore that an administrator asked for.
        OnBehalf,
        /// Archive maintenance.
        Maintenance,
    }
}

closed_set! {
    /// A job at the authority.
    JobState {
        /// None under way.
        None,
        /// Under way, no key passed on.
        Assigned,
        /// Under way, key passed on.
        KeyHeld,
        /// To be ended; the restorer has not confirmed.
        Ending,
    }
}

closed_set! {
    /// The ceremony at a node.
    CeremonyState {
        /// None.
        None,
        /// Collecting shares to unseal.
        Unseal,
        /// Collecting shares to rekey.
        Rekey,
        /// The new shares are out; collecting acknowledgements.
        RekeyAcks,
    }
}

closed_set! {
    /// Who a custodian is.
    Person {
        /// One of those whose keys the header in force names.
        Serving,
        /// Nobody: gone for good.
        Gone,
        /// A new one, whose keys the header in force does not name yet.
        New,
    }
}

closed_set! {
    /// Custody's window for a node.
    Window {
        /// None.
        None,
        /// For the ceremony now open at the node.
        Live,
        /// For a ceremony that is over.
        Dead,
    }
}

/// What a custodian's client has in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareHeld {
    /// Nothing.
    None,
    /// The own share, for the ceremony now open at that node.
    For(Node),
    /// The own share, for a ceremony that is over.
    Old,
}

/// One user, at the authority, the keystore and storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// Standing at the authority.
    pub standing: Standing,
    /// The key whose commitment the authority's log names as enrolled.
    pub enrolled: Option<KeyName>,
    /// The key in the escrow message that the authority keeps (DIS-4).
    pub kept: Option<KeyName>,
    /// The account in the keystore's store.
    pub account: AccountState,
    /// The key in that account.
    pub escrowed: Option<KeyName>,
    /// Whether the archive holds a backup set.
    pub archive: bool,
    /// The account in the snapshot, if there is one.
    pub snapshot_account: AccountState,
    /// The key in that account.
    pub snapshot_key: Option<KeyName>,
    /// Whether the adversary can open the user's key with what it holds (ADV-4).
    pub opened: bool,
}

/// A message on its way, with what its bytes give away to its receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneView {
    /// Its kind.
    pub message: Message,
    /// The key sealed inside it.
    pub key: Option<KeyName>,
    /// Whether the session or the job it belongs to is within its time and not voided.
    pub live: bool,
    /// Whether the keystore waits for the grant of this lane to be consumed.
    pub pending: bool,
    /// Whether it is of a store generation before the present one.
    pub outdated: bool,
}

/// One device, and its records elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// The disk.
    pub disk: Disk,
    /// The archive key on the disk.
    pub disk_key: Option<KeyName>,
    /// The program.
    pub program: Program,
    /// The archive key in memory that is not yet on the disk.
    pub memory_key: Option<KeyName>,
    /// The capability in memory.
    pub capability: Capability,
    /// The device at the authority.
    pub at_authority: DeviceState,
    /// Its attempt at the authority.
    pub attempt: Attempt,
    /// Its attempt at the keystore.
    pub attempt_at_keystore: Attempt,
    /// The message in its lane.
    pub lane: Option<LaneView>,
    /// Its late message.
    pub late: Option<LaneView>,
}

/// One keystore node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Whether its memory lacks the root.
    pub sealed: bool,
    /// Its ceremony.
    pub ceremony: CeremonyState,
    /// The custodians whose shares it counted, by custodian.
    pub counted: Vec<bool>,
    /// Custody's window for it.
    pub window: Window,
}

/// One custodian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustodianView {
    /// The share in the client's memory.
    pub share: ShareHeld,
    /// Whether the new share of the open rekey is acknowledged.
    pub acked: bool,
    /// Whether somebody is there, and can serve.
    pub person: Person,
}

/// The job and its restorer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// Its state at the authority.
    pub state: JobState,
    /// What it is for, while it is under way.
    pub kind: Option<JobKind>,
    /// Its subject, while it is under way.
    pub subject: Option<u8>,
    /// Whether the restorer has a job key, and so waits for a delivery.
    pub waiting: bool,
    /// The archive key in the restorer's memory.
    pub held: Option<KeyName>,
    /// The message in the job lane.
    pub lane: Option<LaneView>,
}

/// A revocation epoch, by its rank among those that the observation mentions (rule OBS-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochName(pub u8);

/// A deadline, by the ticks that the authority's clock is before it; 0: its holder holds it over (rule OBS-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticks(pub u8);

/// A message between authority and admission point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointLaneView {
    /// Its kind.
    pub message: Message,
    /// The epoch that it names; none for a confirmation that is below the authority's newest epoch, and so says nothing new.
    pub epoch: Option<EpochName>,
    /// The end of the lease that it names; 0 for a confirmation, which names none.
    pub end: Ticks,
}

/// What an admission point stores, what the authority has on record about it, and what they say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointView {
    /// The point's mark: the newest epoch that it has stored.
    pub mark: EpochName,
    /// The end of its lease, as the point holds it.
    pub lease: Ticks,
    /// Whether the authority has a confirmation of the newest epoch.
    pub confirmed: bool,
    /// The latest end of a lease that the authority ever named to it, as the authority holds it.
    pub named: Ticks,
    /// The message in its lane.
    pub lane: Option<PointLaneView>,
    /// Its late message.
    pub late: Option<PointLaneView>,
}

/// What the bytes of a device's messages and of its capability name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineView {
    /// The capability: its epoch, and its end as storage holds it.
    pub capability: Option<(EpochName, Ticks)>,
    /// The message in its lane: the end of its session as the authority holds it, where a receiver still reads it.
    pub lane: Option<Ticks>,
    /// The same of its late message.
    pub late: Option<Ticks>,
}

/// Revocation as messages, and clocks: in scopes with the part `publication`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationView {
    /// The authority's newest epoch.
    pub newest: EpochName,
    /// By how many ticks the points' clock is ahead of the authority's, and behind it if negative.
    pub skew: i8,
    /// The scope's points, in the order of [`Point::ALL`](crate::action::Point::ALL).
    pub points: Vec<PointView>,
    /// By device.
    pub devices: Vec<DeadlineView>,
}

/// The keystore's store and its snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreView {
    /// Whether a witnessed snapshot exists.
    pub snapshot: bool,
    /// Whether that snapshot is of the present share epoch.
    pub snapshot_current: bool,
    /// Whether a restore is staged.
    pub restoring: bool,
    /// Whether the custodians kept shares of an earlier share epoch.
    pub retired_shares: bool,
}

/// What the logs must never show; each is computed by comparing logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsView {
    /// A share left custody without an alert before it.
    pub share_without_alert: bool,
    /// The keystore released a key for which the authority's log has no consumed grant.
    pub release_without_record: bool,
    /// An administrator's job without a notice to the owner.
    pub job_without_notice: bool,
}

/// The whole observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// By user.
    pub users: Vec<UserView>,
    /// By device.
    pub devices: Vec<DeviceView>,
    /// By node.
    pub nodes: Vec<NodeView>,
    /// By custodian.
    pub custodians: Vec<CustodianView>,
    /// The job.
    pub job: JobView,
    /// Freshness of keystore, storage, restorer.
    pub points: [Freshness; 3],
    /// Revocation as messages, where the scope has them.
    pub publication: Option<PublicationView>,
    /// The store.
    pub store: StoreView,
    /// Whether the alert sink works.
    pub alerts_up: bool,
    /// By tenant: whether its administrator has the restore right.
    pub admin_rights: Vec<bool>,
    /// The records.
    pub records: RecordsView,
}
