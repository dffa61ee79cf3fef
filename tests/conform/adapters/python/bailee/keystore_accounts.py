"""Enrolment, replacement and keys that come back, at the keystore (protocol.md 6, 7 and 14.4)."""

from . import barrier, bodies, hpke, sign
from .bodies import DORMANT, EMPTY, LIVE, LOST, TOMBSTONE
from .names import (MARGIN_SECONDS, OPEN_ATTEMPTS_PER_USER, PENDING_RELEASES, REFUSAL_NUMBER, VALIDITY_SECONDS,
                    Refused, refuse_if)
from .forms import U64, to_bytes
from .primitives import check_escrow
from .seal import NotOpened

HELD = (LIVE, LOST, DORMANT)


class Accounts:
    """The flows of frames from AU about one user."""

    # -- accounts and attempts ---------------------------------------------------------------------------------

    def account(self, step, tenant, user):
        """The account's record, None if there is none."""
        return self.record(step, "account", tenant, user)

    def is_open(self, step, attempt):
        """Open: its flag, its time by KS's clock, and the generation in which it was opened (ENR-5a)."""
        return (attempt is not None and attempt["open"] and step.now <= attempt["expiry"]
                and attempt["generation"] == self.generation(step))

    def attempts(self, step, tenant, user):
        """(id, record) of the attempts that the user's list names."""
        listed = self.record(step, "attempts", tenant, user) or []
        return [(each, self.record(step, "attempt", each)) for each in listed]

    def close_attempts(self, step, tenant, user, device=None):
        """Closes the user's open attempts, or those of one device (ENR-13, REV-2h)."""
        for each, attempt in self.attempts(step, tenant, user):
            if attempt and attempt["open"] and device in (None, attempt["device"]):
                self.put(step, dict(attempt, open=False), "attempt", each)

    def _escrowed(self, step, account, tenant, user, attempt):
        """Answers `AlreadyEscrowed` for an account that holds a key, and says whether it did (6.15)."""
        if account is None or account["state"] not in HELD:
            refuse_if(account is not None and account["state"] == TOMBSTONE, "AccountPurged")
            return
        receipt, signature = self.receipt(step, tenant, user, account["commitment"] or bytes(32))
        step.send("AU", "AlreadyEscrowed", receipt=receipt, signature=signature, escrow=account["escrow"],
                  attempt=attempt)
        raise Refused("AlreadyEscrowed")

    def receipt(self, step, tenant, user, commitment):
        """(receipt, signature) with the present generation (6.13)."""
        return self.signed("sign/receipt", bodies.RECEIPT, tenant=tenant, user=user, commitment=commitment,
                           generation=self.generation(step))

    # -- enrolment ---------------------------------------------------------------------------------------------

    def on_open_enrolment(self, step, sender, given):
        """ENR-5, ENR-5a, ENR-5b, ENR-5c."""
        opened = self.admitting(step)
        tenant, user, ident = given["tenant"], given["user"], given["attempt"]
        self._escrowed(step, self.account(step, tenant, user), tenant, user, ident)
        attempt = self.record(step, "attempt", ident)
        whose = (tenant, user, given["device"])
        refuse_if(attempt and (attempt["tenant"], attempt["user"], attempt["device"]) != whose, "NotYourAttempt")
        if not self.is_open(step, attempt):
            listed = self.attempts(step, tenant, user)
            live = [each for each, other in listed if self.is_open(step, other)]
            refuse_if(len(live) >= OPEN_ATTEMPTS_PER_USER, "Busy")
            for each, _ in listed:
                if each not in live:
                    self.put(step, None, "attempt", each)
            attempt = {"tenant": tenant, "user": user, "device": given["device"], "nonce": self.random(),
                       "expiry": step.now + VALIDITY_SECONDS, "generation": self.generation(step), "open": True,
                       "admitted": False}
            self.put(step, attempt, "attempt", ident)
            self.put(step, live + [ident], "attempts", tenant, user)
        intake, signature = self._intake(opened, attempt["nonce"])
        step.send("AU", "EnrolmentOpened", attempt=ident, nonce=attempt["nonce"], intake=intake, signature=signature)

    def _intake(self, opened, nonce):
        intake = barrier.intake_pair(opened["keyring"]).public
        return intake, self.signed("sign/intake", bodies.INTAKE, nonce=nonce, intake=intake)[1]

    def on_create_account(self, step, sender, given):
        """ENR-9, ENR-9a, ENR-9b."""
        self.admitting(step)
        admission = sign.read_signed("ENR-9a", self.authority, given["admission"], given["signature"])
        tenant, user, ident = admission["tenant"], admission["user"], admission["attempt"]
        account = self.account(step, tenant, user)
        self._escrowed(step, account, tenant, user, ident)
        attempt = self.record(step, "attempt", ident)
        good = self.is_open(step, attempt) and (attempt["nonce"], attempt["tenant"], attempt["user"]) == (
            admission["nonce"], tenant, user)
        refuse_if(not good, "AdmissionInvalid")
        if not attempt["admitted"]:
            self.put(step, dict(attempt, admitted=True), "attempt", ident)
        if account is None:
            self.put(step, account_of(EMPTY), "account", tenant, user)
        step.send("AU", "AccountCreated", attempt=ident)

    def on_escrow(self, step, sender, given):
        """ENR-13, ENR-13a, ENR-13b, ENR-13c: a compare-and-set from `Empty` to `Active`."""
        opened = self.admitting(step)
        escrow = sign.read_body(bodies.ESCROW, given["escrow"])
        tenant, user = given["tenant"], given["user"]
        account = self.account(step, tenant, user)
        self._escrowed(step, account, tenant, user, escrow["attempt"])
        attempt = self.record(step, "attempt", escrow["attempt"])
        whose = (tenant, user, given["device"])
        admitted = (self.is_open(step, attempt) and attempt["admitted"] and account is not None
                    and (attempt["tenant"], attempt["user"], attempt["device"]) == whose)
        refuse_if(not admitted, "NotAdmitted")
        sign.check(given["device"], "sign/escrow", given["escrow"], given["signature"], "Unauthenticated")
        key = check_escrow(barrier.intake_pair(opened["keyring"]), tenant, user, escrow)
        self.put(step, account_of(LIVE, escrow["commitment"], key, given["escrow"]), "account", tenant, user)
        self.close_attempts(step, tenant, user)
        receipt, signature = self.receipt(step, tenant, user, escrow["commitment"])
        step.send("AU", "Receipt", receipt=receipt, signature=signature, escrow=given["escrow"],
                  attempt=escrow["attempt"])

    # -- release -----------------------------------------------------------------------------------------------

    def _releasable(self, step, grant):
        account = self.account(step, grant["tenant"], grant["user"])
        refuse_if(account is None or account["state"] == EMPTY, "NoAccount")
        refuse_if(account["state"] == LOST, "AccountLost")
        refuse_if(account["state"] == DORMANT, "AccountDormant")
        refuse_if(account["state"] == TOMBSTONE, "AccountPurged")
        return account

    def on_release_key(self, step, sender, given):
        """REP-2, REP-2a, REP-2b."""
        self.admitting(step)
        grant = sign.read_signed("REP-2a", self.authority, given["grant"], given["signature"])
        refuse_if(step.now + MARGIN_SECONDS > grant["expiry"], "GrantInvalid")
        self._releasable(step, grant)
        pending = {each: wait for each, wait in step.memory["pending"].items()
                   if step.now <= wait["until"] and step.now + MARGIN_SECONDS <= wait["grant"]["expiry"]}
        pending.pop(grant["id"], None)
        refuse_if(len(pending) >= PENDING_RELEASES, "Busy")
        challenge = self.random()
        pending[grant["id"]] = {"grant": grant, "challenge": challenge, "until": step.now + VALIDITY_SECONDS}
        step.memory["pending"] = pending
        step.send("AU", "ConsumeGrant", grant=grant["id"], challenge=challenge)

    def on_grant_consumed(self, step, sender, given):
        """REP-4, REP-4a, REP-4b, REP-4c: everything is asked again at the moment at which the key leaves."""
        self.ready(step)
        wait = step.memory["pending"].get(given["grant"])
        void = wait is None or wait["challenge"] != given["challenge"] or step.now > wait["until"]
        refuse_if(void, "GrantVoid")
        del step.memory["pending"][given["grant"]]
        grant = wait["grant"]
        body = to_bytes(bodies.CONSUMED, given)
        sign.check(self.authority, "sign/consumed", body, given["signature"], "GrantInvalid")
        self.admitting(step)
        refuse_if(given["epoch"] < self.mark(step)["epoch"], "GrantVoid")
        refuse_if(step.now + MARGIN_SECONDS > grant["expiry"], "GrantInvalid")
        account = self._releasable(step, grant)
        try:
            sealed = hpke.seal_for(grant["recipient"], "hpke/release", (grant["id"], account["commitment"]),
                                   account["key"])
        except NotOpened:
            raise Refused("GrantInvalid") from None
        self.write(step, b"released", self.read(step, b"released", U64, 0) + 1, U64)
        receipt, signature = self.receipt(step, grant["tenant"], grant["user"], account["commitment"])
        step.send("AU", "SealedKey", grant=grant["id"], sealed=sealed, receipt=receipt, signature=signature)

    def on_grant_refused(self, step, sender, given):
        """REP-5: accepted, by a sealed node too; AU is told `GrantVoid`."""
        step.memory["pending"].pop(given["grant"], None)
        step.send("AU", "KeystoreRefusal", reason=REFUSAL_NUMBER["GrantVoid"])

    # -- keys that come back -----------------------------------------------------------------------------------

    def on_offer_intake(self, step, sender, given):
        """DIS-6."""
        intake, signature = self._intake(self.ready(step), given["nonce"])
        step.send("AU", "Intake", nonce=given["nonce"], intake=intake, signature=signature)

    def on_return_key(self, step, sender, given):
        """DIS-5, DIS-6, DIS-6c, DIS-5c."""
        opened = self.ready(step)
        refuse_if(given["epoch"] < self.mark(step)["epoch"], "Overtaken")
        tenant, user, logged = given["tenant"], given["user"], given["logged"]
        account = self.account(step, tenant, user)
        if not holds(account, logged):
            refuse_if(account is None or account["state"] != LOST, "NotLost")
            escrow = sign.read_body(bodies.ESCROW, given["escrow"])
            refuse_if(escrow["commitment"] != logged, "CommitmentMismatch")
            key = check_escrow(barrier.intake_pair(opened["keyring"]), tenant, user, escrow)
            state = DORMANT if given["dormant"] else LIVE
            self.put(step, account_of(state, logged, key, given["escrow"]), "account", tenant, user)
        step.send("AU", "KeyReturned", tenant=tenant, user=user, commitment=logged)


def account_of(state, commitment=None, key=b"", escrow=b""):
    """An account record (formats.cddl)."""
    return {"state": state, "commitment": commitment, "key": key, "escrow": escrow}


def holds(account, commitment):
    """Whether the account holds the key with this commitment."""
    return (account is not None and account["state"] in (LIVE, DORMANT) and account["commitment"] == commitment)
