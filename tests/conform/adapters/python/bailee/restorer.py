"""The restorer (RS): one archive key for each job, in memory alone (protocol.md 9)."""

from . import cbor, hpke, sign
from .names import JOBS, LABELS, MARGIN_SECONDS, VALIDITY_SECONDS, Refused, refuse_if
from .points import Point
from .primitives import check_delivery
from .role import Role
from .seal import NotOpened, branch, open_sealed


class Restorer(Point, Role):
    """RS over its store, which holds its mark and nothing about keys (JOB-9)."""

    takes = {"AssignJob": {"AU"}, "KeyDelivery": {"AU"}, "EndJob": {"AU"}, "Refusal": {"AU", "ST"},
             "Publish": {"AU"}, "Blocks": {"ST"}}

    def __init__(self, store, seed, keystore):
        self.seed, self.keystore = seed, keystore
        super().__init__(store)

    def blank(self):
        return {}

    def _job(self, step):
        return step.memory.get(step.exchange)

    def on_assign_job(self, step, sender, given):
        """JOB-2, JOB-2c, JOB-9a."""
        own = min(given["deadline"], step.now + VALIDITY_SECONDS)
        refuse_if(step.exchange != given["job"] or step.now + MARGIN_SECONDS > own, "JobOver")
        whose = (given["tenant"], given["user"])
        others = {ident: job for ident, job in step.memory.items() if ident != given["job"]}
        giving = [ident for ident, job in others.items() if job["whose"] == whose]
        if not giving and len(others) >= JOBS:
            giving = [min(others, key=lambda ident: others[ident]["end"])]
        refuse_if(any(others[ident]["end"] > own for ident in giving), "JobOver")
        for ident in giving:
            del step.memory[ident]
        seed = self.random()
        step.memory[given["job"]] = {"whose": whose, "end": own, "seed": seed, "key": None, "capability": {
            "capability": given["capability"], "signature": given["signature"]}}
        recipient = hpke.KeyPair(seed).public
        step.timers.append((own - MARGIN_SECONDS + 1, ("job", given["job"])))
        step.send("AU", "JobKey", recipient=recipient,
                  signature=sign.sign_bytes(self.seed, LABELS["sign/job-key"], given["job"] + recipient))

    def on_key_delivery(self, step, sender, given):
        """9.4."""
        job = self._job(step)
        live = job is not None and job["seed"] is not None and step.now + MARGIN_SECONDS <= job["end"]
        refuse_if(not live, "JobOver")
        job["key"] = check_delivery(hpke.KeyPair(job["seed"]), self.keystore, *job["whose"], given, "JobOver")
        job["seed"] = None
        step.send("ST", "Fetch", **{"from": 0}, **job["capability"])

    def _end(self, step, completed):
        """JOB-4b: the key is purged first, and the end is said after."""
        step.memory.pop(step.exchange, None)
        step.send("AU", "JobEnd", completed=completed)

    def on_blocks(self, step, sender, given):
        """JOB-4, JOB-4a, JOB-4b."""
        job = self._job(step)
        refuse_if(job is None or job["key"] is None, "OutOfTurn")
        try:
            refuse_if(step.now + MARGIN_SECONDS > job["end"], "LeaseExpired")
            self.leased(step)
            refuse_if(not given["blocks"], "NothingStored")
            root = branch(job["key"], LABELS["key/seal"], *job["whose"])
            for block in given["blocks"]:
                open_sealed(root, LABELS["seal/block"], cbor.encode(list(job["whose"])), block)
        except (NotOpened, Refused) as error:
            self._end(step, False)
            raise Refused(error.name if isinstance(error, Refused) else "CommitmentMismatch") from None
        if given["next"] is not None:
            return step.send("ST", "Fetch", **{"from": given["next"]}, **job["capability"])
        self._end(step, True)

    def on_refusal(self, step, sender, given):
        """JOB-3 from AU: the job key is wiped; JOB-5 from ST: the job has failed."""
        if sender == "ST":
            refuse_if(self._job(step) is None, "OutOfTurn")
            return self._end(step, False)
        step.memory.pop(step.exchange, None)

    def on_end_job(self, step, sender, given):
        """JOB-7a: whatever ends no later than the order says, and the end of a job that it does not know."""
        whose = (given["tenant"], given["user"])
        for ident in [ident for ident, job in step.memory.items()
                      if job["whose"] == whose and job["end"] <= given["deadline"]]:
            del step.memory[ident]
        step.send("AU", "JobEnd", exchange=given["job"], completed=False)

    def on_timer(self, step, timer):
        """JOB-9a: purges and says nothing; one that fires early ends nothing."""
        job = step.memory.get(timer[1])
        if job is not None and step.now + MARGIN_SECONDS > job["end"]:
            del step.memory[timer[1]]
