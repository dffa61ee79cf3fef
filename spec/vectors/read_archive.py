#!/usr/bin/env python3
"""Reads the sound vectors of the archive format as spec/protocol.md describes it (sections 3, 4 and 16); shares no code with the
reference.

Needs `cryptography`, `blake3`, `zstandard` and `cbor2` from PyPI. Exits with a message at the first thing that is not as the
vectors say.
"""

import hashlib
import hmac
import io
import json
import pathlib

import blake3
import cbor2
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).parent / "archive"


def sha256(data):
    return hashlib.sha256(data).digest()


def expand(prk, info, length):
    """HKDF-Expand-SHA-256 (RFC 5869)."""
    out, block = b"", b""
    for counter in range(1, 256):
        if len(out) >= length:
            break
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


def label(name):
    return b"bailee/v1/" + name.encode()


def branch(vector, name):
    """GEN-21."""
    owner = cbor2.dumps([vector["tenant"], vector["user"], vector["epoch"]])
    return expand(bytes.fromhex(vector["key"]), label(name) + owner, 32)


def open_sealed(root, name, header, sealed):
    """GEN-20."""
    salt, tag, rest = sealed[:32], sealed[32:64], sealed[64:]
    keys = expand(hmac.digest(salt, root, "sha256"), label(name) + sha256(header), 64)
    assert hmac.compare_digest(keys[32:], tag), "the key tag"
    return AESGCM(keys[:32]).decrypt(bytes(12), rest, header + salt)


def decode(data):
    """GEN-5: one value, canonical."""
    stream = io.BytesIO(data)
    value = cbor2.load(stream)
    assert stream.tell() == len(data) and cbor2.dumps(value) == data, "not canonical CBOR"
    return value


def verify(device, name, body, signature):
    """GEN-24."""
    Ed25519PublicKey.from_public_bytes(device).verify(signature, label(name) + sha256(body))


