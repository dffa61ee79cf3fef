"""Custody (CU): logins, windows, wrapped shares and alerts (protocol.md 12.2, 12.3, 13.2, 13.5)."""

from . import barrier, bodies, sign
from .forms import U64, to_bytes
from .names import ALERT_SECONDS, CUSTODIANS, VALIDITY_SECONDS, refuse_if
from .role import Role, reason


def share_name(share_epoch, index):
    """The name of a wrapped share (formats.cddl)."""
    return b"s/" + share_epoch.to_bytes(8, "big") + bytes([index])


class Custody(Role):
    """CU over its store; `keystore` is the pinned public key of KS. A custodian's client is `("CN", index)`."""

    takes = {"SetLogin": {"OP"}, "Announce": {"OP"}, "CloseWindow": {"OP"}, "GetWindow": {"CN"},
             "RequestShare": {"CN"}, "StoreShare": {"CN"}, "AlertRecorded": {"AL"}, "AlertFailed": {"AL"}}

    def __init__(self, store, keystore):
        self.keystore = keystore
        super().__init__(store)

    def blank(self):
        """`waiting`: by login, the request that waits for its alert."""
        return {"waiting": {}}

    def _login(self, step, index):
        return self.read(step, b"l/" + bytes([index]), bodies.LOGIN)

    def _window(self, step, node):
        """The node's window, in its time and not closed."""
        found = self.read(step, b"w/" + bytes([node]), bodies.WINDOW)
        return found if found and step.now <= found["expiry"] and not found["closed"] else None

    def on_set_login(self, step, sender, given):
        """KEY-5."""
        refuse_if(not 1 <= given["index"] <= CUSTODIANS, "Malformed")
        self.write(step, b"l/" + bytes([given["index"]]), {"authenticator": given["authenticator"], "last_code": 0},
                   bodies.LOGIN)
        step.send(sender, "Done")

    def on_announce(self, step, sender, given):
        """CER-3, CER-3a, CER-3b."""
        said = sign.read_signed("CER-3a", self.keystore, given["ceremony"], given["signature"])
        refuse_if(step.now > said["expiry"], "CeremonyExpired")
        name = b"w/" + bytes([said["node"]])
        known = self.read(step, name, bodies.WINDOW)
        if known and step.now <= known["expiry"] and known["number"] >= said["number"]:
            refuse_if(known["ceremony"] != given["ceremony"] or known["closed"], "CeremonyExpired")
        else:
            expiry = min(said["expiry"], step.now + VALIDITY_SECONDS)
            self.write(step, name, {"ceremony": given["ceremony"], "signature": given["signature"], "id": said["id"],
                                    "number": said["number"], "expiry": expiry, "closed": False}, bodies.WINDOW)
        step.send(sender, "Done")

    def on_close_window(self, step, sender, given):
        """CER-3c."""
        name = b"w/" + bytes([given["node"]])
        known = self.read(step, name, bodies.WINDOW)
        if known is not None:
            self.write(step, name, dict(known, closed=True), bodies.WINDOW)
        step.send(sender, "Done")

    def on_get_window(self, step, sender, given):
        """CER-3c."""
        window = self._window(step, given["node"])
        refuse_if(window is None, "NoRestartPending")
        step.send(sender, "Window", ceremony=window["ceremony"], signature=window["signature"])

    def on_request_share(self, step, sender, given):
        """CER-4, CER-4a, CER-4e: a code is spent as soon as its factor has verified."""
        index, factor = sender[1], given["factor"]
        refuse_if(given["index"] != index, "NotYourShare")
        login = self._login(step, index)
        refuse_if(login is None, "NotYourShare")
        refuse_if(factor is None, "MfaRequired")
        window = self._window(step, given["node"])
        ceremony = window["id"] if window else bytes(32)
        body = to_bytes(bodies.FACTOR_BODY, {"ceremony": ceremony, "index": index, "code": factor["code"]})
        sign.check(login["authenticator"], "sign/mfa", body, factor["signature"], "MfaRequired")
        refuse_if(factor["code"] <= login["last_code"], "CodeReplayed")
        self.write(step, b"l/" + bytes([index]), dict(login, last_code=factor["code"]), bodies.LOGIN)
        refuse_if(window is None, "NoRestartPending")
        ident = self.random()
        step.memory["waiting"][index] = {"id": ident, "node": given["node"], "ceremony": ceremony,
                                         "exchange": step.exchange}
        step.timers.append((step.now + ALERT_SECONDS, ("alert", ident)))
        step.send("AL", "Alert", id=ident, login=index, node=given["node"], ceremony=ceremony)

    def _take(self, step, ident):
        for index, waits in step.memory["waiting"].items():
            if waits["id"] == ident:
                del step.memory["waiting"][index]
                step.exchange = waits["exchange"]
                return index, waits
        return None, None

    def on_alert_recorded(self, step, sender, given):
        """CER-4b, CER-4f: read and alert are counted, then the share leaves."""
        index, waits = self._take(step, given["id"])
        refuse_if(waits is None, "OutOfTurn")
        step.asker = ("CN", index)
        window = self._window(step, waits["node"])
        refuse_if(window is None or window["id"] != waits["ceremony"], "NoRestartPending")
        said = sign.read_body(bodies.CEREMONY, window["ceremony"])
        wrapped = self.read(step, share_name(said["share_epoch"], index))
        refuse_if(wrapped is None, "NotYourShare")
        for name in (b"reads", b"alerts"):
            self.write(step, name, self.read(step, name, U64, 0) + 1, U64)
        step.send(step.asker, "ReleasedShare", wrapped=wrapped, ceremony=window["ceremony"],
                  signature=window["signature"])

    def on_alert_failed(self, step, sender, given):
        """CER-4: no alert, no share."""
        index, waits = self._take(step, given["id"])
        refuse_if(waits is None, "OutOfTurn")
        step.asker = ("CN", index)
        refuse_if(True, "AlertUnavailable")

    def on_timer(self, step, timer):
        """A sink that does not answer is one that failed."""
        index, waits = self._take(step, timer[1])
        if waits is not None:
            step.send(("CN", index), "Refusal", reason=reason("AlertUnavailable"))

    def on_store_share(self, step, sender, given):
        """KEY-2, KEY-2d: under the candidate's header and the index of the sender."""
        index = sender[1]
        refuse_if(self._login(step, index) is None, "NotYourShare")
        digest = barrier.header_digest(given["header"])
        name = share_name(given["header"]["share_epoch"], index)
        under = self.read(step, b"h/" + name)
        known = self.read(step, name)
        refuse_if(known is not None and under == digest and known != given["wrapped"], "DuplicateShare")
        self.write(step, name, given["wrapped"])
        self.write(step, b"h/" + name, digest)
        step.send(sender, "ShareStored", header=digest)

    def tell_refusal(self, step, sender=None, message=None):
        """Each goes to the custodian, or to the one who asked (NET-15)."""
        if message is not None:
            asker = getattr(step, "asker", sender)
            if asker != "AL":  # the sink is told nothing
                step.send(asker, "Refusal", reason=reason(step.refusal))
