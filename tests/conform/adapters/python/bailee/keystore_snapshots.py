"""Snapshots and restores at a node (protocol.md 14.1 to 14.3)."""

from . import barrier, bodies
from .forms import U64, to_bytes
from .names import SNAPSHOT_BYTES, Refused, refuse_if
from .seal import sha256


class Snapshots:
    """Taking a snapshot, staging one, and finishing a restore. `going` is one on its way out, `coming` one on its way in."""

    def on_take_snapshot(self, step, sender, given):
        """DIS-1: AU is asked first how long its log is."""
        self.ready(step)
        step.memory["going"] = {"asker": sender, "exchange": step.exchange, "digest": None}
        step.send("AU", "GetWitness")

    def on_stage(self, step, sender, given):
        """DIS-2: AU is asked which snapshots are witnessed."""
        refuse_if(step.memory["open"] is not None, "NotSealed")
        step.memory["coming"] = {"asker": sender, "exchange": step.exchange, "snapshot": given["snapshot"]}
        step.send("AU", "GetWitness")

    def on_witness(self, step, sender, given):
        """DIS-1 for a snapshot on its way out, DIS-2 and DIS-2c for one on its way in."""
        going, coming = step.memory["going"], step.memory["coming"]
        if going is not None and going["digest"] is None:
            return self._make(step, going, given["index"])
        refuse_if(coming is None, "OutOfTurn")
        step.memory["coming"] = None
        refuse_if(step.memory["open"] is not None, "NotSealed")
        self._stage(step, coming, given)

    def _make(self, step, going, covers):
        opened = self.ready(step)
        records = [{"name": name, "record": self.store[name]} for name in sorted(self.store) if name[:2] == b"r/"]
        snapshot = {"header": self.header(step), "keyring": self.read(step, b"keyring"), "records": records,
                    "generation": self.generation(step), "index": self.mark(step)["index"], "covers": covers,
                    "mac": bytes(32)}
        snapshot["mac"] = barrier.snapshot_code(opened["root"], snapshot)
        data = to_bytes(bodies.SNAPSHOT, snapshot)
        if len(to_bytes(bodies.STAGED, {"snapshot": data, "above": (1 << 64) - 1})) > SNAPSHOT_BYTES:
            step.memory["going"] = None
            raise Refused("TooLarge")
        going.update(digest=sha256(data), share_epoch=snapshot["header"]["share_epoch"], covers=covers)
        step.send(going["asker"], "Snapshot", exchange=going["exchange"], snapshot=data)

    def on_snapshot_kept(self, step, sender, given):
        """DIS-1a, DIS-1b: only now AU hears of the snapshot."""
        going = step.memory["going"]
        refuse_if(going is None or going["digest"] is None, "OutOfTurn")
        refuse_if(given["digest"] != going["digest"], "SnapshotUnknown")
        step.memory["going"] = None
        step.send("AU", "SnapshotTaken", digest=going["digest"], share_epoch=going["share_epoch"],
                  covers=going["covers"])

    def on_witnessed(self, step, sender, given):
        """14.1: AU has written the digest; nothing is left to do."""

    def _stage(self, step, coming, given):
        """DIS-2, DIS-2a, DIS-2b."""
        data = coming["snapshot"]
        refuse_if(not data or not given["digests"], "SnapshotUnknown")
        refuse_if(sha256(data) not in given["digests"], "SnapshotDamaged")
        snapshot = barrier.read_snapshot(data)
        header = self.header(step)
        if header is None:
            self.write(step, b"header", snapshot["header"], bodies.HEADER)
            self.write(step, b"header-digest", barrier.header_digest(snapshot["header"]))
            self.write(step, b"keyring", snapshot["keyring"])
        else:
            refuse_if(snapshot["header"]["share_epoch"] != header["share_epoch"], "EpochRetired")
        self.write(step, b"staged", {"snapshot": data, "above": given["generation"]}, bodies.STAGED)
        step.send(coming["asker"], "Done", exchange=coming["exchange"])

    def finish_restore(self, step, root):
        """DIS-3, DIS-3a, DIS-3b, DIS-3e: in the write of the unsealing."""
        staged = self.read(step, b"staged", bodies.STAGED)
        if staged is None:
            return
        self.write(step, b"staged", None)
        snapshot = barrier.read_snapshot(staged["snapshot"])
        barrier.check_snapshot(root, snapshot)
        for name in [name for name in self.store if name[:2] == b"r/"]:
            self.write(step, name, None)
        for record in snapshot["records"]:
            self.write(step, record["name"], record["record"])
        newest = max(self.generation(step), snapshot["generation"], staged["above"])
        self.write(step, b"generation", newest + 1, U64)
        self.write(step, b"mark", dict(self.mark(step), index=snapshot["index"]), bodies.MARK)
        self.write(step, b"covers", snapshot["covers"], U64)
