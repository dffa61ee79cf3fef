"""The keystore's flows, each with refusals in the order of the text."""

import os
import unittest

from bailee import barrier, bodies, hpke, seal, sign
from bailee.forms import from_bytes, to_bytes
from bailee.names import REFUSAL_NUMBER
from harness import TENANT, USER, World

KEY = b"\x4b" * 32
OWN = (TENANT, USER)


def entry(choice, **decision):
    return {"tenant": TENANT, "user": USER, "decision": (choice, decision)}


class Case(unittest.TestCase):
    def setUp(self):
        self.world = World()

    def refused(self, outcome, name):
        refusal, frames = outcome
        self.assertEqual(refusal, name)
        kinds = [message.kind for _, message in frames]
        if name != "AlreadyEscrowed" and frames:
            self.assertIn(kinds[-1], ("Refusal", "KeystoreRefusal"))
            self.assertEqual(frames[-1][1].fields["reason"], REFUSAL_NUMBER[name])
        return frames

    def accepted(self, outcome, *kinds):
        refusal, frames = outcome
        self.assertIsNone(refusal)
        self.assertEqual([message.kind for _, message in frames], list(kinds))
        return [message.fields for _, message in frames]


class Unsealing(Case):
    def test_t_shares_unseal_and_the_log_makes_ready(self):
        frames = self.world.unseal()
        self.assertEqual([message.kind for _, message in frames], ["Awake", "ShareCounted"])
        self.refused(self.world.say("AU", "OfferIntake", nonce=bytes(32)), "Sealed")
        self.accepted(self.world.catch_up(frames), "Confirm")
        self.accepted(self.world.say("AU", "OfferIntake", nonce=bytes(32)), "Intake")

    def test_who_may_open(self):
        self.refused(self.world.say("stranger", "OpenCeremony", rekey=False), "Unauthenticated")
        self.refused(self.world.say("CN", "OpenCeremony", rekey=False), "Unauthenticated")
        self.refused(self.world.say("OP", "OpenCeremony", rekey=True), "NotUnsealed")
        self.world.ceremony()
        self.refused(self.world.say("OP", "OpenCeremony", rekey=False), "CeremonyOpen")
        self.world.now += 601
        self.world.ceremony()

    def test_shares_that_do_not_count(self):
        ceremony = self.world.ceremony()
        good = self.world.share_frame(ceremony, 1)
        say = self.world.say
        self.refused(say("CN", "SubmitShare", share=good["share"][:-1], signature=good["signature"]), "Malformed")
        self.refused(say("CN", "SubmitShare", share=good["share"], signature=bytes(64)), "BadSignature")
        wrong = self.world.share_frame(ceremony, 1, [bytes(32)] * 3)
        self.refused(say("CN", "SubmitShare", **wrong), "WrongShare")
        self.accepted(say("CN", "SubmitShare", **good), "ShareCounted")
        self.refused(say("CN", "SubmitShare", **good), "DuplicateShare")
        self.world.now += 601
        self.refused(say("CN", "SubmitShare", **self.world.share_frame(ceremony, 2)), "CeremonyExpired")

    def test_a_seal_ends_everything(self):
        self.world.open()
        self.accepted(self.world.say("OP", "SealNode"), "Done")
        self.refused(self.world.say("AU", "OfferIntake", nonce=bytes(32)), "Sealed")
        self.refused(self.world.say("AU", "Publish", **{"from": 0}, entries=[], epoch=0, head=0), "Sealed")


