"""Frames (NET-7): their table, their encoding and their limits (GEN-5, GEN-12a, NET-10, protocol.md 17)."""

from collections import namedtuple

from . import bodies, cbor
from .forms import B32, BOOL, BYTES, NAME, U8, U64, Many, Nullable, Optional, Record, below, from_bytes, to_bytes
from .names import BLOCK_FRAME_BYTES, FETCH_BLOCKS, MESSAGE_BYTES, SNAPSHOT_BYTES, Refused

TYPES = {
    "b32": B32, "name": NAME, "u8": U8, "u64": U64, "bytes": BYTES, "bool": BOOL, "roster": bodies.ROSTER,
    "factor": bodies.FACTOR, "header": bodies.HEADER, "entries": Many(bodies.LOG_ENTRY), "blocks": Many(BYTES),
    "digests": Many(B32), "change": below(5),
}

# number, kind, fields as name:type; `?` before a field that may be absent (formats.cddl, "the wire")
TABLE = """
0 SignIn tenant:name user:name password:bytes
1 SessionOpened ?enrolled:b32
2 BeginEnrolment attempt:b32 device:b32 recipient:b32 proof:bytes
3 OpenEnrolment tenant:name user:name attempt:b32 device:b32
4 EnrolmentOpened attempt:b32 nonce:b32 intake:b32 signature:bytes
5 Nonce nonce:b32 intake:b32 signature:bytes
6 PresentCertificate certificate:bytes signature:bytes
7 CreateAccount admission:bytes signature:bytes
8 AccountCreated attempt:b32
9 Admission
10 EscrowKey escrow:bytes signature:bytes
11 Escrow tenant:name user:name device:b32 escrow:bytes signature:bytes
12 Receipt receipt:bytes signature:bytes escrow:bytes attempt:b32
13 Authorised receipt:bytes signature:bytes
14 AddDevice device:b32 recipient:b32 proof:bytes
15 ReleaseKey grant:bytes signature:bytes
16 ConsumeGrant grant:b32 challenge:b32
17 GrantConsumed grant:b32 challenge:b32 epoch:u64 signature:bytes
18 GrantRefused grant:b32
19 SealedKey grant:b32 sealed:bytes receipt:bytes signature:bytes
20 KeyDelivery grant:b32 sealed:bytes receipt:bytes signature:bytes
21 AlreadyEscrowed receipt:bytes signature:bytes escrow:bytes attempt:b32
22 GoReplace
23 KeystoreRefusal reason:u8
24 Refusal reason:u8
25 AssignJob job:b32 tenant:name user:name deadline:u64 capability:bytes signature:bytes
26 JobKey recipient:b32 signature:bytes
27 JobEnd completed:bool
28 GetCapability read:bool
29 Capability capability:bytes signature:bytes
30 Append capability:bytes signature:bytes block:bytes
31 Appended number:u64
32 Fetch capability:bytes signature:bytes from:u64
33 Blocks blocks:blocks ?next:u64
34 Publish from:u64 entries:entries epoch:u64 head:u64 ?lease:u64
35 Confirm index:u64 epoch:u64
36 Report
37 Erase signature:bytes
38 Served
39 GetIntake nonce:b32
40 OfferIntake nonce:b32
41 Intake nonce:b32 intake:b32 signature:bytes
42 IntakeOffered intake:b32 signature:bytes
43 ReEscrow escrow:bytes
44 ReturnKey tenant:name user:name dormant:bool logged:b32 escrow:bytes epoch:u64
45 KeyReturned tenant:name user:name commitment:b32
46 OpenCeremony rekey:bool ?roster:roster
47 Ceremony ceremony:bytes signature:bytes
48 Announce ceremony:bytes signature:bytes
49 CloseWindow node:u8
50 GetWindow node:u8
51 Window ceremony:bytes signature:bytes
52 RequestShare index:u8 node:u8 ?factor:factor
53 Alert id:b32 login:u8 node:u8 ceremony:b32
54 AlertRecorded id:b32
55 AlertFailed id:b32
56 ReleasedShare wrapped:bytes ceremony:bytes signature:bytes
57 SubmitShare share:bytes signature:bytes
58 ShareCounted index:u8
59 NewShare index:u8 wrapped:bytes header:header ceremony:bytes signature:bytes
60 StoreShare header:header wrapped:bytes
61 ShareStored header:b32
62 AckShare index:u8 signature:bytes
63 Rekeyed header:b32
64 NewRoot header:b32 sealed:bytes
65 SealNode
66 SetLogin index:u8 authenticator:b32
67 Awake index:u64 covers:u64
68 TakeSnapshot
69 SnapshotTaken digest:b32 share_epoch:u64 covers:u64
70 Witnessed digest:b32
71 Stage snapshot:bytes
72 GetWitness
73 Witness digests:digests generation:u64 index:u64
74 RequestJob tenant:name user:name
75 AbortJob tenant:name user:name
76 EndJob job:b32 tenant:name user:name deadline:u64
77 Deauthorize tenant:name user:name device:b32
78 SetStanding tenant:name user:name change:change
79 SetRight tenant:name admin:name restore:bool
80 ReplayKey tenant:name user:name
81 EnterPassword password:bytes
82 StartBackup
83 BackUp content:bytes
84 ReadBack
85 CheckIn
86 EscrowAgain
87 FetchShare node:u8 ?code:u64 ?roster:b32
88 HandIn node:u8
89 Done
90 Snapshot snapshot:bytes
91 SnapshotKept digest:b32
"""

