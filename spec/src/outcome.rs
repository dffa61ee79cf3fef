//! What an action ends in (GEN-1), and every named reason for saying no; its place is its number on the wire
//! (GEN-10).

use serde::{Deserialize, Serialize};

/// The end of one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done as asked. The state may still be what it was, where the rule says so.
    Accepted,
    /// Somebody said no, and why. What was asked did not happen.
    Refused(Refusal),
}

macro_rules! refusals {
    ($($(#[doc = $about:literal])+ $name:ident,)*) => {
        /// A named reason for saying no.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Refusal { $($(#[doc = $about])+ $name,)* }

        impl Refusal {
            /// Every refusal of the alphabet.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name,)*];

            /// What it means, in one sentence: its documentation.
            pub fn about(self) -> &'static str {
                match self { $(Refusal::$name => concat!($($about),+).trim_ascii_start(),)* }
            }
        }
    };
}

refusals! {
    /// Nothing is on its way in that lane, so nothing can arrive. The network's answer, not a role's.
    NothingInFlight,
    /// The one who should act has no reason to: it is not its turn. A local answer; nothing was sent.
    OutOfTurn,
    /// The job lane still carries a message of an earlier job. The network's answer.
    LaneBusy,

    // Any request.
    /// The bytes are not a message of this protocol.
    Malformed,
    /// The caller did not prove who it is.
    Unauthenticated,
    /// The idempotency key was used for another body.
    Conflict,
    /// Over a stated limit.
    TooLarge,
    /// Another job is under way.
    Busy,
    /// The verb does not exist in this profile.
    NotInThisProfile,

    // The keystore.
    /// The node is sealed.
    Sealed,
    /// A restore is staged and not yet finished.
    Restoring,
    /// The node has not heard of the newest revocations within its lease.
    RevocationStale,
    /// The store is older than what the authority saw of it.
    StoreRolledBack,
    /// The account holds an escrowed key already.
    AlreadyEscrowed,
    /// The account was purged.
    AccountPurged,
    /// The account is dormant.
    AccountDormant,
    /// The account's key was lost in a disaster and has not come back.
    AccountLost,
    /// There is no escrowed key for this user.
    NoAccount,
    /// The admission does not name an open attempt.
    AdmissionInvalid,
    /// The attempt was not admitted, or its time is over.
    NotAdmitted,
    /// The key does not match its commitment.
    CommitmentMismatch,
    /// The grant does not verify or its time is over.
    GrantInvalid,
    /// The account is not lost, so nothing is taken back.
    NotLost,

    // The authority.
    /// Unknown user or wrong proof: the two cannot be told apart.
    BadCredential,
    /// Too many wrong proofs.
    Throttled,
    /// The user is suspended.
    UserSuspended,
    /// The user is deactivated or purged.
    UserDeactivated,
    /// The session is over, or too old for this verb.
    SessionStale,
    /// The enrolment certificate does not verify.
    BadCertificate,
    /// The attempt is unknown or belongs to another device.
    NotYourAttempt,
    /// The receipt does not verify, or is of an earlier store generation.
    ReceiptInvalid,
    /// The device was deauthorized, or is unknown.
    DeviceRevoked,
    /// The user has no enrolled key.
    NotEnrolled,
    /// The grant was used, withdrawn or overtaken by a revocation.
    GrantVoid,
    /// Not a device of the one who asks.
    NotYourDevice,
    /// Deauthorized before.
    AlreadyRevoked,
    /// Suspended before.
    AlreadySuspended,
    /// Not suspended.
    NotSuspended,
    /// Not deactivated.
    NotDeactivated,
    /// Nothing was kept to be replayed.
    NothingKept,

    // Jobs.
    /// Not the archive of the one who asks.
    NotYourArchive,
    /// The session needs a fresh step-up.
    StepUpRequired,
    /// No key is used for a suspended user.
    RestoreSuspended,
    /// The administrator lacks the restore right.
    NoRestoreRight,
    /// The administrator belongs to another tenant.
    OtherTenant,
    /// No restorer may serve.
    NoRestorer,
    /// The job is over.
    JobOver,
    /// The archive holds nothing.
    NothingStored,

    // Storage.
    /// The capability does not verify, is out of date or overtaken by a revocation.
    CapabilityInvalid,
    /// Storage has not heard of the newest revocations within its lease.
    LeaseExpired,

    // Ceremonies.
    /// The node is unsealed already.
    AlreadyUnsealed,
    /// The node is sealed, and this needs it unsealed.
    NotUnsealed,
    /// The node is unsealed, and this needs it sealed.
    NotSealed,
    /// A ceremony is open at the node.
    CeremonyOpen,
    /// No such ceremony is collecting shares.
    CeremonyExpired,
    /// The login does not own the share.
    NotYourShare,
    /// A second factor is needed.
    MfaRequired,
    /// The second factor was used before.
    CodeReplayed,
    /// No announced ceremony is pending.
    NoRestartPending,
    /// The alert could not be recorded, so the share stays.
    AlertUnavailable,
    /// The share does not match its commitment.
    WrongShare,
    /// The share is of another share epoch.
    WrongEpoch,
    /// The custodian's share was counted before.
    DuplicateShare,
    /// The signature is not that of the custodian whose share it is.
    BadSignature,
    /// The custodian's own share does not match the custodian's own copy of the commitments.
    OwnShareDamaged,

    // Snapshots.
    /// No snapshot that the authority witnessed.
    SnapshotUnknown,
    /// The snapshot's bytes are not those that were witnessed.
    SnapshotDamaged,
    /// The snapshot is of a retired share epoch.
    EpochRetired,

    // The store and the caller.
    /// The role's store cannot be read or written now.
    StoreUnavailable,
    /// A record in the role's store is not one that the role wrote.
    StoreDamaged,
    /// The administrator lacks the right for this verb.
    NoAdminRight,

    // Admission points.
    /// A revocation that the admission point knows is newer than the message.
    Overtaken,
}
