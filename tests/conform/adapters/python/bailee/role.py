"""What every role shares: one input, one batch of writes with its frames and timers (GEN-3, GEN-8).

A role computes a `Step` on a copy of its memory. `commit` makes the step durable and visible: first the writes, then the
memory, and only then may its frames leave. A step whose write fails is dropped whole, and the refusal is
`StoreUnavailable` (GEN-14).
"""

import copy
import os

from .forms import from_bytes, to_bytes
from .frames import frame
from .names import REFUSAL_NUMBER, Refused
from .cbor import NotCanonical


class Step:
    """The outcome of one input: `refusal` (None: accepted), `writes`, `frames` and `timers`; `work` is what the one who
    runs the role does outside of the step."""

    def __init__(self, now, exchange=None):
        self.now = now
        self.exchange = exchange
        self.generation = None
        self.work = None
        self.refusal = None
        self.writes = {}
        self.frames = []
        self.timers = []
        self.memory = None

    def send(self, to, kind, exchange=..., **fields):
        """Queues a frame to the peer `to`; a reply carries the exchange of what it answers (NET-7)."""
        self.frames.append((to, frame(kind, self.exchange if exchange is ... else exchange, **fields)))


class Role:
    """A role over a store (a mapping from names to bytes); `takes` says from whom it takes which kind (GEN-6)."""

    takes = {}

    def __init__(self, store):
        self.store = store
        self.memory = self.blank()

    def blank(self):
        """The memory of a program that has just started."""
        raise NotImplementedError

    def random(self):
        """32 fresh random bytes (GEN-11)."""
        return os.urandom(32)

    # -- the store as this step sees it ------------------------------------------------------------------------

    def read(self, step, name, form=None, default=None):
        """The record under `name`; one that does not decode is `StoreDamaged` (GEN-27a)."""
        raw = step.writes[name] if name in step.writes else self.store.get(name)
        if raw is None:
            return default
        if form is None:
            return raw
        try:
            return from_bytes(form, raw)
        except NotCanonical:
            raise Refused("StoreDamaged") from None

    def write(self, step, name, value, form=None):
        """Puts a record into the step's one batch; None removes it."""
        step.writes[name] = value if form is None or value is None else to_bytes(form, value)

    # -- inputs ------------------------------------------------------------------------------------------------

    def step(self, now, sender, message):
        """A frame from the peer that the carrier names: checks the sender, then runs the kind's flow."""
        step = Step(now, message.exchange)
        step.generation = message.generation
        return self._run(step, self._arrive, sender, message)

    def fire(self, now, timer):
        """A timer that an earlier step set."""
        return self._run(Step(now), self.on_timer, timer)

    def _run(self, step, call, *arguments):
        step.memory = copy.deepcopy(self.memory)
        try:
            call(step, *arguments)
        except Refused as refused:
            step.refusal = refused.name
            if refused.name == "StoreDamaged":  # refused whole, whatever it read the record for (GEN-27a)
                step.writes, step.frames, step.memory = {}, [], copy.deepcopy(self.memory)
            self.tell_refusal(step, *arguments)
        return step

    def _arrive(self, step, sender, message):
        self.before(step, message)
        if message.kind not in self.takes:
            raise Refused("Malformed")  # NET-9
        if peer_of(sender) not in self.takes[message.kind]:
            raise Refused("Unauthenticated")  # GEN-6
        getattr(self, "on_" + snake(message.kind))(step, sender, message.fields)

    def before(self, step, message):
        """What a role looks at before any frame."""

    def on_timer(self, step, timer):
        """Runs a timer."""

    def tell_refusal(self, step, *arguments):
        """Tells the one who asked (NET-15)."""

    def commit(self, step):
        """Makes the step durable, then visible (GEN-8); gives its frames."""
        for name, raw in step.writes.items():
            if raw is None:
                self.store.pop(name, None)
            else:
                self.store[name] = raw
        self.memory = step.memory
        return step.frames

    def restart(self):
        """The program stops and starts: its memory is gone, its store stays."""
        self.memory = self.blank()


def peer_of(sender):
    """The kind of peer: a sender is its name, or a tuple that begins with it and says who it is (GEN-6)."""
    return sender if isinstance(sender, str) else sender[0]


def reason(name):
    """The number of a refusal on the wire (GEN-10)."""
    return REFUSAL_NUMBER[name]


def snake(kind):
    """`OpenCeremony` as `open_ceremony`."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in kind).lstrip("_")
