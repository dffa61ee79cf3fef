"""Answers to the operations of the vectors in `spec/vectors/protocol`: inputs in, a value or a refusal's name out."""

from . import barrier, bodies, cbor, frames, hpke, password, seal, sharing, sign
from .forms import B32, from_bytes, to_bytes
from .names import LABELS, REFUSALS, Refused

MOST_JSON_NUMBER = 1 << 53


class Failed(Exception):
    """An outcome that is no refusal of the protocol, such as `NotOpened`."""


def unhex(text):
    """Bytes of hex text, in which `41*3` stands for 414141 and a space joins parts."""
    parts = []
    for part in text.split():
        raw, _, times = part.partition("*")
        parts.append(bytes.fromhex(raw) * int(times or 1))
    return b"".join(parts)


def tree(value):
    """A CBOR value in the notation of trees."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return {"text": value}
    if type(value) is int and value >= MOST_JSON_NUMBER:
        return {"number": str(value)}
    return [tree(item) for item in value] if isinstance(value, list) else value


def untree(value):
    """The CBOR value that is written in the notation of trees."""
    if isinstance(value, dict):
        return value["text"] if "text" in value else int(value["number"])
    if isinstance(value, list):
        return [untree(item) for item in value]
    return unhex(value) if isinstance(value, str) else value


class Inputs:
    """The inputs of a vector; hex fields by attribute as bytes, the rest by `raw`."""

    def __init__(self, raw):
        self.raw = raw

    def __getattr__(self, name):
        value = self.raw[name]
        if not isinstance(value, str) or name in ("tenant", "user", "rule", "form"):
            return value
        return value.encode() if name == "label" else unhex(value)


def _or_fail(outcome, errors, call, *arguments):
    try:
        return call(*arguments)
    except errors:
        raise Failed(outcome) from None


def read_frame(given):
    """GEN-5, NET-7, NET-10."""
    message = frames.decode(given.bytes)
    if frames.encode(message) != given.bytes:
        raise Refused("Malformed")
    return {"exchange": tree(message.exchange), "generation": tree(message.generation), "kind": message.kind,
            "number": frames.NUMBERS[message.kind], "fields": tree(frames.FIELDS[message.kind].write(message.fields))}


def read_refusal(given):
    """GEN-10: a number that nobody knows is a refusal all the same."""
    message = frames.decode(given.bytes)
    if message.kind != "Refusal":
        raise Refused("Malformed")
    number = message.fields["reason"]
    return {"refusal": REFUSALS[number] if number < len(REFUSALS) else None}


def seal_message(given):
    return {"sealed": seal.seal_with_salt(given.root, given.label, given.header, given.message, given.salt)}


def open_seal(given):
    return {"message": _or_fail("NotOpened", seal.NotOpened, seal.open_sealed, given.root, given.label, given.header,
                                given.sealed)}


def branch(given):
    return {"branch": seal.branch(given.key, given.label, given.tenant, given.user, given.epoch)}


def check_commitment(given):
    if seal.commitment(given.key, given.tenant, given.user, given.epoch) != given.commitment:
        raise Refused("CommitmentMismatch")
    return {}


def derive_recipient(given):
    pair = hpke.KeyPair(given.seed)
    return {"private": pair.private, "public": pair.public}


def hpke_context(given):
    short = given.label.decode().removeprefix("bailee/v1/")
    names = 2 if short == "hpke/intake" else 0
    parts = [part if at < names or not isinstance(part, str) else unhex(part) for at, part in enumerate(given.parts)]
    return {"context": hpke.context(short, *parts)}


def hpke_seal(given):
    pair = hpke.KeyPair(given.ephemeral_seed)
    return {"sealed": _or_fail("NotSealed", seal.NotOpened, hpke.seal_from, pair, given.recipient, given.label,
                               given.context, given.message)}


def hpke_open(given):
    pair = hpke.KeyPair(given.recipient_seed)
    return {"message": _or_fail("NotOpened", seal.NotOpened, hpke.open_sealed, pair, given.label, given.context,
                                given.sealed)}


def sign_body(given):
    return {"public": sign.public_of(given.seed), "signature": sign.sign_bytes(given.seed, given.label, given.body)}


def verify_signature(given):
    if not sign.verifies(given.public, given.label, given.body, given.signature):
        raise Failed("NotVerified")
    return {}


def read_signed(given):
    value = sign.read_signed(given.rule, given.public, given.body, given.signature)
    return {"body": value if isinstance(value, bytes) else tree(bodies.SIGNED[given.form].write(value))}


def share_scalar(given):
    secret, shares, commitments = _or_fail("NotShared", sharing.NotShared, sharing.share_from, given.random,
                                           given.threshold, given.count)
    return {"secret": secret, "shares": shares, "commitments": commitments}


def verify_share(given):
    _or_fail("NotVerified", sharing.NotShared, sharing.verify, given.index, given.value, given.threshold,
             [unhex(point) for point in given.commitments])
    return {}


def combine(given):
    shares = [(item["index"], unhex(item["value"])) for item in given.shares]
    return {"secret": _or_fail("NotCombined", sharing.NotShared, sharing.combine, shares, given.threshold,
                               [unhex(point) for point in given.commitments])}


def unseal_key(given):
    return {"unseal_key": barrier.unseal_key(given.secret, given.header_id, given.share_epoch)}


def header_digest(given):
    header = sign.read_body(bodies.HEADER, given.header)
    return {"digest": barrier.header_digest(header), "root": header["root"]}


def open_root(given):
    header = sign.read_body(bodies.HEADER, given.header)
    return {"root": _or_fail("NotOpened", seal.NotOpened, barrier.open_root, header, given.secret)}


def open_keyring(given):
    keyring = _or_fail("NotOpened", seal.NotOpened, barrier.open_keyring, given.root, given.header_digest, given.sealed)
    return dict(keyring._asdict(), intake=barrier.intake_pair(keyring).public)


def record_name(given):
    return {"name": barrier.record_name(given.path_key, untree(given.path))}


def find_record(given):
    path = untree(given.path)
    name = barrier.record_name(given.path_key, path)
    found = [unhex(item["record"]) for item in given.records if unhex(item["name"]) == name]
    if not found:
        raise Failed("Absent")
    value = barrier.open_record(given.data_key, path, found[0])
    return {"record": tree(barrier.FORMS[path[0]].write(value))}


def guess_place(given):
    place, code = barrier.guess_place(given.secret, given.tenant, given.user)
    return {"place": place, "code": code}


def match_password(given):
    if not password.matches(given.record, given.password):
        raise Failed("NotMatched")
    return {}


def check_escrow(pair, tenant, user, escrow):
    """The archive key of an escrow body: it opens, has 32 bytes and the commitment that is stated (ENR-13b, DIS-5)."""
    try:
        key = hpke.open_for(pair, "hpke/intake", (tenant, user, escrow["commitment"]), escrow["sealed"])
    except seal.NotOpened:
        raise Refused("CommitmentMismatch") from None
    if seal.commitment(key, tenant, user) != escrow["commitment"]:
        raise Refused("CommitmentMismatch")
    return key


def open_escrow(given):
    escrow = sign.read_signed("ENR-13a", given.device, given.escrow, given.signature)
    key = check_escrow(hpke.KeyPair(given.intake_seed), given.tenant, given.user, escrow)
    return {"attempt": escrow["attempt"], "commitment": escrow["commitment"], "key": key}


def check_delivery(pair, keystore, tenant, user, delivery, refusal):
    """The archive key of a `KeyDelivery`, checked as REP-7a says; every failure is `refusal`."""
    receipt = sign.read_body(bodies.RECEIPT, delivery["receipt"], refusal)
    sign.check(keystore, "sign/receipt", delivery["receipt"], delivery["signature"], refusal)
    if (receipt["tenant"], receipt["user"]) != (tenant, user):
        raise Refused(refusal)
    try:
        key = hpke.open_for(pair, "hpke/release", (delivery["grant"], receipt["commitment"]), delivery["sealed"])
    except seal.NotOpened:
        raise Refused(refusal) from None
    if seal.commitment(key, tenant, user) != receipt["commitment"]:
        raise Refused(refusal)
    return key


def check_receipt(given):
    """ENR-15a: the receipt says that the key in memory is escrowed."""
    receipt = sign.read_body(bodies.RECEIPT, given.receipt)
    sign.check(given.keystore, "sign/receipt", given.receipt, given.signature, "Malformed")
    own = seal.commitment(given.key, given.tenant, given.user)
    if (receipt["tenant"], receipt["user"], receipt["commitment"]) != (given.tenant, given.user, own):
        raise Refused("Malformed")
    return {"receipt": tree(bodies.RECEIPT.write(receipt))}


def open_delivery(given):
    delivery = {name: getattr(given, name) for name in ("grant", "sealed", "receipt", "signature")}
    pair = hpke.KeyPair(given.recipient_seed)
    return {"key": check_delivery(pair, given.keystore, given.tenant, given.user, delivery, "Malformed")}


def check_own_share(pair, header, index, wrapped):
    """A wrapped share: it opens and verifies against the client's own header (CER-4d)."""
    try:
        value = hpke.open_for(pair, "hpke/wrap", (barrier.header_digest(header), index), wrapped)
        sharing.verify(index, value, header["threshold"], header["commitments"])
    except (seal.NotOpened, sharing.NotShared):
        raise Refused("OwnShareDamaged") from None
    return value


