#!/usr/bin/env python3
"""Reads the vectors of the protocol in spec/vectors/protocol, and checks each of them.

It follows sections 3 to 14 of protocol.md and formats.cddl, and shares neither code nor logic with the reference. It

1. holds each file against its digest in protocol.sha256, and against vectors.schema.json;
2. carries out the operation of each vector and compares what comes out, value or name of the refusal, with what
   stands there. What a frame or a body has to consist of, it reads from formats.cddl;
3. looks at the transcripts of roles: frames and records fit formats.cddl, a refusal writes nothing and is told by its number;
4. prints how many vectors it checked, how many it cannot check and why, and each disagreement.

It needs `cryptography`, `rbcl` (libsodium's Ristretto) and `jsonschema` from PyPI. It exits 0 if all agree, else 1.
With `--changes`, it changes a byte of every vector, one after another, and exits 0 if it notices each change.
"""

import collections
import hashlib
import hmac
import json
import pathlib
import random
import re
import sys

import jsonschema
import rbcl
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

HERE = pathlib.Path(__file__).parent
LABEL = "bailee/v1/"
MESSAGE_BYTES = 65536
BLOCK_BYTES = 2 << 20
BULK_BYTES = 16 << 20
SNAPSHOT_BYTES = 16 << 20
MOST_KIB, MOST_PASSES = 1048576, 16


class Refusal(Exception):
    """A refusal: its name."""


class Unsupported(Exception):
    """What this reader cannot check, and why."""


def need(condition, refusal):
    if not condition:
        raise Refusal(refusal)


# --------------------------------------------------------------------------------------- notation of the vectors


def unhex(text):
    """Hex in pieces; 61*1024 is 61 that many times."""
    out = []
    for piece in text.split():
        digits, _, times = piece.partition("*")
        out.append(bytes.fromhex(digits) * int(times or 1))
    return b"".join(out)


def integer(value):
    return int(value["number"]) if isinstance(value, dict) else value


def untree(value):
    """What a tree says: bytes are hex, text is told apart."""
    if isinstance(value, dict):
        return value["text"] if "text" in value else int(value["number"])
    if isinstance(value, list):
        return [untree(item) for item in value]
    return unhex(value) if isinstance(value, str) else value


# ------------------------------------------------------------------------------------------- CBOR (GEN-4, GEN-5)

# Deeper than any form of formats.cddl; without it only the stack would bound a hostile array of arrays.
DEPTH = 16


def encode_head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    for low, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return bytes([major << 5 | low]) + argument.to_bytes(size, "big")
    raise ValueError("a number of more than 64 bits")


