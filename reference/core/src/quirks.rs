//! Bugs that a test can switch on. Outside test code the only value is [`Quirks::none`].

macro_rules! quirks {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Quirk { $($(#[$doc])* $name,)* }

        impl Quirk {
            /// Every bug.
            pub const ALL: &'static [Quirk] = &[$(Quirk::$name,)*];

            /// Its name on the command line.
            pub fn id(self) -> &'static str {
                match self { $(Quirk::$name => $id,)* }
            }
        }
    };
}

quirks! {
    /// AU skips the session check.
    SessionNotChecked = "session-not-checked",
    /// KS creates an account without an open attempt.
    AccountWithoutAttempt = "account-without-attempt",
    /// KS takes a second escrow over an active account.
    EscrowOverwrites = "escrow-overwrites",
    /// DV writes its key when it sends it.
    KeyBeforeReceipt = "key-before-receipt",
    /// DV keeps its own key when told that another won.
    LoserKeepsKey = "loser-keeps-key",
    /// One share fewer than the threshold unseals.
    OneShareFewer = "one-share-fewer",
    /// The same custodian's share is not refused.
    ShareCountsTwice = "share-counts-twice",
    /// A share is counted without Feldman's check.
    WrongShareCounts = "wrong-share-counts",
    /// Custody gives any share to any login.
    ShareToAnyone = "share-to-anyone",
    /// Custody asks for no second factor.
    NoSecondFactor = "no-second-factor",
    /// Custody gives a share although the window's time is over.
    ShareWithoutRestart = "share-without-restart",
    /// Custody releases the share although the alert failed.
    ShareWithoutAlert = "share-without-alert",
    /// A stranger may open a ceremony.
    StrangerOpens = "stranger-opens",
    /// A rekey takes effect before all have acknowledged.
    RekeyEarly = "rekey-early",
    /// AU consumes the grant of a revoked device.
    RevokedConsumes = "revoked-consumes",
    /// KS keeps a pending release over a published revocation.
    PendingSurvives = "pending-survives",
    /// KS keeps the attempts of deauthorized devices open.
    AttemptsSurvive = "attempts-survive",
    /// KS takes an escrow for an attempt that was not admitted.
    EscrowNotAdmitted = "escrow-not-admitted",
    /// KS serves after its lease.
    FencedServes = "fenced-serves",
    /// AU passes a key on to a revoked device.
    RevokedIsServed = "revoked-is-served",
    /// AU acknowledges a deauthorization at once.
    AckEarly = "ack-early",
    /// Storage honours an overtaken capability.
    OldCapability = "old-capability",
    /// A revoked device keeps its key when it reports.
    NoWipe = "no-wipe",
    /// AU restores for a suspended user.
    SuspendedRestores = "suspended-restores",
    /// An admin of another tenant may ask.
    ForeignAdminRestores = "foreign-admin-restores",
    /// A neighbour may ask.
    NeighbourRestores = "neighbour-restores",
    /// The console asks for no step-up.
    NoStepUp = "no-step-up",
    /// An admin without the right may ask.
    RightNotChecked = "right-not-checked",
    /// AU logs no notice for the owner.
    NoNotice = "no-notice",
    /// The restorer keeps the key when a job fails.
    KeyLeftOnFailure = "key-left-on-failure",
    /// The restorer keeps the key when a job completes.
    KeyLeftOnSuccess = "key-left-on-success",
    /// The restorer keeps the key when a job is aborted.
    KeyLeftOnAbort = "key-left-on-abort",
    /// The restorer keeps the key when a job's time is over.
    KeyLeftOnTimeout = "key-left-on-timeout",
    /// KS releases a dormant account.
    DormantReleased = "dormant-released",
    /// A restored snapshot brings a purged account back.
    PurgedReturns = "purged-returns",
    /// AU believes a reply from before the restore.
    ReceiptOutlivesStore = "receipt-outlives-store",
    /// AU keeps no escrow message.
    NothingIsKept = "nothing-is-kept",
    /// A snapshot of a retired share epoch is restored.
    RetiredSnapshot = "retired-snapshot",
    /// A damaged snapshot is staged.
    DamagedSnapshot = "damaged-snapshot",

    // Publications, leases and clocks.
    /// AU writes the end of a lease when the point has confirmed, and not before it sends it.
    LeaseRecordedLate = "lease-recorded-late",
    /// AU names a lease to a point that is behind.
    BehindIsLeased = "behind-is-leased",
    /// AU takes any confirmation for one of the newest epoch.
    ConfirmsNewest = "confirms-newest",
    /// A point stores what an older publication says, over what it knows.
    MarkFalls = "mark-falls",
    /// A point counts its lease from the arrival of the message.
    LeaseFromArrival = "lease-from-arrival",
    /// A point uses the whole of a lease, without a margin.
    NoMargin = "no-margin",
    /// AU counts a lease as over a third of a validity period early.
    AuthorityCountsShort = "authority-counts-short",
    /// AU waits for confirmations, and never counts a lease as over.
    LeaseNotCounted = "lease-not-counted",
    /// A point confirms what it knew before, and stores no newer epoch.
    MarkNotStored = "mark-not-stored",
    /// ST serves after the end of its lease.
    FencedAppends = "fenced-appends",
    /// ST takes a capability after its end.
    CapabilityNeverEnds = "capability-never-ends",
    /// KS does not look at its lease when a key leaves.
    FencedReleases = "fenced-releases",
}

/// The bug that is switched on, if any. Without the feature `testing` no value of this type has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    #[cfg(feature = "testing")]
    on: Option<Quirk>,
}

impl Quirks {
    /// No bug: what every shipped program uses.
    pub fn none() -> Self {
        Quirks {
            #[cfg(feature = "testing")]
            on: None,
        }
    }

    /// One bug, for tests.
    #[cfg(feature = "testing")]
    pub fn only(quirk: Quirk) -> Self {
        Quirks { on: Some(quirk) }
    }

    /// Whether the bug is switched on.
    #[cfg(feature = "testing")]
    pub(crate) fn has(self, quirk: Quirk) -> bool {
        self.on == Some(quirk)
    }

    /// Whether the bug is switched on: none is in a shipped build.
    #[cfg(not(feature = "testing"))]
    pub(crate) fn has(self, _: Quirk) -> bool {
        false
    }
}
