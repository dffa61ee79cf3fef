"""The adapter's pipe, and bytes that nobody should send."""

import io
import json
import random
import unittest

from bailee.frames import FIELDS, KINDS, Frame, decode, encode, frame
from bailee.names import Refused
from bailee.network import Network
from bailee.pipe import serve
from harness import World


def talk(*lines):
    """The answers to a list of lines, each an object or raw text."""
    raw = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    out = io.StringIO()
    serve(io.BytesIO(raw.encode()), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


class Pipe(unittest.TestCase):
    def test_hello_garbage_and_bye(self):
        said = talk({"do": "hello", "id": 1}, "garbage", "[1]", {"do": "frame"}, {"do": "bye"}, {"do": "hello"})
        self.assertEqual((said[0]["profile"], said[0]["id"]), ("classic", 1))
        self.assertEqual([list(each) for each in said[1:]], [["error"], ["error"], ["error"], ["ok"]])

    def test_a_vector(self):
        said = talk({"do": "vector", "operation": "read-refusal", "inputs": {"bytes": "83f6f68218188109"}},
                    {"do": "vector", "operation": "read-frame", "inputs": {"bytes": "83f6f682181881"}},
                    {"do": "vector", "operation": "nothing", "inputs": {}})
        self.assertEqual(said, [{"value": {"refusal": "Sealed"}}, {"refusal": "Malformed"}, {"unsupported": "nothing"}])

    def test_a_keystore(self):
        world = World()
        reset = {"do": "reset", "level": "keystore", "node": 0, "seed": world.seed.hex(),
                 "authority": bytes(32).hex(), "store": {name.hex(): raw.hex() for name, raw in world.store.items()}}
        opening = encode(frame("OpenCeremony", rekey=False, roster=None)).hex()
        said = talk(reset, {"do": "frame", "now": 5, "sender": "stranger", "bytes": opening},
                    {"do": "frame", "now": 5, "sender": "OP", "bytes": opening},
                    {"do": "frame", "now": 5, "sender": "OP", "bytes": "00"})
        self.assertEqual([each.get("refusal") for each in said[1:]], ["Unauthenticated", None, "Malformed"])
        self.assertEqual(decode(bytes.fromhex(said[2]["frames"][0]["bytes"])).kind, "Ceremony")
        self.assertEqual(said[2]["writes"], [b"c/\0".hex()])

    def test_a_service(self):
        said = talk({"do": "reset", "level": "service", "users": {"ada": b"right".hex()}, "threshold": 2,
                     "custodians": 3, "now": 1000},
                    {"do": "order", "now": 1000, "role": "ada-1", "sender": "holder", "kind": "EnterPassword",
                     "fields": [b"right".hex()]})
        self.assertEqual(said[1]["refusals"], [["KS", "Sealed"]])


class Noise(unittest.TestCase):
    """Well-formed frames with arbitrary contents, from every peer to every role: a verdict, never an exception."""

    def setUp(self):
        self.random = random.Random(16)

    def _value(self, form):
        for _ in range(200):
            value = self.random.choice([0, 1, 2, 16, 255, b"", bytes(32), b"\1" * 32, b"\x80", bytes(80), "acme", "ada",
                                        "root", True, False, None, [], 1 << 40])
            try:
                return form.read(value)
            except ValueError:
                continue
        return None

    def test_no_frame_breaks_a_role(self):
        net = Network({"ada": b"right"})
        net.add_device("laptop", "ada")
        net.ceremony()
        net.order("laptop", "holder", "EnterPassword", password=b"right")
        exchanges = [None, bytes(32)] + [name[2:] for name in net.stores["AU"] if name[:2] == b"s/"]
        taken = 0
        for name, role in net.roles.items():
            for kind in KINDS:
                for _ in range(12):
                    fields = {each: self._value(form) for each, form in FIELDS[kind].fields.items()}
                    try:
                        raw = encode(Frame(self.random.choice(exchanges), self.random.choice((None, 1)), kind, fields))
                    except (ValueError, TypeError, AttributeError):
                        continue
                    peer = self.random.choice(sorted(role.takes.get(kind, {"AU"})))
                    sender = {"DV": ("DV", bytes(32)), "CN": ("CN", 1), "user": ("user", "acme", "ada", True),
                              "admin": ("admin", "acme", "root")}.get(peer, peer)
                    step = role.step(net.now, sender, decode(raw))
                    taken += step.refusal is None
                    if self.random.random() < 0.3 and step.work is None:
                        role.commit(step)
        self.assertGreater(taken, 50)

    def test_no_bytes_break_the_decoder(self):
        good = encode(frame("Publish", **{"from": 0}, entries=[], epoch=0, head=0, lease=5))
        for _ in range(3000):
            raw = bytearray(good)
            for _ in range(self.random.randint(1, 4)):
                raw[self.random.randrange(len(raw))] = self.random.randrange(256)
            try:
                self.assertEqual(encode(decode(bytes(raw))), bytes(raw))
            except Refused as refused:
                self.assertEqual(refused.name, "Malformed")


if __name__ == "__main__":
    unittest.main()
