"""Every vector of spec/vectors/protocol, answered by `bailee.primitives`."""

import json
import os
import pathlib
import unittest

from bailee import primitives, transcripts  # noqa: F401 (transcripts adds its operations)

HERE = pathlib.Path(__file__).resolve()
FOLDER = pathlib.Path(os.environ.get("BAILEE_VECTORS") or HERE.parents[4] / "spec" / "vectors" / "protocol")


def expanded(value):
    """Hex text with its runs written out, so that two notations of one value compare."""
    if isinstance(value, str) and "*" in value:
        return primitives.unhex(value).hex()
    if isinstance(value, list):
        return [expanded(item) for item in value]
    if isinstance(value, dict):
        return {name: item if name == "text" else expanded(item) for name, item in value.items()}
    return value


def clamped(value):
    """A private X25519 key as the scalar that it stands for (RFC 7748): `DeriveKeyPair` leaves it as it was drawn."""
    if "private" not in value.get("value", {}):
        return value
    raw = bytearray.fromhex(value["value"]["private"])
    raw[0], raw[31] = raw[0] & 248, raw[31] & 127 | 64
    return {"value": dict(value["value"], private=raw.hex())}


class Vectors(unittest.TestCase):
    def test_every_vector(self):
        files = sorted(FOLDER.glob("*.json"))
        if not files:
            self.skipTest(f"no vectors in {FOLDER}")
        checked = 0
        for path in files:
            for vector in json.loads(path.read_text())["vectors"]:
                checked += 1
                with self.subTest(vector["id"]):
                    found = primitives.answer(vector["operation"], vector["inputs"])
                    if found != vector["expected"]:
                        self.assertEqual(clamped(found), clamped(expanded(vector["expected"])))
        self.assertGreater(checked, 0)


if __name__ == "__main__":
    unittest.main()