class Enrolment(Case):
    def setUp(self):
        super().setUp()
        self.world.open()

    def test_a_key_is_escrowed_once(self):
        receipt = self.accepted(self.world.enrol(KEY), "Receipt")[0]
        said = from_bytes(bodies.RECEIPT, receipt["receipt"])
        self.assertEqual(said["commitment"], seal.commitment(KEY, *OWN))
        self.assertTrue(sign.verifies(sign.public_of(self.world.seed), b"bailee/v1/sign/receipt", receipt["receipt"],
                                      receipt["signature"]))
        again = self.refused(self.world.say("AU", "OpenEnrolment", tenant=TENANT, user=USER, attempt=b"\xac" * 32,
                                            device=bytes(32)), "AlreadyEscrowed")
        self.assertEqual([message.kind for _, message in again], ["AlreadyEscrowed"])
        self.assertEqual(again[0][1].fields["escrow"], receipt["escrow"])

    def test_an_attempt_keeps_its_nonce_and_its_device(self):
        first = self.world.opened_attempt()
        self.assertEqual(self.world.opened_attempt(), first)
        self.refused(self.world.say("AU", "OpenEnrolment", tenant=TENANT, user=USER, attempt=b"\xaa" * 32,
                                    device=bytes(32)), "NotYourAttempt")
        self.world.now += 601
        self.assertNotEqual(self.world.opened_attempt(), first)

    def test_a_user_has_eight_open_attempts(self):
        for number in range(8):
            self.world.opened_attempt(bytes([number]) * 32)
        self.refused(self.world.say("AU", "OpenEnrolment", tenant=TENANT, user=USER, attempt=b"\xaa" * 32,
                                    device=bytes(32)), "Busy")

    def test_admissions(self):
        attempt, nonce = b"\xaa" * 32, self.world.opened_attempt()
        good = self.world.admission(attempt, nonce)
        say = self.world.say
        self.refused(say("AU", "CreateAccount", admission=b"\x80", signature=good["signature"]), "Malformed")
        self.refused(say("AU", "CreateAccount", admission=good["admission"], signature=bytes(64)), "AdmissionInvalid")
        self.refused(say("AU", "CreateAccount", **self.world.admission(attempt, bytes(32))), "AdmissionInvalid")
        self.refused(say("AU", "CreateAccount", **self.world.admission(attempt, nonce, user="eve")), "AdmissionInvalid")
        self.accepted(say("AU", "CreateAccount", **good), "AccountCreated")
        self.accepted(say("AU", "CreateAccount", **good), "AccountCreated")

    def test_an_escrow_is_checked_in_its_order(self):
        attempt, device = b"\xaa" * 32, sign.public_of(self.world.device)
        nonce = self.world.opened_attempt()
        good = self.world.escrow(attempt, KEY)
        whose = dict(self.world.whose(), device=device)
        self.refused(self.world.say("AU", "Escrow", **whose, **good), "NotAdmitted")
        self.accepted(self.world.say("AU", "CreateAccount", **self.world.admission(attempt, nonce)), "AccountCreated")
        self.refused(self.world.say("AU", "Escrow", **dict(whose, device=bytes(32)), **good), "NotAdmitted")
        self.refused(self.world.say("AU", "Escrow", **whose, escrow=good["escrow"], signature=bytes(64)),
                     "Unauthenticated")
        other = self.world.escrow(attempt, KEY, commitment=bytes(32))
        self.refused(self.world.say("AU", "Escrow", **whose, **other), "CommitmentMismatch")
        self.accepted(self.world.say("AU", "Escrow", **whose, **good), "Receipt")

    def test_a_lease_that_is_over_admits_nothing(self):
        self.world.now = 9999
        self.refused(self.world.say("AU", "OpenEnrolment", tenant=TENANT, user=USER, attempt=b"\xaa" * 32,
                                    device=bytes(32)), "RevocationStale")

    def test_a_revoked_device_escrows_nothing(self):
        attempt, nonce = b"\xaa" * 32, self.world.opened_attempt()
        self.world.say("AU", "CreateAccount", **self.world.admission(attempt, nonce))
        device = sign.public_of(self.world.device)
        self.accepted(self.world.say("AU", "Publish", **{"from": 0}, entries=[entry(2, revoked=device)], epoch=1,
                                     head=1, lease=5000), "Confirm")
        self.refused(self.world.say("AU", "Escrow", **self.world.whose(), device=device,
                                    **self.world.escrow(attempt, KEY)), "NotAdmitted")

    def test_a_damaged_account_is_not_an_empty_one(self):
        self.world.enrol(KEY)
        name = barrier.record_name(self.world.keyring.path_key, ["account", *OWN])
        self.world.store[name] = self.world.store[name][:-1] + b"?"
        self.refused(self.world.say("AU", "OpenEnrolment", tenant=TENANT, user=USER, attempt=b"\xac" * 32,
                                    device=bytes(32)), "StoreDamaged")


