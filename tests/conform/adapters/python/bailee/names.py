"""Refusals (protocol.md 18), labels (protocol.md 4) and limits (protocol.md 17)."""

REFUSALS = """NothingInFlight OutOfTurn LaneBusy Malformed Unauthenticated Conflict TooLarge Busy NotInThisProfile
Sealed Restoring RevocationStale StoreRolledBack AlreadyEscrowed AccountPurged AccountDormant AccountLost NoAccount
AdmissionInvalid NotAdmitted CommitmentMismatch GrantInvalid NotLost BadCredential Throttled UserSuspended
UserDeactivated SessionStale BadCertificate NotYourAttempt ReceiptInvalid DeviceRevoked NotEnrolled GrantVoid
NotYourDevice AlreadyRevoked AlreadySuspended NotSuspended NotDeactivated NothingKept NotYourArchive StepUpRequired
RestoreSuspended NoRestoreRight OtherTenant NoRestorer JobOver NothingStored CapabilityInvalid LeaseExpired
AlreadyUnsealed NotUnsealed NotSealed CeremonyOpen CeremonyExpired NotYourShare MfaRequired CodeReplayed
NoRestartPending AlertUnavailable WrongShare WrongEpoch DuplicateShare BadSignature OwnShareDamaged SnapshotUnknown
SnapshotDamaged EpochRetired StoreUnavailable StoreDamaged NoAdminRight Overtaken""".split()

REFUSAL_NUMBER = {name: number for number, name in enumerate(REFUSALS)}

VALIDITY_SECONDS = 600
MARGIN_SECONDS = 2
OPEN_ATTEMPTS_PER_USER = 8
DEVICES_PER_USER = 16
NEWEST_PER_USER = 32
MESSAGE_BYTES = 65536
BLOCK_FRAME_BYTES = 2 << 20
SNAPSHOT_BYTES = 16 << 20
NAME_BYTES = 255
CUSTODIANS = 16
GUESSES = 10
PUBLISH_ENTRIES = 32
FETCH_BLOCKS = 8
JOBS = 16
PENDING_RELEASES = 256
PUBLISH_SECONDS = 60
ALERT_SECONDS = 30

_LABELS = """key/id key/chunk key/seal key/manifest key/commit key/prev key/slot-seed key/standalone-device
seal/block seal/manifest seal/root seal/keyring seal/record unseal store-key guess-place snapshot-mac
hpke/intake hpke/release hpke/share hpke/wrap hpke/root
sign/enrolment-certificate sign/attempt sign/add-device sign/escrow sign/admission sign/receipt sign/intake sign/grant
sign/consumed sign/capability sign/wipe sign/job-key sign/ceremony sign/share sign/ack sign/mfa sign/manifest
sign/retention""".split()

LABELS = {short: b"bailee/v1/" + short.encode() for short in _LABELS}


class Refused(Exception):
    """The first check that failed; `name` is one of `REFUSALS` (GEN-1, GEN-7)."""

    def __init__(self, name):
        if name not in REFUSAL_NUMBER:
            raise ValueError(f"no refusal of protocol.md 18: {name}")
        super().__init__(name)
        self.name = name


def refuse_if(condition, name):
    """Refuses by `name` if the condition holds: one check of a flow."""
    if condition:
        raise Refused(name)