def encode(value):
    if value is None or isinstance(value, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return encode_head(0, value)
    if isinstance(value, bytes):
        return encode_head(2, len(value)) + value
    if isinstance(value, str):
        return encode_head(3, len(value.encode())) + value.encode()
    return encode_head(4, len(value)) + b"".join(map(encode, value))


def decode_item(data, at, depth):
    need(at < len(data) and depth < DEPTH, "Malformed")
    major, low, at = data[at] >> 5, data[at] & 31, at + 1
    argument = low
    if low >= 24:
        need(low < 28, "Malformed")
        size = 1 << (low - 24)
        need(at + size <= len(data), "Malformed")
        argument, at = int.from_bytes(data[at : at + size], "big"), at + size
    if major == 7:
        need(low in (20, 21, 22), "Malformed")
        return {20: False, 21: True, 22: None}[low], at
    if major == 4:
        need(argument <= len(data) - at, "Malformed")
        items = []
        for _ in range(argument):
            item, at = decode_item(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 0:
        return argument, at
    need(major in (2, 3) and at + argument <= len(data), "Malformed")
    string, at = data[at : at + argument], at + argument
    if major == 2:
        return string, at
    try:
        return string.decode(), at
    except UnicodeDecodeError:
        raise Refusal("Malformed") from None


def decode(data, limit=MESSAGE_BYTES):
    """GEN-5: the limit, nothing behind the value, and no other encoding of it."""
    need(len(data) <= limit, "Malformed")
    value, end = decode_item(data, 0, 0)
    need(end == len(data) and encode(value) == data, "Malformed")
    return value


# ----------------------------------------------------------------------------------------------- formats.cddl

TOKEN = re.compile(r'\s*(;[^\n]*|\.\.|\.[a-z]+|[A-Za-z][A-Za-z0-9-]*|\d+|"[^"]*"|[=/\[\](),:?*+])')


class Grammar:
    """The part of CDDL that formats.cddl uses."""

    def __init__(self, text):
        self.tokens = [token for token in TOKEN.findall(text) if not token.startswith(";")]
        self.at, self.rules = 0, {}
        while self.at < len(self.tokens):
            name = self.take()
            self.expect("=")
            self.rules[name] = self.choice()

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, token):
        found = self.peek() == token
        self.at += found
        return found

    def expect(self, token):
        if not self.accept(token):
            raise ValueError(f"{token} expected, found {self.peek()}")

    def choice(self):
        types = [self.controlled()]
        while self.accept("/"):
            types.append(self.controlled())
        return types[0] if len(types) == 1 else ("choice", types)

    def range(self):
        low = int(self.take())
        return low, int(self.take()) if self.accept("..") else low

    def controlled(self):
        base = self.single()
        if self.accept(".size"):
            group = self.accept("(")
            low, high = self.range()
            if group:
                self.expect(")")
            return ("size", base, low, high)
        if self.accept(".cbor"):
            return ("cbor", self.single())
        return base

    def single(self):
        if self.accept("("):
            inner = self.choice()
            self.expect(")")
            return inner
        if self.accept("["):
            members = []
            while not self.accept("]"):
                members.append(self.member())
                self.accept(",")
            return ("array", members)
        if self.peek().isdigit():
            return ("range", *self.range())
        token = self.take()
        return ("text", token[1:-1]) if token.startswith('"') else ("name", token)

    def member(self):
        least, most = 1, 1
        if self.accept("?"):
            least = 0
        elif self.peek() == "*" or self.peek(1) == "*":
            least = int(self.take()) if self.peek().isdigit() else 0
            self.expect("*")
            most = int(self.take()) if self.peek().isdigit() else None
        if self.peek(1) == ":":
            self.at += 2
        return least, most, self.choice()

    def fits(self, of, value, strict):
        """Whether a value is of a type; if not strict, as far as a decoder asks for it (GEN-5a)."""
        kind = of[0]
        if kind == "choice":
            return any(self.fits(one, value, strict) for one in of[1])
        if kind == "name":
            return self.fits_name(of[1], value, strict)
        if kind == "range":
            is_number = type(value) is int
            return is_number and of[1] <= value <= of[2]
        if kind == "text":
            return value == of[1]
        if kind == "size":
            low, high = of[2], of[3]
            if not self.fits(of[1], value, strict):
                return False
            if type(value) is int:
                return value < 1 << (8 * high)
            return not strict or low <= len(value.encode() if type(value) is str else value) <= high
        if kind == "cbor":
            return type(value) is bytes and (not strict or self.encodes(of[1], value))
        return type(value) is list and self.fits_members(of[1], value, strict)

    def encodes(self, of, data):
        try:
            return self.fits(of, decode(data, BULK_BYTES + MESSAGE_BYTES), True)
        except Refusal:
            return False

    # Sizes that a decoder asks for, numbers that stand for a choice, and ranges that it takes as a number of a byte.
    SIZED = ("b16", "b32", "name")
    RANGES = ("index", "standing", "refusal-number")

    def fits_name(self, name, value, strict):
        if name in self.SIZED:
            return self.fits(self.rules[name], value, True)
        if name in self.RANGES and not strict:
            return self.fits_name("u8", value, strict)
        if name in self.rules:
            return self.fits(self.rules[name], value, strict)
        kinds = {"uint": int, "bstr": bytes, "tstr": str, "bool": bool}
        return value is None if name == "null" else type(value) is kinds[name]

    def fits_members(self, members, values, strict):
        """Members against values; counts of repeated members are for the flow."""
        if values and values[-1] is None and len(values) <= len(members) and not members[len(values) - 1][0]:
            # An absent field at the end is left out (GEN-4).
            return False
        at = 0
        for place, (least, most, of) in enumerate(members):
            if not strict:
                of = self.loosened(of)
            if most == 1:
                if at == len(values):
                    if least or any(member[0] for member in members[place + 1 :]):
                        return False
                    continue
                absent_in_the_middle = not least and values[at] is None and at + 1 < len(values)
                if not absent_in_the_middle and not self.fits(of, values[at], strict):
                    return False
                at += 1
                continue
            repeated = values[at:]
            enough = not strict or (least <= len(repeated) and (most is None or len(repeated) <= most))
            return enough and all(self.fits(of, value, strict) for value in repeated)
        return at == len(values)

    def loosened(self, of):
        """A threshold is a range that is written in its place."""
        return ("name", "u8") if of == ("range", 2, 16) else of

    def check(self, rule, value, strict=False, refusal="Malformed"):
        need(self.fits(("name", rule), value, strict), refusal)


GRAMMAR = Grammar((HERE.parent / "formats.cddl").read_text())
PROTOCOL = (HERE.parent / "protocol.md").read_text()


def table(section):
    """The first columns of the rows of a section, by the number in the first one."""
    text = PROTOCOL.split(f"\n## {section}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.M)
    return {int(number): name for number, name in rows}


KINDS, REFUSALS = table("5. "), table("18. ")
LIMITS = {"BackUp": BLOCK_BYTES, "Append": BLOCK_BYTES, "Blocks": BULK_BYTES, "Snapshot": SNAPSHOT_BYTES, "Stage": SNAPSHOT_BYTES}


def read_body(form, data, refusal="Malformed", limit=MESSAGE_BYTES):
    """The value of an encoded form; what is none is refused by this name."""
    try:
        value = decode(data, limit)
        GRAMMAR.check(form, value)
        return value
    except Refusal:
        raise Refusal(refusal) from None


def read_header(data):
    return read_body("header", data)


# ------------------------------------------------------------------------------------------ constructions (§3)


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, label, data):
    return hmac.new(key, label.encode() + data, hashlib.sha256).digest()


def one_time(root, label, header, salt):
    pair = HKDF(hashes.SHA256(), 64, salt, label.encode() + sha256(header)).derive(root)
    return pair[:32], pair[32:]


def seal(root, label, header, message, salt):
    key, tag = one_time(root, label, header, salt)
    return salt + tag + AESGCM(key).encrypt(bytes(12), message, header + salt)


def open_seal(root, label, header, sealed, refusal="NotOpened"):
    need(len(sealed) >= 80, refusal)
    salt, tag, body = sealed[:32], sealed[32:64], sealed[64:]
    key, right = one_time(root, label, header, salt)
    need(right == tag, refusal)
    try:
        return AESGCM(key).decrypt(bytes(12), body, header + salt)
    except InvalidTag:
        raise Refusal(refusal) from None


def branch(key, label, tenant, user, epoch):
    return HKDFExpand(hashes.SHA256(), 32, label.encode() + encode([tenant, user, epoch])).derive(key)


def commitment(key, tenant, user, epoch=0):
    return branch(key, LABEL + "key/commit", tenant, user, epoch)


# HPKE (RFC 9180), base mode, with the ids of GEN-23.
KEM_SUITE = b"KEM\x00\x20"
HPKE_SUITE = b"HPKE\x00\x20\x00\x01\x00\x02"


def extract(suite, salt, label, ikm):
    return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256).digest()


