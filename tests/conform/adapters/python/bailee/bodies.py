"""Signed bodies, contexts and records on disk (formats.cddl)."""

from .forms import (B32, BOOL, BYTES, NAME, U8, U64, Choice, Many, Nullable, Optional, Record, Scalar, below, sized,
                    unsigned)

# What frames carry and nobody signs.
CUSTODIAN_KEYS = Record(sign=B32, recipient=B32)
ROSTER = Record(threshold=U8, custodians=Many(CUSTODIAN_KEYS))
FACTOR = Record(code=U64, signature=BYTES)
STANDING = below(4)
ACTIVE, SUSPENDED, DEACTIVATED, PURGED = range(4)
DECISION = Choice(Record(enrolled=B32), Record(standing=STANDING), Record(revoked=B32))
LOG_ENTRY = Record(tenant=NAME, user=NAME, decision=DECISION)

# Signed bodies that are CBOR.
CERTIFICATE = Record(attempt=B32, nonce=B32, session=B32, device=B32, recipient=B32)
ATTEMPT_PROOF = Record(session=B32, attempt=B32, recipient=B32)
ADD_PROOF = Record(session=B32, recipient=B32)
ADMISSION = Record(tenant=NAME, user=NAME, attempt=B32, nonce=B32)
ESCROW = Record(attempt=B32, commitment=B32, sealed=BYTES)
RECEIPT = Record(tenant=NAME, user=NAME, commitment=B32, generation=U64)
INTAKE = Record(nonce=B32, intake=B32)
GRANT = Record(id=B32, tenant=NAME, user=NAME, recipient=B32, epoch=U64, expiry=U64)
CONSUMED = Record(grant=B32, challenge=B32, epoch=U64)
CAPABILITY = Record(tenant=NAME, user=NAME, device=B32, epoch=U64, expiry=U64, read=BOOL)
FACTOR_BODY = Record(ceremony=B32, index=U8, code=U64)
CEREMONY = Record(id=B32, node=U8, rekey=BOOL, recipient=B32, header=B32, share_epoch=U64, expiry=U64, number=U64,
                  roster=Optional(ROSTER))
SHARE = Record(ceremony=B32, index=U8, share_epoch=U64, header=B32, sealed=BYTES)

# Contexts (GEN-31).
OWNER = Record(tenant=NAME, user=NAME, epoch=U64)
INTAKE_CONTEXT = Record(tenant=NAME, user=NAME, commitment=B32)
USER = Record(tenant=NAME, user=NAME)

SIGNED = {
    "enrolment-certificate": CERTIFICATE, "attempt-proof": ATTEMPT_PROOF, "add-proof": ADD_PROOF,
    "admission-body": ADMISSION, "escrow-body": ESCROW, "receipt-body": RECEIPT, "intake-body": INTAKE,
    "grant-body": GRANT, "consumed-body": CONSUMED, "capability-body": CAPABILITY, "factor-body": FACTOR_BODY,
    "ceremony-body": CEREMONY, "share-body": SHARE,
}
# Bodies that are no CBOR (GEN-31), by their length.
PLAIN_BODIES = {"wipe-bytes": 32, "job-key-bytes": 64, "ack-bytes": 32}

# The keystore's disk.
HEADER = Record(id=B32, share_epoch=U64, threshold=U8, commitments=Many(B32), custodians=Many(CUSTODIAN_KEYS),
                root=BYTES)
MARK = Record(epoch=U64, index=U64, lease=U64)
REKEY = Record(node=U8, expiry=U64)
STAGED = Record(snapshot=BYTES, above=U64)
KEY_OR_NONE = Scalar(lambda raw: isinstance(raw, bytes) and len(raw) in (0, 32))
NONE, EMPTY, LIVE, LOST, DORMANT, TOMBSTONE = range(6)
ACCOUNT = Record(state=below(6), commitment=Nullable(B32), key=KEY_OR_NONE, escrow=BYTES)
KS_ATTEMPT = Record(tenant=NAME, user=NAME, device=B32, nonce=B32, expiry=U64, generation=U64, open=BOOL,
                    admitted=BOOL)
KS_ATTEMPTS = Many(B32)
SNAPSHOT_RECORD = Record(name=sized(34), record=BYTES)
SNAPSHOT = Record(header=HEADER, keyring=BYTES, generation=U64, index=U64, covers=U64, records=Many(SNAPSHOT_RECORD),
                  mac=B32)

# Custody and a custodian's client.
LOGIN = Record(authenticator=B32, last_code=U64)
WINDOW = Record(ceremony=BYTES, signature=BYTES, id=B32, number=U64, expiry=U64, closed=BOOL)
KNOWN_HEADERS = Record(headers=Many(HEADER), in_force=Optional(B32))

# The device.
IDENTITY = Record(sign_seed=B32, recipient_seed=B32, attempt=B32, device=B32)
DEVICE_KEY = Record(key=B32, receipt=BYTES)

U16 = unsigned(2)
