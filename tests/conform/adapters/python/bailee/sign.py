"""Signatures: Ed25519 over label ‖ H(body), verified strictly (GEN-24)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from . import bodies, cbor
from .forms import from_bytes, to_bytes
from .names import LABELS, Refused
from .seal import sha256

ORDER = 2**252 + 27742317777372353535851937790883648493
_PRIME = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL = (0, 1, _PRIME - 1, _PRIME, _PRIME + 1, _ORDER_8, _PRIME - _ORDER_8)
# Every encoding, canonical or not, of a point of small order, with and without the sign bit.
SMALL_ORDER = frozenset((y | sign << 255).to_bytes(32, "little") for y in _SMALL for sign in (0, 1))


def public_of(seed):
    """The public key of a signing seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign_bytes(seed, label, body):
    """A signature over label ‖ H(body)."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(label + sha256(body))


def verifies(public, label, body, signature):
    """Whether the signature is one, strictly: S below the order, neither key nor R of small order (GEN-24)."""
    if len(signature) != 64 or len(public) != 32:
        return False
    if public in SMALL_ORDER or signature[:32] in SMALL_ORDER:
        return False
    if int.from_bytes(signature[32:], "little") >= ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, label + sha256(body))
    except (InvalidSignature, ValueError):
        return False
    return True


def sign(seed, short, form, **fields):
    """(body, signature) of a signed body of formats.cddl."""
    body = to_bytes(form, fields)
    return body, sign_bytes(seed, LABELS[short], body)


def check(public, short, body, signature, refusal):
    """Refuses by `refusal` if the signature does not verify."""
    if not verifies(public, LABELS[short], body, signature):
        raise Refused(refusal)


def read_body(form, body, refusal="Malformed"):
    """What a body says; refuses by `refusal` if it is not canonical (GEN-5)."""
    try:
        return from_bytes(form, body)
    except cbor.NotCanonical:
        raise Refused(refusal) from None


# rule: (form, label, refusal of a body that is not canonical, refusal of a signature that does not verify)
SIGNED_AT = {
    "ENR-4a": (bodies.ATTEMPT_PROOF, "sign/attempt", "BadCertificate", "BadCertificate"),
    "ENR-7a": (bodies.INTAKE, "sign/intake", "Malformed", "Malformed"),
    "ENR-8a": (bodies.CERTIFICATE, "sign/enrolment-certificate", "BadCertificate", "BadCertificate"),
    "ENR-9a": (bodies.ADMISSION, "sign/admission", "Malformed", "AdmissionInvalid"),
    "ENR-12a": (bodies.ESCROW, "sign/escrow", "Malformed", "Unauthenticated"),
    "ENR-13a": (bodies.ESCROW, "sign/escrow", "Malformed", "Unauthenticated"),
    "ENR-14a": (bodies.RECEIPT, "sign/receipt", "ReceiptInvalid", "ReceiptInvalid"),
    "REP-1a": (bodies.ADD_PROOF, "sign/add-device", "BadCertificate", "BadCertificate"),
    "REP-2a": (bodies.GRANT, "sign/grant", "Malformed", "GrantInvalid"),
    "REP-4a": (bodies.CONSUMED, "sign/consumed", "GrantInvalid", "GrantInvalid"),
    "BAK-2a": (bodies.CAPABILITY, "sign/capability", "Malformed", "CapabilityInvalid"),
    "CER-3a": (bodies.CEREMONY, "sign/ceremony", "Malformed", "BadSignature"),
    "CER-4a": (bodies.FACTOR_BODY, "sign/mfa", "MfaRequired", "MfaRequired"),
    "CER-5a": (bodies.SHARE, "sign/share", "Malformed", "BadSignature"),
    "DIS-6b": (bodies.INTAKE, "sign/intake", "BadSignature", "BadSignature"),
    "JOB-2a": (64, "sign/job-key", "JobOver", "JobOver"),
    "KEY-2a": (32, "sign/ack", "BadSignature", "BadSignature"),
    "REV-4a": (32, "sign/wipe", "BadSignature", "BadSignature"),
}


def read_signed(rule, public, body, signature):
    """Decodes a body and verifies its signature, in the order and with the refusals of `rule`."""
    form, short, malformed, invalid = SIGNED_AT[rule]
    if isinstance(form, int):
        if len(body) != form:
            raise Refused(malformed)
        value = body
    else:
        value = read_body(form, body, malformed)
    check(public, short, body, signature, invalid)
    return value
