"""A keystore with the peers that its tests need: an authority's pen, custodians, a device."""

import os

from bailee import barrier, bodies, hpke, keystore, seal, sign
from bailee.forms import U64, to_bytes
from bailee.frames import decode, encode, frame
from bailee.names import LABELS

TENANT, USER = "acme", "ada"


class World:
    """Node 0 over a fresh store, with custodians present at the installation (GEN-19a)."""

    def __init__(self, threshold=2, count=3, lease=10_000):
        self.now = 1000
        self.authority, self.seed, self.device = os.urandom(32), os.urandom(32), os.urandom(32)
        self.custodians = [(os.urandom(32), hpke.KeyPair(os.urandom(32))) for _ in range(count)]
        keys = [{"sign": sign.public_of(seed), "recipient": pair.public} for seed, pair in self.custodians]
        self.header, root, self.shares = barrier.deal(1, threshold, keys)
        digest = barrier.header_digest(self.header)
        self.keyring = barrier.Keyring(os.urandom(32), os.urandom(32), os.urandom(32))
        self.store = {b"header": to_bytes(bodies.HEADER, self.header), b"header-digest": digest,
                      b"keyring": barrier.seal_keyring(root, digest, self.keyring), b"generation": to_bytes(U64, 1),
                      b"mark": to_bytes(bodies.MARK, {"epoch": 0, "index": 0, "lease": lease})}
        self.node = self.another_node(0)

    def another_node(self, number):
        return keystore.Keystore(self.store, number, self.seed, sign.public_of(self.authority))

    def say(self, sender, kind, exchange=None, node=None, **fields):
        """(refusal, frames) of a frame that travels as bytes; the step is committed."""
        node = node or self.node
        step = node.step(self.now, sender, decode(encode(frame(kind, exchange=exchange, **fields))))
        node.commit(step)
        for _, message in step.frames:
            assert decode(encode(message)) == message._replace(fields=decode(encode(message)).fields)
        return step.refusal, step.frames

    def share_frame(self, ceremony, index, shares=None):
        """What an honest custodian submits."""
        said = sign.read_body(bodies.CEREMONY, ceremony)
        value = (shares or self.shares)[index - 1]
        sealed = hpke.seal_for(said["recipient"], "hpke/share", (said["id"], index), value)
        body, signature = sign.sign(self.custodians[index - 1][0], "sign/share", bodies.SHARE, ceremony=said["id"],
                                    index=index, share_epoch=said["share_epoch"], header=said["header"], sealed=sealed)
        return {"share": body, "signature": signature}

    def ceremony(self, rekey=False, roster=None, node=None):
        refusal, frames = self.say("OP", "OpenCeremony", node=node, rekey=rekey, roster=roster)
        assert refusal is None, refusal
        return frames[0][1].fields["ceremony"]

    def unseal(self, node=None, shares=None, indices=(1, 2)):
        """A whole ceremony; gives the frames of the last share."""
        ceremony = self.ceremony(node=node)
        for index in indices:
            refusal, frames = self.say("CN", "SubmitShare", node=node, **self.share_frame(ceremony, index, shares))
            assert refusal is None, refusal
        return frames

    def catch_up(self, frames, entries=(), epoch=0, start=0, node=None, lease=None):
        """AU's answer to `Awake`."""
        awake = next(message for _, message in frames if message.kind == "Awake")
        return self.say("AU", "Publish", exchange=awake.exchange, node=node, entries=list(entries), epoch=epoch,
                        lease=lease, head=start + len(entries), **{"from": start})

    def open(self):
        self.catch_up(self.unseal())
        return self

    # -- enrolment ---------------------------------------------------------------------------------------------

    def whose(self):
        return {"tenant": TENANT, "user": USER}

    def admission(self, attempt, nonce, **changes):
        body, signature = sign.sign(self.authority, "sign/admission", bodies.ADMISSION,
                                    **{**self.whose(), "attempt": attempt, "nonce": nonce, **changes})
        return {"admission": body, "signature": signature}

    def escrow(self, attempt, key, **changes):
        value = seal.commitment(key, TENANT, USER)
        pair = barrier.intake_pair(self.keyring)
        sealed = hpke.seal_for(pair.public, "hpke/intake", (TENANT, USER, value), key)
        body = to_bytes(bodies.ESCROW, {"attempt": attempt, "commitment": value, "sealed": sealed, **changes})
        return {"escrow": body, "signature": sign.sign_bytes(self.device, LABELS["sign/escrow"], body)}

    def opened_attempt(self, attempt=b"\xaa" * 32):
        refusal, frames = self.say("AU", "OpenEnrolment", **self.whose(), attempt=attempt,
                                   device=sign.public_of(self.device))
        assert refusal is None, refusal
        return frames[0][1].fields["nonce"]

    def enrol(self, key, attempt=b"\xaa" * 32):
        nonce = self.opened_attempt(attempt)
        assert self.say("AU", "CreateAccount", **self.admission(attempt, nonce))[0] is None
        return self.say("AU", "Escrow", **self.whose(), device=sign.public_of(self.device),
                        **self.escrow(attempt, key))

    def grant(self, pair, ident=b"\xbb" * 32, **changes):
        body, signature = sign.sign(self.authority, "sign/grant", bodies.GRANT,
                                    **{"id": ident, **self.whose(), "recipient": pair.public, "epoch": 0,
                                       "expiry": self.now + 600, **changes})
        return {"grant": body, "signature": signature}

    def consumed(self, ident, challenge, epoch=0):
        _, signature = sign.sign(self.authority, "sign/consumed", bodies.CONSUMED, grant=ident, challenge=challenge,
                                 epoch=epoch)
        return {"grant": ident, "challenge": challenge, "epoch": epoch, "signature": signature}