def expand(suite, key, label, info, length):
    return HKDFExpand(hashes.SHA256(), length, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info).derive(key)


def raw(key):
    if isinstance(key, X25519PublicKey):
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def derive_key_pair(seed):
    prk = extract(KEM_SUITE, b"", b"dkp_prk", seed)
    scalar = bytearray(expand(KEM_SUITE, prk, b"sk", b"", 32))
    # A private key is written as X25519 uses it (RFC 9180, 7.1.2).
    scalar[0], scalar[31] = scalar[0] & 248, scalar[31] & 127 | 64
    private = X25519PrivateKey.from_private_bytes(bytes(scalar))
    return private, raw(private.public_key())


def hpke_key(private, public, encapsulated, recipient, info, refusal):
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refusal(refusal) from None
    need(any(shared), refusal)
    prk = extract(KEM_SUITE, b"", b"eae_prk", shared)
    secret = expand(KEM_SUITE, prk, b"shared_secret", encapsulated + recipient, 32)
    context = b"\0" + extract(HPKE_SUITE, b"", b"psk_id_hash", b"") + extract(HPKE_SUITE, b"", b"info_hash", info)
    key = extract(HPKE_SUITE, secret, b"secret", b"")
    return AESGCM(expand(HPKE_SUITE, key, b"key", context, 32)), expand(HPKE_SUITE, key, b"base_nonce", context, 12)


def hpke_seal(recipient, label, context, message, seed):
    private, encapsulated = derive_key_pair(seed)
    aead, nonce = hpke_key(private, recipient, encapsulated, recipient, label.encode() + context, "NotSealed")
    return encapsulated + aead.encrypt(nonce, message, b"")


def hpke_open(seed, label, context, sealed, refusal="NotOpened"):
    need(len(sealed) >= 48, refusal)
    private, public = derive_key_pair(seed)
    aead, nonce = hpke_key(private, sealed[:32], sealed[:32], public, label.encode() + context, refusal)
    try:
        return aead.decrypt(nonce, sealed[32:], b"")
    except InvalidTag:
        raise Refusal(refusal) from None


# The points of order 1, 2, 4 and 8 of edwards25519, by their y: GEN-24 wants no such key and no such R.
FIELD = 2**255 - 19
EIGHTH = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = {0, 1, FIELD - 1, EIGHTH, FIELD - EIGHTH}


def small_order(point):
    return (int.from_bytes(point, "little") % 2**255) % FIELD in SMALL_ORDER


def verify(public, label, body, signature, refusal="NotVerified"):
    need(len(signature) == 64 and not small_order(public) and not small_order(signature[:32]), refusal)
    # The library asks the rest: that S is reduced, and for the equation without the cofactor.
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, label.encode() + sha256(body))
    except (InvalidSignature, ValueError):
        raise Refusal(refusal) from None


# Ristretto255, of libsodium.
ORDER = 2**252 + 27742317777372353535851937790883648493
IDENTITY = bytes(32)


def scalar(value):
    return (value % ORDER).to_bytes(32, "little")


def wide(data):
    return int.from_bytes(data, "little") % ORDER


def times_base(value):
    return IDENTITY if value % ORDER == 0 else rbcl.crypto_scalarmult_ristretto255_base(scalar(value))


def times(value, point):
    if value % ORDER == 0 or point == IDENTITY:
        return IDENTITY
    return rbcl.crypto_scalarmult_ristretto255(scalar(value), point)


def is_point(point):
    return point == IDENTITY or rbcl.crypto_core_ristretto255_is_valid_point(point)


def verify_share(index, value, commitments, threshold, refusal="NotVerified"):
    need(len(commitments) == threshold >= 2 and index > 0, refusal)
    need(all(map(is_point, commitments)) and commitments[-1] != IDENTITY, refusal)
    need(len(value) == 32 and int.from_bytes(value, "little") < ORDER, refusal)
    total = IDENTITY
    for power, point in enumerate(commitments):
        total = rbcl.crypto_core_ristretto255_add(total, times(index**power, point))
    need(total == times_base(int.from_bytes(value, "little")), refusal)