def unwrap_share(given):
    header = sign.read_body(bodies.HEADER, given.header, "OwnShareDamaged")
    return {"value": check_own_share(hpke.KeyPair(given.recipient_seed), header, given.index, given.wrapped)}


def agree_to_roster(given):
    ceremony = sign.read_body(bodies.CEREMONY, given.ceremony)
    roster = ceremony["roster"]
    digest = None if roster is None else seal.sha256(to_bytes(bodies.ROSTER, roster))
    if digest != given.agreed:
        raise Refused("OutOfTurn")
    return {"ceremony": tree(bodies.CEREMONY.write(ceremony))}


def take_new_root(pair, node, header, named, sealed, keyring):
    """A new root at another node, in the order of KEY-3d."""
    digest = barrier.header_digest(header)
    if named != digest:
        raise Refused("WrongEpoch")
    try:
        root = hpke.open_sealed(pair, LABELS["hpke/root"], hpke.context("hpke/root", digest, node), sealed)
    except seal.NotOpened:
        raise Refused("BadSignature") from None
    try:
        return root, barrier.open_keyring(root, digest, keyring)
    except (seal.NotOpened, ValueError):
        raise Refused("Malformed") from None


def take_root(given):
    header = sign.read_body(bodies.HEADER, given.header)
    root, _ = take_new_root(hpke.KeyPair(given.channel_seed), given.node, header, given.header_digest, given.sealed,
                            given.keyring)
    return {"root": root}


