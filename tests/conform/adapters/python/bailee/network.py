"""All roles of a service, connected: each frame travels as bytes, one at a time, until nothing is on its way."""

import os
from collections import deque

from . import authority_records as rec
from . import barrier, bodies, hpke, password, sign
from .authority import Authority
from .authority_log import point_name
from .client import Client
from .custody import Custody, share_name
from .device import Device
from .forms import U64, to_bytes
from .frames import decode, encode, frame
from .keystore import Keystore
from .restorer import Restorer
from .storage import Storage


class Network:
    """A service set up as GEN-19a says: one tenant `acme`, users by their passwords, an administrator `root`."""

    def __init__(self, users, threshold=2, count=3, now=1000):
        self.now, self.told, self.refusals, self.lost = now, [], [], set()
        seeds = {name: os.urandom(32) for name in ("AU", "KS", "RS")}
        public = {name: sign.public_of(seed) for name, seed in seeds.items()}
        self.public = public
        self.stores = {name: {} for name in ("AU", "KS", "ST", "RS", "CU")}
        self.roles = {
            "AU": Authority(self.stores["AU"], seeds["AU"], public["KS"], public["RS"]),
            "KS": Keystore(self.stores["KS"], 0, seeds["KS"], public["AU"]),
            "ST": Storage(self.stores["ST"], public["AU"]), "RS": Restorer(self.stores["RS"], seeds["RS"], public["KS"]),
            "CU": Custody(self.stores["CU"], public["KS"]),
        }
        self._leases()
        self._keystore(threshold, count)
        for user, secret in users.items():
            record = {"tenant": "acme", "user": user, "standing": 0, "enrolled": None, "kept": None,
                      "password": password.make(secret)}
            self.stores["AU"][rec.two(b"u", "acme", user)] = to_bytes(rec.USER, record)
        admin = to_bytes(rec.ADMIN, {"restore": True, "users": True, "rights": True})
        self.stores["AU"][rec.two(b"ad", "acme", "root")] = admin

    def _leases(self):
        """The first lease of each point, the same one at AU and at the point."""
        lease = {"epoch": 0, "index": 0, "lease": self.now + 600}
        for point in ("KS", "ST", "RS"):
            self.stores["AU"][point_name(point)] = to_bytes(rec.POINT, lease)
            self.stores[point][b"mark"] = to_bytes(bodies.MARK, lease)
        self.stores["AU"][b"store"] = to_bytes(rec.STORE, {"generation": 1, "snapshot": None, "lost": []})

    def _keystore(self, threshold, count):
        """Header, keyring and first shares, with the custodians present."""
        seeds = [[os.urandom(32) for _ in range(3)] for _ in range(count)]
        keys = [{"sign": sign.public_of(seed), "recipient": hpke.KeyPair(pair).public} for seed, pair, _ in seeds]
        header, root, shares = barrier.deal(1, threshold, keys)
        digest = barrier.header_digest(header)
        keyring = barrier.Keyring(os.urandom(32), os.urandom(32), os.urandom(32))
        self.stores["KS"].update({b"header": to_bytes(bodies.HEADER, header), b"header-digest": digest,
                                  b"keyring": barrier.seal_keyring(root, digest, keyring),
                                  b"generation": to_bytes(U64, 1)})
        for index, (seed, pair, authenticator) in enumerate(seeds, 1):
            wrapped = hpke.seal_for(keys[index - 1]["recipient"], "hpke/wrap", (digest, index), shares[index - 1])
            login = {"authenticator": sign.public_of(authenticator), "last_code": 0}
            self.stores["CU"][b"l/" + bytes([index])] = to_bytes(bodies.LOGIN, login)
            self.stores["CU"][share_name(1, index)] = wrapped
            known = to_bytes(bodies.KNOWN_HEADERS, {"headers": [header], "in_force": digest})
            self.roles["CN", index] = Client({b"headers": known}, index, seed, pair, authenticator, self.public["KS"])

    def add_device(self, name, user):
        """A blank device of a user."""
        self.roles[name] = Device({}, "acme", user, self.public["KS"], self.public["AU"])
        return self.roles[name]

    # -- carrying ----------------------------------------------------------------------------------------------

    def _as_seen(self, name):
        """The peer as a service's carrier names it (GEN-6)."""
        role = self.roles.get(name)
        if isinstance(role, Device):
            own = role.store.get(b"identity")
            return ("DV", sign.read_body(bodies.IDENTITY, own)["device"]) if own else "CL"
        return name

    def order(self, name, sender, kind, exchange=None, **fields):
        """An order of a person to a role; runs until nothing is on its way; gives what people are told."""
        self.told, self.refusals = [], []
        self.here = name
        self.queue = deque([(sender, name, frame(kind, exchange=exchange, **fields))])
        while self.queue:
            self._deliver(*self.queue.popleft())
        return [message.kind for message in self.told]

    def _deliver(self, sender, name, message):
        message = decode(encode(message))
        if name == "AL":
            name, sender, message = "CU", "AL", frame("AlertRecorded", id=message.fields["id"])
        if name not in self.roles:
            return self.told.append(message)
        if message.kind in ("GetIntake", "ReEscrow", "ReplayKey") and message.exchange is None:
            message = message._replace(exchange=os.urandom(32))  # NET-7a
        role = self.roles[name]
        self._done(name, role, sender, role.step(self.now, sender, message))

    def _done(self, name, role, sender, step):
        if step.refusal is not None:
            self.refusals.append((name, step.refusal))
        frames = role.commit(step)
        if step.work is not None:
            matched = password.matches(step.work["record"], step.work["password"])
            return self._done(name, role, sender, role.checked(self.now, sender, step.work, matched))
        for to, sent in frames:
            if sent.kind in self.lost:
                continue
            if to in ("client", "CL") or (isinstance(to, tuple) and to[0] == "DV"):
                to = self.here
            to = "KS" if to == ("KS", 0) else to
            seen = self._as_seen(name) if not isinstance(self.roles[name], Device) or to in ("AU", "ST") else name
            self.queue.append((seen, to, sent))

    # -- whole flows -------------------------------------------------------------------------------------------

    def fetch_and_hand_in(self, indices, roster=None):
        """Custodians fetch their shares and bring them to node 0."""
        for index in indices:
            self.code = getattr(self, "code", 0) + 1
            self.order(("CN", index), "holder", "FetchShare", node=0, code=self.code, roster=roster)
            self.order(("CN", index), "holder", "HandIn", node=0)

    def ceremony(self, indices=(1, 2), rekey=False):
        """Open, announce, fetch, hand in."""
        self.order("KS", "OP", "OpenCeremony", rekey=rekey, roster=None)
        said = self.told[0].fields
        self.order("CU", "OP", "Announce", **said)
        self.fetch_and_hand_in(indices)

    def publish(self):
        """The authority's timer."""
        self.queue, self.told, self.refusals = deque(), [], []
        role = self.roles["AU"]
        self._done("AU", role, None, role.fire(self.now, ("publish",)))
        while self.queue:
            self._deliver(*self.queue.popleft())
