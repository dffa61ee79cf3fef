//! Named protocol bugs, and named mends: for a promise that `classic` breaks, the change of a rule that would keep it. Each is
//! one changed rule; none touches what judges it.

macro_rules! mutations {
    ($($(#[doc = $about:literal])+ $name:ident = $id:literal in $scope:literal caught by $($property:literal)and+,)*) => {
        /// A protocol bug, or a mend, that can be switched on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Mutation { $($(#[doc = $about])+ $name,)* }

        impl Mutation {
            /// Every mutation.
            pub const ALL: &'static [Mutation] = &[$(Mutation::$name,)*];

            /// Its name on the command line.
            pub fn id(self) -> &'static str {
                match self { $(Mutation::$name => $id,)* }
            }

            /// What it changes, in one sentence: its documentation.
            pub fn about(self) -> &'static str {
                match self { $(Mutation::$name => concat!($($about),+).trim_ascii_start(),)* }
            }

            /// The scope in which it is expected to be caught.
            pub fn scope(self) -> &'static str {
                match self { $(Mutation::$name => $scope,)* }
            }

            /// The properties whose verdicts it must change there.
            pub fn properties(self) -> &'static [&'static str] {
                match self { $(Mutation::$name => &[$($property),+],)* }
            }
        }
    };
}

