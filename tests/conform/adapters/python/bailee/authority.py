"""The authority (AU): from whom it takes what, and who is told of a refusal. The flows are in `authority_*.py`."""

from .authority_devices import Devices
from .authority_log import PointsAndLog
from .authority_orders import Orders
from .authority_records import Records
from .frames import frame
from .role import Role, reason

PROGRAM = {"CL", "DV"}
PEOPLE = {"user", "admin", "schedule"}
REPLIES = {"EnrolmentOpened", "AccountCreated", "Receipt", "AlreadyEscrowed", "SealedKey", "Intake", "KeyReturned"}


class Authority(Devices, Orders, PointsAndLog, Records, Role):
    """AU over its store. `seed` is its signing seed; `keystore` and `restorer` are pinned public keys (GEN-16)."""

    takes = {
        "SignIn": PROGRAM, "BeginEnrolment": PROGRAM, "PresentCertificate": PROGRAM, "EscrowKey": PROGRAM,
        "AddDevice": PROGRAM, "GetCapability": {"DV"}, "Report": {"DV"}, "GetIntake": {"DV"}, "ReEscrow": {"DV"},
        "EnrolmentOpened": {"KS"}, "AccountCreated": {"KS"}, "Receipt": {"KS"}, "AlreadyEscrowed": {"KS"},
        "KeystoreRefusal": {"KS"}, "ConsumeGrant": {"KS"}, "SealedKey": {"KS"}, "Intake": {"KS"},
        "KeyReturned": {"KS"}, "Awake": {"KS"}, "SnapshotTaken": {"KS"}, "GetWitness": {"KS"},
        "Confirm": {"KS", "ST", "RS"}, "JobKey": {"RS"}, "JobEnd": {"RS"}, "RequestJob": PEOPLE,
        "AbortJob": {"user", "admin"}, "Deauthorize": {"user", "admin"}, "SetStanding": {"admin", "schedule"},
        "SetRight": {"admin"}, "ReplayKey": {"OP", "admin", "schedule"}, "Checked": PROGRAM,
    }

    def __init__(self, store, seed, keystore, restorer):
        self.seed, self.keystore, self.restorer = seed, keystore, restorer
        super().__init__(store)

    def blank(self):
        """AU has nothing in memory."""
        return {}

    def checked(self, now, sender, work, matched):
        """The end of a password's check, as an input of its own (6.1)."""
        return self.step(now, sender, frame("Checked", tenant=work["tenant"], user=work["user"],
                                            record=work["record"], matched=matched))

    def tell_refusal(self, step, sender=None, message=None):
        """NET-15: the one who asked; for a refused reply of KS the client of that exchange."""
        if message is None:
            return
        if message.kind == "ConsumeGrant":
            return step.send("KS", "GrantRefused", grant=message.fields["grant"])
        if sender in ("KS", "ST", "RS"):
            job = self.job(step) if step.refusal != "StoreDamaged" else None
            if message.kind in REPLIES and step.refusal != "JobOver":
                step.send("RS" if job else "client", "Refusal", reason=reason(step.refusal))
            return
        step.send(sender, "Refusal", reason=reason(step.refusal))