def combine(shares):
    """Lagrange's interpolation at 0, of shares that were verified."""
    total = 0
    for index, value in shares:
        weight = 1
        for other, _ in shares:
            if other != index:
                weight = weight * other * pow(other - index, -1, ORDER) % ORDER
        total += weight * int.from_bytes(value, "little")
    return scalar(total)


def unseal_key(secret, header_id, share_epoch):
    info = (LABEL + "unseal").encode() + header_id + share_epoch.to_bytes(8, "big")
    return HKDF(hashes.SHA256(), 32, None, info).derive(secret)


def header_digest(header):
    return sha256(encode(header[:5]))


def open_root(secret, header, refusal="NotOpened"):
    kek = unseal_key(secret, header[0], header[1])
    return open_seal(kek, LABEL + "seal/root", header_digest(header), header[5], refusal)


def open_keyring(root, digest, sealed, refusal="NotOpened"):
    plain = open_seal(root, LABEL + "seal/keyring", digest, sealed, refusal)
    need(len(plain) == 96, refusal)
    return plain[:32], plain[32:64], plain[64:]


def record_name(path_key, path):
    return b"r/" + mac(path_key, LABEL + "store-key", encode(path))


def snapshot_code(root, snapshot):
    return mac(root, LABEL + "snapshot-mac", encode(snapshot[:6] + [bytes(32)]))


def genuine(root, data):
    """A snapshot whose code verifies."""
    snapshot = read_body("snapshot-body", data, "SnapshotDamaged", SNAPSHOT_BYTES)
    need(hmac.compare_digest(snapshot_code(root, snapshot), snapshot[6]), "SnapshotDamaged")
    return snapshot


# -------------------------------------------------------------------------------------------------- operations

OPERATIONS = {}


def operation(function):
    OPERATIONS[function.__name__.replace("_", "-").removeprefix("op-")] = function
    return function


def said(value):
    """A value in the notation of trees."""
    if isinstance(value, bytes):
        return pieces(value)
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, list):
        return [said(item) for item in value]
    if type(value) is int and value >= 1 << 53:
        return {"number": str(value)}
    return value


def pieces(data):
    """Hex, with a run of 256 bytes and more as a piece of its own."""
    out, plain, at = [], "", 0
    for run in re.finditer(rb"(.)\1*", data, re.S):
        length = run.end() - run.start()
        if length < 256:
            plain += run.group().hex()
            continue
        out += [plain, f"{run.group(1).hex()}*{length}"]
        plain = ""
    return " ".join(piece for piece in [*out, plain] if piece)


def kind_name(number):
    return re.sub(r"(?<!^)(?=[A-Z])", "-", KINDS[number]).lower()


def decode_frame(data):
    value = decode(data, BULK_BYTES + MESSAGE_BYTES)
    GRAMMAR.check("frame", value)
    name = KINDS[value[2][0]]
    need(len(data) <= LIMITS.get(name, 0) + MESSAGE_BYTES, "Malformed")
    GRAMMAR.check(kind_name(value[2][0]), value[2])
    return value, name


@operation
def op_read_frame(given):
    (exchange, generation, (number, fields)), name = decode_frame(given.bytes("bytes"))
    return {
        "exchange": said(exchange), "generation": said(generation), "number": number, "kind": name, "fields": said(fields),
    }


@operation
def op_read_refusal(given):
    (_, _, (_, fields)), name = decode_frame(given.bytes("bytes"))
    need(name == "Refusal", "Malformed")
    return {"refusal": REFUSALS.get(fields[0])}


@operation
def op_seal(given):
    sealed = seal(*given.all("root", "label", "header", "message", "salt"))
    return {"sealed": sealed}


@operation
def op_open_seal(given):
    return {"message": open_seal(*given.all("root", "label", "header", "sealed"))}


@operation
def op_branch(given):
    return {"branch": branch(*given.all("key", "label", "tenant", "user", "epoch"))}


@operation
def op_check_commitment(given):
    right = commitment(*given.all("key", "tenant", "user", "epoch"))
    need(right == given.bytes("commitment"), "CommitmentMismatch")
    return {}


@operation
def op_derive_recipient(given):
    private, public = derive_key_pair(given.bytes("seed"))
    return {"private": raw(private), "public": public}


@operation
def op_hpke_context(given):
    label, parts = given["label"].removeprefix(LABEL), given["parts"]
    if label == "hpke/intake":
        return {"context": encode([parts[0], parts[1], unhex(parts[2])])}
    if label == "hpke/release":
        return {"context": unhex(parts[0]) + unhex(parts[1])}
    need(label in ("hpke/share", "hpke/wrap", "hpke/root"), "no context")
    return {"context": unhex(parts[0]) + bytes([parts[1]])}