class Release(Case):
    def setUp(self):
        super().setUp()
        self.world.open()
        self.world.enrol(KEY)
        self.pair = hpke.KeyPair(os.urandom(32))

    def ask(self):
        return self.accepted(self.world.say("AU", "ReleaseKey", **self.world.grant(self.pair)), "ConsumeGrant")[0]

    def test_a_key_leaves_once(self):
        asked = self.ask()
        consumed = self.world.consumed(asked["grant"], asked["challenge"])
        given = self.accepted(self.world.say("AU", "GrantConsumed", **consumed), "SealedKey")[0]
        parts = (asked["grant"], seal.commitment(KEY, *OWN))
        self.assertEqual(hpke.open_for(self.pair, "hpke/release", parts, given["sealed"]), KEY)
        self.refused(self.world.say("AU", "GrantConsumed", **consumed), "GrantVoid")

    def test_a_second_asking_replaces_the_challenge(self):
        first, second = self.ask(), self.ask()
        self.refused(self.world.say("AU", "GrantConsumed", **self.world.consumed(first["grant"], first["challenge"])),
                     "GrantVoid")
        self.accepted(self.world.say("AU", "GrantConsumed",
                                     **self.world.consumed(second["grant"], second["challenge"])), "SealedKey")

    def test_grants_that_are_none(self):
        say = self.world.say
        good = self.world.grant(self.pair)
        self.refused(say("AU", "ReleaseKey", grant=b"", signature=good["signature"]), "Malformed")
        self.refused(say("AU", "ReleaseKey", grant=good["grant"], signature=bytes(64)), "GrantInvalid")
        late = self.world.grant(self.pair, expiry=self.world.now + 1)
        self.refused(say("AU", "ReleaseKey", **late), "GrantInvalid")
        self.refused(say("AU", "ReleaseKey", **self.world.grant(self.pair, user="eve")), "NoAccount")

    def test_a_publication_forgets_what_is_pending(self):
        asked = self.ask()
        self.accepted(self.world.say("AU", "Publish", **{"from": 0}, entries=[], epoch=1, head=0), "Confirm")
        self.refused(self.world.say("AU", "GrantConsumed",
                                    **self.world.consumed(asked["grant"], asked["challenge"], 1)), "GrantVoid")

    def test_a_point_of_small_order_is_no_recipient(self):
        asked = self.accepted(self.world.say("AU", "ReleaseKey", **self.world.grant(self.pair, recipient=bytes(32))),
                              "ConsumeGrant")[0]
        self.refused(self.world.say("AU", "GrantConsumed",
                                    **self.world.consumed(asked["grant"], asked["challenge"])), "GrantInvalid")

    def test_standing_reaches_the_account(self):
        say, grant = self.world.say, self.world.grant(self.pair)
        for number, (standing, name) in enumerate(((2, "AccountDormant"), (0, None), (3, "AccountPurged"))):
            say("AU", "Publish", **{"from": number}, entries=[entry(1, standing=standing)], epoch=number, head=9)
            outcome = say("AU", "ReleaseKey", **grant)
            self.assertEqual(outcome[0], name)

    def test_an_older_publication_changes_nothing(self):
        say = self.world.say
        say("AU", "Publish", **{"from": 0}, entries=[entry(1, standing=1)], epoch=4, head=1, lease=20_000)
        mark = self.world.store[b"mark"]
        refusal, frames = say("AU", "Publish", **{"from": 0}, entries=[], epoch=3, head=1, lease=90_000)
        self.assertEqual((refusal, frames[0][1].kind, frames[0][1].fields), ("Overtaken", "Confirm",
                                                                          {"index": 1, "epoch": 4}))
        self.assertEqual(self.world.store[b"mark"], mark)


class Rekey(Case):
    def test_new_shares_after_all_have_acknowledged(self):
        world = self.world.open()
        second = world.another_node(1)
        world.catch_up(world.unseal(second), node=second)
        ceremony = world.ceremony(rekey=True)
        self.refused(world.say("OP", "OpenCeremony", node=second, rekey=True), "CeremonyOpen")
        world.say("CN", "SubmitShare", **world.share_frame(ceremony, 1))
        _, frames = world.say("CN", "SubmitShare", **world.share_frame(ceremony, 3))
        dealt = [message.fields for _, message in frames if message.kind == "NewShare"]
        self.assertEqual(len(dealt), 3)
        digest = barrier.header_digest(dealt[0]["header"])
        shares = [hpke.open_for(world.custodians[each["index"] - 1][1], "hpke/wrap", (digest, each["index"]),
                                each["wrapped"]) for each in dealt]
        for index in (1, 2, 3):
            self.refused(world.say("CN", "AckShare", index=index, signature=bytes(64)), "BadSignature")
            signature = sign.sign_bytes(world.custodians[index - 1][0], b"bailee/v1/sign/ack", digest)
            outcome = world.say("CN", "AckShare", index=index, signature=signature)
        fields = self.accepted(outcome, "Rekeyed", "Rekeyed", "Rekeyed", "NewRoot")
        self.accepted(world.say("KS", "NewRoot", node=second, **fields[3]))
        self.assertEqual(second.memory["open"]["root"], world.node.memory["open"]["root"])
        world.say("OP", "SealNode")
        world.unseal(shares=shares, indices=(2, 3))
        self.assertIsNotNone(world.node.memory["open"])

    def test_a_node_that_missed_the_new_root_seals_itself(self):
        world = self.world.open()
        world.store[b"header-digest"] = bytes(32)
        self.refused(world.say("AU", "OfferIntake", nonce=bytes(32)), "Sealed")
        self.assertIsNone(world.node.memory["open"])


