#!/usr/bin/env python3
"""Reads archives of format version 1 as section 16 of protocol.md describes them, and checks the vectors.

It follows protocol.md and formats.cddl, and shares neither code nor logic with the reference. It

1. reads the sound archive of archive.json and compares versions, trees and contents with what stands there;
2. does so with standalone.json, whose key it takes from the recovery code; and with devices.json and epochs.json,
   which have several devices and several key epochs, also as somebody who lacks a device or a key; and with
   clocks.json, whose versions are not in the order of their times;
3. reads folder.json, an archive as the files of a folder, and says which names are those of segments;
4. cuts the stream of cuts.json and the tree of tree_cuts.json, and compares lengths and ids of the chunks;
5. decodes each part of malformed_parts.json, and each link of signatures.json, and compares the name of its refusal;
6. reads each archive of malformed_archives.json, looks for the vector's error among what it names (one damage may
   have several consequences, which are named where they are met; a sound archive has none), and compares the
   versions that it restores in full despite the damage;
7. looks whether each file says what each of its fields means.

It needs `blake3`, `cbor2`, `cryptography` and `zstandard` from PyPI. It prints one line and exits 0 if all agree;
otherwise it prints each disagreement and exits 1.
"""

import functools
import hashlib
import json
import pathlib
import re
import sys
from collections import namedtuple
from dataclasses import dataclass, field

import blake3
import cbor2
import zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

LABEL = b"bailee/v1/"

CHUNK_MIN_BYTES = 16384
CHUNK_MAX_BYTES = 262144
BLOCK_CHUNKS = 4096
BLOCK_PLAIN_BYTES = 1064964
FRAME_WINDOW_BYTES = 134217728
SEGMENT_GAP = 1048576
MANIFEST_BYTES = 67108864
INDEX_BYTES = 4194304
ITEM_BYTES = 262144
ITEM_CHUNKS = 1024
PATH_COMPONENTS = 512
COMPONENT_BYTES = 1024
PATH_BYTES = 32768
LINK_BYTES = 16384
XATTR_NAME_BYTES = 255
XATTR_TOTAL_BYTES = 131072
LABEL_BYTES = 16384
HOST_BYTES = 255
USER_BYTES = 255

SEGMENT_HEAD = 33
RECORD_HEAD = 9
BLOCK_HEAD = 35
SEAL = 80
SALT = 32
BLOCK, INDEX, MANIFEST, RETENTION = 1, 2, 3, 4
LINKS = (MANIFEST, RETENTION)
COMPRESSED = (1, 3)
PADDED = (0, 1)


class Refusal(Exception):
    """An archive error: its name, and where it is."""

    def __init__(self, name, where=""):
        super().__init__(f"{name} ({where})" if where else name)
        self.name = name


def need(condition, name, where=""):
    if not condition:
        raise Refusal(name, where)


# ----------------------------------------------------------------------------------------- constructions (§3)


def sha256(data):
    return hashlib.sha256(data).digest()


def number(data):
    return int.from_bytes(data, "big")


@dataclass(frozen=True)
class Keys:
    """The branches of the key tree that a reader needs (GEN-21)."""

    id: bytes
    chunk: bytes
    seal: bytes
    manifest: bytes


def branch(key, purpose, owner):
    return HKDFExpand(hashes.SHA256(), 32, LABEL + purpose + cbor2.dumps(owner, canonical=True)).derive(key)


def key_tree(key, tenant, user, epoch):
    purposes = (b"key/id", b"key/chunk", b"key/seal", b"key/manifest")
    return Keys(*(branch(key, purpose, [tenant, user, epoch]) for purpose in purposes))


@dataclass(frozen=True)
class Context:
    """What a reader knows before it reads: the archive, the keys of each epoch, the devices of the owner."""

    archive: bytes
    epochs: dict
    devices: frozenset

    def keys(self, epoch):
        need(epoch in self.epochs, "UnknownEpoch", f"epoch {epoch}")
        return self.epochs[epoch]


def open_seal(root, label, header, sealed):
    """GEN-20: the key tag T is compared before anything is decrypted."""
    need(len(sealed) >= SEAL, "NotOpened", "shorter than a seal")
    salt, tag, ciphertext = sealed[:SALT], sealed[SALT:64], sealed[64:]
    pair = HKDF(hashes.SHA256(), 64, salt, LABEL + label + sha256(header)).derive(root)
    need(pair[32:] == tag, "NotOpened", "key tag")
    try:
        return AESGCM(pair[:32]).decrypt(bytes(12), ciphertext, header + salt)
    except InvalidTag:
        raise Refusal("NotOpened", "tag") from None


# The points of order 1, 2, 4 and 8 of edwards25519, by their y: GEN-24 wants no such key and no such R.
FIELD = 2**255 - 19
EIGHTH = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = {0, 1, FIELD - 1, EIGHTH, FIELD - EIGHTH}


def small_order(point):
    return (int.from_bytes(point, "little") % 2**255) % FIELD in SMALL_ORDER


def signature_holds(device, label, body, signature):
    if len(signature) != 64 or small_order(device) or small_order(signature[:32]):
        return False
    # The library asks the rest: that S is reduced, and for the equation without the cofactor.
    try:
        Ed25519PublicKey.from_public_bytes(device).verify(signature, LABEL + label + sha256(body))
    except (InvalidSignature, ValueError):
        return False
    return True


# --------------------------------------------------------------------------------- encoding (GEN-4 and GEN-5)

# Deeper than any form of formats.cddl; without it only the stack would bound a hostile array of arrays.
DEPTH = 16


def cbor_head(data, at):
    """The major type, the argument and where it ends; only the shortest form of an argument is one."""
    need(at < len(data), "Encoding", "ends early")
    major, short = data[at] >> 5, data[at] & 31
    if short < 24:
        return major, short, at + 1
    need(short < 28, "Encoding", "indefinite or reserved length")
    size = 1 << (short - 24)
    need(at + 1 + size <= len(data), "Encoding", "ends early")
    argument = number(data[at + 1 : at + 1 + size])
    need(argument >= (24 if size == 1 else 1 << (4 * size)), "Encoding", "not in its shortest form")
    return major, argument, at + 1 + size


def cbor_string(data, at, size, text):
    need(at + size <= len(data), "Encoding", "ends early")
    value = bytes(data[at : at + size])
    if not text:
        return value, at + size
    try:
        return value.decode(), at + size
    except UnicodeDecodeError:
        raise Refusal("Encoding", "text that is not UTF-8") from None


def cbor_array(data, at, size, depth):
    need(size <= len(data) - at and depth < DEPTH, "Encoding", "array")
    values = []
    for _ in range(size):
        value, at = cbor_item(data, at, depth + 1)
        values.append(value)
    return values, at


