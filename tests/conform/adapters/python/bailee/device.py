"""The device (DV): it makes the key, proves who it is, and keeps nothing that is not escrowed (protocol.md 6, 7, 8, 11.3)."""

from . import bodies, cbor, hpke, sign
from .forms import to_bytes
from .names import LABELS, Refused, refuse_if
from .primitives import check_delivery
from .role import Role, reason
from .seal import NotOpened, branch, commitment, open_sealed, seal_once

IDLE, SIGNING_IN, ENROLLING, REPLACING = "Idle", "SigningIn", "Enrolling", "Replacing"


class Device(Role):
    """DV of one user. `keystore` and `authority` are pinned public keys (GEN-16)."""

    takes = {"EnterPassword": {"holder"}, "StartBackup": {"holder", "schedule"}, "BackUp": {"holder", "schedule"},
             "ReadBack": {"holder"}, "CheckIn": {"holder", "schedule"}, "EscrowAgain": {"holder", "schedule"},
             "SessionOpened": {"AU"}, "Nonce": {"AU"}, "Admission": {"AU"}, "Authorised": {"AU"}, "GoReplace": {"AU"},
             "KeyDelivery": {"AU"}, "Refusal": {"AU", "ST"}, "Capability": {"AU"}, "Erase": {"AU"}, "Served": {"AU"},
             "IntakeOffered": {"AU"}, "Done": {"AU"}, "Appended": {"ST"}, "Blocks": {"ST"}}

    def __init__(self, store, tenant, user, keystore, authority):
        self.tenant, self.user, self.keystore, self.authority = tenant, user, keystore, authority
        super().__init__(store)

    def blank(self):
        return {"program": IDLE, "session": None, "key": None, "intake": None, "capability": None, "asked": None}

    def identity(self, step):
        return self.read(step, b"identity", bodies.IDENTITY)

    def kept_key(self, step):
        found = self.read(step, b"key", bodies.DEVICE_KEY)
        return found and found["key"]

    def rest(self, step):
        """Drops key and session and rests (ENR-18)."""
        step.memory.update(dict(self.blank(), capability=step.memory["capability"]))

    def _in_session(self, step, *programs):
        """NET-14: a message of another session is `OutOfTurn`, and nothing changes."""
        memory = step.memory
        refuse_if(memory["program"] not in programs or step.exchange != memory["session"], "OutOfTurn")
        return memory

    def _at_rest_with_key(self, step):
        key = self.kept_key(step)
        refuse_if(step.memory["program"] != IDLE or key is None, "OutOfTurn")
        return key

    def _unless(self, step, good):
        if not good:
            self.rest(step)
            raise Refused("Malformed")

    # -- enrolment ---------------------------------------------------------------------------------------------

    def on_enter_password(self, step, sender, given):
        """ENR-1."""
        refuse_if(step.memory["program"] != IDLE or self.kept_key(step) is not None, "OutOfTurn")
        step.memory["program"] = SIGNING_IN
        step.send("AU", "SignIn", tenant=self.tenant, user=self.user, password=given["password"])

    def on_session_opened(self, step, sender, given):
        """ENR-3, ENR-3a."""
        refuse_if(step.memory["program"] != SIGNING_IN, "OutOfTurn")
        own = self.identity(step)
        if own is None:
            seed = self.random()
            own = {"sign_seed": seed, "recipient_seed": self.random(), "attempt": self.random(),
                   "device": sign.public_of(seed)}
            self.write(step, b"identity", own, bodies.IDENTITY)
        step.memory["session"] = step.exchange
        if given["enrolled"] is not None:
            return self._replace(step, own)
        step.memory.update(program=ENROLLING, key=self.random())
        recipient = hpke.KeyPair(own["recipient_seed"]).public
        _, proof = sign.sign(own["sign_seed"], "sign/attempt", bodies.ATTEMPT_PROOF, session=step.exchange,
                             attempt=own["attempt"], recipient=recipient)
        step.send("AU", "BeginEnrolment", attempt=own["attempt"], device=own["device"], recipient=recipient,
                  proof=proof)

    def _replace(self, step, own):
        step.memory.update(program=REPLACING, key=None, intake=None)
        recipient = hpke.KeyPair(own["recipient_seed"]).public
        _, proof = sign.sign(own["sign_seed"], "sign/add-device", bodies.ADD_PROOF, session=step.exchange,
                             recipient=recipient)
        step.send("AU", "AddDevice", device=own["device"], recipient=recipient, proof=proof)

    def on_nonce(self, step, sender, given):
        """ENR-7, ENR-7a."""
        memory, own = self._in_session(step, ENROLLING), self.identity(step)
        body = to_bytes(bodies.INTAKE, given)
        good = own and sign.verifies(self.keystore, LABELS["sign/intake"], body, given["signature"])
        self._unless(step, good)
        memory["intake"] = given["intake"]
        certificate, signature = sign.sign(
            own["sign_seed"], "sign/enrolment-certificate", bodies.CERTIFICATE, attempt=own["attempt"],
            nonce=given["nonce"], session=step.exchange, device=own["device"],
            recipient=hpke.KeyPair(own["recipient_seed"]).public)
        step.send("AU", "PresentCertificate", certificate=certificate, signature=signature)

    def _escrow_body(self, key, attempt, intake):
        value = commitment(key, self.tenant, self.user)
        sealed = hpke.seal_for(intake, "hpke/intake", (self.tenant, self.user, value), key)
        return to_bytes(bodies.ESCROW, {"attempt": attempt, "commitment": value, "sealed": sealed})

    def on_admission(self, step, sender, given):
        """ENR-11."""
        memory, own = self._in_session(step, ENROLLING), self.identity(step)
        self._unless(step, own and memory["key"] and memory["intake"])
        escrow = self._escrow_body(memory["key"], own["attempt"], memory["intake"])
        step.send("AU", "EscrowKey", escrow=escrow,
                  signature=sign.sign_bytes(own["sign_seed"], LABELS["sign/escrow"], escrow))

    def on_authorised(self, step, sender, given):
        """ENR-15, ENR-15a."""
        memory = self._in_session(step, ENROLLING)
        key = memory["key"]
        try:
            receipt = sign.read_signed("ENR-14a", self.keystore, given["receipt"], given["signature"])
            good = key is not None and (receipt["tenant"], receipt["user"], receipt["commitment"]) == (
                self.tenant, self.user, commitment(key, self.tenant, self.user))
        except Refused:
            good = False
        self._unless(step, good)
        self._keep(step, key, given["receipt"])

    def _keep(self, step, key, receipt):
        self.write(step, b"key", {"key": key, "receipt": receipt}, bodies.DEVICE_KEY)
        self.rest(step)
        step.send("person", "Done")

    def on_go_replace(self, step, sender, given):
        """ENR-17."""
        self._in_session(step, ENROLLING)
        self._replace(step, self.identity(step))

    def on_key_delivery(self, step, sender, given):
        """REP-7, REP-7a."""
        self._in_session(step, REPLACING)
        own = self.identity(step)
        self._unless(step, own)
        try:
            key = check_delivery(hpke.KeyPair(own["recipient_seed"]), self.keystore, self.tenant, self.user, given,
                                 "Malformed")
        except Refused:
            key = None
        self._unless(step, key)
        self._keep(step, key, given["receipt"])

    def on_refusal(self, step, sender, given):
        """ENR-18; NET-14 for one of another session."""
        refuse_if(step.exchange != step.memory["session"], "OutOfTurn")
        self.rest(step)
        step.send("person", "Refusal", reason=given["reason"])

    # -- backup ------------------------------------------------------------------------------------------------

    def _ask(self, step, read):
        self._at_rest_with_key(step)
        step.memory["asked"] = ("read" if read else "append",)
        step.send("AU", "GetCapability", read=read)

    def on_start_backup(self, step, sender, given):
        """BAK-1."""
        self._ask(step, False)

    def on_read_back(self, step, sender, given):
        """BAK-3."""
        self._ask(step, True)

    def on_capability(self, step, sender, given):
        """BAK-1b."""
        memory = step.memory
        refuse_if(memory["asked"] not in (("read",), ("append",)), "OutOfTurn")
        if memory["asked"] == ("append",):
            memory.update(asked=None, capability=dict(given))
            return step.send("person", "Done")
        memory["asked"] = ("blocks", dict(given))
        step.send("ST", "Fetch", **{"from": 0}, **given)

    def _owner(self):
        return cbor.encode([self.tenant, self.user])

    def on_back_up(self, step, sender, given):
        """BAK-2: the content as a block of the device's user (a stand-in for the blocks of protocol.md 16)."""
        key = self.kept_key(step)
        refuse_if(step.memory["capability"] is None or key is None, "OutOfTurn")
        root = branch(key, LABELS["key/seal"], self.tenant, self.user)
        block = seal_once(root, LABELS["seal/block"], self._owner(), given["content"])
        step.send("ST", "Append", block=block, **step.memory["capability"])

    def on_appended(self, step, sender, given):
        step.send("person", "Done")

    def on_blocks(self, step, sender, given):
        """BAK-3a, BAK-3b."""
        asked, key = step.memory["asked"], self.kept_key(step)
        refuse_if(asked is None or asked[0] != "blocks" or key is None, "OutOfTurn")
        root = branch(key, LABELS["key/seal"], self.tenant, self.user)
        try:
            for block in given["blocks"]:
                open_sealed(root, LABELS["seal/block"], self._owner(), block)
        except NotOpened:
            step.memory["asked"] = None
            raise Refused("CommitmentMismatch") from None
        if given["next"] is not None:
            return step.send("ST", "Fetch", **{"from": given["next"]}, **asked[1])
        step.memory["asked"] = None
        step.send("person", "Done")

    # -- erasure, and a key that comes back --------------------------------------------------------------------

    def on_check_in(self, step, sender, given):
        """REV-4."""
        refuse_if(step.memory["program"] != IDLE or self.identity(step) is None, "OutOfTurn")
        step.send("AU", "Report")

    def on_erase(self, step, sender, given):
        """REV-4a: both records in one write, before any answer."""
        own = self.identity(step)
        refuse_if(own is None, "OutOfTurn")
        sign.check(self.authority, "sign/wipe", own["device"], given["signature"], "BadSignature")
        self.write(step, b"identity", None)
        self.write(step, b"key", None)
        step.memory.update(self.blank())
        step.send("person", "Done")

    def on_served(self, step, sender, given):
        step.send("person", "Done")

    on_done = on_served

    def on_escrow_again(self, step, sender, given):
        """DIS-6."""
        self._at_rest_with_key(step)
        nonce = self.random()
        step.memory["asked"] = ("intake", nonce)
        step.send("AU", "GetIntake", nonce=nonce)

    def on_intake_offered(self, step, sender, given):
        """DIS-6b."""
        asked = step.memory["asked"]
        refuse_if(asked is None or asked[0] != "intake", "OutOfTurn")
        body = to_bytes(bodies.INTAKE, {"nonce": asked[1], "intake": given["intake"]})
        step.memory["asked"] = None
        sign.check(self.keystore, "sign/intake", body, given["signature"], "BadSignature")
        attempt = self.identity(step)["attempt"]
        step.send("AU", "ReEscrow", escrow=self._escrow_body(self.kept_key(step), attempt, given["intake"]))

    def tell_refusal(self, step, sender=None, message=None):
        """What it thinks of an answer it tells its person alone (NET-15)."""
        if message is not None:
            step.send("person", "Refusal", reason=reason(step.refusal))
