"""The authority's disk (GEN-17, formats.cddl) and what its flows share."""

from . import bodies
from .forms import B32, BOOL, NAME, U8, U64, BYTES, Choice, Many, Nullable, Optional, Record, below, sized
from .names import DEVICES_PER_USER, NEWEST_PER_USER, refuse_if
from .sign import sign

PENDING, ACTIVE_DEVICE, REVOKED = 1, 2, 3
OPENED, ADMITTED, CLOSED = 0, 1, 2
OVER, ASSIGNED, KEY_HELD, ENDING = 0, 1, 2, 3
OWN, ON_BEHALF, MAINTENANCE = 0, 1, 2

KEPT = Record(escrow=BYTES, index=U64)
USER = Record(tenant=NAME, user=NAME, standing=bodies.STANDING, enrolled=Nullable(B32), kept=Nullable(KEPT),
              password=BYTES)
ADMIN = Record(restore=BOOL, users=BOOL, rights=BOOL)
GUESSES_OF = Record(wrong=U64, last=U64)
NOBODY = Record(name=B32, guesses=GUESSES_OF)
IDS = Many(B32)
DEVICE = Record(tenant=NAME, user=NAME, recipient=B32, state=below(4), expiry=U64, revoked_at=U64)
ATTEMPT = Record(device=B32, state=below(3), expiry=U64)
SESSION = Record(tenant=NAME, user=NAME, expiry=U64)
HOLDER = Choice(Record(device=B32), Record(job=B32))
GRANT = Record(tenant=NAME, user=NAME, holder=HOLDER, exchange=B32, used=BOOL)
JOB = Record(tenant=NAME, user=NAME, kind=below(3), state=below(4), deadline=U64, admin=Optional(NAME))
RUNNING = Many(Record(job=B32, deadline=U64))
POINT = Record(epoch=U64, index=U64, lease=U64)
EPOCHS = Record(newest=U64, acknowledged=U64)
BEHALF = Record(jobs=U64, notices=U64)
WITNESSED = Record(digest=B32, share_epoch=U64, covers=U64)
STORE = Record(generation=U64, snapshot=Nullable(WITNESSED), lost=Many(Record(first=U64, last=U64)))
PASSWORD_BYTES = sized(56)

POINTS = {"KS": 0, "ST": 1, "RS": 2}
NO_POINT = {"epoch": 0, "index": 0, "lease": 0}


def two(letters, tenant, other):
    """The name of a record of two parts (GEN-17)."""
    return b"/".join([letters, str(len(tenant.encode())).encode(), tenant.encode(), other.encode()])


def numbered(letters, number):
    """The name of a record by an entry of the log: letters ‖ entry (8)."""
    return letters + b"/" + number.to_bytes(8, "big")


class Records:
    """Reading and writing the records of AU within one step."""

    def user(self, step, tenant, user):
        return self.read(step, two(b"u", tenant, user), USER)

    def put_user(self, step, record):
        self.write(step, two(b"u", record["tenant"], record["user"]), record, USER)

    def device(self, step, ident):
        """A device; a pending one whose time is over is none (GEN-17)."""
        found = self.read(step, b"d/" + ident, DEVICE)
        return None if found and found["state"] == PENDING and step.now > found["expiry"] else found

    def attempt_open(self, step, attempt):
        return attempt is not None and attempt["state"] != CLOSED and step.now <= attempt["expiry"]

    def grown(self, step, letters, tenant, user, record_letters, ident):
        """Adds to a user's newest; the oldest gives way (GEN-17a)."""
        name = two(letters, tenant, user)
        listed = [each for each in self.read(step, name, IDS, []) if each != ident] + [ident]
        for former in listed[:-NEWEST_PER_USER]:
            self.write(step, record_letters + former, None)
        self.write(step, name, listed[-NEWEST_PER_USER:], IDS)

    def add_device(self, step, tenant, user, ident, record):
        """Writes a device and its place in the user's list (GEN-17a, ENR-4c)."""
        listed = []
        for each in self.read(step, two(b"ud", tenant, user), IDS, []):
            if self.device(step, each) is None and each != ident:
                self.write(step, b"d/" + each, None)
            elif each != ident:
                listed.append(each)
        refuse_if(self.device(step, ident) is None and len(listed) >= DEVICES_PER_USER, "TooLarge")
        self.write(step, b"d/" + ident, record, DEVICE)
        self.write(step, two(b"ud", tenant, user), listed + [ident], IDS)

    def epochs(self, step):
        return self.read(step, b"epochs", EPOCHS, {"newest": 0, "acknowledged": 0})

    def head(self, step):
        return self.read(step, b"head", U64, 0)

    def store_of_keystore(self, step):
        return self.read(step, b"store", STORE, {"generation": 0, "snapshot": None, "lost": []})

    def log(self, step, tenant, user, choice, **decision):
        """One more entry of the log, in the write of the decision (REV-5); gives its number."""
        number = self.head(step) + 1
        entry = {"tenant": tenant, "user": user, "decision": (choice, decision)}
        self.write(step, numbered(b"l", number), entry, bodies.LOG_ENTRY)
        self.write(step, b"head", number, U64)
        return number

    def keep(self, step, record, escrow):
        """The log names the user's key, and AU keeps its escrow message with the entry (DIS-4)."""
        number = self.log(step, record["tenant"], record["user"], 0, enrolled=record["enrolled"])
        record["kept"] = {"escrow": escrow, "index": number}
        self.write(step, numbered(b"k", number), record, bodies.USER)
        self.put_user(step, record)

    def covered(self, step, index):
        """Whether the kept message of an entry is covered by the witnessed snapshot (DIS-4a)."""
        store = self.store_of_keystore(step)
        lost = any(each["first"] <= index <= each["last"] for each in store["lost"])
        return store["snapshot"] is not None and index <= store["snapshot"]["covers"] and not lost

    def count(self, step, name):
        self.write(step, name, self.read(step, name, U64, 0) + 1, U64)

    def standing_stops(self, record):
        """`UserSuspended`, `UserDeactivated`, as the verbs of a session say it (6.1)."""
        refuse_if(record["standing"] == bodies.SUSPENDED, "UserSuspended")
        refuse_if(record["standing"] in (bodies.DEACTIVATED, bodies.PURGED), "UserDeactivated")

    def signed(self, short, form, **fields):
        return sign(self.seed, short, form, **fields)


__all__ = ["Records", "two", "numbered", "U8"]
