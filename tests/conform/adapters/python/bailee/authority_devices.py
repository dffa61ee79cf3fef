"""The authority's device lane: sign-in, enrolment, replacement, capabilities (protocol.md 6, 7, 8.1, 11.3, 14.4)."""

from . import authority_records as rec
from . import barrier, bodies, password, sign
from .authority_records import ACTIVE_DEVICE, ADMITTED, CLOSED, OPENED, PENDING, REVOKED, two
from .forms import B32, to_bytes
from .names import GUESSES, VALIDITY_SECONDS, Refused, refuse_if

# A record that nothing matches, for users who do not exist, at the cost of the others (ENR-2a).
NOBODYS = password.MEMORY_KIB.to_bytes(4, "big") + password.PASSES.to_bytes(4, "big") + bytes(48)


class Devices:
    """Flows of a device's connection and what the keystore says in them."""

    # -- sign-in -----------------------------------------------------------------------------------------------

    def _guesses(self, step, tenant, user):
        """(count, how to write it): the user's own record, or the place of a name that nobody has (ENR-2b, ENR-2c)."""
        none = {"wrong": 0, "last": 0}
        if self.user(step, tenant, user) is not None:
            name = two(b"gs", tenant, user)
            return (self.read(step, name, rec.GUESSES_OF, none),
                    lambda count: self.write(step, name, count, rec.GUESSES_OF))
        secret = self.read(step, b"nobody", B32)
        if secret is None:
            secret = self.random()
            self.write(step, b"nobody", secret)
        place, code = barrier.guess_place(secret, tenant, user)
        found = self.read(step, b"gn/" + place, rec.NOBODY)
        count = found["guesses"] if found and found["name"] == code else none
        return count, lambda count: self.write(step, b"gn/" + place, {"name": code, "guesses": count}, rec.NOBODY)

    def _throttled(self, step, tenant, user):
        count, put = self._guesses(step, tenant, user)
        over = step.now > count["last"] + VALIDITY_SECONDS
        refuse_if(count["wrong"] >= GUESSES and not over, "Throttled")
        return (0 if count["wrong"] >= GUESSES else count["wrong"]), put

    def on_sign_in(self, step, sender, given):
        """ENR-2, ENR-2b: the password is checked outside the step; `checked` is the end of it."""
        self._throttled(step, given["tenant"], given["user"])
        found = self.user(step, given["tenant"], given["user"])
        step.work = {"tenant": given["tenant"], "user": given["user"], "password": given["password"],
                     "record": found["password"] if found else NOBODYS}

    def on_checked(self, step, sender, given):
        """ENR-2a: against the record that the user has now."""
        tenant, user = given["tenant"], given["user"]
        wrong, put = self._throttled(step, tenant, user)
        found = self.user(step, tenant, user)
        if found is None or not given["matched"] or found["password"] != given["record"]:
            put({"wrong": wrong + 1, "last": step.now})
            raise Refused("BadCredential")
        self.standing_stops(found)
        session = self.random()
        self.write(step, b"s/" + session, {"tenant": tenant, "user": user, "expiry": step.now + VALIDITY_SECONDS},
                   rec.SESSION)
        self.grown(step, b"us", tenant, user, b"s/", session)
        self.write(step, two(b"gs", tenant, user), None)
        step.send(sender, "SessionOpened", exchange=session, enrolled=found["enrolled"])

    def session(self, step):
        """(session, user) of the exchange; `SessionStale`, then standing."""
        session = step.exchange and self.read(step, b"s/" + step.exchange, rec.SESSION)
        refuse_if(not session or step.now > session["expiry"], "SessionStale")
        found = self.user(step, session["tenant"], session["user"])
        self.standing_stops(found)
        return session, found

    # -- enrolment ---------------------------------------------------------------------------------------------

    def _proof(self, step, session, given, short, form, **fields):
        """The proof of possession, and a device that is another user's (ENR-4a, REP-1a)."""
        device = self.device(step, given["device"])
        body = to_bytes(form, {"session": step.exchange, "recipient": given["recipient"], **fields})
        sign.check(given["device"], short, body, given["proof"], "BadCertificate")
        whose = (session["tenant"], session["user"])
        refuse_if(device and (device["tenant"], device["user"]) != whose, "BadCertificate")
        return device

    def _not_revoked(self, step, ident):
        device = self.device(step, ident)
        refuse_if(device is not None and device["state"] == REVOKED, "DeviceRevoked")
        return device

    def on_begin_enrolment(self, step, sender, given):
        """ENR-4, ENR-4a, ENR-4b, ENR-4c."""
        session, _ = self.session(step)
        self._not_revoked(step, given["device"])
        device = self._proof(step, session, given, "sign/attempt", bodies.ATTEMPT_PROOF, attempt=given["attempt"])
        attempt = self.read(step, b"a/" + given["attempt"], rec.ATTEMPT)
        refuse_if(attempt and attempt["device"] != given["device"], "NotYourAttempt")
        tenant, user = session["tenant"], session["user"]
        expiry = attempt["expiry"] if self.attempt_open(step, attempt) else step.now + VALIDITY_SECONDS
        if device is None:
            self.add_device(step, tenant, user, given["device"],
                            {"tenant": tenant, "user": user, "recipient": given["recipient"], "state": PENDING,
                             "expiry": expiry, "revoked_at": 0})
        if not self.attempt_open(step, attempt):
            self.write(step, b"a/" + given["attempt"],
                       {"device": given["device"], "state": OPENED, "expiry": expiry}, rec.ATTEMPT)
            self.grown(step, b"ua", tenant, user, b"a/", given["attempt"])
        step.send("KS", "OpenEnrolment", tenant=tenant, user=user, attempt=given["attempt"], device=given["device"])

    def current(self, step):
        """A reply of KS that is of another generation than AU knows is `ReceiptInvalid` (ENR-6, ENR-6a)."""
        refuse_if(step.generation != self.store_of_keystore(step)["generation"], "ReceiptInvalid")

    def on_enrolment_opened(self, step, sender, given):
        """ENR-6."""
        self.current(step)
        step.send("client", "Nonce", nonce=given["nonce"], intake=given["intake"], signature=given["signature"])

    def on_present_certificate(self, step, sender, given):
        """ENR-8, ENR-8a, ENR-8b, ENR-8c."""
        session, _ = self.session(step)
        said = sign.read_body(bodies.CERTIFICATE, given["certificate"], "BadCertificate")
        device = self._not_revoked(step, said["device"])
        attempt = self.read(step, b"a/" + said["attempt"], rec.ATTEMPT)
        refuse_if(not self.attempt_open(step, attempt), "NotYourAttempt")
        whose = (session["tenant"], session["user"])
        other = (attempt["device"] != said["device"] or device is None or said["session"] != step.exchange
                 or (device["tenant"], device["user"]) != whose)
        refuse_if(other, "BadCertificate")
        sign.check(said["device"], "sign/enrolment-certificate", given["certificate"], given["signature"],
                   "BadCertificate")
        if attempt["state"] != ADMITTED:
            self.write(step, b"a/" + said["attempt"], dict(attempt, state=ADMITTED), rec.ATTEMPT)
        admission, signature = self.signed("sign/admission", bodies.ADMISSION, tenant=whose[0], user=whose[1],
                                           attempt=said["attempt"], nonce=said["nonce"])
        step.send("KS", "CreateAccount", admission=admission, signature=signature)

    def on_account_created(self, step, sender, given):
        """ENR-10."""
        self.current(step)
        step.send("client", "Admission")

    def on_escrow_key(self, step, sender, given):
        """ENR-12, ENR-12a: no session is asked for."""
        escrow = sign.read_body(bodies.ESCROW, given["escrow"])
        attempt = self.read(step, b"a/" + escrow["attempt"], rec.ATTEMPT)
        refuse_if(attempt is None, "NotAdmitted")
        device = self._not_revoked(step, attempt["device"])
        admitted = self.attempt_open(step, attempt) and attempt["state"] == ADMITTED and device is not None
        refuse_if(not admitted, "NotAdmitted")
        step.send("KS", "Escrow", tenant=device["tenant"], user=device["user"], device=attempt["device"],
                  escrow=given["escrow"], signature=given["signature"])

    def _receipt(self, step, given):
        """(receipt, user) of a receipt that is good here (ENR-14, ENR-14a, ENR-14b)."""
        self.current(step)
        receipt = sign.read_signed("ENR-14a", self.keystore, given["receipt"], given["signature"])
        found = self.user(step, receipt["tenant"], receipt["user"])
        generation = self.store_of_keystore(step)["generation"]
        refuse_if(found is None or receipt["generation"] != generation, "ReceiptInvalid")
        lost = receipt["commitment"] == bytes(32)
        refuse_if(not lost and found["enrolled"] not in (None, receipt["commitment"]), "ReceiptInvalid")
        if found["enrolled"] is None and found["standing"] != bodies.PURGED and not lost:
            found["enrolled"] = receipt["commitment"]
            self.keep(step, found, given["escrow"])
        return receipt

    def _close(self, step, ident):
        attempt = self.read(step, b"a/" + ident, rec.ATTEMPT)
        if attempt is not None and attempt["state"] != CLOSED:
            self.write(step, b"a/" + ident, dict(attempt, state=CLOSED), rec.ATTEMPT)
        return attempt

    def on_receipt(self, step, sender, given):
        """ENR-14: what is written is a fact whatever became of the device."""
        self._receipt(step, given)
        attempt = self._close(step, given["attempt"])
        device = attempt and self.device(step, attempt["device"])
        if device and device["state"] == PENDING:
            self.write(step, b"d/" + attempt["device"], dict(device, state=ACTIVE_DEVICE, expiry=0), rec.DEVICE)
        refuse_if(device is not None and device["state"] == REVOKED, "DeviceRevoked")
        refuse_if(device is None, "NotYourAttempt")
        step.send("client", "Authorised", receipt=given["receipt"], signature=given["signature"])

    def on_already_escrowed(self, step, sender, given):
        """ENR-16."""
        self._receipt(step, given)
        self._close(step, given["attempt"])
        step.send("client", "GoReplace")

    # -- replacement -------------------------------------------------------------------------------------------

    def on_add_device(self, step, sender, given):
        """REP-1, REP-1a."""
        session, found = self.session(step)
        self._not_revoked(step, given["device"])
        refuse_if(found["enrolled"] is None, "NotEnrolled")
        device = self._proof(step, session, given, "sign/add-device", bodies.ADD_PROOF)
        recipient = device["recipient"] if device else given["recipient"]
        self.add_device(step, session["tenant"], session["user"], given["device"],
                        {"tenant": session["tenant"], "user": session["user"], "recipient": recipient,
                         "state": ACTIVE_DEVICE, "expiry": 0, "revoked_at": 0})
        self.release(step, session, (0, {"device": given["device"]}), given["recipient"], session["expiry"])

    def release(self, step, whose, holder, recipient, expiry):
        """A grant of its own for one release (7.1, 9.3)."""
        ident, tenant, user = self.random(), whose["tenant"], whose["user"]
        self.write(step, b"g/" + ident, {"tenant": tenant, "user": user, "holder": holder,
                                         "exchange": step.exchange, "used": False}, rec.GRANT)
        self.grown(step, b"ug", tenant, user, b"g/", ident)
        grant, signature = self.signed("sign/grant", bodies.GRANT, id=ident, tenant=tenant, user=user,
                                       recipient=recipient, epoch=self.epochs(step)["newest"], expiry=expiry)
        step.send("KS", "ReleaseKey", grant=grant, signature=signature)

    def on_consume_grant(self, step, sender, given):
        """REP-3, REP-3a; in the job lane JOB-2b."""
        grant = self.read(step, b"g/" + given["grant"], rec.GRANT)
        refuse_if(grant is None or grant["used"] or grant["exchange"] != step.exchange, "GrantVoid")
        if grant["holder"][0] == 1:
            self.consumable_by_job(step, grant)
        else:
            device = self.device(step, grant["holder"][1]["device"])
            session = self.read(step, b"s/" + step.exchange, rec.SESSION)
            live = (device is not None and device["state"] == ACTIVE_DEVICE and session is not None
                    and step.now <= session["expiry"])
            refuse_if(not live, "GrantVoid")
            self.standing_stops(self.user(step, grant["tenant"], grant["user"]))
        self.write(step, b"g/" + given["grant"], dict(grant, used=True), rec.GRANT)
        self.count(step, b"released")
        epoch = self.epochs(step)["newest"]
        _, signature = self.signed("sign/consumed", bodies.CONSUMED, epoch=epoch, **given)
        step.send("KS", "GrantConsumed", epoch=epoch, signature=signature, **given)

    def on_sealed_key(self, step, sender, given):
        """REP-6, REP-6a; in the job lane `KeyHeld` before the key leaves (9.3)."""
        job = self.job(step)
        if job is not None:
            return self.key_for_job(step, job, given)
        self.current(step)
        grant = self.read(step, b"g/" + given["grant"], rec.GRANT)
        refuse_if(grant is None or grant["holder"][0] != 0, "GrantVoid")
        device = self.device(step, grant["holder"][1]["device"])
        refuse_if(device is None or device["state"] != ACTIVE_DEVICE, "DeviceRevoked")
        self.standing_stops(self.user(step, grant["tenant"], grant["user"]))
        step.send("client", "KeyDelivery", **given)
