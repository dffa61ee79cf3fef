"""Publications, confirmations, awakenings and snapshots at the authority (protocol.md 11.2, 12.6, 14)."""

from . import authority_records as rec
from . import bodies
from .authority_records import NO_POINT, POINTS, numbered
from .forms import U64
from .names import PUBLISH_ENTRIES, PUBLISH_SECONDS, VALIDITY_SECONDS, refuse_if


def point_name(point):
    """The name of an admission point's record (GEN-17)."""
    return b"p/" + bytes([POINTS[point]])


class PointsAndLog:
    """What AU says to the admission points and hears from them."""

    def point(self, step, point):
        return self.read(step, point_name(point), rec.POINT, NO_POINT)

    def publish(self, step, point, exchange=None, start=None):
        """REV-2e: a lease is written before the publication that names it leaves."""
        known, head, epochs = self.point(step, point), self.head(step), self.epochs(step)
        start = known["index"] if start is None else start
        last = min(head, start + PUBLISH_ENTRIES)
        entries = [self.read(step, numbered(b"l", number), bodies.LOG_ENTRY) for number in range(start + 1, last + 1)]
        lease = None
        if last == head and known["epoch"] == epochs["newest"] and self.confirmed(point):
            lease = max(known["lease"], step.now + VALIDITY_SECONDS)
            self.write(step, point_name(point), dict(known, lease=lease), rec.POINT)
        step.send(point, "Publish", exchange=exchange, entries=entries, head=head, lease=lease,
                  epoch=epochs["newest"] if last == head else 0, **{"from": start})

    def confirmed(self, point):
        """Whether the point has a record, so that something was confirmed or set up (GEN-19a)."""
        return self.store.get(point_name(point)) is not None

    def acknowledge(self, step):
        """REV-3: the newest epoch, when each point has confirmed it or its last lease is over."""
        epochs = self.epochs(step)
        points = [self.point(step, point) for point in POINTS]
        if all(each["epoch"] == epochs["newest"] or step.now > each["lease"] for each in points):
            if epochs["acknowledged"] != epochs["newest"]:
                self.write(step, b"epochs", dict(epochs, acknowledged=epochs["newest"]), rec.EPOCHS)

    def on_timer(self, step, timer):
        """Every `PUBLISH_SECONDS` to each point; REV-3 when a lease ends; `EndJob` again (JOB-7a)."""
        if timer == ("publish",):
            for point in POINTS:
                self.publish(step, point)
            step.timers.append((step.now + PUBLISH_SECONDS, ("publish",)))
        self.acknowledge(step)
        self.say_ends_again(step)

    def on_confirm(self, step, sender, given):
        """REV-2i, REV-2f, PUB-4."""
        point = sender if isinstance(sender, str) else sender[0]
        if point == "KS":
            self.current(step)
        epochs, head, known = self.epochs(step), self.head(step), self.point(step, point)
        refuse_if(given["epoch"] > epochs["newest"] or given["index"] > head, "StoreRolledBack")
        grown = dict(known, epoch=max(known["epoch"], given["epoch"]), index=max(known["index"], given["index"]))
        if grown != known:
            self.write(step, point_name(point), grown, rec.POINT)
        self.acknowledge(step)
        if grown != known or given["index"] < head or given["epoch"] < epochs["newest"]:
            self.publish(step, point, exchange=step.exchange, start=given["index"])

    def on_awake(self, step, sender, given):
        """CER-6, CER-6c, DIS-4a."""
        store, head, known = self.store_of_keystore(step), self.head(step), self.point(step, "KS")
        generation, index = step.generation or 0, given["index"]
        back = (index > head or generation < store["generation"]
                or (generation == store["generation"] and index < known["index"]))
        refuse_if(back, "StoreRolledBack")
        if generation > store["generation"]:
            behind = max(index, given["covers"])
            lost = store["lost"] + ([{"first": behind + 1, "last": head}] if behind < head else [])
            self.write(step, b"store", dict(store, generation=generation, lost=lost), rec.STORE)
            self.write(step, point_name("KS"), dict(known, index=index), rec.POINT)
        self.publish(step, "KS", exchange=step.exchange, start=index)

    # -- snapshots ---------------------------------------------------------------------------------------------

    def on_get_witness(self, step, sender, given):
        """14.2: which snapshots are witnessed, the newest generation, and how long the log is."""
        store = self.store_of_keystore(step)
        digests = [store["snapshot"]["digest"]] if store["snapshot"] else []
        step.send("KS", "Witness", digests=digests, generation=store["generation"], index=self.head(step))

    def on_snapshot_taken(self, step, sender, given):
        """DIS-1, DIS-1c: this snapshot is the witnessed one."""
        store = self.store_of_keystore(step)
        known = store["snapshot"]
        refuse_if(given["covers"] > self.head(step), "StoreRolledBack")
        refuse_if(known is not None and given["share_epoch"] < known["share_epoch"], "EpochRetired")
        late = known is not None and given["share_epoch"] == known["share_epoch"] and given["covers"] < known["covers"]
        refuse_if(late, "SnapshotUnknown")
        self.write(step, b"store", dict(store, snapshot=dict(given)), rec.STORE)
        self._forget_covered(step)
        step.send("KS", "Witnessed", digest=given["digest"])

    def _forget_covered(self, step):
        first = self.read(step, b"kept-next", U64, 1)
        for number in range(first, self.head(step) + 1):
            kept = self.read(step, numbered(b"k", number), bodies.USER)
            if kept is None or not self.covered(step, number):
                continue
            found = self.user(step, kept["tenant"], kept["user"])
            if found and found["kept"] and found["kept"]["index"] == number:
                self.put_user(step, dict(found, kept=None))
            self.write(step, numbered(b"k", number), None)