@operation
def op_hpke_seal(given):
    private, _ = derive_key_pair(given.bytes("ephemeral_seed"))
    need(raw(private) == given.bytes("ephemeral_private"), "another ephemeral key")
    return {"sealed": hpke_seal(*given.all("recipient", "label", "context", "message", "ephemeral_seed"))}


@operation
def op_hpke_open(given):
    return {"message": hpke_open(*given.all("recipient_seed", "label", "context", "sealed"))}


@operation
def op_sign(given):
    key = Ed25519PrivateKey.from_private_bytes(given.bytes("seed"))
    signature = key.sign(given["label"].encode() + sha256(given.bytes("body")))
    return {"public": key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), "signature": signature}


@operation
def op_verify(given):
    verify(*given.all("public", "label", "body", "signature"))
    return {}


# Rule: the label, what it is when it does not decode, and when it is forged.
SIGNED = {
    "ENR-4a": ("sign/attempt", "BadCertificate", "BadCertificate"),
    "REP-1a": ("sign/add-device", "BadCertificate", "BadCertificate"),
    "ENR-8a": ("sign/enrolment-certificate", "BadCertificate", "BadCertificate"),
    "ENR-9a": ("sign/admission", "Malformed", "AdmissionInvalid"),
    "ENR-12a": ("sign/escrow", "Malformed", "Unauthenticated"),
    "ENR-14a": ("sign/receipt", "ReceiptInvalid", "ReceiptInvalid"),
    "ENR-7a": ("sign/intake", "Malformed", "Malformed"),
    "DIS-6b": ("sign/intake", "BadSignature", "BadSignature"),
    "REP-2a": ("sign/grant", "Malformed", "GrantInvalid"),
    "REP-4a": ("sign/consumed", "GrantInvalid", "GrantInvalid"),
    "BAK-2a": ("sign/capability", "Malformed", "CapabilityInvalid"),
    "REV-4a": ("sign/wipe", "BadSignature", "BadSignature"),
    "JOB-2a": ("sign/job-key", "JobOver", "JobOver"),
    "CER-4a": ("sign/mfa", "MfaRequired", "MfaRequired"),
    "CER-3a": ("sign/ceremony", "Malformed", "BadSignature"),
    "CER-5a": ("sign/share", "Malformed", "BadSignature"),
    "KEY-2a": ("sign/ack", "BadSignature", "BadSignature"),
}


@operation
def op_read_signed(given):
    label, malformed, forged = SIGNED[given["rule"]]
    need(given["label"] == LABEL + label, "another label")
    body, form = given.bytes("body"), given["form"]
    value = body if form.endswith("-bytes") else read_body(form, body, malformed)
    verify(given.bytes("public"), LABEL + label, body, given.bytes("signature"), forged)
    return {"body": said(value)}


@operation
def op_share(given):
    t, n, data = given["threshold"], given["count"], given.bytes("random")
    need(2 <= t <= n <= 16, "NotShared")
    need(len(data) == 64 * t, "another number of random bytes")
    coefficients = [wide(data[at : at + 64]) for at in range(0, len(data), 64)]
    value = lambda at: scalar(sum(c * at**power for power, c in enumerate(coefficients)))
    return {
        "secret": scalar(coefficients[0]),
        "shares": [pieces(value(at)) for at in range(1, n + 1)],
        "commitments": [pieces(times_base(c)) for c in coefficients],
    }


@operation
def op_verify_share(given):
    verify_share(given["index"], given.bytes("value"), given.list("commitments"), given["threshold"])
    return {}


@operation
def op_combine(given):
    shares = [(share["index"], unhex(share["value"])) for share in given["shares"]]
    for index, value in shares:
        verify_share(index, value, given.list("commitments"), given["threshold"], "NotCombined")
    need(len({index for index, _ in shares}) == len(shares) == given["threshold"], "NotCombined")
    return {"secret": combine(shares)}


@operation
def op_unseal_key(given):
    return {"unseal_key": unseal_key(*given.all("secret", "header_id", "share_epoch"))}


@operation
def op_header_digest(given):
    header = read_header(given.bytes("header"))
    return {"digest": header_digest(header), "root": header[5]}


@operation
def op_open_root(given):
    return {"root": open_root(given.bytes("secret"), read_header(given.bytes("header")))}


@operation
def op_open_keyring(given):
    data, path, seed = open_keyring(*given.all("root", "header_digest", "sealed"))
    return {"data_key": data, "path_key": path, "intake_seed": seed, "intake": derive_key_pair(seed)[1]}


@operation
def op_record_name(given):
    return {"name": record_name(given.bytes("path_key"), untree(given["path"]))}


FORMS = {"account": "account", "attempt": "keystore-attempt", "attempts": "keystore-attempts"}


@operation
def op_find_record(given):
    path = untree(given["path"])
    name = record_name(given.bytes("path_key"), path)
    found = [unhex(record["record"]) for record in given["records"] if unhex(record["name"]) == name]
    need(found, "Absent")
    plain = open_seal(given.bytes("data_key"), LABEL + "seal/record", encode(path), found[0], "StoreDamaged")
    return {"record": said(read_body(FORMS[path[0]], plain, "StoreDamaged", SNAPSHOT_BYTES))}


