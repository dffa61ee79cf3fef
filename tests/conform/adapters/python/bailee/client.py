"""A custodian's client (CN): it checks what a node and custody say before its share leaves it (protocol.md 12, 13)."""

from . import barrier, bodies, hpke, sign
from .forms import to_bytes
from .names import refuse_if
from .primitives import check_own_share
from .role import Role, reason
from .seal import sha256


class Client(Role):
    """CN. `seed` signs, `pair` unwraps, `authenticator` signs factors, `keystore` is the pinned key of KS."""

    takes = {"FetchShare": {"holder"}, "HandIn": {"holder"}, "Window": {"CU"}, "ReleasedShare": {"CU"},
             "ShareCounted": {"KS"}, "NewShare": {"KS"}, "ShareStored": {"CU"}, "Rekeyed": {"KS"},
             "Refusal": {"CU", "KS"}}

    def __init__(self, store, index, seed, pair_seed, authenticator, keystore):
        self.index, self.seed, self.pair_seed = index, seed, pair_seed
        self.authenticator, self.keystore = authenticator, keystore
        super().__init__(store)

    def blank(self):
        return {"asked": None, "share": None, "storing": None}

    def _headers(self, step):
        return self.read(step, b"headers", bodies.KNOWN_HEADERS, {"headers": [], "in_force": None})

    def known(self, step, digest):
        """The client's own copy of a header (KEY-2b)."""
        return next((each for each in self._headers(step)["headers"] if barrier.header_digest(each) == digest), None)

    def _in_force(self, step, digest):
        headers = self._headers(step)
        if headers["in_force"] != digest and self.known(step, digest):
            self.write(step, b"headers", dict(headers, in_force=digest), bodies.KNOWN_HEADERS)

    def _ceremony(self, step, given):
        """CER-4d, as far as it is about the ceremony alone."""
        said = sign.read_signed("CER-3a", self.keystore, given["ceremony"], given["signature"])
        refuse_if(step.now > said["expiry"], "CeremonyExpired")
        return said

    def on_fetch_share(self, step, sender, given):
        """12.3: the window is asked for first."""
        step.memory["asked"] = {"node": given["node"], "code": given["code"], "roster": given["roster"], "said": None}
        step.send("CU", "GetWindow", node=given["node"])

    def on_window(self, step, sender, given):
        """CER-4d, KEY-5a, then the factor (CER-4a)."""
        asked = step.memory["asked"]
        refuse_if(asked is None or asked["said"] is not None, "OutOfTurn")
        said = self._ceremony(step, given)
        refuse_if(said["node"] != asked["node"], "BadSignature")
        if roster_digest(said) != asked["roster"]:
            step.memory["asked"] = None
            step.send("person", "Window", **given)
            refuse_if(True, "OutOfTurn")
        factor = None
        if asked["code"] is not None:
            _, signature = sign.sign(self.authenticator, "sign/mfa", bodies.FACTOR_BODY, ceremony=said["id"],
                                     index=self.index, code=asked["code"])
            factor = {"code": asked["code"], "signature": signature}
        asked["said"] = said["id"]
        step.send("CU", "RequestShare", index=self.index, node=asked["node"], factor=factor)

    def on_released_share(self, step, sender, given):
        """CER-4d, KEY-5a."""
        asked = step.memory["asked"]
        refuse_if(asked is None or asked["said"] is None, "OutOfTurn")
        said = self._ceremony(step, given)
        refuse_if(roster_digest(said) != asked["roster"], "OutOfTurn")
        header = self.known(step, said["header"])
        refuse_if(header is None, "OwnShareDamaged")
        value = check_own_share(hpke.KeyPair(self.pair_seed), header, self.index, given["wrapped"])
        self._in_force(step, said["header"])
        step.memory["asked"] = None
        step.memory["share"] = {"value": value, "ceremony": said}
        step.timers.append((said["expiry"] + 1, ("share", said["id"])))
        step.send("person", "Done")

    def on_timer(self, step, timer):
        """A share is wiped at the ceremony's expiry (CER-4d)."""
        held = step.memory["share"]
        if held and timer == ("share", held["ceremony"]["id"]) and step.now > held["ceremony"]["expiry"]:
            step.memory["share"] = None

    def on_hand_in(self, step, sender, given):
        """12.4: the copy is wiped in every case."""
        held, step.memory["share"] = step.memory["share"], None
        refuse_if(held is None or held["ceremony"]["node"] != given["node"], "OutOfTurn")
        said = held["ceremony"]
        sealed = hpke.seal_for(said["recipient"], "hpke/share", (said["id"], self.index), held["value"])
        share, signature = sign.sign(self.seed, "sign/share", bodies.SHARE, ceremony=said["id"], index=self.index,
                                     share_epoch=said["share_epoch"], header=said["header"], sealed=sealed)
        step.send(("KS", given["node"]), "SubmitShare", share=share, signature=signature)

    def on_share_counted(self, step, sender, given):
        step.send("person", "Done")

    def on_new_share(self, step, sender, given):
        """KEY-2, KEY-2b, KEY-2c: the candidate is kept before it is acknowledged."""
        said, candidate = self._ceremony(step, given), given["header"]
        former = self.known(step, said["header"])
        people = said["roster"] or former
        keys = {"sign": sign.public_of(self.seed), "recipient": hpke.KeyPair(self.pair_seed).public}
        good = (said["rekey"] and candidate["share_epoch"] == said["share_epoch"] + 1 and people is not None
                and candidate["threshold"] == people["threshold"]
                and candidate["custodians"] == people["custodians"] and given["index"] == self.index
                and self.index <= len(candidate["custodians"]) and candidate["custodians"][self.index - 1] == keys)
        refuse_if(not good, "OwnShareDamaged")
        check_own_share(hpke.KeyPair(self.pair_seed), candidate, self.index, given["wrapped"])
        headers = self._headers(step)
        in_force = headers["in_force"]
        new = [each for each in headers["headers"] if barrier.header_digest(each) != in_force and each != candidate]
        kept = [each for each in headers["headers"] if barrier.header_digest(each) == in_force]
        self.write(step, b"headers", dict(headers, headers=kept + new[-1:] + [candidate]), bodies.KNOWN_HEADERS)
        step.memory["storing"] = {"digest": barrier.header_digest(candidate), "node": said["node"]}
        step.send("CU", "StoreShare", header=candidate, wrapped=given["wrapped"])

    def on_share_stored(self, step, sender, given):
        """KEY-2: acknowledged to the node that dealt it."""
        storing = step.memory["storing"]
        refuse_if(storing is None or storing["digest"] != given["header"], "OutOfTurn")
        step.memory["storing"] = None
        signature = sign.sign_bytes(self.seed, sign.LABELS["sign/ack"], given["header"])
        step.send(("KS", storing["node"]), "AckShare", index=self.index, signature=signature)

    def on_rekeyed(self, step, sender, given):
        """KEY-3: the candidate is in force."""
        self._in_force(step, given["header"])

    def on_refusal(self, step, sender, given):
        """A service refused: what was asked for is over."""
        step.memory["asked"] = None
        step.send("person", "Refusal", reason=given["reason"])

    def tell_refusal(self, step, sender=None, message=None):
        """A refusal of its own is told to its person (NET-15)."""
        if message is not None:
            step.send("person", "Refusal", reason=reason(step.refusal))


def roster_digest(ceremony):
    """H of the canonical CBOR of the ceremony's roster, None without one (KEY-5a)."""
    return None if ceremony["roster"] is None else sha256(to_bytes(bodies.ROSTER, ceremony["roster"]))