def read_snapshot(given):
    snapshot = barrier.read_snapshot(given.snapshot)
    barrier.check_snapshot(given.root, snapshot)
    return {"code": snapshot["mac"], "digest": seal.sha256(given.snapshot)}


OPERATIONS = {
    "read-frame": read_frame, "read-refusal": read_refusal, "seal": seal_message, "open-seal": open_seal,
    "branch": branch, "check-commitment": check_commitment, "derive-recipient": derive_recipient,
    "hpke-context": hpke_context, "hpke-seal": hpke_seal, "hpke-open": hpke_open, "sign": sign_body,
    "verify": verify_signature, "read-signed": read_signed, "share": share_scalar, "verify-share": verify_share,
    "combine": combine, "unseal-key": unseal_key, "header-digest": header_digest, "open-root": open_root,
    "open-keyring": open_keyring, "record-name": record_name, "find-record": find_record, "guess-place": guess_place,
    "match-password": match_password, "open-escrow": open_escrow, "open-delivery": open_delivery, "check-receipt": check_receipt,
    "unwrap-share": unwrap_share, "agree-to-roster": agree_to_roster, "take-root": take_root,
    "read-snapshot": read_snapshot,
}


def _plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def answer(operation, inputs):
    """`{"value": …}` or `{"refusal": name}`, as the vectors state what is expected."""
    if operation not in OPERATIONS:
        return {"unsupported": operation}
    try:
        return {"value": _plain(OPERATIONS[operation](Inputs(inputs)))}
    except (Refused, Failed) as error:
        return {"refusal": str(error)}


__all__ = ["answer", "OPERATIONS", "unhex", "cbor", "from_bytes", "B32"]
