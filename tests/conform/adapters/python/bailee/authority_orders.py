"""Capabilities, erasure and keys that come back; orders of people; jobs (protocol.md 8.1, 9, 11, 14.4)."""

from . import authority_records as rec
from . import bodies, sign
from .authority_records import (ACTIVE_DEVICE, ASSIGNED, ENDING, KEY_HELD, MAINTENANCE, ON_BEHALF, OVER, OWN, REVOKED,
                                two)
from .bodies import ACTIVE, DEACTIVATED, PURGED, SUSPENDED
from .names import JOBS, VALIDITY_SECONDS, refuse_if

SUSPEND, RESUME, DEACTIVATE, REACTIVATE, PURGE = range(5)
NOT_ADMIN = {"restore": False, "users": False, "rights": False}


class Orders:
    """Verbs of devices with a certificate and of people. A person is `("user", tenant, user, fresh)`,
    `("admin", tenant, name)`, `"schedule"` or `"OP"`; a device is `("DV", id)`."""

    # -- devices with a certificate ----------------------------------------------------------------------------

    def _own_device(self, step, sender):
        device = self.device(step, sender[1])
        refuse_if(device is None, "DeviceRevoked")
        found = self.user(step, device["tenant"], device["user"])
        refuse_if(found["standing"] in (DEACTIVATED, PURGED), "UserDeactivated")
        refuse_if(device["state"] != ACTIVE_DEVICE, "DeviceRevoked")
        return found

    def on_get_capability(self, step, sender, given):
        """BAK-1, BAK-1a, BAK-3."""
        found = self._own_device(step, sender)
        refuse_if(given["read"] and found["standing"] == SUSPENDED, "RestoreSuspended")
        capability, signature = self._capability(step, found, sender[1], step.now + VALIDITY_SECONDS, given["read"])
        step.send(sender, "Capability", capability=capability, signature=signature)

    def _capability(self, step, whose, device, expiry, read):
        return self.signed("sign/capability", bodies.CAPABILITY, tenant=whose["tenant"], user=whose["user"],
                           device=device, epoch=self.epochs(step)["newest"], expiry=expiry, read=read)

    def on_report(self, step, sender, given):
        """REV-4."""
        device = self.device(step, sender[1])
        if device is None or device["state"] != REVOKED:
            return step.send(sender, "Served")
        step.send(sender, "Erase", signature=sign.sign_bytes(self.seed, sign.LABELS["sign/wipe"], sender[1]))

    def on_get_intake(self, step, sender, given):
        """DIS-6."""
        self._own_device(step, sender)
        step.send("KS", "OfferIntake", nonce=given["nonce"])

    def on_intake(self, step, sender, given):
        """DIS-6: handed on."""
        step.send("client", "IntakeOffered", intake=given["intake"], signature=given["signature"])

    def on_re_escrow(self, step, sender, given):
        """DIS-6, DIS-6a: user and device are looked at again."""
        found = self._own_device(step, sender)
        refuse_if(found["enrolled"] is None, "NotEnrolled")
        self._return(step, found, given["escrow"])

    def _return(self, step, found, escrow):
        step.send("KS", "ReturnKey", tenant=found["tenant"], user=found["user"], escrow=escrow,
                  dormant=found["standing"] == DEACTIVATED, logged=found["enrolled"],
                  epoch=self.epochs(step)["newest"])

    def on_key_returned(self, step, sender, given):
        """DIS-5b, DIS-4b: a key that AU counted as lost is logged once more."""
        found = self.user(step, given["tenant"], given["user"])
        refuse_if(found is None, "ReceiptInvalid")
        kept, lost = found["kept"], self.store_of_keystore(step)["lost"]
        counted = kept and any(each["first"] <= kept["index"] <= each["last"] for each in lost)
        if counted and found["enrolled"] == given["commitment"]:
            self.keep(step, found, kept["escrow"])
        step.send("client", "Done")

    # -- people ------------------------------------------------------------------------------------------------

    def _admin(self, step, sender):
        return self.read(step, two(b"ad", sender[1], sender[2]), rec.ADMIN, NOT_ADMIN)

    def _manages(self, step, sender, tenant):
        """An administrator of the tenant who may manage users (SUS-1a, REV-1b, DIS-5a)."""
        if sender[0] == "admin":
            refuse_if(sender[1] != tenant, "OtherTenant")
            refuse_if(not self._admin(step, sender)["users"], "NoAdminRight")

    def on_replay_key(self, step, sender, given):
        """DIS-5, DIS-5a."""
        self._manages(step, sender, given["tenant"])
        found = self.user(step, given["tenant"], given["user"])
        refuse_if(found is None, "BadCredential")
        kept = found["kept"]
        refuse_if(kept is None or self.covered(step, kept["index"]), "NothingKept")
        self._return(step, found, kept["escrow"])

    def _bump(self, step):
        epochs = self.epochs(step)
        self.write(step, b"epochs", dict(epochs, newest=epochs["newest"] + 1), rec.EPOCHS)
        return epochs["newest"] + 1

    def _revoke(self, step, ident, epoch):
        device = self.device(step, ident)
        self.write(step, b"d/" + ident, dict(device, state=REVOKED, revoked_at=epoch), rec.DEVICE)
        self.log(step, device["tenant"], device["user"], 2, revoked=ident)

    def on_deauthorize(self, step, sender, given):
        """REV-1, REV-1b."""
        tenant, user, ident = given["tenant"], given["user"], given["device"]
        refuse_if(sender[0] == "user" and sender[1:3] != (tenant, user), "NotYourDevice")
        self._manages(step, sender, tenant)
        device = self.device(step, ident)
        refuse_if(device is None or (device["tenant"], device["user"]) != (tenant, user), "NotYourDevice")
        refuse_if(device["state"] == REVOKED, "AlreadyRevoked")
        self._revoke(step, ident, self._bump(step))
        name = two(b"ud", tenant, user)
        self.write(step, name, [each for each in self.read(step, name, rec.IDS, []) if each != ident], rec.IDS)
        self.acknowledge(step)
        step.send(sender, "Done")

    def on_set_standing(self, step, sender, given):
        """SUS-1, SUS-1a, SUS-2, DEA-1, DEA-2, DEA-3."""
        change, tenant, user = given["change"], given["tenant"], given["user"]
        self._manages(step, sender, tenant)
        refuse_if(sender == "schedule" and change != PURGE, "NoAdminRight")
        found = self.user(step, tenant, user)
        refuse_if(found is None, "BadCredential")
        standing = found["standing"]
        if change in (SUSPEND, DEACTIVATE):
            refuse_if(standing in (DEACTIVATED, PURGED), "UserDeactivated")
        refuse_if(change == SUSPEND and standing == SUSPENDED, "AlreadySuspended")
        refuse_if(change == RESUME and standing != SUSPENDED, "NotSuspended")
        refuse_if(change in (REACTIVATE, PURGE) and standing != DEACTIVATED, "NotDeactivated")
        found["standing"] = {SUSPEND: SUSPENDED, DEACTIVATE: DEACTIVATED, PURGE: PURGED}.get(change, ACTIVE)
        if change not in (SUSPEND, RESUME):
            epoch = self._bump(step)
        if change == DEACTIVATE:
            for ident in self.read(step, two(b"ud", tenant, user), rec.IDS, []):
                if self.device(step, ident) is not None:
                    self._revoke(step, ident, epoch)
            self.write(step, two(b"ud", tenant, user), [], rec.IDS)
            self._end_jobs(step, lambda job: (job["tenant"], job["user"]) == (tenant, user))
        if change == PURGE:
            found["enrolled"] = found["kept"] = None
        self.put_user(step, found)
        self.log(step, tenant, user, 1, standing=found["standing"])
        self.acknowledge(step)
        step.send(sender, "Done")

    def on_set_right(self, step, sender, given):
        """JOB-8, JOB-8a, JOB-8b, JOB-13."""
        refuse_if(sender[1] != given["tenant"], "OtherTenant")
        refuse_if(not self._admin(step, sender)["rights"], "NoAdminRight")
        name = two(b"ad", given["tenant"], given["admin"])
        admin = self.read(step, name, rec.ADMIN)
        refuse_if(admin is None, "BadCredential")
        refuse_if(not given["restore"] and not admin["restore"], "NoRestoreRight")
        self.write(step, name, dict(admin, restore=given["restore"]), rec.ADMIN)
        if not given["restore"]:
            whose = (given["tenant"], given["admin"])
            self._end_jobs(step, lambda job: job["kind"] == ON_BEHALF and (job["tenant"], job["admin"]) == whose)
        step.send(sender, "Done")

    # -- jobs --------------------------------------------------------------------------------------------------

    def job(self, step):
        """The job that the exchange names, None if it names none (NET-8)."""
        return step.exchange and self.read(step, b"j/" + step.exchange, rec.JOB)

    def _running(self, step):
        """(id, record) of the jobs that are under way."""
        listed = [(each["job"], self.read(step, b"j/" + each["job"], rec.JOB))
                  for each in self.read(step, b"running", rec.RUNNING, []) if step.now <= each["deadline"]]
        return [(ident, job) for ident, job in listed if job is not None and job["state"] != OVER]

    def _asker(self, step, sender, tenant, user):
        """(kind, administrator) of the one who asks for a job (JOB-1)."""
        if sender == "schedule":
            return MAINTENANCE, None
        if sender[0] == "user":
            refuse_if(sender[1:3] != (tenant, user), "NotYourArchive")
            refuse_if(not sender[3], "StepUpRequired")
            return OWN, None
        refuse_if(sender[1] != tenant, "OtherTenant")
        refuse_if(not self._admin(step, sender)["restore"], "NoRestoreRight")
        return ON_BEHALF, sender[2]

    def on_request_job(self, step, sender, given):
        """JOB-1, JOB-1a, JOB-1d, JOB-12."""
        tenant, user = given["tenant"], given["user"]
        kind, admin = self._asker(step, sender, tenant, user)
        found = self.user(step, tenant, user)
        refuse_if(found is None, "NotYourArchive")
        refuse_if(found["standing"] == SUSPENDED, "RestoreSuspended")
        refuse_if(found["standing"] in (DEACTIVATED, PURGED), "UserDeactivated")
        refuse_if(found["enrolled"] is None, "NotEnrolled")
        running = self._running(step)
        own = any((job["tenant"], job["user"]) == (tenant, user) for _, job in running)
        refuse_if(own or len(running) >= JOBS, "Busy")
        point = self.point(step, "RS")
        refuse_if(point["epoch"] < self.epochs(step)["newest"] and step.now > point["lease"], "NoRestorer")
        ident, deadline = self.random(), step.now + VALIDITY_SECONDS
        self.write(step, b"j/" + ident, {"tenant": tenant, "user": user, "kind": kind, "state": ASSIGNED,
                                         "deadline": deadline, "admin": admin}, rec.JOB)
        self.grown(step, b"uj", tenant, user, b"j/", ident)
        self.write(step, b"running", [{"job": each, "deadline": job["deadline"]} for each, job in running]
                   + [{"job": ident, "deadline": deadline}], rec.RUNNING)
        if kind == ON_BEHALF:
            counts = self.read(step, b"on-behalf", rec.BEHALF, {"jobs": 0, "notices": 0})
            self.write(step, b"on-behalf", {name: count + 1 for name, count in counts.items()}, rec.BEHALF)
        capability, signature = self._capability(step, found, bytes(32), deadline, True)
        step.send("RS", "AssignJob", exchange=ident, job=ident, tenant=tenant, user=user, deadline=deadline,
                  capability=capability, signature=signature)

    def on_job_key(self, step, sender, given):
        """JOB-2, JOB-2a."""
        job = self.job(step)
        refuse_if(not job or job["state"] != ASSIGNED or step.now > job["deadline"], "JobOver")
        sign.read_signed("JOB-2a", self.restorer, step.exchange + given["recipient"], given["signature"])
        self.release(step, job, (1, {"job": step.exchange}), given["recipient"], job["deadline"])

    def consumable_by_job(self, step, grant):
        """JOB-2b."""
        job = self.read(step, b"j/" + grant["holder"][1]["job"], rec.JOB)
        live = (job is not None and grant["holder"][1]["job"] == step.exchange and job["state"] == ASSIGNED
                and step.now <= job["deadline"])
        refuse_if(not live, "GrantVoid")
        standing = self.user(step, job["tenant"], job["user"])["standing"]
        refuse_if(standing == SUSPENDED, "RestoreSuspended")
        refuse_if(standing in (DEACTIVATED, PURGED), "UserDeactivated")

    def key_for_job(self, step, job, given):
        """JOB-2 at `SealedKey`: `KeyHeld` is written before the key leaves."""
        refuse_if(job["state"] != ASSIGNED or step.now > job["deadline"], "JobOver")
        if step.generation != self.store_of_keystore(step)["generation"]:
            self._over(step, step.exchange, job)
        self.current(step)
        self.write(step, b"j/" + step.exchange, dict(job, state=KEY_HELD), rec.JOB)
        step.send("RS", "KeyDelivery", **given)

    def _over(self, step, ident, job):
        self.write(step, b"j/" + ident, dict(job, state=OVER), rec.JOB)
        running = self.read(step, b"running", rec.RUNNING, [])
        self.write(step, b"running", [each for each in running if each["job"] != ident], rec.RUNNING)

    def on_job_end(self, step, sender, given):
        """JOB-10."""
        job = self.job(step)
        refuse_if(not job or job["state"] == OVER or step.now > job["deadline"], "JobOver")
        self._over(step, step.exchange, job)

    def on_keystore_refusal(self, step, sender, given):
        """ENR-18: handed on as it came; in the job lane it ends the job (JOB-3)."""
        job = self.job(step)
        if not job:
            return step.send("client", "Refusal", reason=given["reason"])
        refuse_if(job["state"] == OVER, "JobOver")
        self._over(step, step.exchange, job)
        step.send("RS", "Refusal", reason=given["reason"])

    def on_abort_job(self, step, sender, given):
        """JOB-6, JOB-6a."""
        whose = (given["tenant"], given["user"])
        if sender[0] == "admin":
            refuse_if(sender[1] != whose[0], "OtherTenant")
            admin = self._admin(step, sender)
            refuse_if(not (admin["restore"] or admin["users"]), "NoRestoreRight")
        else:
            refuse_if(sender[1:3] != whose, "NotYourArchive")
        ended = self._end_jobs(step, lambda job: (job["tenant"], job["user"]) == whose)
        refuse_if(not ended, "JobOver")
        step.send(sender, "Done")

    def _end_jobs(self, step, chosen):
        """`Ending`, and the order to the restorer (JOB-7a); says how many jobs it was."""
        ended = [(ident, job) for ident, job in self._running(step) if job["state"] != ENDING and chosen(job)]
        for ident, job in ended:
            self.write(step, b"j/" + ident, dict(job, state=ENDING), rec.JOB)
            self._say_end(step, ident, job)
        return len(ended)

    def _say_end(self, step, ident, job):
        step.send("RS", "EndJob", exchange=ident, job=ident, tenant=job["tenant"], user=job["user"],
                  deadline=job["deadline"])

    def say_ends_again(self, step):
        """JOB-7a: until the end is reported or the deadline has passed."""
        for ident, job in self._running(step):
            if job["state"] == ENDING:
                self._say_end(step, ident, job)
