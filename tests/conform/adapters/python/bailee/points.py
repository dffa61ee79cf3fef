"""What storage and restorer share as admission points: mark, publications, capabilities (REV-2, BAK-2a)."""

from . import bodies, sign
from .names import MARGIN_SECONDS, refuse_if

BLANK = {"epoch": 0, "index": 0, "lease": 0}


class Point:
    """An admission point that follows the log; `authority` is AU's pinned key where it needs one."""

    def mark(self, step):
        return self.read(step, b"mark", bodies.MARK, BLANK)

    def leased(self, step):
        """`LeaseExpired` once its own lease is over by its own clock (GEN-13)."""
        refuse_if(step.now + MARGIN_SECONDS > self.mark(step)["lease"], "LeaseExpired")

    def on_publish(self, step, sender, given):
        """REV-2, REV-2d, PUB-3."""
        mark = self.mark(step)
        last = given["from"] + len(given["entries"])
        overtaken = given["epoch"] < mark["epoch"] and last <= mark["index"]
        if not overtaken and given["from"] <= mark["index"]:
            for entry in given["entries"][mark["index"] - given["from"] :]:
                self.follow(step, entry)
            lease = given["lease"] if given["lease"] is not None and given["epoch"] >= mark["epoch"] else 0
            grown = {"index": max(mark["index"], last), "epoch": max(mark["epoch"], given["epoch"]),
                     "lease": max(mark["lease"], lease)}
            if grown != mark:
                self.write(step, b"mark", grown, bodies.MARK)
            mark = grown
        step.send("AU", "Confirm", index=mark["index"], epoch=mark["epoch"])
        refuse_if(overtaken, "Overtaken")

    def follow(self, step, entry):
        """One entry that is new."""

    def admitted(self, step, sender, given, read):
        """The capability if it is good here and now, and the caller's own (BAK-2a, BAK-2b, BAK-3)."""
        said = sign.read_signed("BAK-2a", self.authority, given["capability"], given["signature"])
        restorer = said["device"] == bytes(32)
        refuse_if(not restorer and said["epoch"] < self.mark(step)["epoch"], "CapabilityInvalid")
        refuse_if(step.now + MARGIN_SECONDS > said["expiry"] or said["read"] != read, "CapabilityInvalid")
        caller = sender == "RS" if restorer else sender == ("DV", said["device"])
        refuse_if(not caller, "CapabilityInvalid")
        return said