def padme(length):
    exponent = length.bit_length() - 1
    step = 1 << (exponent - exponent.bit_length())
    return -(-length // step) * step


def number(data):
    return int.from_bytes(data, "big")


def open_block(seal_key, archive, block):
    """16.3: the chunks of a block."""
    header, sealed = block[:35], block[35:]
    assert header[:4] == b"BLEB" and header[4:6] == b"\x01\x01" and header[6] < 4 and header[7:23] == archive
    form, length = header[6], number(header[31:])
    padded = open_sealed(seal_key, "seal/block", header, sealed)
    assert len(padded) == length and (form > 1 or padme(length) == length)
    stored_length, plain_length = number(padded[:4]), number(padded[4:8])
    stored, rest = padded[8 : 8 + stored_length], padded[8 + stored_length :]
    assert not any(rest) and length == (padme(8 + stored_length) if form < 2 else 8 + stored_length)
    plain = stored if form % 2 == 0 else zstandard.ZstdDecompressor().decompress(stored, plain_length)
    assert len(plain) == plain_length <= 1064964
    count = number(plain[-4:])
    table = plain[len(plain) - 4 - 4 * count : -4]
    chunks, at = [], 0
    for i in range(count):
        size = number(table[4 * i : 4 * i + 4])
        chunks.append(plain[at : at + size])
        at += size
    assert at == len(plain) - 4 - 4 * count
    return chunks


def records(segment, expected, data):
    """16.6."""
    assert data[:9] == b"BAILEESG\x01" and data[9:25] == expected and number(data[25:33]) == segment
    at = 33
    while at < len(data):
        kind, length = data[at], number(data[at + 1 : at + 5])
        place = segment.to_bytes(8, "big") + at.to_bytes(8, "big")
        assert sha256(place + data[at : at + 5])[:4] == data[at + 5 : at + 9], "a check"
        yield kind, data[at + 9 : at + 9 + length]
        at += 9 + length


def items(stream):
    """16.5: entries with their chunks."""
    at, chunks = 0, []
    while at < len(stream):
        length = number(stream[at : at + 4])
        which, fields = decode(stream[at + 4 : at + 4 + length])
        at += 4 + length
        if which == 0:
            chunks += fields[0]
        else:
            yield fields[0], chunks
            chunks = []
    assert not chunks


def described(entry, content):
    path, (mode, uid, gid, mtime, xattrs), (kind, fields) = entry
    value = {
        "path": [name.hex() for name in path], "mode": mode, "uid": uid, "gid": gid, "mtime": list(mtime),
        "xattrs": [[name.hex(), value.hex()] for name, value in xattrs],
    }
    if kind == 0:
        size, _, changed, sparse = fields
        assert size == len(content)
        value |= {"kind": "file", "size": size, "sha256": sha256(content).hex(), "changed": changed, "sparse": sparse}
    elif kind == 2:
        value |= {"kind": "symlink", "target": fields[0].hex()}
    elif kind == 3:
        value |= {"kind": "hard link", "to": [name.hex() for name in fields[0]]}
    elif kind == 6:
        value |= {"kind": "device", "block": fields[0], "major": fields[1], "minor": fields[2]}
    else:
        value["kind"] = {1: "directory", 4: "fifo", 5: "socket"}[kind]
    return value


def read_archive(vector):
    archive, device = bytes.fromhex(vector["archive"]), bytes.fromhex(vector["device"])
    secret = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["device_seed"]))
    assert secret.public_key().public_bytes_raw() == device
    id_key, seal_key, manifest_key = (branch(vector, name) for name in ("key/id", "key/seal", "key/manifest"))
    blocks, chunks, links, forgotten, indexed = {}, {}, {}, set(), {}
    for segment, data in vector["segments"].items():
        for kind, payload in records(int(segment), archive, bytes.fromhex(data)):
            if kind == 1:
                blocks[payload[35:67]] = payload
            elif kind == 2:
                clear, sealed = decode(payload)
                assert decode(clear) == ["index", 1, archive, 0]
                indexed |= dict(decode(open_sealed(manifest_key, "seal/manifest", clear, sealed)))
            else:
                body, signature = decode(payload)
                clear = decode(decode(body)[0] if kind == 3 else body)
                seq, previous = (clear[4], clear[5])
                verify(device, "sign/manifest" if kind == 3 else "sign/retention", body, signature)
                links[seq] = (sha256(payload), previous, kind, clear, body)
                forgotten |= {tuple(gone) for gone in (clear[6] if kind == 4 else [])}
    for salt, block in blocks.items():
        opened = open_block(seal_key, archive, block)
        ids = [blake3.blake3(chunk, key=id_key).digest() for chunk in opened]
        assert indexed.get(salt, ids) == ids, "an index record"
        chunks |= dict(zip(ids, opened))
    digests = {seq: link[0] for seq, link in links.items()} | {seq: digest for _, seq, digest in forgotten}
    found = []
    for seq, (digest, previous, kind, clear, body) in sorted(links.items()):
        assert previous == digests.get(seq - 1), "a chain"
        if kind == 4 or (device, seq, digest) in forgotten:
            continue
        time, name, entries, size, tree = decode(open_sealed(manifest_key, "seal/manifest", *decode(body)))
        for block, length, listed in clear[7]:
            # Blocks that a retention record dropped may be missing; what is there is what is listed.
            stored = blocks.get(block)
            assert stored is None or (len(stored), blake3.blake3(stored).digest()) == (length, listed)
        stream = b"".join(chunks[chunk] for chunk, _ in tree)
        read = [described(entry, b"".join(chunks[chunk] for chunk, _ in refs)) for entry, refs in items(stream)]
        found.append({"seq": seq, "digest": digest.hex(), "time": list(time), "label": name.hex(), "entries": entries,
                      "bytes": size, "tree": read})
    assert found == vector["versions"], "the versions"
    newest = max(links)
    assert vector["newest"] == {"seq": newest, "digest": links[newest][0].hex()}
    return len(found), sum(version["entries"] for version in found)


def cut(key, stream):
    """BAK-5: where a stream is cut."""
    chunks, start, threshold = [], 0, (2**64 - 1) // 192
    cipher = lambda window: Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor().update(window)[-16:]
    while start < len(stream):
        end = min(start + 262144, len(stream))
        for at in range(start + 16384, end):
            proposed = int.from_bytes(stream[at - 4 : at], "little") * 0x61C99E37 % 2**32 >> 24 == 0xFF
            if proposed and int.from_bytes(cipher(stream[at - 64 : at])[:8], "little") < threshold:
                end = at
                break
        chunks.append(stream[start:end])
        start = end
    return chunks


def read_cuts(vector):
    length = vector["length"]
    stream = b"".join(sha256(i.to_bytes(8, "big")) for i in range(-(-length // 32)))[:length]
    id_key = branch(vector, "key/id")
    chunks = cut(branch(vector, "key/chunk")[:16], stream)
    assert [[len(chunk), blake3.blake3(chunk, key=id_key).hexdigest()] for chunk in chunks] == vector["chunks"], "cuts"
    return len(chunks)


if __name__ == "__main__":
    versions, entries = read_archive(json.loads((HERE / "archive.json").read_text()))
    print(f"{versions} versions with {entries} entries read as they should")
    print(f"{read_cuts(json.loads((HERE / 'cuts.json').read_text()))} chunks cut as they should be")