def cbor_item(data, at=0, depth=0):
    major, argument, at_content = cbor_head(data, at)
    if major == 0:
        return argument, at_content
    if major == 1:
        return -1 - argument, at_content
    if major in (2, 3):
        return cbor_string(data, at_content, argument, text=major == 3)
    if major == 4:
        return cbor_array(data, at_content, argument, depth)
    need(major == 7 and argument in (20, 21, 22), "Encoding", "map, tag or float")
    return {20: False, 21: True, 22: None}[argument], at_content


def decode(data):
    value, end = cbor_item(data)
    need(end == len(data), "Encoding", "bytes after the value")
    return value


def sized(size):
    return lambda value: type(value) is bytes and len(value) == size


def kind_of(kind):
    return lambda value: type(value) is kind


def below(bound):
    return lambda value: type(value) is int and 0 <= value < bound


def optional(shape):
    return lambda value: value is None or shape(value)


B16, B32 = sized(16), sized(32)
BYTES, TEXT, LIST, BOOL = (kind_of(kind) for kind in (bytes, str, list, bool))
U8, U32, U64 = (below(1 << bits) for bits in (8, 32, 64))


def I64(value):
    return type(value) is int and -(1 << 63) <= value < 1 << 63


def fields(value, *shapes):
    """A record is the array of its fields, each of its type and size."""
    fits = type(value) is list and len(value) == len(shapes) and all(map(lambda s, v: s(v), shapes, value))
    need(fits, "Encoding", "not the fields of this record")
    return value


def each(values, *shapes):
    return [tuple(fields(value, *shapes)) for value in values]


def all_of(values, shape):
    return fields(values, *[shape] * len(values))


def need_ascending(values, what):
    need(all(a < b for a, b in zip(values, values[1:])), "Malformed", f"{what} not ascending, or one twice")


def read_time(value):
    seconds, nanoseconds = fields(value, I64, U32)
    need(nanoseconds <= 999_999_999, "Malformed", "nanoseconds")
    return [seconds, nanoseconds]


def read_chunk_refs(values):
    refs = each(values, B32, U32)
    need(all(1 <= length <= CHUNK_MAX_BYTES for _, length in refs), "Malformed", "length of a chunk")
    return refs


# ---------------------------------------------------------------------------------------------- chunks (16.2)


def proposed(stream, at):
    return int.from_bytes(stream[at - 4 : at], "little") * 0x61C99E37 & 0xFF000000 == 0xFF000000


def decided(stream, at, key):
    cbc = Cipher(algorithms.AES(key[:16]), modes.CBC(bytes(16))).encryptor()
    mac = cbc.update(stream[at - 64 : at])[-16:]
    return int.from_bytes(mac[:8], "little") < (2**64 - 1) // 192


def chunk_end(stream, start, key):
    limit = min(start + CHUNK_MAX_BYTES, len(stream))
    for at in range(start + CHUNK_MIN_BYTES, limit):
        if proposed(stream, at) and decided(stream, at, key):
            return at
    return limit


def cut(stream, key):
    chunks, start = [], 0
    while start < len(stream):
        end = chunk_end(stream, start, key)
        chunks.append(stream[start:end])
        start = end
    return chunks


def chunk_id(chunk, keys):
    return blake3.blake3(chunk, key=keys.id).digest()


# ---------------------------------------------------------------------------------------------- blocks (16.3)


