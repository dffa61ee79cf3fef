"""Verifiable sharing over Ristretto255 (GEN-25). The group is libsodium's, by `rbcl`; scalars are integers modulo its order."""

import os

import rbcl

from .names import CUSTODIANS
from .sign import ORDER

IDENTITY = bytes(32)


class NotShared(ValueError):
    """A sharing, a share or a combination that GEN-25 does not allow."""


def scalar(random):
    """64 random bytes reduced modulo the group order."""
    return int.from_bytes(random, "little") % ORDER


def to_bytes(value):
    """The canonical encoding of a scalar."""
    return value.to_bytes(32, "little")


def times_base(value):
    """value·B."""
    return IDENTITY if value == 0 else rbcl.crypto_scalarmult_ristretto255_base(to_bytes(value))


def _times(value, point):
    if value == 0 or point == IDENTITY:
        return IDENTITY
    return rbcl.crypto_scalarmult_ristretto255(to_bytes(value), point)


def allowed(threshold, count):
    """Whether 2 ≤ t ≤ n ≤ CUSTODIANS."""
    return 2 <= threshold <= count <= CUSTODIANS


def share_from(random, threshold, count):
    """(secret, shares 1…n, commitments) made of 64 bytes for each coefficient, the constant term first."""
    if not allowed(threshold, count):
        raise NotShared
    terms = [scalar(random[64 * j : 64 * j + 64]) for j in range(threshold)]
    shares = [sum(term * pow(i, j, ORDER) for j, term in enumerate(terms)) % ORDER for i in range(1, count + 1)]
    return to_bytes(terms[0]), [to_bytes(value) for value in shares], [times_base(term) for term in terms]


def share(threshold, count):
    """A fresh sharing."""
    return share_from(os.urandom(64 * max(threshold, 0)), threshold, count)


def verify(index, value, threshold, commitments):
    """Verification of share `index` (GEN-25); raises `NotShared`."""
    if not (1 <= index <= CUSTODIANS and 2 <= threshold == len(commitments)) or len(value) != 32:
        raise NotShared
    if int.from_bytes(value, "little") >= ORDER or commitments[-1] == IDENTITY:
        raise NotShared
    if not all(len(point) == 32 and rbcl.crypto_core_ristretto255_is_valid_point(point) for point in commitments):
        raise NotShared
    total = IDENTITY
    for power, point in enumerate(commitments):
        total = rbcl.crypto_core_ristretto255_add(total, _times(pow(index, power, ORDER), point))
    if total != times_base(int.from_bytes(value, "little")):
        raise NotShared


def combine(shares, threshold, commitments):
    """The secret, of exactly t verified shares of different indices: a list of (index, value) (GEN-25)."""
    indices = [index for index, _ in shares]
    if len(shares) != threshold or len(set(indices)) != threshold:
        raise NotShared
    for index, value in shares:
        verify(index, value, threshold, commitments)
    secret = 0
    for index, value in shares:
        weight = 1
        for other in indices:
            if other != index:
                weight = weight * other * pow(other - index, -1, ORDER) % ORDER
        secret = (secret + weight * int.from_bytes(value, "little")) % ORDER
    return to_bytes(secret)
