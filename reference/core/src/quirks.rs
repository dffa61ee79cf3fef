//! Bugs that a test can switch on. Outside test code the only value is [`Quirks::none`], and `Quirk::is_on` is false.

/// Makes the bugs of a crate: an enum of them, and the switch for the whole process, for code that is given no [`Quirks`]. Without the
/// crate's feature `testing` there is no switch.
#[macro_export]
macro_rules! quirks {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)*) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Quirk { $($(#[$doc])* $name,)* }

        /// The bug that is on in this process: its place in the list, from 1.
        #[cfg(feature = "testing")]
        static ON: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

        impl Quirk {
            /// Every bug.
            pub const ALL: &'static [Quirk] = &[$(Quirk::$name,)*];

            /// Its name on the command line.
            pub fn id(self) -> &'static str {
                match self { $(Quirk::$name => $id,)* }
            }

            /// Whether it is on in this process: none is in a shipped build.
            #[inline]
            pub(crate) fn is_on(self) -> bool {
                #[cfg(feature = "testing")]
                let on = ON.load(std::sync::atomic::Ordering::Relaxed) == self as usize + 1;
                #[cfg(not(feature = "testing"))]
                let on = false;
                on
            }

            /// Switches on the bug of an id in this process, for good; false if it is another crate's.
            #[cfg(feature = "testing")]
            pub fn switch_on(id: &str) -> bool {
                let found = Quirk::ALL.iter().position(|quirk| quirk.id() == id);
                found.map(|at| ON.store(at + 1, std::sync::atomic::Ordering::Relaxed)).is_some()
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
    /// Custody's window survives its time.
    WindowNeverEnds = "window-never-ends",
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

    // Those that honest parties never meet: `tests/lockstep/bugs.toml` names the test that sees each.
    /// Signatures under the label of an attempt are not verified.
    UnsignedAttempt = "unsigned-attempt",
    /// Those of a device to be added.
    UnsignedAddition = "unsigned-addition",
    /// Those of a certificate.
    UnsignedCertificate = "unsigned-certificate",
    /// Those of an escrow message.
    UnsignedEscrow = "unsigned-escrow",
    /// Those of an admission.
    UnsignedAdmission = "unsigned-admission",
    /// Those of a receipt.
    UnsignedReceipt = "unsigned-receipt",
    /// Those of an intake key.
    UnsignedIntake = "unsigned-intake",
    /// Those of a grant.
    UnsignedGrant = "unsigned-grant",
    /// Those of a consumed grant.
    UnsignedConsumption = "unsigned-consumption",
    /// Those of a capability.
    UnsignedCapability = "unsigned-capability",
    /// Those of an order to erase.
    UnsignedWipe = "unsigned-wipe",
    /// Those of a job key.
    UnsignedJobKey = "unsigned-job-key",
    /// Those of a ceremony.
    UnsignedCeremony = "unsigned-ceremony",
    /// Those of a submitted share.
    UnsignedShare = "unsigned-share",
    /// Those of an acknowledged share.
    UnsignedAck = "unsigned-ack",
    /// Those of an authenticator.
    UnsignedFactor = "unsigned-factor",
    /// Those of a manifest.
    UnsignedManifest = "unsigned-manifest",
    /// A signature counts under any label.
    LabelIgnored = "label-ignored",
    /// Any peer may send any kind of frame.
    AnySender = "any-sender",
    /// AU opens a session whatever the password.
    AnyPassword = "any-password",
    /// AU believes a check against a password that was changed meanwhile.
    FormerPassword = "former-password",
    /// AU forgets a wrong password when it refuses it.
    GuessNotKept = "guess-not-kept",
    /// AU takes a certificate that was made for another session.
    CertificateOfAnotherSession = "certificate-of-another-session",
    /// AU takes the device of a namesake in another tenant for the user's own.
    DeviceOfNamesake = "device-of-namesake",
    /// AU lets a device begin another device's attempt.
    AttemptOfAnother = "attempt-of-another",
    /// A session is over in its last second.
    SessionEndsEarly = "session-ends-early",
    /// AU logs a key for a user who was purged, when a receipt comes late.
    PurgedIsLogged = "purged-is-logged",
    /// AU takes a receipt for another key than the logged one.
    SecondKeyTaken = "second-key-taken",
    /// AU asks for the generation of the frame, and not for that of the receipt.
    ReceiptOfFormerStore = "receipt-of-former-store",
    /// AU consumes a grant in any exchange.
    GrantInAnyExchange = "grant-in-any-exchange",
    /// AU consumes a grant twice.
    GrantUsedTwice = "grant-used-twice",
    /// AU lets an administrator act in any tenant.
    RightsOfAnyTenant = "rights-of-any-tenant",
    /// AU lets a namesake of another tenant deauthorize a device.
    NamesakeDeauthorizes = "namesake-deauthorizes",
    /// AU lets a namesake of another tenant abort a job.
    NamesakeAborts = "namesake-aborts",
    /// AU lets administrators give rights who may not.
    AnyoneGivesRights = "anyone-gives-rights",
    /// AU leaves the jobs running whose right was withdrawn.
    JobOutlivesRight = "job-outlives-right",
    /// AU believes a confirmation of what was never told.
    ConfirmedFromFuture = "confirmed-from-future",
    /// AU lets word of an older snapshot displace a newer one.
    OlderWitness = "older-witness",
    /// AU gives leave to append only while the keystore has its lease.
    BackupNeedsKeystore = "backup-needs-keystore",
    /// A point follows a publication over a gap.
    GapIsFollowed = "gap-is-followed",
    /// A lease is over in its last second.
    LeaseEndsEarly = "lease-ends-early",
    /// KS tells an attempt's nonce to anyone who names it.
    NonceToAnyone = "nonce-to-anyone",
    /// KS takes an admission for a nonce that is no longer the attempt's.
    AnyNonce = "any-nonce",
    /// KS takes an admission for a namesake in another tenant.
    AdmissionOfNamesake = "admission-of-namesake",
    /// KS takes an escrow for a namesake in another tenant.
    EscrowOfNamesake = "escrow-of-namesake",
    /// KS does not compare an escrowed key with its commitment.
    CommitmentIgnored = "commitment-ignored",
    /// KS takes a key back that is not the logged one.
    AnotherKeyReturns = "another-key-returns",
    /// KS takes a grant for over in its last second.
    GrantEndsEarly = "grant-ends-early",
    /// KS releases for a grant that was over before it was consumed.
    GrantOutlives = "grant-outlives",
    /// KS does not compare the challenge of a release.
    ChallengeIgnored = "challenge-ignored",
    /// KS keeps a release that was made.
    ReleaseTwice = "release-twice",
    /// KS does not compare the epoch of a consumption with its mark.
    ConsumedEpochIgnored = "consumed-epoch-ignored",
    /// KS takes a record that does not open for one that is absent.
    DamagedIsAbsent = "damaged-is-absent",
    /// KS verifies a record wherever it lies.
    RecordPathUnbound = "record-path-unbound",
    /// KS stores its records in clear.
    RecordsInClear = "records-in-clear",
    /// KS stores its records under their paths.
    NamesInClear = "names-in-clear",
    /// KS deals shares of which one fewer is enough.
    ThresholdLower = "threshold-lower",
    /// A share is verified against nothing.
    ShareUnverified = "share-unverified",
    /// A share on its way is bound to no ceremony.
    ShareContextEmpty = "share-context-empty",
    /// KS counts a share of another header.
    ShareOfAnotherHeader = "share-of-another-header",
    /// KS takes a snapshot without its code.
    SnapshotCodeIgnored = "snapshot-code-ignored",
    /// The code of a snapshot leaves the records out.
    SnapshotCodeShort = "snapshot-code-short",
    /// KS takes an answer about snapshots that it did not ask for.
    WitnessUnasked = "witness-unasked",
    /// KS repeats a generation that the authority knows.
    GenerationRepeats = "generation-repeats",
    /// KS serves before it has followed the log.
    ServesBeforeSync = "serves-before-sync",
    /// Custody opens a window for a ceremony that is over.
    AnnouncementOutlives = "announcement-outlives",
    /// Custody opens no window in a ceremony's last second.
    AnnouncementEndsEarly = "announcement-ends-early",
    /// Custody lets an older ceremony displace the pending one.
    OlderAnnouncement = "older-announcement",
    /// Custody opens a closed window again.
    ClosedReopens = "closed-reopens",
    /// Custody takes a code twice.
    CodeTwice = "code-twice",
    /// Custody forgets a code when it refuses the request.
    CodeNotSpent = "code-not-spent",
    /// Custody makes spent codes good when a login is set again.
    CodesRevived = "codes-revived",
    /// A client takes a share under a roster that was not announced.
    RosterUnannounced = "roster-unannounced",
    /// A client believes late word of a former rekey.
    LateRekeyBelieved = "late-rekey-believed",
    /// DV takes frames of another session.
    AnySession = "any-session",
    /// DV keeps its key on a receipt for a namesake in another tenant.
    ReceiptOfNamesake = "receipt-of-namesake",
    /// DV or RS takes a key that is a namesake's in another tenant.
    KeyOfNamesake = "key-of-namesake",
    /// DV makes the same key as every other.
    OneKeyForAll = "one-key-for-all",
    /// DV keeps no receipt when it replaces another.
    ReplacementWithoutReceipt = "replacement-without-receipt",
    /// DV sends its blocks in clear.
    BlocksInClear = "blocks-in-clear",
    /// Storage takes anybody's capability.
    CapabilityOfAnyone = "capability-of-anyone",
    /// Storage takes leave to read for leave to append, and the other way round.
    CapabilityForAnything = "capability-for-anything",
    /// Storage takes a capability for over in its last second.
    CapabilityEndsEarly = "capability-ends-early",
    /// Storage appends to an archive that was purged.
    PurgedIsAppended = "purged-is-appended",
    /// Storage empties every archive when it hears a publication.
    PublishEmpties = "publish-empties",
    /// RS subtracts no margin.
    MarginIgnored = "margin-ignored",
    /// RS believes whatever deadline it is told.
    DeadlineBelieved = "deadline-believed",
    /// RS opens blocks after its deadline.
    JobOutlives = "job-outlives",
    /// RS lets a late assignment take the place of a newer one.
    LateAssignment = "late-assignment",
    /// AU sets no limit to the devices of a user.
    DevicesUnlimited = "devices-unlimited",
    /// KS sets no limit to the open attempts of a user.
    AttemptsUnlimited = "attempts-unlimited",
    /// A right makes an administrator of anybody.
    RightMakesAdministrator = "right-makes-administrator",
    /// AU lets a store serve that was put back to what it was.
    StorePutBackServes = "store-put-back-serves",
    /// KS takes a key back by a word from before a deactivation.
    LateReturnUndoes = "late-return-undoes",
    /// A node goes on with what it followed, though another node has restored the store.
    RestoreUnnoticed = "restore-unnoticed",
    /// KS begins a rekey to custodians to whom nothing can be sealed.
    UnusableRoster = "unusable-roster",
    /// Custody lets a login write over a share.
    ShareWrittenOver = "share-written-over",
    /// A client asks for a share for a roster to which its person did not agree.
    RosterNotAgreed = "roster-not-agreed",
    /// A name may have any length.
    NameOfAnyLength = "name-of-any-length",
    /// A step that writes nothing is bound to nothing that it read.
    ReadsUnbound = "reads-unbound",
    /// Every seal has the same salt.
    SaltRepeats = "salt-repeats",
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
        self.on == Some(quirk) || quirk.is_on()
    }

    /// Whether the bug is switched on: none is in a shipped build.
    #[cfg(not(feature = "testing"))]
    pub(crate) fn has(self, _: Quirk) -> bool {
        false
    }
}
