"""HPKE in base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (GEN-23), composed as RFC 9180 says.

`cryptography` has HPKE too, but takes no ephemeral key and no seed; the tests hold this composition against it.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from . import bodies
from .forms import to_bytes
from .names import LABELS
from .seal import NotOpened

KEM_ID, KDF_ID, AEAD_ID = 0x0020, 0x0001, 0x0002
KEM_SUITE = b"KEM" + KEM_ID.to_bytes(2, "big")
HPKE_SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (KEM_ID, KDF_ID, AEAD_ID))
OVERHEAD = 48


def _extract(suite, salt, label, ikm):
    return HKDF.extract(SHA256(), salt, b"HPKE-v1" + suite + label + ikm)


def _expand(suite, prk, label, info, length):
    whole = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return HKDFExpand(SHA256(), length, info=whole).derive(prk)


class KeyPair:
    """An HPKE key pair, made from 32 random bytes by `DeriveKeyPair` (RFC 9180, 7.1.3)."""

    def __init__(self, seed):
        prk = _extract(KEM_SUITE, b"", b"dkp_prk", seed)
        self.private = _expand(KEM_SUITE, prk, b"sk", b"", 32)
        self._key = X25519PrivateKey.from_private_bytes(self.private)
        self.public = self._key.public_key().public_bytes_raw()

    def shared(self, public):
        """The Diffie-Hellman secret; refuses a key that yields zeros (GEN-23)."""
        try:
            secret = self._key.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise NotOpened from None
        if not any(secret):
            raise NotOpened
        return secret


def _context(secret, encapsulated, recipient, info):
    prk = _extract(KEM_SUITE, b"", b"eae_prk", secret)
    shared = _expand(KEM_SUITE, prk, b"shared_secret", encapsulated + recipient, 32)
    schedule = (b"\x00" + _extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
                + _extract(HPKE_SUITE, b"", b"info_hash", info))
    inner = _extract(HPKE_SUITE, shared, b"secret", b"")
    return (AESGCM(_expand(HPKE_SUITE, inner, b"key", schedule, 32)),
            _expand(HPKE_SUITE, inner, b"base_nonce", schedule, 12))


def seal_from(ephemeral, recipient, label, context, message):
    """Seals with a given ephemeral pair: for vectors alone."""
    cipher, nonce = _context(ephemeral.shared(recipient), ephemeral.public, recipient, label + context)
    return ephemeral.public + cipher.encrypt(nonce, message, b"")


def seal(recipient, label, context, message):
    """Encapsulated key ‖ ciphertext (GEN-23); `NotOpened` where the recipient is no usable key."""
    return seal_from(KeyPair(os.urandom(32)), recipient, label, context, message)


def open_sealed(pair, label, context, sealed):
    """The message; `NotOpened` if the form does not open under this pair, label and context."""
    if len(sealed) < OVERHEAD:
        raise NotOpened
    encapsulated = sealed[:32]
    cipher, nonce = _context(pair.shared(encapsulated), encapsulated, pair.public, label + context)
    try:
        return cipher.decrypt(nonce, sealed[32:], b"")
    except InvalidTag:
        raise NotOpened from None


def context(short, *parts):
    """The context of a label (GEN-31); names are `str`, indices and nodes `int`, the rest `bytes`."""
    if short == "hpke/intake":
        return to_bytes(bodies.INTAKE_CONTEXT, dict(zip(("tenant", "user", "commitment"), parts)))
    return b"".join(bytes([part]) if isinstance(part, int) else part for part in parts)


def seal_for(recipient, short, parts, message):
    """Seals under a label of protocol.md 4 and the context made of `parts`."""
    return seal(recipient, LABELS[short], context(short, *parts), message)


def open_for(pair, short, parts, sealed, length=32):
    """Opens what `seal_for` made and asks for `length` bytes."""
    message = open_sealed(pair, LABELS[short], context(short, *parts), sealed)
    if len(message) != length:
        raise NotOpened
    return message
