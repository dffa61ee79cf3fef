"""Seal header, unseal key, root (GEN-26, GEN-26a), keyring, records and their hidden names (GEN-27, GEN-28), the place
of wrong passwords (ENR-2c) and snapshots (GEN-30)."""

import hmac
import os
from collections import namedtuple

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from . import bodies, cbor, hpke, sharing
from .forms import Record, from_bytes, to_bytes
from .names import LABELS, Refused
from .seal import NotOpened, mac, open_sealed, seal_once, sha256

_DIGESTED = Record(**{name: form for name, form in bodies.HEADER.fields.items() if name != "root"})


def header_digest(header):
    """H of the header without its sealed root (GEN-26a)."""
    return sha256(to_bytes(_DIGESTED, header))


def unseal_key(secret, header_id, share_epoch):
    """KEK of the shared scalar (GEN-26)."""
    info = LABELS["unseal"] + header_id + share_epoch.to_bytes(8, "big")
    return HKDF(SHA256(), 32, salt=None, info=info).derive(secret)


def open_root(header, secret):
    """The root that lies in the header (GEN-26)."""
    key = unseal_key(secret, header["id"], header["share_epoch"])
    root = open_sealed(key, LABELS["seal/root"], header_digest(header), header["root"])
    if len(root) != 32:
        raise NotOpened
    return root


def deal(share_epoch, threshold, custodians):
    """(header, root, shares 1…n): a fresh sharing with a fresh root (GEN-25, GEN-26)."""
    secret, shares, commitments = sharing.share(threshold, len(custodians))
    header = {"id": os.urandom(32), "share_epoch": share_epoch, "threshold": threshold, "commitments": commitments,
              "custodians": custodians}
    root = os.urandom(32)
    key = unseal_key(secret, header["id"], share_epoch)
    header["root"] = seal_once(key, LABELS["seal/root"], header_digest(header), root)
    return header, root, shares


Keyring = namedtuple("Keyring", "data_key path_key intake_seed")


def seal_keyring(root, digest, keyring):
    """The keyring under the root (GEN-27)."""
    return seal_once(root, LABELS["seal/keyring"], digest, b"".join(keyring))


def open_keyring(root, digest, sealed):
    """The keyring: data key, path key and intake seed (GEN-27)."""
    plain = open_sealed(root, LABELS["seal/keyring"], digest, sealed)
    if len(plain) != 96:
        raise NotOpened
    return Keyring(plain[:32], plain[32:64], plain[64:])


def record_name(path_key, path):
    """The hidden name of the record at `path` (GEN-28)."""
    return b"r/" + mac(path_key, LABELS["store-key"] + cbor.encode(path))


FORMS = {"account": bodies.ACCOUNT, "attempt": bodies.KS_ATTEMPT, "attempts": bodies.KS_ATTEMPTS}


def seal_record(data_key, path, value):
    """A record as it is stored (GEN-27)."""
    return seal_once(data_key, LABELS["seal/record"], cbor.encode(path), to_bytes(FORMS[path[0]], value))


def open_record(data_key, path, sealed):
    """A record; what is there and does not open or decode is damage (GEN-27a)."""
    try:
        plain = open_sealed(data_key, LABELS["seal/record"], cbor.encode(path), sealed)
        return from_bytes(FORMS[path[0]], plain)
    except (NotOpened, cbor.NotCanonical):
        raise Refused("StoreDamaged") from None


def guess_place(secret, tenant, user):
    """(place, code) of a name that nobody has (ENR-2c)."""
    code = mac(secret, LABELS["guess-place"] + to_bytes(bodies.USER, {"tenant": tenant, "user": user}))
    return code[:2], code


def snapshot_code(root, snapshot):
    """The code over a snapshot with zeros in its place (GEN-30)."""
    return mac(root, LABELS["snapshot-mac"] + to_bytes(bodies.SNAPSHOT, dict(snapshot, mac=bytes(32))))


def read_snapshot(data):
    """What a snapshot says; one that is not canonical is damaged (DIS-2a)."""
    try:
        return from_bytes(bodies.SNAPSHOT, data)
    except cbor.NotCanonical:
        raise Refused("SnapshotDamaged") from None


def check_snapshot(root, snapshot):
    """Compares the code in constant time (DIS-3a)."""
    if not hmac.compare_digest(snapshot_code(root, snapshot), snapshot["mac"]):
        raise Refused("SnapshotDamaged")


def intake_pair(keyring):
    """The intake key pair (GEN-23, GEN-27)."""
    return hpke.KeyPair(keyring.intake_seed)
