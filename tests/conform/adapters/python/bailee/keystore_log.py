"""The decision log at the keystore: publications, and accounts that follow the log (REV-2, DEA-4, CER-6)."""

from . import bodies
from .bodies import ACTIVE, DEACTIVATED, DORMANT, LIVE, LOST, PURGED, SUSPENDED, TOMBSTONE
from .forms import U64
from .keystore_accounts import account_of, holds
from .names import refuse_if


class Log:
    """What a node does with `Publish`."""

    def ask(self, step):
        """`Awake`, in an exchange that the node draws for its question (CER-6, CER-6d)."""
        opened = step.memory["open"]
        if opened["question"] is None:
            opened["question"] = self.random()
        step.send("AU", "Awake", exchange=opened["question"], index=self.mark(step)["index"],
                  covers=self.read(step, b"covers", U64, 0))

    def on_publish(self, step, sender, given):
        """REV-2, REV-2a, REV-2d, REV-2h, CER-6b, CER-6d, PUB-3."""
        refuse_if(step.memory["open"] is None, "Sealed")
        opened, mark = step.memory["open"], self.mark(step)
        last = given["from"] + len(given["entries"])
        gap = given["from"] > mark["index"]
        if given["epoch"] < mark["epoch"] and last <= mark["index"]:
            step.send("AU", "Confirm", index=mark["index"], epoch=mark["epoch"])
            refuse_if(True, "Overtaken")
        step.memory["pending"] = {}
        if not gap:
            mark = self._follow(step, given, mark, last)
        answers = opened["question"] is not None and step.exchange == opened["question"]
        step.send("AU", "Confirm", index=mark["index"], epoch=mark["epoch"])
        if opened["ready"]:
            return
        if answers and not gap:
            opened["ready"] = mark["index"] >= given["head"]
            if opened["ready"]:
                opened["question"] = None
        else:
            self.ask(step)

    def _follow(self, step, given, mark, last):
        for number, entry in enumerate(given["entries"], given["from"] + 1):
            if number > mark["index"]:
                self._follow_entry(step, entry["tenant"], entry["user"], *entry["decision"])
        lease = given["lease"] if given["lease"] is not None and given["epoch"] >= mark["epoch"] else 0
        grown = {"index": max(mark["index"], last), "epoch": max(mark["epoch"], given["epoch"]),
                 "lease": max(mark["lease"], lease)}
        if grown != mark:
            self.write(step, b"mark", grown, bodies.MARK)
        return grown

    def _follow_entry(self, step, tenant, user, choice, decision):
        """One entry: a key, a standing, or a device that is deauthorized (REV-5, DEA-4, DEA-4a, DIS-3, DIS-4b)."""
        if choice == 2:
            return self.close_attempts(step, tenant, user, decision["revoked"])
        account = self.account(step, tenant, user)
        if choice == 0:
            return self._follow_key(step, tenant, user, account, decision["enrolled"])
        standing = decision["standing"]
        if standing in (DEACTIVATED, PURGED):
            self.close_attempts(step, tenant, user)
        if standing == PURGED:
            self.put(step, account_of(TOMBSTONE), "account", tenant, user)
        elif account is not None and standing == DEACTIVATED and account["state"] == LIVE:
            self.put(step, dict(account, state=DORMANT), "account", tenant, user)
        elif account is not None and standing in (ACTIVE, SUSPENDED) and account["state"] == DORMANT:
            self.put(step, dict(account, state=LIVE), "account", tenant, user)

    def _follow_key(self, step, tenant, user, account, commitment):
        if account is not None and account["state"] == TOMBSTONE:
            return
        if not holds(account, commitment):
            self.put(step, account_of(LOST), "account", tenant, user)
        elif not step.memory["open"]["ready"]:
            step.send("AU", "KeyReturned", tenant=tenant, user=user, commitment=commitment)
