"""Ceremonies and rekeys at a node (protocol.md 12 and 13)."""

from . import barrier, bodies, hpke, sharing, sign
from .forms import B32, U64, to_bytes
from .names import VALIDITY_SECONDS, Refused, refuse_if
from .primitives import take_new_root
from .seal import NotOpened


def node_key(letters, node):
    """The name of a record of one node: letters ‖ node (GEN-18)."""
    return letters + b"/" + bytes([node])


class Ceremonies:
    """Opening a ceremony, counting shares, unsealing, dealing new shares, and a new root."""

    # -- opening -----------------------------------------------------------------------------------------------

    def in_time(self, step):
        """The node's ceremony if it has not run out and its header is in force (CER-2c, KEY-3f)."""
        ceremony = step.memory["ceremony"]
        if ceremony is None or step.now > ceremony["expiry"]:
            return None
        return ceremony if self.read(step, b"header-digest") == ceremony["header"] else None

    def on_open_ceremony(self, step, sender, given):
        """CER-2, CER-2a, CER-2c, KEY-1a, KEY-5."""
        refuse_if(sender != "OP", "Unauthenticated")
        rekey, opened, roster = given["rekey"], step.memory["open"], given["roster"]
        refuse_if(not rekey and opened is not None, "AlreadyUnsealed")
        refuse_if(rekey and opened is None, "NotUnsealed")
        under_way = self.read(step, b"rekey", bodies.REKEY)
        refuse_if(self.in_time(step) is not None, "CeremonyOpen")
        refuse_if(rekey and under_way is not None and step.now <= under_way["expiry"], "CeremonyOpen")
        header = self.header(step)
        refuse_if(header is None, "Malformed")
        refuse_if(roster is not None and not (rekey and dealable(roster)), "Malformed")
        number = self.read(step, node_key(b"c", self.node), U64, 0) + 1
        expiry = step.now + VALIDITY_SECONDS
        ident, seed, digest = self.random(), self.random(), self.read(step, b"header-digest")
        body, signature = self.signed(
            "sign/ceremony", bodies.CEREMONY, id=ident, node=self.node, rekey=rekey, header=digest,
            recipient=hpke.KeyPair(seed).public, share_epoch=header["share_epoch"], expiry=expiry, number=number,
            roster=roster)
        self.write(step, node_key(b"c", self.node), number, U64)
        if rekey:
            self.write(step, b"rekey", {"node": self.node, "expiry": expiry}, bodies.REKEY)
            self.write(step, b"candidate", None)
        step.memory["ceremony"] = {"id": ident, "seed": seed, "header": digest, "expiry": expiry, "rekey": rekey,
                                   "roster": roster, "body": body, "signature": signature, "counted": {},
                                   "candidate": None, "acks": set()}
        step.timers.append((expiry + 1, ("ceremony", ident)))
        step.send(sender, "Ceremony", ceremony=body, signature=signature)

    def on_timer(self, step, timer):
        """A ceremony that has run out is gone, and its candidate with it (KEY-3b)."""
        ceremony = step.memory["ceremony"]
        if ceremony is not None and timer == ("ceremony", ceremony["id"]) and step.now > ceremony["expiry"]:
            step.memory["ceremony"] = None
            if ceremony["rekey"]:
                self._drop_own_rekey(step)

    # -- shares ------------------------------------------------------------------------------------------------

    def on_submit_share(self, step, sender, given):
        """CER-5, CER-5a, CER-5b; at the threshold CER-6 or KEY-1."""
        share = sign.read_body(bodies.SHARE, given["share"])
        ceremony, header = self.in_time(step), self.header(step)
        collects = ceremony is not None and ceremony["candidate"] is None and ceremony["id"] == share["ceremony"]
        refuse_if(not collects, "CeremonyExpired")
        index = share["index"]
        refuse_if(not 1 <= index <= len(header["custodians"]), "BadSignature")
        sign.check(header["custodians"][index - 1]["sign"], "sign/share", given["share"], given["signature"],
                   "BadSignature")
        in_force = (header["share_epoch"], ceremony["header"])
        refuse_if((share["share_epoch"], share["header"]) != in_force, "WrongEpoch")
        refuse_if(index in ceremony["counted"], "DuplicateShare")
        try:
            value = hpke.open_for(hpke.KeyPair(ceremony["seed"]), "hpke/share", (ceremony["id"], index),
                                  share["sealed"])
            sharing.verify(index, value, header["threshold"], header["commitments"])
        except (NotOpened, sharing.NotShared):
            raise Refused("WrongShare") from None
        ceremony["counted"][index] = value
        if len(ceremony["counted"]) == header["threshold"]:
            self._at_threshold(step, ceremony, header)
        step.send(sender, "ShareCounted", index=index)

    def _at_threshold(self, step, ceremony, header):
        try:
            secret = sharing.combine(list(ceremony["counted"].items()), header["threshold"], header["commitments"])
        except sharing.NotShared:
            raise Refused("Malformed") from None
        ceremony["counted"] = {}
        if ceremony["rekey"]:
            self._deal(step, ceremony, header)
        else:
            step.memory["ceremony"] = None
            self._unseal(step, header, secret)

    def _unseal(self, step, header, secret):
        """CER-6, CER-6a, and DIS-3 at node 0."""
        digest = self.read(step, b"header-digest")
        try:
            root = barrier.open_root(header, secret)
            keyring = barrier.open_keyring(root, digest, self.read(step, b"keyring", default=b""))
        except NotOpened:
            raise Refused("Malformed") from None
        if self.node == 0:
            self.finish_restore(step, root)
        channel = self.random()
        self.write(step, node_key(b"n", self.node), hpke.KeyPair(channel).public, B32)
        step.memory["open"] = {"root": root, "keyring": keyring, "digest": digest, "channel": channel, "ready": False,
                               "generation": self.generation(step), "question": None}
        self.ask(step)

    # -- rekey -------------------------------------------------------------------------------------------------

    def _deal(self, step, ceremony, header):
        """KEY-1: a fresh sharing for the roster, or for those of the header in force."""
        people = ceremony["roster"] or header
        candidate, root, shares = barrier.deal(header["share_epoch"] + 1, people["threshold"], people["custodians"])
        digest = barrier.header_digest(candidate)
        ceremony["candidate"] = {"digest": digest, "root": root}
        self.write(step, b"candidate", candidate, bodies.HEADER)
        for index, (custodian, value) in enumerate(zip(candidate["custodians"], shares), 1):
            try:
                wrapped = hpke.seal_for(custodian["recipient"], "hpke/wrap", (digest, index), value)
            except NotOpened:
                raise Refused("Malformed") from None
            step.send(("CN", index), "NewShare", index=index, wrapped=wrapped, header=candidate,
                      ceremony=ceremony["body"], signature=ceremony["signature"])

    def on_ack_share(self, step, sender, given):
        """KEY-2a; the last one is KEY-3."""
        refuse_if(step.memory["open"] is None, "Sealed")
        ceremony = self.in_time(step)
        refuse_if(ceremony is None or ceremony["candidate"] is None, "CeremonyExpired")
        candidate, dealt, index = self.read(step, b"candidate", bodies.HEADER), ceremony["candidate"], given["index"]
        refuse_if(candidate is None, "CeremonyExpired")
        refuse_if(not 1 <= index <= len(candidate["custodians"]), "BadSignature")
        sign.check(candidate["custodians"][index - 1]["sign"], "sign/ack", dealt["digest"], given["signature"],
                   "BadSignature")
        ceremony["acks"].add(index)
        if len(ceremony["acks"]) == len(candidate["custodians"]):
            self._put_in_force(step, candidate, dealt)

    def _put_in_force(self, step, candidate, dealt):
        """KEY-3, KEY-3a, KEY-3d, KEY-3g: one write, then the news."""
        opened, digest, root = step.memory["open"], dealt["digest"], dealt["root"]
        self.write(step, b"header", candidate, bodies.HEADER)
        self.write(step, b"header-digest", digest)
        self.write(step, b"keyring", barrier.seal_keyring(root, digest, opened["keyring"]))
        for name in (b"candidate", b"rekey", b"staged"):
            self.write(step, name, None)
        opened.update(root=root, digest=digest)
        step.memory["ceremony"] = None
        for index in range(1, len(candidate["custodians"]) + 1):
            step.send(("CN", index), "Rekeyed", header=digest)
        for name in sorted(self.store):
            if len(name) == 3 and name.startswith(b"n/") and name[2] != self.node:
                channel = self.read(step, name, B32)
                sealed = hpke.seal_for(channel, "hpke/root", (digest, name[2]), root)
                step.send(("KS", name[2]), "NewRoot", exchange=None, header=digest, sealed=sealed)

    def on_new_root(self, step, sender, given):
        """KEY-3d, at another node; nobody is told of a refusal."""
        header, opened = self.header(step), step.memory["open"]
        refuse_if(header is None or barrier.header_digest(header) != given["header"], "WrongEpoch")
        refuse_if(opened is None, "Sealed")
        root, keyring = take_new_root(hpke.KeyPair(opened["channel"]), self.node, header, given["header"],
                                      given["sealed"], self.read(step, b"keyring", default=b""))
        opened.update(root=root, keyring=keyring, digest=given["header"])

    def on_seal_node(self, step, sender, given):
        """CER-7, CER-7a."""
        self.wipe(step)
        step.send(sender, "Done")


def dealable(roster):
    """Whether shares can be dealt to a roster: t of n is allowed, and each recipient is a usable key (KEY-5)."""
    if not sharing.allowed(roster["threshold"], len(roster["custodians"])):
        return False
    try:
        for custodian in roster["custodians"]:
            hpke.KeyPair(bytes(32)).shared(custodian["recipient"])
    except NotOpened:
        return False
    return True


__all__ = ["Ceremonies", "dealable", "node_key", "to_bytes"]