class Disaster(Case):
    def snapshot(self):
        world = self.world
        self.accepted(world.say("OP", "TakeSnapshot"), "GetWitness")
        fields = self.accepted(world.say("AU", "Witness", digests=[], generation=1, index=0), "Snapshot")[0]
        return fields["snapshot"]

    def test_a_snapshot_is_said_when_it_is_kept(self):
        self.world.open().enrol(KEY)
        self.refused(self.world.say("OP", "SnapshotKept", digest=bytes(32)), "OutOfTurn")
        data = self.snapshot()
        self.refused(self.world.say("OP", "SnapshotKept", digest=bytes(32)), "SnapshotUnknown")
        self.accepted(self.world.say("OP", "SnapshotKept", digest=seal.sha256(data)), "SnapshotTaken")

    def test_a_restore_names_keys_lost_and_takes_them_back(self):
        world = self.world.open()
        data = self.snapshot()
        receipt = world.enrol(KEY)[1][0][1].fields
        self.refused(world.say("OP", "Stage", snapshot=data), "NotSealed")
        world.say("OP", "SealNode")
        world.say("OP", "Stage", snapshot=data + b"?")
        witness = {"digests": [seal.sha256(data)], "generation": 5, "index": 1}
        self.assertEqual(world.say("AU", "Witness", **witness), ("SnapshotDamaged", []))
        self.accepted(world.say("OP", "Stage", snapshot=data), "GetWitness")
        self.accepted(world.say("AU", "Witness", **witness), "Done")
        frames = world.unseal()
        logged = seal.commitment(KEY, *OWN)
        world.catch_up(frames, [entry(0, enrolled=logged)])
        self.assertEqual(world.store[b"generation"], to_bytes(bodies.U64, 6))
        grant = world.grant(hpke.KeyPair(bytes(32)))
        self.refused(world.say("AU", "ReleaseKey", **grant), "AccountLost")
        back = {"tenant": TENANT, "user": USER, "dormant": False, "escrow": receipt["escrow"], "epoch": 0}
        self.refused(world.say("AU", "ReturnKey", logged=bytes(32), **back), "CommitmentMismatch")
        self.accepted(world.say("AU", "ReturnKey", logged=logged, **back), "KeyReturned")
        self.accepted(world.say("AU", "ReturnKey", logged=logged, **back), "KeyReturned")
        self.refused(world.say("AU", "ReturnKey", logged=bytes(32), **back), "NotLost")
        self.accepted(world.say("AU", "ReleaseKey", **grant), "ConsumeGrant")

    def test_an_empty_machine_is_rebuilt(self):
        self.world.open().enrol(KEY)
        data = self.snapshot()
        self.world.store.clear()
        self.world.node.restart()
        self.refused(self.world.say("OP", "OpenCeremony", rekey=False), "Malformed")
        self.world.say("OP", "Stage", snapshot=data)
        self.accepted(self.world.say("AU", "Witness", digests=[seal.sha256(data)], generation=3, index=1), "Done")
        frames = self.world.unseal()
        self.world.catch_up(frames, [entry(0, enrolled=seal.commitment(KEY, *OWN))], lease=90_000)
        self.accepted(self.world.say("AU", "ReleaseKey", **self.world.grant(hpke.KeyPair(bytes(32)))), "ConsumeGrant")

    def test_a_forged_code_is_found_and_given_up(self):
        world = self.world.open()
        said = from_bytes(bodies.SNAPSHOT, self.snapshot())
        forged = to_bytes(bodies.SNAPSHOT, dict(said, covers=7))
        world.say("OP", "SealNode")
        world.store[b"staged"] = to_bytes(bodies.STAGED, {"snapshot": forged, "above": 1})
        ceremony = world.ceremony()
        world.say("CN", "SubmitShare", **world.share_frame(ceremony, 1))
        self.refused(world.say("CN", "SubmitShare", **world.share_frame(ceremony, 2)), "SnapshotDamaged")
        self.assertNotIn(b"staged", world.store)
        self.assertIsNone(world.node.memory["open"])


if __name__ == "__main__":
    unittest.main()