@operation
def op_guess_place(given):
    code = mac(given.bytes("secret"), LABEL + "guess-place", encode([given["tenant"], given["user"]]))
    return {"code": code, "place": code[:2]}


def match_password(record, password, most_kib, most_passes):
    need(len(record) == 56, "NotMatched")
    memory, passes = int.from_bytes(record[:4], "big"), int.from_bytes(record[4:8], "big")
    need(8 <= memory <= most_kib and 1 <= passes <= most_passes, "NotMatched")
    hashed = Argon2id(salt=record[8:24], length=32, iterations=passes, lanes=1, memory_cost=memory)
    need(hashed.derive(password) == record[24:], "NotMatched")


@operation
def op_match_password(given):
    match_password(*given.all("record", "password"), MOST_KIB, MOST_PASSES)
    return {}


@operation
def op_open_escrow(given):
    body = given.bytes("escrow")
    attempt, committed, sealed = read_body("escrow-body", body)
    verify(given.bytes("device"), LABEL + "sign/escrow", body, given.bytes("signature"), "Unauthenticated")
    tenant, user = given["tenant"], given["user"]
    context = encode([tenant, user, committed])
    key = hpke_open(given.bytes("intake_seed"), LABEL + "hpke/intake", context, sealed, "CommitmentMismatch")
    need(len(key) == 32 and commitment(key, tenant, user) == committed, "CommitmentMismatch")
    return {"attempt": attempt, "commitment": committed, "key": key}


@operation
def op_open_delivery(given):
    body, (tenant, user) = given.bytes("receipt"), (given["tenant"], given["user"])
    of_tenant, of_user, committed, _ = read_body("receipt-body", body)
    verify(given.bytes("keystore"), LABEL + "sign/receipt", body, given.bytes("signature"), "Malformed")
    need((of_tenant, of_user) == (tenant, user), "Malformed")
    context = given.bytes("grant") + committed
    key = hpke_open(given.bytes("recipient_seed"), LABEL + "hpke/release", context, given.bytes("sealed"), "Malformed")
    need(len(key) == 32 and commitment(key, tenant, user) == committed, "Malformed")
    return {"key": key}


@operation
def op_check_receipt(given):
    body, own = given.bytes("receipt"), (given["tenant"], given["user"])
    receipt = read_body("receipt-body", body)
    verify(given.bytes("keystore"), LABEL + "sign/receipt", body, given.bytes("signature"), "Malformed")
    need(tuple(receipt[:2]) == own and receipt[2] == commitment(given.bytes("key"), *own), "Malformed")
    return {"receipt": said(receipt)}


@operation
def op_unwrap_share(given):
    header, index, refusal = read_header(given.bytes("header")), given["index"], "OwnShareDamaged"
    context = header_digest(header) + bytes([index])
    value = hpke_open(given.bytes("recipient_seed"), LABEL + "hpke/wrap", context, given.bytes("wrapped"), refusal)
    verify_share(index, value, header[3], header[2], refusal)
    return {"value": value}


@operation
def op_agree_to_roster(given):
    ceremony = read_body("ceremony-body", given.bytes("ceremony"))
    named = sha256(encode(ceremony[8])) if len(ceremony) > 8 else None
    need(named == (given["agreed"] and given.bytes("agreed")), "OutOfTurn")
    return {"ceremony": said(ceremony)}


@operation
def op_take_root(given):
    header, digest = read_header(given.bytes("header")), given.bytes("header_digest")
    need(header_digest(header) == digest, "WrongEpoch")
    context = digest + bytes([given["node"]])
    root = hpke_open(given.bytes("channel_seed"), LABEL + "hpke/root", context, given.bytes("sealed"), "BadSignature")
    need(len(root) == 32, "Malformed")
    open_keyring(root, digest, given.bytes("keyring"), "Malformed")
    return {"root": root}


class Node:
    """A sealed node with a ceremony (12.4, 12.5, 14.3)."""

    def __init__(self, given):
        self.header, self.keyring = read_header(given.bytes("header")), given.bytes("keyring")
        self.seed, self.id = given.bytes("ceremony_seed"), given.bytes("ceremony_id")
        self.generation, self.staged = given["generation"], given["staged"]
        self.shares, self.opened = {}, None

    def submit(self, submission):
        body, signature = unhex(submission["share"]), unhex(submission["signature"])
        ceremony, index, share_epoch, digest, sealed = read_body("share-body", body)
        need(ceremony == self.id and self.opened is None, "CeremonyExpired")
        custodians = self.header[4]
        need(1 <= index <= len(custodians), "BadSignature")
        verify(custodians[index - 1][0], LABEL + "sign/share", body, signature, "BadSignature")
        need((share_epoch, digest) == (self.header[1], header_digest(self.header)), "WrongEpoch")
        need(index not in self.shares, "DuplicateShare")
        value = hpke_open(self.seed, LABEL + "hpke/share", ceremony + bytes([index]), sealed, "WrongShare")
        verify_share(index, value, self.header[3], self.header[2], "WrongShare")
        self.shares[index] = value
        if len(self.shares) == self.header[2]:
            return self.open()
        return {"counted": index}

    def open(self):
        secret, digest = combine(list(self.shares.items())), header_digest(self.header)
        root = open_root(secret, self.header, "Malformed")
        need(len(root) == 32, "Malformed")
        _, _, seed = open_keyring(root, digest, self.keyring, "Malformed")
        self.opened = {"root": root, "intake": derive_key_pair(seed)[1], "generation": self.generation}
        if self.staged:
            snapshot = genuine(root, unhex(self.staged["snapshot"]))
            self.opened["generation"] = max(self.generation, snapshot[2], self.staged["above"]) + 1
            self.opened["records"] = sorted(pieces(name) for name, _ in snapshot[5])
        return self.opened