LIMITS = {"BackUp": BLOCK_FRAME_BYTES, "Append": BLOCK_FRAME_BYTES, "Blocks": FETCH_BLOCKS * BLOCK_FRAME_BYTES,
          "Snapshot": SNAPSHOT_BYTES, "Stage": SNAPSHOT_BYTES}


def _read_table():
    forms = {}
    for line in TABLE.strip().splitlines():
        number, kind, *fields = line.split()
        record = {}
        for field in fields:
            name, of = field.lstrip("?").split(":")
            record[name] = Optional(TYPES[of]) if field[0] == "?" else TYPES[of]
        if int(number) != len(forms):
            raise ValueError("the table of frames has a gap")
        forms[kind] = Record(**record)
    return forms


FIELDS = _read_table()
KINDS = list(FIELDS)
NUMBERS = {kind: number for number, kind in enumerate(KINDS)}

Frame = namedtuple("Frame", "exchange generation kind fields")


def frame(kind, exchange=None, **fields):
    """A frame of `kind` without a store generation; a field that is not given is absent."""
    return Frame(exchange, None, kind, fields)


def encode(message):
    """The bytes of a frame (NET-7)."""
    body = [NUMBERS[message.kind], FIELDS[message.kind].write(message.fields)]
    return cbor.encode([Nullable(B32).write(message.exchange), Nullable(U64).write(message.generation), body])


def limit(kind):
    """The most bytes of a frame of this kind (protocol.md 17)."""
    return MESSAGE_BYTES + LIMITS.get(kind, 0)


def _peek_kind(data):
    """The kind, read from the heads alone, so that the limit is checked before anything is decoded (GEN-5)."""
    major, count, at = cbor.read_head(data, 0)
    if (major, count) != (4, 3):
        raise cbor.NotCanonical("no frame")
    for _ in range(2):
        major, number, at = cbor.read_head(data, at)
        if major == 2:
            at += number
    major, count, at = cbor.read_head(data, at)
    if (major, count) != (4, 2):
        raise cbor.NotCanonical("no body")
    major, number, at = cbor.read_head(data, at)
    if major != 0 or number >= len(KINDS):
        raise cbor.NotCanonical("no kind")
    return KINDS[number]


def decode(data):
    """The frame in `data`; anything that is not one is `Malformed` (GEN-5, GEN-12a, NET-10)."""
    try:
        kind = _peek_kind(data)
        if len(data) > limit(kind):
            raise cbor.NotCanonical("over the limit")
        whole = Record(exchange=Nullable(B32), generation=Nullable(U64),
                       body=Record(number=U8, fields=FIELDS[kind]))
        value = from_bytes(whole, data)
    except cbor.NotCanonical:
        raise Refused("Malformed") from None
    return Frame(value["exchange"], value["generation"], kind, value["body"]["fields"])


__all__ = ["Frame", "KINDS", "NUMBERS", "decode", "encode", "frame", "limit", "to_bytes"]
