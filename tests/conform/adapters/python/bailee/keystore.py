"""The keystore (KS): what every frame meets first, and what its parts share. The flows are in `keystore_*.py`."""

from . import barrier, bodies
from .forms import U64
from .keystore_accounts import Accounts
from .keystore_ceremonies import Ceremonies
from .keystore_snapshots import Snapshots
from .keystore_log import Log
from .names import MARGIN_SECONDS, refuse_if
from .role import Role, Step, reason
from .sign import sign

BLANK_MARK = {"epoch": 0, "index": 0, "lease": 0}
SILENT = {"Publish", "Confirm", "Witness", "NewRoot", "Witnessed"}  # NET-15: nobody answers these


class Keystore(Accounts, Ceremonies, Log, Snapshots, Role):
    """One node of the keystore over the common store (GEN-15).

    `seed` is the keystore's signing seed (GEN-16a), `authority` AU's pinned public key (GEN-16).
    """

    takes = {
        "OpenEnrolment": {"AU"}, "CreateAccount": {"AU"}, "Escrow": {"AU"}, "ReleaseKey": {"AU"},
        "GrantConsumed": {"AU"}, "GrantRefused": {"AU"}, "OfferIntake": {"AU"}, "ReturnKey": {"AU"},
        "Publish": {"AU"}, "Witnessed": {"AU"}, "Witness": {"AU"}, "OpenCeremony": {"OP", "stranger"},
        "SubmitShare": {"CN"}, "AckShare": {"CN"}, "NewRoot": {"KS"}, "SealNode": {"OP"},
        "TakeSnapshot": {"OP", "schedule"}, "Stage": {"OP"}, "SnapshotKept": {"OP", "schedule"},
    }

    def __init__(self, store, node, seed, authority):
        self.node, self.seed, self.authority = node, seed, authority
        super().__init__(store)

    def blank(self):
        """Every start is sealed (CER-1). `open` holds root, keyring, digest, generation, ready, channel and question."""
        return {"open": None, "pending": {}, "ceremony": None, "going": None, "coming": None}

    def start(self, now):
        """After a start: a candidate whose ceremony was this node's is removed (KEY-3b)."""
        return self._run(Step(now), self._drop_own_rekey)

    # -- before any frame --------------------------------------------------------------------------------------

    def before(self, step, message):
        """A node whose root or store is no longer in force notices it at its next step (KEY-3d, DIS-3f)."""
        opened = step.memory["open"]
        if opened is None or message.kind == "NewRoot":
            return
        if self.read(step, b"header-digest") != opened["digest"]:
            self.wipe(step)
        elif self.generation(step) != opened["generation"]:
            opened["ready"] = False
            step.memory["pending"] = {}
            step.memory["going"] = None

    def tell_refusal(self, step, sender=None, message=None):
        """A refusal to AU is `KeystoreRefusal`, to a person or a client `Refusal` (ENR-19, NET-15)."""
        if message is None or message.kind in SILENT or step.refusal == "AlreadyEscrowed":
            return
        kind = "KeystoreRefusal" if sender == "AU" else "Refusal"
        step.send(sender, kind, reason=reason(step.refusal))

    def _run(self, step, call, *arguments):
        step = super()._run(step, call, *arguments)
        generation = self.generation(step)
        step.frames = [(to, message._replace(generation=generation)) for to, message in step.frames]  # NET-7
        return step

    # -- shared by the flows -----------------------------------------------------------------------------------

    def generation(self, step):
        """The store's generation; 0 in a store that has none yet."""
        return self.read(step, b"generation", U64, 0)

    def mark(self, step):
        """Revocation epoch, entries followed and lease that are stored (REV-2)."""
        return self.read(step, b"mark", bodies.MARK, BLANK_MARK)

    def header(self, step):
        """The header in force, or None on an empty machine."""
        return self.read(step, b"header", bodies.HEADER)

    def ready(self, step):
        """The open node; `Sealed` if it is sealed or has not followed the log (CER-6b)."""
        opened = step.memory["open"]
        refuse_if(opened is None or not opened["ready"], "Sealed")
        return opened

    def admitting(self, step):
        """As `ready`, and `RevocationStale` once its lease is over by its own clock (REV-2b, GEN-13)."""
        opened = self.ready(step)
        refuse_if(past_margin(step.now, self.mark(step)["lease"]), "RevocationStale")
        return opened

    def record(self, step, *path):
        """The record at a path, None if there is none (GEN-27, GEN-28)."""
        keyring = step.memory["open"]["keyring"]
        raw = self.read(step, barrier.record_name(keyring.path_key, list(path)))
        return None if raw is None else barrier.open_record(keyring.data_key, list(path), raw)

    def put(self, step, value, *path):
        """Seals a record under its hidden name; None removes it."""
        keyring = step.memory["open"]["keyring"]
        sealed = None if value is None else barrier.seal_record(keyring.data_key, list(path), value)
        self.write(step, barrier.record_name(keyring.path_key, list(path)), sealed)

    def signed(self, short, form, **fields):
        """(body, signature) under the keystore's signing key."""
        return sign(self.seed, short, form, **fields)

    def wipe(self, step):
        """Everything in memory goes, as at a seal (CER-7); the rekey of this node goes with it (KEY-3b)."""
        step.memory.update(self.blank())
        self._drop_own_rekey(step)

    def _drop_own_rekey(self, step):
        rekey = self.read(step, b"rekey", bodies.REKEY)
        if rekey is not None and rekey["node"] == self.node:
            self.write(step, b"rekey", None)
            self.write(step, b"candidate", None)


def past_margin(now, end):
    """Whether a point holds an end that AU named over (GEN-13)."""
    return now + MARGIN_SECONDS > end