@operation
def op_submit_shares(given):
    node, outcome = Node(given), None
    for submission in given["submissions"]:
        try:
            outcome = node.submit(submission)
        except Refusal as refusal:
            outcome = refusal
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


@operation
def op_read_snapshot(given):
    data = given.bytes("snapshot")
    return {"digest": sha256(data), "code": genuine(given.bytes("root"), data)[6]}


# ------------------------------------------------------------------------------------------------------ checks


class Given:
    """The inputs of a vector."""

    PLAIN = ("label", "tenant", "user")

    def __init__(self, inputs):
        self.inputs = inputs

    def __getitem__(self, name):
        return self.inputs[name]

    def bytes(self, name):
        return unhex(self.inputs[name])

    def list(self, name):
        return [unhex(item) for item in self.inputs[name]]

    def all(self, *names):
        plain = lambda name, value: name in self.PLAIN or not isinstance(value, str)
        return [value if plain(name, value) else unhex(value) for name, value in ((name, self.inputs[name]) for name in names)]


def carried_out(vector):
    """What comes out, in the form of `expected`."""
    try:
        value = OPERATIONS[vector["operation"]](Given(vector["inputs"]))
    except Refusal as refusal:
        return {"refusal": str(refusal)}
    return {"value": {name: pieces(item) if isinstance(item, bytes) else item for name, item in value.items()}}


# Of passwords: refused for their cost and for nothing else, as a reader without limits finds.
RIGHT_BUT_COSTLY = ("17-passes", "a-kib-over-a-gib")


def disagreement(vector):
    found = carried_out(vector)
    if vector["fault"] in RIGHT_BUT_COSTLY:
        match_password(*Given(vector["inputs"]).all("record", "password"), 2 * MOST_KIB, 2 * MOST_PASSES)
    if found != vector["expected"]:
        return f"{vector['id']}: {str(found)[:160]}, not {str(vector['expected'])[:160]}"
    if vector["operation"] == "read-frame" and "value" in found and "GEN-5a" not in vector["rules"]:
        # A sound frame fits all of formats.cddl, and what it says encodes to its bytes.
        value, data = found["value"], unhex(vector["inputs"]["bytes"])
        whole = [untree(value["exchange"]), value["generation"] and integer(value["generation"]), [value["number"], untree(value["fields"])]]
        if encode(whole) != data:
            return f"{vector['id']}: what it says has other bytes"
        strict = vector["id"].removeprefix("frames/") in set(map(kind_name, KINDS))
        if strict and vector["id"] != "frames/append" and not GRAMMAR.fits(("name", kind_name(value["number"])), whole[2], True):
            return f"{vector['id']}: not as formats.cddl describes it"
    return None


