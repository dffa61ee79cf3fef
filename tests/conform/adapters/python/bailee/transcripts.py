"""Operations of the vectors that run the keystore role."""

from . import barrier, bodies, keystore, sign
from .forms import U64, to_bytes
from .frames import frame
from .names import Refused
from .primitives import OPERATIONS, Inputs, unhex


class Scripted(keystore.Keystore):
    """A keystore whose random bytes are given, then come from the generator."""

    def __init__(self, *arguments, drawn):
        super().__init__(*arguments)
        self.drawn = list(drawn)

    def random(self):
        return self.drawn.pop(0) if self.drawn else super().random()


def _store(given):
    header = sign.read_body(bodies.HEADER, given.header)
    store = {b"header": given.header, b"header-digest": barrier.header_digest(header), b"keyring": given.keyring,
             b"generation": to_bytes(U64, given.generation)}
    if given.staged is not None:
        staged = Inputs(given.staged)
        store[b"staged"] = to_bytes(bodies.STAGED, {"snapshot": staged.snapshot, "above": staged.above})
    return store


def submit_shares(given):
    """CER-5a, CER-6, CER-6a, DIS-3: the submissions in their order; the answer to the last one."""
    store = _store(given)
    node = Scripted(store, 0, bytes(32), bytes(32), drawn=[given.ceremony_id, given.ceremony_seed])
    node.commit(node.step(0, "OP", frame("OpenCeremony", rekey=False, roster=None)))
    for submission in given.submissions:
        step = node.step(0, "CN", frame("SubmitShare", share=unhex(submission["share"]),
                                        signature=unhex(submission["signature"])))
        node.commit(step)
    if step.refusal is not None:
        raise Refused(step.refusal)
    opened = node.memory["open"]
    if opened is None:
        return {"counted": step.frames[-1][1].fields["index"]}
    value = {"root": opened["root"], "intake": barrier.intake_pair(opened["keyring"]).public,
             "generation": node.generation(step)}
    if given.staged is not None:
        value["records"] = sorted(name for name in store if name[:2] == b"r/")
    return value


OPERATIONS["submit-shares"] = submit_shares
