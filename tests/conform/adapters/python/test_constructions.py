"""Constructions against other libraries and against their own negative cases."""

import os
import unittest

from bailee import barrier, bodies, cbor, frames, hpke, password, seal, sharing, sign
from bailee.forms import from_bytes, to_bytes
from bailee.names import LABELS, REFUSALS, Refused
from cryptography.hazmat.primitives import hpke as library
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey


class Encoding(unittest.TestCase):
    def test_what_is_not_canonical_is_refused(self):
        for text in ("1800", "190018", "a0", "c100", "f7", "20", "9fff", "5f40ff", "8100ff", "", "81", "61ff", "f818",
                     "f90000"):
            with self.subTest(text), self.assertRaises(cbor.NotCanonical):
                cbor.decode(bytes.fromhex(text))

    def test_every_kind_comes_back(self):
        self.assertEqual(len(frames.KINDS), 92)
        self.assertEqual(len(REFUSALS), 72)
        message = frames.frame("FetchShare", node=1, code=None, roster=bytes(32))
        self.assertEqual(frames.decode(frames.encode(message)), message)

    def test_an_absent_field_at_the_end_is_left_out(self):
        raw = frames.encode(frames.frame("SessionOpened", enrolled=None))
        self.assertEqual(raw.hex(), "83f6f6820180")
        with self.assertRaises(Refused):
            frames.decode(bytes.fromhex("83f6f6820181f6"))

    def test_labels_do_not_begin_one_another(self):
        for one in LABELS.values():
            self.assertEqual([other for other in LABELS.values() if other.startswith(one)], [one])


class Constructions(unittest.TestCase):
    def test_hpke_is_that_of_the_library(self):
        suite = library.Suite(library.KEM.X25519, library.KDF.HKDF_SHA256, library.AEAD.AES_256_GCM)
        pair = hpke.KeyPair(os.urandom(32))
        private = X25519PrivateKey.from_private_bytes(pair.private)
        public = X25519PublicKey.from_public_bytes(pair.public)
        label, context = LABELS["hpke/wrap"], b"context"
        ours = hpke.seal(pair.public, label, context, b"message")
        self.assertEqual(suite.decrypt(ours, private, label + context), b"message")
        theirs = suite.encrypt(b"message", public, label + context)
        self.assertEqual(hpke.open_sealed(pair, label, context, theirs), b"message")

    def test_seal_once_opens_only_where_it_belongs(self):
        sealed = seal.seal_once(bytes(32), b"label", b"header", b"message")
        self.assertEqual(seal.open_sealed(bytes(32), b"label", b"header", sealed), b"message")
        for root, label, header in ((b"\1" * 32, b"label", b"header"), (bytes(32), b"labe", b"header"),
                                    (bytes(32), b"label", b"Header")):
            with self.assertRaises(seal.NotOpened):
                seal.open_sealed(root, label, header, sealed)

    def test_the_points_of_small_order_are_those_of_the_curve(self):
        prime = 2**255 - 19
        d = -121665 * pow(121666, -1, prime) % prime
        y = sign._ORDER_8
        self.assertEqual(y, int.from_bytes(y.to_bytes(32, "little"), "little") % prime)
        self.assertEqual((2 * y * y - 1 + d * pow(y, 4, prime)) % prime, 0)  # twice the point has y = 0, so order 8

    def test_a_sharing_needs_t_verified_shares(self):
        secret, shares, commitments = sharing.share(3, 5)
        numbered = list(enumerate(shares, 1))
        for chosen in (numbered[:3], numbered[2:]):
            self.assertEqual(sharing.combine(chosen, 3, commitments), secret)
        for chosen in (numbered[:2], numbered[:4], [numbered[0]] * 3, [(0, secret)] + numbered[:2]):
            with self.assertRaises(sharing.NotShared):
                sharing.combine(chosen, 3, commitments)

    def test_a_header_opens_by_its_secret_alone(self):
        keys = [{"sign": bytes(32), "recipient": bytes(32)}] * 3
        header, root, shares = barrier.deal(1, 2, keys)
        secret = sharing.combine([(1, shares[0]), (3, shares[2])], 2, header["commitments"])
        self.assertEqual(barrier.open_root(header, secret), root)
        with self.assertRaises(seal.NotOpened):
            barrier.open_root(dict(header, share_epoch=2), secret)

    def test_password_costs_are_bounded(self):
        record = password.make(b"right")
        self.assertTrue(password.matches(record, b"right"))
        self.assertFalse(password.matches(record, b"wrong"))
        self.assertFalse(password.matches((1 << 31).to_bytes(4, "big") + record[4:], b"right"))

    def test_a_damaged_record_is_not_absent(self):
        value = {"state": bodies.EMPTY, "commitment": None, "key": b"", "escrow": b""}
        path = ["account", "acme", "ada"]
        sealed = barrier.seal_record(bytes(32), path, value)
        self.assertEqual(barrier.open_record(bytes(32), path, sealed), value)
        with self.assertRaises(Refused) as caught:
            barrier.open_record(bytes(32), ["account", "acme", "bob"], sealed)
        self.assertEqual(caught.exception.name, "StoreDamaged")

    def test_a_body_with_a_roster_comes_back(self):
        roster = {"threshold": 2, "custodians": [{"sign": bytes(32), "recipient": bytes(32)}] * 2}
        body = {"id": bytes(32), "node": 0, "rekey": True, "recipient": bytes(32), "header": bytes(32),
                "share_epoch": 1, "expiry": 600, "number": 1, "roster": roster}
        self.assertEqual(from_bytes(bodies.CEREMONY, to_bytes(bodies.CEREMONY, body)), body)


if __name__ == "__main__":
    unittest.main()
