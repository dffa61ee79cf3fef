"""Password records (GEN-29)."""

import hmac
import os

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MEMORY_KIB, PASSES = 19456, 2
MOST_MEMORY_KIB, MOST_PASSES = 1048576, 16
LEAST_MEMORY_KIB = 8


def _hash(memory, passes, salt, password):
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory).derive(password)


def make(password):
    """A password record at the cost that services use."""
    salt = os.urandom(16)
    return (MEMORY_KIB.to_bytes(4, "big") + PASSES.to_bytes(4, "big") + salt
            + _hash(MEMORY_KIB, PASSES, salt, password))


def matches(record, password):
    """Whether the password is that of the record; another length or too high a cost never is (GEN-29)."""
    if len(record) != 56:
        return False
    memory, passes = int.from_bytes(record[:4], "big"), int.from_bytes(record[4:8], "big")
    if not (LEAST_MEMORY_KIB <= memory <= MOST_MEMORY_KIB and 1 <= passes <= MOST_PASSES):
        return False
    return hmac.compare_digest(_hash(memory, passes, record[8:24], password), record[24:])