mutations! {
    /// AU skips the session check at `BeginEnrolment`, `PresentCertificate` and `AddDevice`.
    SessionNotChecked = "session-not-checked" in "enrolment" caught by "fresh-session",
    /// AU skips the session check at `BeginEnrolment` alone.
    NoSessionAtBeginning = "no-session-at-beginning" in "enrolment" caught by "fresh-session",
    /// AU skips the session check at `PresentCertificate` alone.
    NoSessionAtCertificate = "no-session-at-certificate" in "late" caught by "fresh-session",
    /// AU skips the session check at `AddDevice` alone.
    NoSessionAtReplacement = "no-session-at-replacement" in "enrolment" caught by "fresh-session",
    /// KS creates an account without an open attempt.
    AccountWithoutAttempt = "account-without-attempt" in "enrolment" caught by "account-after-admission",
    /// KS takes an admission for a nonce that is no longer the attempt's.
    AnyNonce = "any-nonce" in "late" caught by "account-after-admission",
    /// KS makes the account when an attempt is opened, before the certificate is checked.
    AccountAtOpening = "account-at-opening" in "enrolment" caught by "account-after-admission",
    /// KS takes a second escrow over an active account.
    EscrowOverwrites = "escrow-overwrites" in "enrolment" caught by "one-key",
    /// DV writes its key when it sends it, not when the receipt comes.
    KeyBeforeReceipt = "key-before-receipt" in "enrolment" caught by "kept-key-is-escrowed",
    /// AU authorises the device when it relays the escrow, before KS has stored it.
    AuthoriseEarly = "authorise-early" in "enrolment" caught by "authorised-is-escrowed",
    /// Two devices of a user draw the same key: the generator is stuck.
    StuckGenerator = "stuck-generator" in "neighbours-enrol" caught by "keys-differ",
    /// KS puts an escrowed key into the account of another user.
    EscrowToNeighbour = "escrow-to-neighbour" in "neighbours-enrol" caught by "keys-differ",
    /// DV draws a key when it replaces, as if it were the first device.
    ReplacementDrawsKey = "replacement-draws-key" in "enrolment" caught by "made-on-first-device",
    /// DV keeps its own key when told that another won.
    LoserKeepsKey = "loser-keeps-key" in "enrolment" caught by "kept-key-is-escrowed",
    /// KS serves while sealed.
    ServesSealed = "serves-sealed" in "recovery" caught by "sealed-serves-nothing",
    /// KS writes a snapshot while sealed.
    SealedSnapshot = "sealed-snapshot" in "disaster" caught by "sealed-serves-nothing",
    /// KS takes a lost key back while sealed.
    SealedTakesBack = "sealed-takes-back" in "disaster" caught by "sealed-serves-nothing",
    /// A node starts unsealed.
    StartsUnsealed = "starts-unsealed" in "unsealing" caught by "start-is-sealed",
    /// One share fewer than the threshold unseals.
    OneShareFewer = "one-share-fewer" in "unsealing" caught by "unsealed-by-threshold",
    /// The same custodian's share counts again.
    ShareCountsTwice = "share-counts-twice" in "unsealing" caught by "unsealed-by-threshold",
    /// A wrong share counts.
    WrongShareCounts = "wrong-share-counts" in "unsealing" caught by "count-is-released" and "strangers-change-nothing",
    /// A retired share counts.
    RetiredShareCounts = "retired-share-counts" in "unsealing" caught by "count-is-released",
    /// A share submitted under another's index counts for that index.
    IndexNotSigned = "index-not-signed" in "unsealing" caught by "count-is-released",
    /// KS does not ask for which ceremony a share was released.
    OldShareCounts = "old-share-counts" in "unsealing" caught by "count-is-released",
    /// A node takes a share that was released for another node.
    ShareOfAnotherNode = "share-of-another-node" in "nodes" caught by "count-is-released",
    /// Custody gives any share to any login.
    ShareToAnyone = "share-to-anyone" in "unsealing" caught by "share-to-owner" and "strangers-change-nothing",
    /// Custody asks for no second factor.
    NoSecondFactor = "no-second-factor" in "unsealing" caught by "share-to-owner",
    /// Custody does not remember which codes were used.
    UsedCodeServes = "used-code-serves" in "unsealing" caught by "share-to-owner",
    /// Custody gives a share without a pending ceremony.
    ShareWithoutRestart = "share-without-restart" in "unsealing" caught by "share-only-in-window",
    /// Custody releases the share although the alert failed.
    ShareWithoutAlert = "share-without-alert" in "unsealing" caught by "alert-before-share",
    /// A stranger may open a ceremony.
    StrangerOpens = "stranger-opens" in "unsealing" caught by "strangers-change-nothing",
    /// A new opening replaces the ceremony that runs.
    OpeningReplaces = "opening-replaces" in "nodes" caught by "opening-ends-none",
    /// A node begins a rekey while another node has one.
    TwoRekeys = "two-rekeys" in "nodes-rekey" caught by "opening-ends-none",
    /// A rekey takes effect before all have acknowledged.
    RekeyEarly = "rekey-early" in "unsealing" caught by "rekey-by-all",
    /// The candidate is the header at once, without acknowledgements.
    CandidateAtOnce = "candidate-at-once" in "unsealing" caught by "rekey-by-all",
    /// Acknowledgements outlive the candidate that they were for.
    AcksSurvive = "acks-survive" in "unsealing" caught by "acks-are-of-the-candidate",
    /// A rekey is dealt to those of the header in force, whoever the roster names.
    RosterNotTaken = "roster-not-taken" in "custodian-lost" caught by "circle-can-be-whole" and "new-person-acks",
    /// Who is new counts as a custodian as soon as the roster is announced.
    RosterAtOnce = "roster-at-once" in "custodian-lost" caught by "new-person-waits",
    /// A custodian acknowledges a new share without checking it.
    DamagedShareAcked = "damaged-share-acked" in "unsealing" caught by "damaged-share-changes-nothing",
    /// A ceremony survives its time.
    CeremonyNeverEnds = "ceremony-never-ends" in "unsealing" caught by "time-ends-all",
    /// Custody's window survives its time.
    WindowNeverEnds = "window-never-ends" in "unsealing" caught by "time-ends-all",
    /// KS forgets to ask AU to consume the grant.
    GrantNotConsumed = "grant-not-consumed" in "recovery" caught by "release-is-recorded",
    /// KS releases for a `GrantConsumed` that it did not ask for.
    PendingNotAsked = "pending-not-asked" in "recovery" caught by "release-is-recorded",
    /// AU consumes the grant of a device that it has revoked.
    RevokedConsumes = "revoked-consumes" in "revocation" caught by "revoked-gets-no-key",
    /// AU consumes the grant of a device whose deauthorization is not acknowledged yet.
    RevokingConsumes = "revoking-consumes" in "revocation" caught by "revoked-gets-no-key",
    /// KS keeps a pending release over a published revocation.
    PendingSurvives = "pending-survives" in "revocation" caught by "no-release-after-ack",
    /// KS keeps the attempts of deauthorized devices open.
    AttemptsSurvive = "attempts-survive" in "disaster" caught by "no-escrow-after-ack",
    /// KS takes an escrow for an attempt that was opened again and not admitted again.
    EscrowNotAdmitted = "escrow-not-admitted" in "late" caught by "no-escrow-after-ack",
    /// KS serves although it has not heard of the newest revocations within its lease.
    FencedServes = "fenced-serves" in "revocation" caught by "fenced-admits-nothing",
    /// KS does not look at its lease at `OpenEnrolment`.
    FencedOpens = "fenced-opens" in "fences" caught by "fenced-admits-nothing",
    /// ST does not look at its lease when it reads back.
    FencedReads = "fenced-reads" in "revocation" caught by "fenced-admits-nothing",
    /// AU passes a key on to a device that it has revoked.
    RevokedIsServed = "revoked-is-served" in "revocation" caught by "revoked-gets-no-key",
    /// AU passes a key on to a device whose deauthorization is acknowledged: it looks for those under way only.
    AcknowledgedIsServed = "acknowledged-is-served" in "revocation" caught by "revoked-gets-no-key",
    /// AU acknowledges a deauthorization at once.
    AckEarly = "ack-early" in "revocation" caught by "ack-after-points",
    /// Storage honours a capability from before the revocation that it knows.
    OldCapability = "old-capability" in "revocation" caught by "no-append-after-ack",
    /// AU writes the end of a lease when the point has confirmed it, and not before it sends it.
    LeaseRecordedLate = "lease-recorded-late" in "leases" caught by "lease-within-record" and "no-append-after-ack",
    /// AU names a lease to a point that is behind, so it waits for that point for ever.
    BehindIsLeased = "behind-is-leased" in "leases" caught by "behind-gets-no-lease",
    /// AU takes any confirmation for one of the newest epoch.
    ConfirmsNewest = "confirms-newest" in "leases" caught by "confirmed-is-known" and "no-append-after-ack",
    /// A point stores what an older publication says, over what it knows.
    MarkFalls = "mark-falls" in "leases" caught by "marks-never-fall" and "overtaken-changes-nothing" and "no-append-after-ack",
    /// A point counts its lease from the arrival of the message.
    LeaseFromArrival = "lease-from-arrival" in "leases" caught by "lease-within-record",
    /// A point uses the whole of a lease, without a margin.
    NoMargin = "no-margin" in "leases" caught by "over-at-authority-is-over" and "no-append-after-ack",
    /// AU counts a lease as over one tick early.
    AuthorityCountsShort = "authority-counts-short" in "leases" caught by "ack-after-points",
    /// AU takes a publication that was lost for one that was confirmed.
    LossConfirms = "loss-confirms" in "leases" caught by "confirmed-is-known" and "no-append-after-ack",
    /// AU waits for confirmations, and never counts a lease as over.
    LeaseNotCounted = "lease-not-counted" in "leases" caught by "acknowledged-by-lease",
    /// A point confirms what it knew before, and stores no newer epoch.
    MarkNotStored = "mark-not-stored" in "leases" caught by "publish-overtaken" and "can-confirm",
    /// ST serves after the end of its lease.
    FencedAppends = "fenced-appends" in "leases" caught by "fenced-admits-nothing" and "no-append-after-ack",
    /// ST takes a capability after its end.
    CapabilityNeverEnds = "capability-never-ends" in "leases" caught by "append-in-time",
    /// KS does not look at its lease when a key leaves.
    FencedReleases = "fenced-releases" in "leases-keystore" caught by "fenced-admits-nothing" and "no-release-after-ack",
    /// A revoked device keeps its key when it reports.
    NoWipe = "no-wipe" in "revocation" caught by "contact-wipes",
    /// AU restores for a suspended user.
    SuspendedRestores = "suspended-restores" in "recovery" caught by "suspended-gets-no-key",
    /// AU adds a device for a suspended user.
    SuspendedAdds = "suspended-adds" in "recovery" caught by "suspended-gets-no-key",
    /// AU consumes the grant of a suspended user's device.
    SuspendedConsumes = "suspended-consumes" in "recovery" caught by "suspended-gets-no-key",
    /// AU passes a key on to a suspended user's device.
    SuspendedIsServed = "suspended-is-served" in "recovery" caught by "suspended-gets-no-key",
    /// AU consumes the grant of a suspended user's job.
    SuspendedJobConsumes = "suspended-job-consumes" in "recovery" caught by "suspended-gets-no-key",
    /// AU lets a suspended user read back.
    SuspendedReadsBack = "suspended-reads-back" in "leavers" caught by "suspended-gets-no-key",
    /// AU gives a suspended user's devices no leave to append.
    SuspendedBacksUpNot = "suspended-backs-up-not" in "leavers" caught by "suspended-backs-up",
    /// An admin of another tenant may ask for a restore.
    ForeignAdminRestores = "foreign-admin-restores" in "recovery" caught by "only-entitled-ask",
    /// A neighbour may ask for a restore.
    NeighbourRestores = "neighbour-restores" in "recovery" caught by "only-entitled-ask",
    /// A user of another tenant with the same name may ask for a restore.
    NamesakeRestores = "namesake-restores" in "tenants" caught by "only-entitled-ask",
    /// The console asks for no step-up.
    NoStepUp = "no-step-up" in "recovery" caught by "only-entitled-ask",
    /// An admin without the right may ask.
    RightNotChecked = "right-not-checked" in "recovery" caught by "only-entitled-ask",
    /// AU asks whether the administrator has the right in any tenant.
    RightOfAnyTenant = "right-of-any-tenant" in "tenants" caught by "only-entitled-ask",
    /// A withdrawal ends the jobs under the right of every tenant.
    WithdrawalEverywhere = "withdrawal-everywhere" in "tenants" caught by "tenants-apart",
    /// An admin of another tenant suspends and deactivates users.
    ForeignAdminManages = "foreign-admin-manages" in "tenants" caught by "tenants-apart",
    /// An admin of another tenant ends jobs.
    ForeignAdminAborts = "foreign-admin-aborts" in "neighbours" caught by "tenants-apart",
    /// An admin of another tenant deauthorizes devices.
    ForeignAdminDeauthorizes = "foreign-admin-deauthorizes" in "neighbours-revoked" caught by "tenants-apart",
    /// A right that is withdrawn leaves the jobs under it alone.
    WithdrawalSparesJobs = "withdrawal-spares-jobs" in "recovery" caught by "right-outlasts-job",
    /// AU logs no notice for the owner.
    NoNotice = "no-notice" in "recovery" caught by "on-behalf-is-announced",
    /// The restorer keeps the key when a job fails.
    KeyLeftOnFailure = "key-left-on-failure" in "recovery" caught by "job-over-key-gone",
    /// The restorer keeps the key when it completes.
    KeyLeftOnSuccess = "key-left-on-success" in "recovery" caught by "job-over-key-gone",
    /// The restorer keeps the key when the job is aborted.
    KeyLeftOnAbort = "key-left-on-abort" in "recovery" caught by "job-over-key-gone",
    /// The restorer's lease does not end.
    KeyLeftOnTimeout = "key-left-on-timeout" in "recovery" caught by "job-over-key-gone",
    /// The restorer swaps the key to its disk, and a crash brings it back.
    KeyOnRestorerDisk = "key-on-restorer-disk" in "recovery" caught by "restorer-crash-purges",
    /// KS releases a dormant account.
    DormantReleased = "dormant-released" in "lifecycle" caught by "dormant-is-not-released",
    /// KS decides on a release when it is asked for it, and looks at nothing when the grant is consumed.
    DecidedWhenAsked = "decided-when-asked" in "leavers" caught by "dormant-is-not-released",
    /// A restored snapshot brings a purged account back.
    PurgedReturns = "purged-returns" in "lifecycle" caught by "purged-stays-purged",
    /// KS marks an account as purged and leaves the key in it.
    PurgeKeepsKey = "purge-keeps-key" in "lifecycle" caught by "purged-stays-purged",
    /// AU believes a receipt from before the restore.
    ReceiptOutlivesStore = "receipt-outlives-store" in "disaster" caught by "logged-key-is-held" and "authorised-is-escrowed",
    /// AU keeps no escrow message.
    NothingIsKept = "nothing-is-kept" in "disaster" caught by "key-can-come-back",
    /// KS takes another key back for a lost account.
    AnyKeyComesBack = "any-key-comes-back" in "disaster" caught by "one-key" and "made-on-first-device",
    /// A snapshot of a retired share epoch is restored.
    RetiredSnapshot = "retired-snapshot" in "disaster" caught by "retired-snapshot-stays-out",
    /// A damaged snapshot is restored.
    DamagedSnapshot = "damaged-snapshot" in "disaster" caught by "damaged-changes-nothing",
    /// Two shares open the root.
    TwoSharesOpen = "two-shares-open" in "betrayal" caught by "below-threshold-nothing",
    /// The keystore stores keys in the clear.
    StoreInClear = "store-in-clear" in "betrayal" caught by "snapshot-alone-nothing",
    /// KS answers another user's request with this user's key.
    WrongAccount = "wrong-account" in "neighbours" caught by "own-key-only",
    /// KS answers a device with another user's key.
    WrongAccountForDevice = "wrong-account-for-device" in "neighbours-revoked" caught by "own-key-only" and "keys-differ",
    /// DV keeps no key, neither its own nor one that it was given.
    DeviceKeepsNothing = "device-keeps-nothing" in "enrolment" caught by "enrolled" and "replaced",
    /// KS refuses a second escrow without saying that there is a first.
    LoserNotTold = "loser-not-told" in "enrolment" caught by "race-lost",
    /// AU acknowledges no deauthorization.
    NeverAcknowledged = "never-acknowledged" in "revocation" caught by "acknowledged",
    /// AU revokes no device while a release to it is under way.
    RevocationWaits = "revocation-waits" in "revocation" caught by "revoked-in-flight",
    /// AU aborts no job that has its key.
    AbortTooLate = "abort-too-late" in "fairness" caught by "aborted-with-key",
    /// The restorer purges the key when the lease ends, and not before.
    KeyWaitsForClock = "key-waits-for-clock" in "fairness" caught by "held-leads-to-purged",
    /// Shares that were released for a ceremony are gone with it.
    SharesDieAtOnce = "shares-die-at-once" in "unsealing" caught by "share-for-a-dead-ceremony",
    /// The shares do not bring the root back.
    UnsealFails = "unseal-fails" in "unsealing" caught by "unsealed" and "can-unseal",
    /// After a rekey no share counts, neither a new one nor an old one.
    RekeyLosesShares = "rekey-loses-shares" in "unsealing" caught by "can-unseal",
    /// A rekey waits for one acknowledgement more than there are custodians.
    RekeyNeverEnds = "rekey-never-ends" in "unsealing" caught by "rekeyed",
    /// KS does not compare a restored store with the log.
    LossNotNoticed = "loss-not-noticed" in "disaster" caught by "key-lost",
    /// A restored store goes on with the generation that it had.
    GenerationStays = "generation-stays" in "disaster" caught by "outdated-receipt",
    /// A snapshot leaves the accounts out.
    EmptySnapshot = "empty-snapshot" in "lifecycle" caught by "purged-in-snapshot",
    /// The restorer cannot open what it is given: no vendor's process has a key, and no job is done.
    NoJobKey = "no-job-key" in "recovery" caught by "restorer-holds-key" and "vendor-holds-no-key",
    /// A mend: no maintenance with the user's key.
    NoMaintenance = "no-maintenance" in "recovery" caught by "key-only-in-session",
    /// A mend: no restore on a user's behalf.
    NoOnBehalf = "no-on-behalf" in "recovery" caught by "on-behalf-unseen",
    /// A mend: the keystore holds what neither root nor shares open.
    EscrowStaysSealed = "escrow-stays-sealed" in "betrayal" caught by "no-master-key" and "shares-are-not-data",
}

/// The mutation of an id.
pub fn find(id: &str) -> Option<Mutation> {
    Mutation::ALL.iter().copied().find(|mutation| mutation.id() == id)
}
