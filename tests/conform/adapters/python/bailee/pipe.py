"""What the adapter answers: one JSON object in, one out. No input ends the program but `bye`.

| `do` | more fields | answer |
|---|---|---|
| `hello` | | name, version, profile, capabilities |
| `vector` | operation, inputs | `value`, `refusal` or `unsupported` |
| `reset` | `level` `keystore`: node, seed, authority, store; `service`: users, threshold, custodians, now | `ok` |
| `frame` | now, sender, bytes | refusal, frames, writes, timers (level `keystore`) |
| `order` | now, role, sender, kind, fields | refusals, told (level `service`) |
| `publish`, `fire`, `restart` | now, timer, role | as `frame` or `order` |
| `bye` | | `ok`, and the program ends |
"""

import json

from . import transcripts
from .frames import KINDS, FIELDS, decode, encode
from .keystore import Keystore
from .names import Refused
from .network import Network
from .primitives import OPERATIONS, answer, tree, untree

LINE_BYTES = 64 << 20
HELLO = {"name": "bailee-python", "version": 1, "profile": "classic", "capabilities": ["vectors", "keystore", "service"]}


def _peer(raw):
    """A peer as the runner writes it: a name, or an array that begins with one; ids are hex."""
    if isinstance(raw, list):
        return ("DV", bytes.fromhex(raw[1])) if raw[0] == "DV" else tuple(raw)
    return raw


def _plain_peer(peer):
    if isinstance(peer, tuple):
        return [part.hex() if isinstance(part, bytes) else part for part in peer]
    return peer


class Pipe:
    """The state behind one pipe."""

    def __init__(self):
        self.node = self.net = None

    def answer(self, asked):
        """The answer to one object."""
        do = asked.get("do") if isinstance(asked, dict) else None
        call = getattr(self, f"do_{do}", None) if isinstance(do, str) else None
        if call is None:
            return {"error": "no such request"}
        try:
            return call(asked)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def do_hello(self, asked):
        return dict(HELLO, operations=sorted(OPERATIONS), kinds=KINDS)

    def do_bye(self, asked):
        return {"ok": True}

    def do_vector(self, asked):
        return answer(asked["operation"], asked["inputs"])

    def do_reset(self, asked):
        self.node = self.net = None
        if asked["level"] == "keystore":
            store = {bytes.fromhex(name): bytes.fromhex(raw) for name, raw in asked["store"].items()}
            self.node = Keystore(store, asked["node"], bytes.fromhex(asked["seed"]), bytes.fromhex(asked["authority"]))
        elif asked["level"] == "service":
            users = {name: bytes.fromhex(secret) for name, secret in asked["users"].items()}
            self.net = Network(users, asked["threshold"], asked["custodians"], asked["now"])
            for user in users:
                self.net.add_device(f"{user}-1", user)
        else:
            return {"unsupported": asked["level"]}
        return {"ok": True}

    # -- level keystore ----------------------------------------------------------------------------------------

    def _shown(self, step):
        frames = self.node.commit(step)
        return {"refusal": step.refusal, "writes": sorted(name.hex() for name in step.writes),
                "frames": [{"to": _plain_peer(to), "bytes": encode(message).hex()} for to, message in frames],
                "timers": [{"at": at, "timer": tree(list(timer))} for at, timer in step.timers]}

    def do_frame(self, asked):
        try:
            message = decode(bytes.fromhex(asked["bytes"]))
        except Refused as refused:  # NET-10: handed to no role
            return {"refusal": refused.name, "writes": [], "frames": [], "timers": []}
        return self._shown(self.node.step(asked["now"], _peer(asked["sender"]), message))

    def do_fire(self, asked):
        return self._shown(self.node.fire(asked["now"], tuple(untree(asked["timer"]))))

    def do_restart(self, asked):
        if self.net is not None:
            self.net.roles[_peer(asked["role"])].restart()
            return {"ok": True}
        self.node.restart()
        return self._shown(self.node.start(asked["now"]))

    # -- level service -----------------------------------------------------------------------------------------

    def _told(self):
        return {"refusals": [[_plain_peer(name), refusal] for name, refusal in self.net.refusals],
                "told": [{"kind": message.kind, "fields": tree(FIELDS[message.kind].write(message.fields))}
                         for message in self.net.told]}

    def do_order(self, asked):
        self.net.now = asked["now"]
        fields = FIELDS[asked["kind"]].read(untree(asked["fields"]))
        self.net.order(_peer(asked["role"]), _peer(asked["sender"]), asked["kind"], **fields)
        return self._told()

    def do_publish(self, asked):
        self.net.now = asked["now"]
        self.net.publish()
        return self._told()


def serve(lines, out):
    """Answers line by line; a line that is no JSON, or over-long, gets an error and the next line is read."""
    pipe = Pipe()
    while line := lines.readline(LINE_BYTES + 1):
        if len(line) > LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = lines.readline(LINE_BYTES)
            said, asked = {"error": "a line of more than 64 MiB"}, None
        else:
            try:
                asked = json.loads(line)
                said = pipe.answer(asked)
            except (ValueError, RecursionError) as error:
                said, asked = {"error": f"no JSON: {error}"}, None
        if isinstance(asked, dict) and "id" in asked:
            said = dict(said, id=asked["id"])
        out.write(json.dumps(said) + "\n")
        out.flush()
        if isinstance(asked, dict) and asked.get("do") == "bye":
            return


__all__ = ["Pipe", "serve", "transcripts"]