def padme(length):
    """The Padmé length of what is padded: both lengths in front and what is stored."""
    exponent = max(length, 1).bit_length() - 1
    unit = 1 << (exponent - exponent.bit_length())
    return -(-length // unit) * unit


BLOCK_BYTES = BLOCK_HEAD + SEAL + padme(8 + BLOCK_PLAIN_BYTES)


def read_block_head(context, block):
    """The checks of BAK-6 up to the epoch, in its order."""
    need(len(block) >= BLOCK_HEAD, "Truncated", "header of a block")
    version, suite, form, padded = block[4], block[5], block[6], number(block[31:35])
    need(block[:4] == b"BLEB", "Malformed", "magic")
    need(version == 1, "UnsupportedVersion", f"version {version}")
    need(suite == 1, "Malformed", "suite")
    need(form <= 3, "Malformed", "form")
    need(len(block) <= BLOCK_BYTES, "TooLarge", "block")
    need(form not in PADDED or padme(padded) == padded, "Malformed", "not a padded length")
    need(len(block) == BLOCK_HEAD + SEAL + padded, "Disagrees", "sealed length")
    need(block[7:23] == context.archive, "WrongArchive", "block")
    return form, context.keys(number(block[23:31]))


def unpad(padded, form):
    need(len(padded) >= 8, "Truncated", "no room for lengths")
    plain, end = number(padded[4:8]), 8 + number(padded[:4])
    need(plain <= BLOCK_PLAIN_BYTES, "TooLarge", "plain length")
    need(end <= len(padded), "Truncated", "stored length")
    need(len(padded) == (padme(end) if form in PADDED else end), "Malformed", "padding not exact")
    need(not any(padded[end:]), "Malformed", "padding not zero")
    return padded[8:end], plain


def decompress(frame, size):
    """What the frame itself declares is looked at first: the library would take that much memory."""
    try:
        declared = zstandard.get_frame_parameters(frame)
        need(declared.content_size in (size, zstandard.CONTENTSIZE_UNKNOWN), "NotDecompressed", "another content size")
        single_segment = frame[4] & 1 << 5
        need(single_segment or declared.window_size <= FRAME_WINDOW_BYTES, "NotDecompressed", "window")
        plain = zstandard.ZstdDecompressor().decompress(frame, size, allow_extra_data=False)
    except zstandard.ZstdError:
        raise Refusal("NotDecompressed", "no zstd frame") from None
    need(len(plain) == size, "NotDecompressed", "another length")
    return plain


def split_chunks(plain):
    need(len(plain) >= 4, "Truncated", "no room for a count")
    count = number(plain[-4:])
    need(count <= BLOCK_CHUNKS, "TooLarge", "chunks in a block")
    front = len(plain) - 4 - 4 * count
    need(front >= 0, "Truncated", "table of lengths")
    lengths = [number(plain[at : at + 4]) for at in range(front, len(plain) - 4, 4)]
    need(all(1 <= length <= CHUNK_MAX_BYTES for length in lengths), "Malformed", "length of a chunk")
    need(sum(lengths) == front, "Disagrees", "sum of the lengths")
    chunks, at = [], 0
    for length in lengths:
        chunks.append(plain[at : at + length])
        at += length
    return chunks


def open_block(context, block):
    """The chunks of a block, each after its id, which is computed and not read."""
    form, keys = read_block_head(context, block)
    stored, size = unpad(open_seal(keys.seal, b"seal/block", block[:BLOCK_HEAD], block[BLOCK_HEAD:]), form)
    if form in COMPRESSED:
        stored = decompress(stored, size)
    need(len(stored) == size, "Disagrees", "stored raw, of another length")
    return [(chunk_id(chunk, keys), chunk) for chunk in split_chunks(stored)]


def block_id(block):
    need(len(block) >= BLOCK_HEAD + SALT, "Truncated", "block")
    return block[BLOCK_HEAD : BLOCK_HEAD + SALT]


# ----------------------------------------------------------------------- manifests and retention (16.4, 16.7)


@dataclass(frozen=True)
class Link:
    """A manifest or retention record: what both have, what is signed, and the fields of either."""

    kind: int
    archive: bytes
    device: bytes
    seq: int
    previous: bytes | None
    blocks: list
    body: bytes
    signature: bytes
    digest: bytes
    epoch: int = 0
    clear: bytes = b""
    root: bytes = b""
    forgotten: list = field(default_factory=list)
    dropped: list = field(default_factory=list)
    segments: list = field(default_factory=list)

    def place(self):
        return self.device, self.seq, self.digest

    def place_before(self):
        return self.device, self.seq - 1, self.previous


def decode_manifest(payload):
    need(len(payload) <= MANIFEST_BYTES, "TooLarge", "manifest")
    body, signature = fields(decode(payload), BYTES, BYTES)
    clear, root = fields(decode(body), BYTES, BYTES)
    shapes = (U8, B16, B32, U64, U64, optional(B32), optional(B32), LIST)
    version, archive, device, epoch, seq, previous, _, blocks = fields(decode(clear), *shapes)
    blocks = each(blocks, B32, U32, B32)
    need(version == 1, "UnsupportedVersion", f"version {version}")
    return Link(MANIFEST, archive, device, seq, previous, blocks, body, signature, sha256(payload),
                epoch=epoch, clear=clear, root=root)


def decode_retention(payload):
    need(len(payload) <= MANIFEST_BYTES, "TooLarge", "retention record")
    clear, signature = fields(decode(payload), BYTES, BYTES)
    shapes = (TEXT, U8, B16, B32, U64, optional(B32), LIST, LIST, LIST, LIST)
    what, version, archive, device, seq, previous, *lists = fields(decode(clear), *shapes)
    forgotten, dropped, segments, blocks = lists
    forgotten, blocks = each(forgotten, B32, U64, B32), each(blocks, B32, U32, B32)
    dropped, segments = all_of(dropped, B32), all_of(segments, U64)
    need(what == "retention", "Malformed", "not a retention record")
    need(version == 1, "UnsupportedVersion", f"version {version}")
    return Link(RETENTION, archive, device, seq, previous, blocks, clear, signature, sha256(payload),
                forgotten=forgotten, dropped=dropped, segments=segments)


def decode_link(kind, payload):
    link = decode_manifest(payload) if kind == MANIFEST else decode_retention(payload)
    need_rules(link)
    return link


def need_rules(link):
    need(link.seq >= 1, "Malformed", "links count from 1")
    need((link.seq == 1) == (link.previous is None), "Malformed", "previous is absent in the first link only")
    need_ascending([block for block, _, _ in link.blocks], "blocks")
    need_ascending([(device, seq) for device, seq, _ in link.forgotten], "forgotten")
    need_ascending(link.dropped, "dropped")
    need_ascending(link.segments, "segments")


def need_signature(link):
    label = b"sign/manifest" if link.kind == MANIFEST else b"sign/retention"
    need(signature_holds(link.device, label, link.body, link.signature), "BadSignature", f"link {link.seq}")


def is_signed(kind, payload):
    """Whether the device that a link names signed it, whatever its version is."""
    body, signature = fields(decode(payload), BYTES, BYTES)
    parts = decode(fields(decode(body), BYTES, BYTES)[0] if kind == MANIFEST else body)
    device, label = (parts[2], b"sign/manifest") if kind == MANIFEST else (parts[3], b"sign/retention")
    return signature_holds(device, label, body, signature)


def signed_link(kind, payload):
    """A link whose signature holds under the device that it names, whatever device and archive that are."""
    link = decode_link(kind, payload)
    need_signature(link)
    return link


def vouching_link(context, kind, payload):
    """A link of this archive whose signature holds under the device that it names (BAK-12)."""
    link = signed_link(kind, payload)
    need(link.archive == context.archive, "WrongArchive", f"link {link.seq}")
    return link


def read_link(context, kind, payload):
    """The checks of BAK-10 on a link by itself, in its order: the signature is the last for a manifest only."""
    link = decode_link(kind, payload)
    if kind == RETENTION:
        need_signature(link)
    need(link.archive == context.archive, "WrongArchive", f"link {link.seq}")
    need(link.device in context.devices, "UnknownDevice", f"link {link.seq}")
    if kind == MANIFEST:
        need_signature(link)
    return link


@dataclass(frozen=True)
class Root:
    time: list
    label: bytes
    entries: int
    bytes: int
    tree: list
    origin: list | None = None


def read_origin(value):
    host, user, _ = fields(value, BYTES, BYTES, optional(B16))
    need(1 <= len(host) <= HOST_BYTES and len(user) <= USER_BYTES, "Malformed", "origin")
    return value


def open_root(context, link):
    key = context.keys(link.epoch).manifest
    plain = decode(open_seal(key, b"seal/manifest", link.clear, link.root))
    need(type(plain) is list, "Encoding", "not a root")
    # The last field is left out if there is none.
    origin = [LIST] if len(plain) == 6 else []
    time, label, entries, size, tree, *origin = fields(plain, LIST, BYTES, U64, U64, LIST, *origin)
    need(len(label) <= LABEL_BYTES, "Malformed", "label too long")
    return Root(read_time(time), label, entries, size, read_chunk_refs(tree), *map(read_origin, origin))


def open_index(context, payload):
    """Pairs of a block and the ids of its chunks."""
    need(len(payload) <= INDEX_BYTES, "TooLarge", "index record")
    clear, sealed = fields(decode(payload), BYTES, BYTES)
    what, version, archive, epoch = fields(decode(clear), TEXT, U8, B16, U64)
    need(what == "index", "Malformed", "not an index record")
    need(version == 1, "UnsupportedVersion", f"version {version}")
    need(archive == context.archive, "WrongArchive", "index record")
    plain = decode(open_seal(context.keys(epoch).manifest, b"seal/manifest", clear, sealed))
    need(type(plain) is list, "Encoding", "not the list of an index")
    pairs = [(block, all_of(chunks, B32)) for block, chunks in each(plain, B32, LIST)]
    need(all(1 <= len(chunks) <= BLOCK_CHUNKS for _, chunks in pairs), "Malformed", "chunks of a block")
    return pairs


# ----------------------------------------------------------------------------------------------- trees (16.5)

FILE, DIRECTORY, SYMLINK, HARD_LINK, FIFO, SOCKET, DEVICE = range(7)
KINDS = ("file", "directory", "symlink", "hard link", "fifo", "socket", "device")
KIND_FIELDS = {
    FILE: {"size": U64, "chunks": U64, "changed": BOOL, "sparse": BOOL},
    DIRECTORY: {},
    SYMLINK: {"target": BYTES},
    HARD_LINK: {"to": LIST},
    FIFO: {},
    SOCKET: {},
    DEVICE: {"block": BOOL, "major": U32, "minor": U32},
}


@dataclass(frozen=True)
class Entry:
    path: list
    meta: dict
    kind: int
    kind_fields: dict
    chunks: list


def read_items(stream):
    at = 0
    while at < len(stream):
        need(at + 4 <= len(stream), "Truncated", "length of an item")
        end = at + 4 + number(stream[at : at + 4])
        need(end - at <= ITEM_BYTES, "TooLarge", "item")
        need(end <= len(stream), "Truncated", "item")
        yield fields(decode(stream[at + 4 : end]), below(2), LIST)
        at = end


def read_path(value):
    """BAK-11: the one rule on values that is part of the encoding."""
    path = all_of(value, BYTES)
    need(len(path) <= PATH_COMPONENTS and sum(map(len, path)) <= PATH_BYTES, "Encoding", "path too long")
    for part in path:
        sound = 1 <= len(part) <= COMPONENT_BYTES and part not in (b".", b"..") and not set(part) & set(b"/\0")
        need(sound, "Encoding", "component of a path")
    return path


def read_meta(value):
    mode, uid, gid, mtime, xattrs = fields(value, U32, U32, U32, LIST, LIST)
    need(mode <= 0o7777, "Malformed", "mode")
    xattrs = each(xattrs, BYTES, BYTES)
    for name, _ in xattrs:
        need(1 <= len(name) <= XATTR_NAME_BYTES and 0 not in name, "Malformed", "name of an attribute")
    need_ascending([name for name, _ in xattrs], "attributes")
    total = sum(len(name) + len(content) for name, content in xattrs)
    need(total <= XATTR_TOTAL_BYTES, "Malformed", "attributes")
    return {"mode": mode, "uid": uid, "gid": gid, "mtime": read_time(mtime), "xattrs": xattrs}


def read_kind(value, path):
    kind, content = fields(value, below(len(KINDS)), LIST)
    names = KIND_FIELDS[kind]
    content = dict(zip(names, fields(content, *names.values())))
    if kind == SYMLINK:
        target = content["target"]
        need(1 <= len(target) <= LINK_BYTES and 0 not in target, "Malformed", "target of a link")
    if kind == HARD_LINK:
        need([] < read_path(content["to"]) < path, "Malformed", "a hard link refers to an earlier path")
    return kind, content


def read_entry(value, chunks):
    path, meta, kind = fields(value, LIST, LIST, LIST)
    path, meta = read_path(path), read_meta(meta)
    kind, content = read_kind(kind, path)
    return Entry(path, meta, kind, content, chunks)


def need_chunks(entry):
    if entry.kind != FILE:
        return need(not entry.chunks, "Disagrees", "chunks before what is no file")
    stated = entry.kind_fields["size"], entry.kind_fields["chunks"]
    found = sum(length for _, length in entry.chunks), len(entry.chunks)
    need(found == stated, "Disagrees", "chunks of a file")


def need_place(entry, before):
    """`before` has the kinds of the paths so far, in order."""
    path = tuple(entry.path)
    if not before:
        return need(not path and entry.kind == DIRECTORY, "Misplaced", "the root directory comes first")
    need(next(reversed(before)) < path, "Misplaced", "not in order")
    need(before.get(path[:-1]) == DIRECTORY, "Misplaced", "below no directory")


def read_tree(stream):
    entries, before, chunks = [], {}, []
    for what, content in read_items(stream):
        [content] = fields(content, LIST)
        if what == 0:
            need(1 <= len(content) <= ITEM_CHUNKS, "Malformed", "chunks of an item")
            chunks += read_chunk_refs(content)
            continue
        entry = read_entry(content, chunks)
        need_place(entry, before)
        need_chunks(entry)
        entries.append(entry)
        before[tuple(entry.path)] = entry.kind
        chunks = []
    need(not chunks, "Disagrees", "chunks of no file")
    need(entries, "Misplaced", "no root directory")
    return entries


def cut_tree(items, key):
    """Behind an entry whose last 64 bytes decide so, and before an item that would make a chunk too long (16.5)."""
    chunks, chunk = [], b""
    for item, is_entry in items:
        if len(chunk) + len(item) > CHUNK_MAX_BYTES:
            chunks.append(chunk)
            chunk = b""
        chunk += item
        if is_entry and len(chunk) >= CHUNK_MIN_BYTES and decided(chunk, len(chunk), key):
            chunks.append(chunk)
            chunk = b""
    return [*chunks, chunk] if chunk else chunks


# -------------------------------------------------------------------------------------------- segments (16.6)

Record = namedtuple("Record", "segment offset kind payload")
Gap = namedtuple("Gap", "segment offset refusal")
Scan = namedtuple("Scan", "records gaps")

RECORD_BYTES = {
    BLOCK: BLOCK_BYTES,
    INDEX: INDEX_BYTES,
    MANIFEST: MANIFEST_BYTES,
    RETENTION: MANIFEST_BYTES,
}


def segment_number(name):
    """The number of the segment that a file of this name is; none if it is no segment."""
    return int(name[:16], 16) or None if re.fullmatch("[0-9a-f]{16}[.]seg", name) else None


def read_segment_head(data):
    need(len(data) >= SEGMENT_HEAD, "Truncated", "head of a segment")
    need(data[:8] == b"BAILEESG", "Malformed", "magic")
    need(data[8] == 1, "UnsupportedVersion", f"version {data[8]}")
    return data[9:25], number(data[25:33])


def read_record_head(segment, offset, head):
    need(len(head) >= RECORD_HEAD, "Truncated", "head of a record")
    kind, length, check = head[0], number(head[1:5]), head[5:9]
    place = segment.to_bytes(8, "big") + offset.to_bytes(8, "big")
    need(sha256(place + head[:5])[:4] == check, "Damaged", f"segment {segment}, offset {offset}")
    need(kind in RECORD_BYTES, "Malformed", "kind of a record")
    need(length <= RECORD_BYTES[kind], "TooLarge", "record")
    return kind, length


def record_at(segment, data, offset):
    content = offset + RECORD_HEAD
    need(content <= len(data), "Damaged", "the segment ends within the head of a record")
    kind, length = read_record_head(segment, offset, data[offset:content])
    need(content + length <= len(data), "Damaged", "the segment ends within a record")
    return Record(segment, offset, kind, data[content : content + length])


def next_record(segment, data, offset):
    """BAK-16: the next place where the check of a record holds, or the end."""
    for at in range(offset, len(data)):
        try:
            record_at(segment, data, at)
        except Refusal:
            continue
        return at
    return len(data)


def scan(segment, data):
    records, gaps, at = [], [], SEGMENT_HEAD
    while at < len(data):
        try:
            records.append(record_at(segment, data, at))
            at += RECORD_HEAD + len(records[-1].payload)
        except Refusal as refusal:
            gaps.append(Gap(segment, at, refusal))
            at = next_record(segment, data, at + 1)
    return Scan(records, gaps)


def error_of(read, *arguments):
    """The name of the refusal; empty if there is none."""
    try:
        read(*arguments)
    except Refusal as refusal:
        return refusal.name
    return ""


def vouched(context, scanned):
    """Where the last link begins that vouches for all before it; 0 if there is none (BAK-12)."""
    links = (record for record in reversed(scanned.records) if record.kind in LINKS)
    return next((link.offset for link in links if not error_of(vouching_link, context, link.kind, link.payload)), 0)


def is_whole(context, record):
    """Whether a record can be read, or could be with another release or another key."""
    if record.kind == BLOCK:
        error = error_of(open_block, context, record.payload)
    elif record.kind == INDEX:
        error = error_of(open_index, context, record.payload)
    else:
        error = error_of(vouching_link, context, record.kind, record.payload)
        if error == "UnsupportedVersion":
            return is_signed(record.kind, record.payload)
    return error in ("", "UnsupportedVersion", "UnknownEpoch")


def without_tail(context, scanned):
    """Up to the first of what no link vouches for that is no record, or not whole: there the torn tail begins."""
    after = vouched(context, scanned)
    torn = [gap.offset for gap in scanned.gaps if gap.offset > after]
    torn += [record.offset for record in scanned.records if record.offset > after and not is_whole(context, record)]
    end = min(torn, default=sys.maxsize)
    return Scan(*([item for item in items if item.offset < end] for items in scanned))


# ------------------------------------------------------------------------------------------------ the archive


def known_links(scans, devices):
    """Each sound link that a known device signed, of whatever archive."""
    for record in (record for scanned in scans.values() for record in scanned.records if record.kind in LINKS):
        try:
            link = signed_link(record.kind, record.payload)
        except Refusal:
            continue
        if link.device in devices:
            yield link


def identify(segments, scans, devices):
    """Which archive it is (BAK-16): most heads say so, else links; of what these say, most heads decide."""
    heads = []
    for data in segments.values():
        try:
            heads.append(read_segment_head(data)[0])
        except Refusal:
            continue
    counts = sorted((heads.count(head) for head in set(heads)), reverse=True)
    if counts and counts[0] > max([1, *counts[1:2]]):
        return max(heads, key=heads.count)
    claims = [link.archive for link in known_links(scans, devices)] or heads
    need(claims, "NoArchive", "neither head nor link says which")
    return max(claims, key=heads.count)


def missing_between(before, segment, given_up):
    """How many segments between two that are there are neither there nor given up."""
    return segment - before - 1 - sum(before < number < segment for number in given_up)


def within_reach(there, given_up):
    """The segments that are there, up to the first gap that is longer than SEGMENT_GAP."""
    reached = []
    for segment in sorted(there):
        if missing_between(max(reached, default=0), segment, given_up) > SEGMENT_GAP:
            break
        reached.append(segment)
    return reached


@dataclass
class Version:
    link: Link
    root: Root
    entries: list
    contents: list

    def lost(self):
        """The paths of entries that are not restored."""
        return [entry.path for entry, content in zip(self.entries, self.contents) if content is None]


class Archive:
    """A reader of one archive. `problems` has each refusal that it met; what needs none of that is read."""

    def __init__(self, epochs, devices, segments, remembered, archive=None):
        need(segments, "NoArchive", "no segment")
        scans = {segment: scan(segment, data) for segment, data in sorted(segments.items())}
        self.context = Context(archive or identify(segments, scans, devices), epochs, devices)
        self.problems, self.links = [], []
        self.blocks, self.indexed, self.opened = {}, {}, {}
        segments, scans = self.reach(segments, scans)
        self.read_segments(segments, scans)
        self.check_chains(remembered)
        roots = [(link, self.attempt(open_root, self.context, link)) for link in self.offered()]
        opened = in_order([(link, root) for link, root in roots if root])
        self.sound = self.check_blocks(link for link, _ in opened)
        self.chunks = self.locate_chunks()
        self.versions = [version for version in map(self.read_version, opened) if version]

    def attempt(self, action, *arguments):
        """What the action returns; if it refuses, that is one more problem, and nothing is returned."""
        try:
            return action(*arguments)
        except Refusal as refusal:
            self.problems.append(refusal)
            return None

    def names(self):
        return [problem.name for problem in self.problems]

    def restored(self):
        """The versions of which every entry and every content was read."""
        return [version for version in self.versions if not version.lost()]

    def newest(self, device):
        """The place of the newest link of a device, which may be forgotten and missing; of one number, the last one."""
        places = [*sorted(self.named("forgotten")), *(link.place() for link in self.links)]
        return max((place for place in places if place[0] == device), key=lambda place: (place[1], places.index(place)))

    # Segments and records.

    def reach(self, segments, scans):
        """The segments of the archive, without the torn tail of the last one. What is beyond is passed over."""
        self.given_up, reached = [], None
        while reached != (now := within_reach(segments.keys(), self.named("segments"))):
            reached, used = now, {segment: scans[segment] for segment in now}
            if reached and not error_of(self.check_head, reached[-1], segments[reached[-1]]):
                used[reached[-1]] = without_tail(self.context, used[reached[-1]])
            self.given_up = self.retention_records(used)
        return {segment: segments[segment] for segment in reached}, used

    def retention_records(self, scans):
        """Known before anything else is read, for a segment that one of them names is not read (BAK-14)."""
        links = known_links(scans, self.context.devices)
        return [link for link in links if link.kind == RETENTION and link.archive == self.context.archive]

    def named(self, what):
        return {item for link in self.given_up for item in getattr(link, what)}

    def read_segments(self, segments, scans):
        removed, refused, before = self.named("segments"), [], 0
        for segment in sorted(segments):
            gap = missing_between(before, segment, removed)
            self.attempt(need, not gap, "MissingSegment", f"between {before} and {segment}")
            before = segment
            if segment in removed:
                self.take_links(scans[segment])
            elif self.is_foreign(segments[segment], scans[segment]):
                self.attempt(need, False, "WrongArchive", f"segment {segment}")
            else:
                self.attempt(self.check_head, segment, segments[segment])
                refused += self.take_all(scans[segment])
        if refused and not self.links and any(map(self.is_somebodys, self.links_of(segments, scans))):
            raise refused[0]

    def links_of(self, segments, scans):
        """The records of links in segments of this archive that are not given up."""
        ours = [segment for segment in segments if segment not in self.named("segments")]
        ours = [segment for segment in ours if not self.is_foreign(segments[segment], scans[segment])]
        return [record for segment in ours for record in scans[segment].records if record.kind in LINKS]

    def is_somebodys(self, record):
        """Whether its device signed a link, so that it is another's or of another release, and not damaged."""
        try:
            return is_signed(record.kind, record.payload)
        except Refusal:
            return False

    def take_all(self, scanned):
        """Takes in the records of a segment. What is wrong with its links is returned, too."""
        self.problems += [gap.refusal for gap in scanned.gaps]
        refused = []
        for record in scanned.records:
            before = len(self.problems)
            self.attempt(self.take, record)
            refused += self.problems[before:] if record.kind in LINKS else []
        return refused

    def is_foreign(self, data, scanned):
        """Whether the head names another archive, and no block or link names ours."""
        def named_by(record):
            if record.kind == BLOCK:
                return record.payload[7:23] if record.payload[:4] == b"BLEB" else None
            return decode_link(record.kind, record.payload).archive

        def is_ours(record):
            try:
                return record.kind != INDEX and named_by(record) == self.context.archive
            except Refusal:
                return False

        try:
            head = read_segment_head(data)[0]
        except Refusal:
            return False
        return head != self.context.archive and not any(map(is_ours, scanned.records))

    def take_links(self, scanned):
        """Of a segment that is given up, links alone count, and its damage is not named (BAK-14)."""
        for record in (record for record in scanned.records if record.kind in LINKS):
            error_of(self.take, record)

    def check_head(self, segment, data):
        archive, stated = read_segment_head(data)
        need(stated == segment, "Malformed", f"segment {segment} says that it is {stated}")
        need(archive == self.context.archive, "WrongArchive", f"segment {segment}")

    def take(self, record):
        if record.kind == BLOCK:
            block = block_id(record.payload)
            need(block not in self.blocks, "RepeatedBlock", block.hex())
            self.blocks[block] = record.payload
        elif record.kind == INDEX:
            # Of two records the later counts.
            self.indexed.update(open_index(self.context, record.payload))
        else:
            # A second copy of a link is nothing: one is copied before its segment goes (BAK-14).
            link = read_link(self.context, record.kind, record.payload)
            if link.place() not in [known.place() for known in self.links]:
                self.links.append(link)

    # Chains and versions.

    def check_chains(self, remembered):
        """Each chain from its first link on; a forgotten link holds its place though it may be missing (BAK-14)."""
        forgotten = sorted(self.named("forgotten"))
        places = [*forgotten, *(link.place() for link in self.links)]
        for link in self.links:
            first = next(place for place in places if place[:2] == link.place()[:2])
            alone = link.place() == first or link.place() in forgotten
            self.attempt(need, alone, "ChainBroken", f"another link {link.seq}")
            follows = link.seq == 1 or link.place_before() in places
            self.attempt(need, follows, "ChainBroken", f"link {link.seq} does not follow")
        for place in remembered:
            self.attempt(need, place in places, "RolledBack", f"link {place[1]}")

    def offered(self):
        """Manifests that no retention record forgets."""
        forgotten = self.named("forgotten")
        return [link for link in self.links if link.kind == MANIFEST and link.place() not in forgotten]

    # Blocks and chunks.

    def check_blocks(self, offered):
        """The blocks that may be used: those that have the digest of a listing, or that nothing lists (BAK-10)."""
        dropped = self.named("dropped")
        listings = {}
        retention = [link for link in self.links if link.kind == RETENTION]
        for block, *listing in sorted({listing for link in [*offered, *retention] for listing in link.blocks}):
            listings.setdefault(block, []).append(listing)
        sound = [block for block in self.blocks if block not in listings]
        for block, listed in listings.items():
            if block not in self.blocks:
                self.attempt(need, block in dropped, "MissingBlock", block.hex())
                continue
            stored = [len(self.blocks[block]), blake3.blake3(self.blocks[block]).digest()]
            for listing in listed:
                self.attempt(need, listing == stored or block in dropped, "BlockAltered", block.hex())
            sound += [block] if stored[1] in (digest for _, digest in listed) else []
        return set(sound)

    def locate_chunks(self):
        """The chunks of each block, in the order of the archive; a block that no index record names says it itself."""
        return {block: self.said_of(block) for block in self.blocks}

    def said_of(self, block):
        if block in self.indexed:
            return self.indexed[block]
        try:
            return [chunk for chunk, _ in self.chunks_in(block)]
        except Refusal:
            return []

    def chunks_in(self, block):
        """What a block holds. That it cannot be opened is named once, and is no damage if it was dropped."""
        if block not in self.opened:
            try:
                need(block in self.sound, "BlockAltered", block.hex())
                self.opened[block] = open_block(self.context, self.blocks[block])
            except Refusal as refusal:
                self.opened[block] = refusal
                # That it is altered was named with its listing.
                named = block not in self.sound or block in self.named("dropped")
                self.problems += [] if named else [refusal]
        if isinstance(self.opened[block], Refusal):
            raise self.opened[block]
        return self.opened[block]

    def fetch(self, chunk, length):
        """The chunk from the first block that yields it (BAK-16); if none does, what is wrong with the first."""
        refusals = []
        for block in [block for block, said in self.chunks.items() if chunk in said]:
            try:
                return self.chunk_of(block, chunk, length)
            except Refusal as refusal:
                refusals.append(refusal)
        raise [*refusals, Refusal("MissingChunk", chunk.hex())][0]

    def chunk_of(self, block, chunk, length):
        chunks = self.chunks_in(block)
        ids = [held for held, _ in chunks]
        if self.chunks[block] != ids:
            # From here on the block holds what it holds.
            self.chunks[block] = ids
            self.problems.append(Refusal("ChunkMismatch", block.hex()))
        need(chunk in ids, "ChunkMismatch", block.hex())
        content = dict(chunks)[chunk]
        need(len(content) == length, "Disagrees", "length of a chunk")
        return content

    def content(self, chunks):
        return b"".join(self.fetch(chunk, length) for chunk, length in chunks)

    def read_entries(self, root):
        return read_tree(self.content(root.tree))

    def read_version(self, opened):
        link, root = opened
        entries = self.attempt(self.read_entries, root)
        if not entries:
            return None
        files = {tuple(entry.path) for entry in entries if entry.kind == FILE}
        return Version(link, root, entries, [self.attempt(self.read_entry, entry, files) for entry in entries])

    def read_entry(self, entry, files):
        if entry.kind == HARD_LINK:
            need(tuple(entry.kind_fields["to"]) in files, "DanglingLink", f"{entry.path}")
        return self.content(entry.chunks)


def in_order(opened):
    """By time, where a version counts as no later than any later one of its chain; then by device and number (16.4)."""
    chain = sorted(opened, key=lambda pair: pair[0].seq)

    def place(pair):
        link, root = pair
        since = [later.time for other, later in chain[chain.index(pair):] if other.device == link.device]
        return min(since), link.device, link.seq

    return sorted(chain, key=place)


# ------------------------------------------------------------------------------ an archive that stands alone (16.8)

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32M = 0x2BC830A3
CODE_PREFIX = "bailee-key-"
CODE_LETTERS = 52 + 6


def bech32_checksum(values):
    """BIP 350: what is left of the values, as a polynomial over GF(32), by the generator of the code."""
    generators = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    rest = 1
    for value in values:
        top = rest >> 25
        rest = (rest & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(generators):
            rest ^= generator if top >> bit & 1 else 0
    return rest


def read_code(typed):
    """The key of a recovery code, or nothing if it was mistyped."""
    squeezed = "".join(typed.lower().replace("-", "").split())
    prefix = CODE_PREFIX.replace("-", "") + "1"
    letters = squeezed.removeprefix(prefix)
    if letters == squeezed or len(letters) != CODE_LETTERS or not set(letters) <= set(BECH32):
        return None
    values = [BECH32.index(letter) for letter in letters]
    expanded = [ord(c) >> 5 for c in CODE_PREFIX] + [0] + [ord(c) & 31 for c in CODE_PREFIX]
    if bech32_checksum(expanded + values) != BECH32M:
        return None
    bits = functools.reduce(lambda bits, value: bits << 5 | value, values[:-6])
    return None if bits & 15 else (bits >> 4).to_bytes(32, "big")


# ------------------------------------------------------------------------------------------------ the vectors

VECTORS = pathlib.Path(__file__).parent / "archive"


def load(name):
    return json.loads((VECTORS / name).read_text())


def segments_of(vector):
    if "files" in vector:
        files = {segment_number(name): bytes.fromhex(data) for name, data in vector["files"].items()}
        return {segment: data for segment, data in files.items() if segment}
    return {int(segment): bytes.fromhex(data) for segment, data in vector["segments"].items()}


def owner_keys(vector):
    return key_tree(bytes.fromhex(vector["key"]), vector["tenant"], vector["user"], vector["epoch"])


def several(vector, name):
    """What an archive has one of, or a list of several."""
    return vector.get(name, [vector])


def keys_of(vector):
    """The keys of each epoch, by the epoch."""
    names = {name: vector[name] for name in ("tenant", "user")}
    return {stated["epoch"]: owner_keys(names | stated) for stated in several(vector, "epochs")}


def devices_of(vector):
    return [bytes.fromhex(stated["device"]) for stated in several(vector, "devices")]


def context_of(vector):
    return Context(bytes.fromhex(vector["archive"]), keys_of(vector), frozenset(devices_of(vector)))


def place_of(device, stated):
    return device, stated["seq"], bytes.fromhex(stated["digest"])


def read_vector(vector, known, context):
    """Unless the vector says otherwise, the archive has to find out its id; the rest its owner knows."""
    archive = context.archive if vector.get("knows") else None
    archive = Archive(context.epochs, context.devices, segments_of(vector), known, archive)
    need(archive.context == context, "WrongArchive", "not the vector's")
    return archive


def bytes_of(text):
    """Hex in pieces, some of them with how often they are repeated."""
    pieces = (piece.partition("*") for piece in text.split())
    return b"".join(bytes.fromhex(piece) * int(times or 1) for piece, _, times in pieces)


def readable(value):
    """Bytes as JSON has them in the vectors."""
    if isinstance(value, (list, tuple)):
        return [readable(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def describe_entry(entry, content):
    shown = {"path": entry.path, "kind": KINDS[entry.kind], **entry.meta, **entry.kind_fields}
    if entry.kind == FILE:
        shown["sha256"] = sha256(content) if content is not None else None
        del shown["chunks"]
    return {name: readable(value) for name, value in shown.items()}


def describe_version(version):
    link, root = version.link, version.root
    tree = [describe_entry(entry, content) for entry, content in zip(version.entries, version.contents)]
    shown = {"device": link.device, "seq": link.seq, "digest": link.digest, "time": root.time, "label": root.label,
             "entries": root.entries, "bytes": root.bytes}
    return {name: readable(value) for name, value in shown.items()} | {"tree": tree}


def differ(what, found, stated):
    return [] if found == stated else [f"{what}: read {found!r}, the vector has {stated!r}"]


def file_keys(archive, entry):
    """A file is cut and its chunks are named under the epoch of the blocks that they lie in (BAK-15)."""
    block = next(block for block, said in archive.chunks.items() if entry.chunks[0][0] in said)
    return read_block_head(archive.context, archive.blocks[block])[1]


def compare_version(file, version, stated, archive):
    found = describe_version(version)
    where = f"{file}, version {stated['seq']}"
    faults = [fault for name in stated for fault in differ(f"{where}, {name}", found.get(name), stated[name])]
    faults += differ(f"{where}, entries counted", len(version.entries), stated["entries"])
    faults += differ(f"{where}, bytes counted", sum(map(len, version.contents)), stated["bytes"])
    for entry, content in zip(version.entries, version.contents):
        cuts = [len(chunk) for chunk in cut(content, file_keys(archive, entry).chunk)] if content else []
        faults += differ(f"{where}, cuts of {entry.path}", [length for _, length in entry.chunks], cuts)
    return faults


def place_in(version):
    return [version.link.device.hex(), version.link.seq]


def check_sound_archive(file, vector, seeds):
    """Versions, digests, trees, contents, each device's newest link; and that each file was cut where BAK-5 says."""
    stated_devices = zip(devices_of(vector), several(vector, "devices"))
    newest = [place_of(device, stated["newest"]) for device, stated in stated_devices]
    archive = read_vector(vector, newest, context_of(vector))
    faults = differ(f"{file}, problems", archive.names(), [])
    if faults:
        return faults
    public = [Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() for seed in seeds]
    faults += differ(f"{file}, devices", public, devices_of(vector))
    for place in newest:
        faults += differ(f"{file}, newest", archive.newest(place[0]), place)
    stated_by_place = {(stated.get("device", public[0].hex()), stated["seq"]): stated for stated in vector["versions"]}
    faults += differ(f"{file}, versions", [*map(place_in, archive.versions)], [*map(list, stated_by_place)])
    for version in archive.versions:
        stated = stated_by_place.get(tuple(place_in(version)))
        faults += compare_version(file, version, stated, archive) if stated else []
    return faults


def check_knowing_less(file, vector):
    """Anyone who lacks a device or a key epoch is told so, and restores what needs neither."""
    faults = []
    for stated in vector["knowing_less"]:
        epochs = {epoch: keys for epoch, keys in keys_of(vector).items() if epoch in stated["epochs"]}
        devices = frozenset(map(bytes.fromhex, stated["devices"]))
        archive = read_vector(vector, [], Context(bytes.fromhex(vector["archive"]), epochs, devices))
        where = f"{file}, knowing epochs {stated['epochs']} and devices {stated['devices']}"
        if stated["error"] not in archive.names():
            faults.append(f"{where}: read {archive.names()}, not {stated['error']!r}")
        faults += differ(f"{where}, restored", [*map(place_in, archive.restored())], stated["restored"])
    return faults


def check_several(file, vector):
    seeds = [bytes.fromhex(stated["device_seed"]) for stated in several(vector, "devices")]
    return check_sound_archive(file, vector, seeds) + check_knowing_less(file, vector)


def check_archive(vector):
    return check_sound_archive("archive.json", vector, [bytes.fromhex(vector["device_seed"])])


def check_folder(vector):
    found = [segment_number(stated["name"]) for stated in vector["names"]]
    faults = differ("folder.json, names", found, [stated["number"] for stated in vector["names"]])
    return faults + check_sound_archive("folder.json", vector, [bytes.fromhex(vector["device_seed"])])


def check_standalone(vector):
    """The recovery code gives the key, and the key is all that is needed."""
    owner, key = ["standalone", "standalone", 0], bytes.fromhex(vector["key"])
    faults = differ("standalone.json, owner", [vector["tenant"], vector["user"], vector["epoch"]], owner)
    for code in [vector["code"], *vector["same_codes"]]:
        faults += differ(f"standalone.json, code {code}", read_code(code), key)
    for code in vector["no_codes"]:
        faults += differ(f"standalone.json, code {code}", read_code(code), None)
    return faults + check_sound_archive("standalone.json", vector, [branch(key, b"key/standalone-device", owner)])


def cuts_stream(length):
    return b"".join(sha256(count.to_bytes(8, "big")) for count in range(-(-length // 32)))[:length]


def compare_chunks(file, chunks, vector, keys):
    return differ(file, [[len(chunk), chunk_id(chunk, keys).hex()] for chunk in chunks], vector["chunks"])


def check_cuts(vector):
    keys = owner_keys(vector)
    return compare_chunks("cuts.json", cut(cuts_stream(vector["length"]), keys.chunk), vector, keys)


def framed_entry(path, xattrs, kind, fields_of_kind):
    item = cbor2.dumps([1, [[path, [0, 0, 0, [0, 0], xattrs], [kind, fields_of_kind]]]], canonical=True)
    return len(item).to_bytes(4, "big") + item


def tree_entries(links, large):
    yield framed_entry([], [], DIRECTORY, [])
    for count in range(links + large):
        name, target = b"%08d" % count, sha256(count.to_bytes(8, "big")).hex().encode()
        xattrs = [] if count < links else [[b"user.a", bytes(100_000)]]
        yield framed_entry([name], xattrs, SYMLINK, [target])


def check_tree_cuts(vector):
    keys = owner_keys(vector)
    items = [(item, True) for item in tree_entries(vector["links"], vector["large"])]
    chunks = cut_tree(items, keys.chunk)
    return compare_chunks("tree_cuts.json", chunks, vector, keys)


def part_readers(context, segment, offset):
    return {
        "segment": read_segment_head,
        "record": functools.partial(read_record_head, segment, offset),
        "block": functools.partial(open_block, context),
        "index": functools.partial(open_index, context),
        "manifest": lambda data: open_root(context, read_link(context, MANIFEST, data)),
        "retention": functools.partial(read_link, context, RETENTION),
        "tree": read_tree,
    }


def check_part(file, vector, stated):
    readers = part_readers(context_of(stated), stated["segment"], stated["offset"])
    found = error_of(readers[vector["part"]], bytes_of(vector["bytes"]))
    return differ(f"{file}, {vector['part']} {vector['name']}", found, vector["error"])


def check_parts(file):
    stated = file["context"]
    return [fault for vector in file["vectors"] for fault in check_part("malformed_parts.json", vector, stated)]


def check_signatures(file):
    """Whose link it is counts as a device of the owner, so that the signature alone decides."""
    faults = []
    for vector in file["vectors"]:
        faults += check_part("signatures.json", vector, file["context"] | {"device": vector["device"]})
    return faults


def read_damaged(vector, context):
    """The names of what is wrong, and the versions."""
    try:
        known = [place_of(device, vector["remembered"]) for device in context.devices]
        archive = read_vector(vector, known, context)
    except Refusal as refusal:
        return [refusal.name], []
    return archive.names(), archive.versions


def check_damaged(file, vector):
    where = f"malformed_archives.json, {vector['name']}"
    names, versions = read_damaged(vector, context_of(file["context"]))
    faults = []
    if vector["error"] not in (names or [""]):
        faults.append(f"{where}: read {names}, not {vector['error']!r}")
    faults += [f"{where}: read {names} with {name!r}" for name in vector.get("not", []) if name in names]
    if "times" in vector:
        faults += differ(f"{where}, times in {names}", names.count(vector["error"]), vector["times"])
    if "lost" in vector:
        lost = {str(version.link.seq): readable(version.lost()) for version in versions if version.lost()}
        faults += differ(f"{where}, lost", lost, vector["lost"])
    restored = [version.link.seq for version in versions if not version.lost()]
    return faults + differ(f"{where}, restored of {names}", restored, vector["restored"])


def check_archives(file):
    return [fault for vector in file["vectors"] for fault in check_damaged(file, vector)]


def field_names(value):
    """The names of all fields; those of segments and files are numbers and names of files."""
    if isinstance(value, list):
        return {name for item in value for name in field_names(item)}
    if not isinstance(value, dict):
        return set()
    below = (field_names(item) for name, item in value.items() if name not in ("fields", "files", "segments"))
    return {name for name in value if not name.isdigit()}.union(*below)


def check_fields(file, vector):
    return differ(f"{file}, fields that are not described", sorted(field_names(vector) - vector["fields"].keys()), [])


CHECKS = {
    "archive.json": check_archive,
    "folder.json": check_folder,
    "standalone.json": check_standalone,
    "devices.json": functools.partial(check_several, "devices.json"),
    "epochs.json": functools.partial(check_several, "epochs.json"),
    "clocks.json": functools.partial(check_several, "clocks.json"),
    "cuts.json": check_cuts,
    "tree_cuts.json": check_tree_cuts,
    "malformed_parts.json": check_parts,
    "signatures.json": check_signatures,
    "malformed_archives.json": check_archives,
}


def main():
    files = {file: load(file) for file in CHECKS}
    faults = [fault for file, check in CHECKS.items() for fault in check(files[file])]
    faults += [fault for file in CHECKS for fault in check_fields(file, files[file])]
    if faults:
        print(*faults, f"{len(faults)} disagreements", sep="\n", file=sys.stderr)
        return 1
    sound, parts, archives = files["archive.json"], files["malformed_parts.json"], files["malformed_archives.json"]
    signatures = files["signatures.json"]["vectors"]
    cuts = len(files["cuts.json"]["chunks"]) + len(files["tree_cuts.json"]["chunks"])
    print(f"read {len(sound['versions'])} versions in {len(sound['segments'])} segments, an archive that stands alone, "
          f"one in a folder, "
          f"one of several devices and one of several key epochs, {cuts} cuts, {len(parts['vectors'])} parts, "
          f"{len(signatures)} signatures and {len(archives['vectors'])} malformed archives: all as the vectors say")
    return 0


if __name__ == "__main__":
    sys.exit(main())