def read_files():
    schema = json.loads((HERE / "vectors.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    errors, vectors = [], []
    sums = dict(reversed(line.split("  ")) for line in (HERE / "protocol.sha256").read_text().splitlines())
    paths = sorted((HERE / "protocol").glob("*.json"))
    errors += [f"{name} is missing" for name in sums.keys() - {f"protocol/{path.name}" for path in paths}]
    for path in paths:
        if sha256(path.read_bytes()).hex() != sums.get(f"protocol/{path.name}"):
            errors.append(f"{path.name}: not the file of protocol.sha256")
        try:
            file = json.loads(path.read_text())
        except ValueError as error:
            errors.append(f"{path.name}: {error}")
            continue
        broken = [f"{path.name}, {error.json_path}: {error.message[:160]}" for error in validator.iter_errors(file)]
        errors += broken
        vectors += [] if broken else file["vectors"]
    return vectors, errors


def check(vectors, errors):
    cannot = collections.Counter()
    for vector in vectors:
        try:
            wrong = disagreement(vector)
        except Unsupported as why:
            cannot[str(why)] += 1
            continue
        if wrong:
            errors.append(wrong)
    for error in errors:
        print(error)
    why = "".join(f"; {count} cannot be: {reason}" for reason, count in cannot.items())
    checked = len(vectors) - cannot.total()
    print(f"protocol vectors: {checked} of {len(vectors)} checked{why}; {len(errors)} disagreements")
    return not errors and len(vectors) > 0


# ------------------------------------------------------------------------------------------------- transcripts

# The rule of a record by the beginning of its name (GEN-17); the longest that fits counts.
AUTHORITY_RECORDS = {
    b"u/": "user-record", b"ad/": "admin-record", b"gs/": "guesses", b"ud/": "devices-of-user", b"us/": "newest-of-user",
    b"ua/": "newest-of-user", b"ug/": "newest-of-user", b"uj/": "newest-of-user", b"d/": "device-record",
    b"a/": "attempt-record", b"s/": "session-record", b"g/": "grant-record", b"j/": "job-record", b"p/": "point-record",
    b"l/": "log-entry", b"k/": "kept-of", b"epochs": "epochs", b"on-behalf": "on-behalf", b"store": "store-record",
    b"running": "jobs-running", b"head": "count", b"released": "count", b"kept-next": "count",
}


def record_fits(role, name, record):
    rule = {b"mark": "mark"}.get(name) if role == "storage" else None
    if role == "authority":
        rule = next((rule for start, rule in AUTHORITY_RECORDS.items() if name.startswith(start)), None)
    return rule is None or GRAMMAR.encodes(("name", rule), record)


def transcript_error(role, transcript):
    """What this reader can say of a step without a role: its bytes, and what a refusal may lead to (GEN-3, GEN-10, NET-15)."""
    expected, verdict = transcript["expected"], transcript["expected"]["verdict"]
    decode_frame(unhex(transcript["frame"]))
    for part in (transcript["state"], expected):
        for name, record in part["put"].items():
            if not record_fits(role, unhex(name), unhex(record)):
                return f"the record {name} is not as formats.cddl describes it"
    for sent in expected["frames"]:
        (_, _, (number, fields)), name = decode_frame(unhex(sent["frame"]))
        if not GRAMMAR.fits(("name", kind_name(number)), [number, fields], True):
            return f"{name} is not as formats.cddl describes it"
        if name in ("Refusal", "KeystoreRefusal") and REFUSALS[fields[0]] != verdict:
            return f"{name} says {REFUSALS[fields[0]]}, and the verdict is {verdict}"
    if verdict != "Accepted" and (expected["put"] or expected["removed"]):
        return "a refusal that writes"
    return None


def check_transcripts():
    errors, count = [], 0
    for path in sorted((HERE / "transcripts").glob("*.json")):
        file = json.loads(path.read_text())
        for name, record in file["records"].items():
            if not record_fits(file["role"], unhex(name), unhex(record)):
                errors.append(f"{path.name}: the record {name} is not as formats.cddl describes it")
        twins = {transcript["id"] for transcript in file["transcripts"] if transcript["fault"] == "none"}
        for transcript in file["transcripts"]:
            count += 1
            try:
                wrong = transcript_error(file["role"], transcript)
            except Refusal as refusal:
                wrong = f"a frame is {refusal}"
            sound = transcript["fault"] == "none"
            if not wrong and (transcript["expected"]["verdict"] == "Accepted") != sound:
                wrong = "a fault that is accepted, or the other way round"
            if not wrong and not sound and transcript["twin"] not in twins:
                wrong = "it has no twin"
            if wrong:
                errors.append(f"{transcript['id']}: {wrong}")
    for error in errors:
        print(error)
    print(f"transcripts: 0 of {count} verdicts checked, since this reader has no roles; bytes of all checked, {len(errors)} errors")
    return not errors and count > 0


# ---------------------------------------------------------------------------------------------------- --changes


def hex_places(value, path=()):
    """Where hex stands in a value."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in ("text", "label", "tenant", "user", "form", "rule", "kind", "refusal", "number"):
                yield from hex_places(item, (*path, name))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from hex_places(item, (*path, at))
    elif isinstance(value, str) and re.fullmatch(r"[0-9a-f]{2,}", value):
        yield path


def changed(vector, rng):
    """The vector with one byte changed: of what is expected, or of the inputs of a sound one."""
    vector = json.loads(json.dumps(vector))
    part = "expected" if any(hex_places(vector["expected"])) and rng.random() < 0.5 else "inputs"
    places = list(hex_places(vector[part]))
    if not places or (part == "inputs" and vector["fault"] != "none"):
        return None
    *path, last = rng.choice(places)
    target = vector[part]
    for step in path:
        target = target[step]
    at = rng.randrange(len(target[last]) // 2) * 2
    byte = int(target[last][at : at + 2], 16) ^ 1 << rng.randrange(8)
    target[last] = f"{target[last][:at]}{byte:02x}{target[last][at + 2:]}"
    return vector, f"{part}.{'.'.join(map(str, [*path, last]))}, byte {at // 2}"


def notices_changes(vectors):
    rng, tried, unseen = random.Random(9180), 0, []
    for vector in vectors:
        made = changed(vector, rng)
        if made is None:
            continue
        tried += 1
        try:
            seen = disagreement(made[0])
        except Exception as error:  # noqa: BLE001 - the reader has no answer to this, which is not the expected one
            seen = str(error) or type(error).__name__
        if not seen:
            unseen.append(f"{vector['id']}: {made[1]} was changed, and nobody noticed")
    for line in unseen:
        print(line)
    print(f"protocol vectors: {tried} changed by one bit, {tried - len(unseen)} noticed")
    return tried > 0 and not unseen


def main():
    vectors, errors = read_files()
    if "--changes" in sys.argv:
        sys.exit(0 if notices_changes(vectors) else 1)
    agree = [check(vectors, errors), check_transcripts()]
    sys.exit(0 if all(agree) else 1)


if __name__ == "__main__":
    main()
