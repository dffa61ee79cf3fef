"""All roles together: whole flows, with what people are told."""

import unittest

from bailee import authority_records as rec
from bailee import bodies
from bailee.forms import from_bytes
from bailee.network import Network

ADMIN = ("admin", "acme", "root")


class Service(unittest.TestCase):
    def setUp(self):
        self.net = Network({"ada": b"right", "bob": b"bob's"})
        self.laptop = self.net.add_device("laptop", "ada")
        self.net.ceremony()

    def enrol(self, name="laptop", secret=b"right"):
        return self.net.order(name, "holder", "EnterPassword", password=secret)

    def key_of(self, role):
        raw = role.store.get(b"key")
        return raw and from_bytes(bodies.DEVICE_KEY, raw)["key"]

    def refused(self, told, name):
        self.assertEqual(told[-1:], ["Refusal"])
        self.assertIn(name, [refusal for _, refusal in self.net.refusals])

    def test_a_first_and_a_second_device_have_one_key(self):
        self.assertTrue(self.net.roles["KS"].memory["open"]["ready"])
        self.assertEqual(self.enrol(), ["Done"])
        phone = self.net.add_device("phone", "ada")
        self.assertEqual(self.enrol("phone"), ["Done"])
        self.assertIsNotNone(self.key_of(phone))
        self.assertEqual(self.key_of(phone), self.key_of(self.laptop))
        self.assertEqual(set(phone.store), {b"identity", b"key"})

    def test_another_user_gets_another_key(self):
        self.enrol()
        tablet = self.net.add_device("tablet", "bob")
        self.refused(self.enrol("tablet", b"right"), "BadCredential")
        self.assertEqual(self.enrol("tablet", b"bob's"), ["Done"])
        self.assertNotEqual(self.key_of(tablet), self.key_of(self.laptop))

    def test_guesses_are_counted(self):
        for _ in range(10):
            self.refused(self.enrol(secret=b"wrong"), "BadCredential")
        self.refused(self.enrol(), "Throttled")
        self.net.now += 601
        self.assertEqual(self.enrol()[-1:], ["Refusal"])  # the keystore's lease is over by now
        self.net.publish()
        self.assertEqual(self.enrol(), ["Done"])

    def test_a_sealed_keystore_enrols_nobody_and_backup_goes_on(self):
        self.enrol()
        self.net.order("KS", "OP", "SealNode")
        tablet = self.net.add_device("tablet", "bob")
        self.refused(self.enrol("tablet", b"bob's"), "Sealed")
        self.assertIsNone(self.key_of(tablet))
        self.assertEqual(self.net.order("laptop", "holder", "StartBackup"), ["Done"])
        self.assertEqual(self.net.order("laptop", "holder", "BackUp", content=b"diary"), ["Done"])
        self.assertEqual(self.net.order("laptop", "holder", "ReadBack"), ["Done"])

    def test_a_receipt_that_is_lost_ends_as_a_replacement(self):
        self.net.lost = {"Receipt"}
        self.assertEqual(self.enrol(), [])
        self.assertIsNone(self.key_of(self.laptop))
        self.net.lost = set()
        self.laptop.restart()
        self.assertEqual(self.enrol(), ["Done"])
        self.assertIsNotNone(self.key_of(self.laptop))

    def test_a_deauthorized_device(self):
        self.enrol()
        ident = from_bytes(bodies.IDENTITY, self.laptop.store[b"identity"])["device"]
        whose = {"tenant": "acme", "user": "ada"}
        self.refused(self.net.order("AU", ("user", "acme", "bob", True), "Deauthorize", device=ident, **whose),
                     "NotYourDevice")
        self.refused(self.net.order("AU", ("admin", "evil", "root"), "Deauthorize", device=ident, **whose),
                     "OtherTenant")
        self.net.order("laptop", "holder", "StartBackup")
        self.assertEqual(self.net.order("AU", ADMIN, "Deauthorize", device=ident, **whose), ["Done"])
        self.refused(self.net.order("AU", ADMIN, "Deauthorize", device=ident, **whose), "AlreadyRevoked")
        self.assertEqual(self.acknowledged(), 0)
        self.net.publish()
        self.assertEqual(self.acknowledged(), 1)
        self.refused(self.net.order("laptop", "holder", "BackUp", content=b"diary"), "CapabilityInvalid")
        self.refused(self.net.order("laptop", "holder", "StartBackup"), "DeviceRevoked")
        self.net.order("laptop", "holder", "CheckIn")
        self.assertEqual(self.laptop.store, {})
        self.assertEqual(self.enrol(), ["Done"])

    def acknowledged(self):
        raw = self.net.stores["AU"].get(b"epochs")
        return from_bytes(rec.EPOCHS, raw)["acknowledged"] if raw else 0

    def test_standings(self):
        self.enrol()
        whose = {"tenant": "acme", "user": "ada"}
        phone = self.net.add_device("phone", "ada")
        self.assertEqual(self.net.order("AU", ADMIN, "SetStanding", change=0, **whose), ["Done"])
        self.refused(self.enrol("phone"), "UserSuspended")
        self.refused(self.net.order("laptop", "holder", "ReadBack"), "RestoreSuspended")
        self.assertEqual(self.net.order("laptop", "holder", "StartBackup"), ["Done"])
        self.refused(self.net.order("AU", ADMIN, "SetStanding", change=4, **whose), "NotDeactivated")
        self.assertEqual(self.net.order("AU", ADMIN, "SetStanding", change=2, **whose), ["Done"])
        self.net.publish()
        self.refused(self.enrol("phone"), "UserDeactivated")
        self.assertEqual(self.net.order("AU", ADMIN, "SetStanding", change=3, **whose), ["Done"])
        self.net.publish()
        self.assertEqual(self.enrol("phone"), ["Done"])
        self.assertIsNotNone(self.key_of(phone))

    def test_a_job_reads_the_archive_and_leaves_no_key(self):
        self.enrol()
        whose = {"tenant": "acme", "user": "ada"}
        self.net.order("laptop", "holder", "StartBackup")
        for number in range(10):
            self.net.order("laptop", "holder", "BackUp", content=bytes([number]))
        self.refused(self.net.order("AU", ("user", "acme", "ada", False), "RequestJob", **whose), "StepUpRequired")
        self.refused(self.net.order("AU", ("user", "acme", "bob", True), "RequestJob", **whose), "NotYourArchive")
        self.net.order("AU", ("user", "acme", "ada", True), "RequestJob", **whose)
        self.assertEqual((self.net.refusals, self.net.roles["RS"].memory), ([], {}))
        self.assertEqual(from_bytes(rec.RUNNING, self.net.stores["AU"][b"running"]), [])
        self.net.lost = {"Fetch"}
        self.net.order("AU", ADMIN, "RequestJob", **whose)
        self.assertEqual(len(self.net.roles["RS"].memory), 1)
        self.refused(self.net.order("AU", ADMIN, "RequestJob", **whose), "Busy")
        self.assertEqual(self.net.order("AU", ADMIN, "AbortJob", **whose), ["Done"])
        self.assertEqual(self.net.roles["RS"].memory, {})

    def test_a_key_comes_back_after_a_disaster(self):
        self.net.order("KS", "OP", "TakeSnapshot")
        snapshot = self.net.told[0].fields["snapshot"]
        from bailee.seal import sha256
        self.net.order("KS", "OP", "SnapshotKept", digest=sha256(snapshot))
        self.enrol()
        self.net.order("KS", "OP", "SealNode")
        self.assertEqual(self.net.order("KS", "OP", "Stage", snapshot=snapshot), ["Done"])
        self.net.ceremony()
        self.assertTrue(self.net.roles["KS"].memory["open"]["ready"])
        phone = self.net.add_device("phone", "ada")
        self.refused(self.enrol("phone"), "AccountLost")
        self.assertEqual(self.net.order("laptop", "holder", "EscrowAgain"), ["Done"])
        self.assertEqual(self.enrol("phone"), ["Done"])
        self.assertEqual(self.key_of(phone), self.key_of(self.laptop))
        self.refused(self.net.order("AU", ADMIN, "ReplayKey", tenant="acme", user="eve"), "BadCredential")
        self.refused(self.net.order("AU", ADMIN, "ReplayKey", tenant="acme", user="bob"), "NothingKept")

    def test_custody(self):
        self.net.order("KS", "OP", "SealNode")
        self.refused(self.net.order(("CN", 1), "holder", "FetchShare", node=1, code=9, roster=None),
                     "NoRestartPending")
        self.net.order("KS", "OP", "OpenCeremony", rekey=False, roster=None)
        said = self.net.told[0].fields
        self.refused(self.net.order("CU", "OP", "Announce", ceremony=said["ceremony"], signature=bytes(64)),
                     "BadSignature")
        self.assertEqual(self.net.order("CU", "OP", "Announce", **said), ["Done"])
        self.refused(self.net.order(("CN", 1), "holder", "FetchShare", node=0, code=None, roster=None), "MfaRequired")
        self.refused(self.net.order(("CN", 1), "holder", "FetchShare", node=0, code=1, roster=None), "CodeReplayed")
        self.refused(self.net.order(("CN", 1), "holder", "HandIn", node=0), "OutOfTurn")
        self.assertEqual(self.net.order(("CN", 1), "holder", "FetchShare", node=0, code=9, roster=None), ["Done"])
        self.assertEqual(self.net.order(("CN", 1), "holder", "HandIn", node=0), ["Done"])
        self.refused(self.net.order(("CN", 1), "holder", "HandIn", node=0), "OutOfTurn")
        self.assertEqual(self.net.order("CU", "OP", "CloseWindow", node=0), ["Done"])
        self.refused(self.net.order("CU", "OP", "Announce", **said), "CeremonyExpired")

    def test_a_rekey_by_all_custodians(self):
        former = self.net.stores["KS"][b"header-digest"]
        self.enrol()
        self.net.ceremony(indices=(1, 3), rekey=True)
        self.assertNotEqual(self.net.stores["KS"][b"header-digest"], former)
        self.assertNotIn(b"candidate", self.net.stores["KS"])
        self.net.order("KS", "OP", "SealNode")
        self.net.ceremony(indices=(2, 3))
        self.assertTrue(self.net.roles["KS"].memory["open"]["ready"])
        self.net.add_device("phone", "ada")
        self.assertEqual(self.enrol("phone"), ["Done"])


if __name__ == "__main__":
    unittest.main()
