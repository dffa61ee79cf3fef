"""`seal_once` (GEN-20), the key tree (GEN-21) and commitments (GEN-22)."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from . import bodies
from .forms import to_bytes
from .names import LABELS

OVERHEAD = 80


class NotOpened(ValueError):
    """A sealed form does not open; nothing of the message is told."""


def sha256(data):
    """H of the text."""
    return hashlib.sha256(data).digest()


def mac(key, data):
    """HMAC-SHA-256."""
    return hmac.digest(key, data, "sha256")


def _keys(root, label, header, salt):
    both = HKDF(SHA256(), 64, salt=salt, info=label + sha256(header)).derive(root)
    return both[:32], both[32:]


def seal_with_salt(root, label, header, message, salt):
    """`seal_once` with a given salt: for vectors alone, since no caller of the protocol passes one (GEN-20)."""
    key, tag = _keys(root, label, header, salt)
    return salt + tag + AESGCM(key).encrypt(bytes(12), message, header + salt)


def seal_once(root, label, header, message):
    """Seals `message` under a key that serves once (GEN-20)."""
    return seal_with_salt(root, label, header, message, os.urandom(32))


def open_sealed(root, label, header, sealed):
    """Opens what `seal_once` made; the key tag is compared before anything is decrypted (GEN-20)."""
    if len(sealed) < OVERHEAD:
        raise NotOpened
    salt, found = sealed[:32], sealed[32:64]
    key, tag = _keys(root, label, header, salt)
    if not hmac.compare_digest(tag, found):
        raise NotOpened
    try:
        return AESGCM(key).decrypt(bytes(12), sealed[64:], header + salt)
    except InvalidTag:
        raise NotOpened from None


def branch(key, label, tenant, user, epoch=0):
    """A branch of the key tree (GEN-21)."""
    owner = to_bytes(bodies.OWNER, {"tenant": tenant, "user": user, "epoch": epoch})
    return HKDFExpand(SHA256(), 32, info=label + owner).derive(key)


def commitment(key, tenant, user, epoch=0):
    """The commitment to an archive key (GEN-22)."""
    return branch(key, LABELS["key/commit"], tenant, user, epoch)
