"""Storage (ST): the archives of the users whom capabilities name (protocol.md 8.2, 8.3)."""

from . import bodies, cbor
from .forms import U64
from .names import FETCH_BLOCKS, refuse_if
from .points import Point
from .role import Role, reason

PURGE_STEP = 8


class Storage(Point, Role):
    """ST over its store; `authority` is AU's pinned public key."""

    takes = {"Append": {"DV"}, "Fetch": {"DV", "RS"}, "Publish": {"AU"}}

    def __init__(self, store, authority):
        self.authority = authority
        super().__init__(store)

    def blank(self):
        return {}

    def _length(self, step, letters, archive):
        return self.read(step, letters + b"/" + archive, U64, 0)

    def on_append(self, step, sender, given):
        """BAK-2, BAK-2a, BAK-2b, BAK-2c."""
        self.leased(step)
        said = self.admitted(step, sender, given, read=False)
        archive = cbor.encode([said["tenant"], said["user"]])
        number = self._length(step, b"length", archive)
        self.write(step, b"archive/" + archive + number.to_bytes(8, "big"), given["block"])
        self.write(step, b"length/" + archive, number + 1, U64)
        step.send(sender, "Appended", number=number)

    def on_fetch(self, step, sender, given):
        """BAK-3."""
        self.leased(step)
        said = self.admitted(step, sender, given, read=True)
        archive = cbor.encode([said["tenant"], said["user"]])
        first, end = self._length(step, b"first", archive), self._length(step, b"length", archive)
        refuse_if(first >= end, "NothingStored")
        start = max(first, given["from"])
        stop = min(end, start + FETCH_BLOCKS)
        blocks = [self.read(step, b"archive/" + archive + number.to_bytes(8, "big")) for number in range(start, stop)]
        step.send(sender, "Blocks", blocks=blocks, next=stop if stop < end else None)

    def follow(self, step, entry):
        """The archive of a purged user is gone at once; its blocks are removed a few at a time (REV-2, DEA-3)."""
        if entry["decision"][0] == 1 and entry["decision"][1]["standing"] == bodies.PURGED:
            archive = cbor.encode([entry["tenant"], entry["user"]])
            self.write(step, b"first/" + archive, self._length(step, b"length", archive), U64)
            self.write(step, b"purged/" + archive, archive)
            step.timers.append((step.now, ("purge",)))

    def on_timer(self, step, timer):
        """Removes a few blocks of a purged archive."""
        purged = [name for name in self.store if name.startswith(b"purged/")][:1]
        for name in purged:
            start = b"archive/" + name[len(b"purged/") :]
            first = self._length(step, b"first", name[len(b"purged/") :])
            left = [each for each in self.store if each.startswith(start) and len(each) == len(start) + 8
                    and int.from_bytes(each[-8:], "big") < first]
            for each in left[:PURGE_STEP]:
                self.write(step, each, None)
            if len(left) <= PURGE_STEP:
                self.write(step, name, None)
            step.timers.append((step.now, ("purge",)))

    def tell_refusal(self, step, sender=None, message=None):
        if message is not None and message.kind != "Publish":
            step.send(sender, "Refusal", reason=reason(step.refusal))
