"""The update paths that power cuts are swept over: what is delivered to a device, in which order, and whom it accepts then.

What never falls is said for each operation as well, from the documents alone: an agent is not its own judge.

`write` makes a folder that everpin_sim/device reads on either interpreter: documents, certificates, and `paths.json`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2

from .documents import BODY, Signer, certificate, factory, pins, pins_topic, root, root_topic

PATHS = ("pins", "root", "contingency", "first-boot", "reset")

Op = dict[str, Any]


class Maker:
    """Writes documents into a folder and names them; the five update paths are its methods."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pin: dict[str, bytes] = {}
        for name in ("a", "b", "c", "thief"):
            cert, self._pin[name] = certificate(name)
            self._put(name + ".der", cert)
        self._ops = Signer("ops")

    def _put(self, name: str, data: bytes) -> str:
        (self._folder / name).write_bytes(data)
        return name

    def _factory(self, name: str, first_root: bytes, first_pins: bytes) -> str:
        return self._put(name + "-factory.cbor", factory(first_root, first_pins))

    def _keys(self, two: str) -> tuple[bytes, bytes]:
        """Return the pins of two servers' keys, "-" for a backup that nobody serves."""
        one, other = (self._pin.get(name, hashlib.sha256(b"backup").digest()) for name in two)
        return one, other

    def _publish(self, path: str, documents: dict[str, bytes], good: str, bad: str) -> Op:
        named = {
            topic: self._put(f"{path}-{hashlib.sha256(data).hexdigest()[:8]}.cbor", data)
            for topic, data in documents.items()
        }
        return {"do": "publish", "topics": named, **_servers(good, bad)}

    def _plain_root(self) -> bytes:
        return root(1, [self._ops], ([1, [0]], [1, [0]]), [self._ops])

    def pins(self) -> dict[str, Any]:
        """Two updates, the second while the first is not confirmed, then a handshake that confirms it.

        The rings are old enough to enter sectors, and to begin a new lap.
        """
        ops, thief = self._ops, self._pin["thief"]

        def update(s: int, keys: str, good: str, bad: str) -> Op:
            document = pins((1, s), self._keys(keys), ops, (thief,), host_padding=1000)
            return self._publish("pins", {pins_topic(): document}, good, bad)

        # The thief's key was good once: an older document that stands in must not bring it back.
        first = pins((1, 1), (*self._keys("a-"), thief), ops, host_padding=1000)
        return {
            "factory": self._factory("pins", self._plain_root(), first),
            "before": [update(2, "ab", "a", "c"), _confirm("a", "a", "c")],
            "age": 9,
            "ops": [
                update(3, "b-", "ab", "c"),
                update(4, "cb", "abc", ""),
                _confirm("c", "cb", "a"),
                {"do": "save", **_servers("cb", "a")},
            ],
        }

    def root(self) -> dict[str, Any]:
        """Three roots in one session, the second with another rule for pins; then pins that require the newest."""
        ops, two = self._ops, Signer("two")
        both = [ops, two]
        chain = {
            root_topic(2): root(2, both, ([1, [0]], [1, [0]]), [ops]),
            root_topic(3): root(3, both, ([1, [0]], [1, [1]]), [ops]),
            root_topic(4): root(4, both, ([2, [0, 1]], [1, [1]]), both),
        }
        newest = pins((4, 5), self._keys("b-"), two, (self._pin["a"],))
        return {
            "factory": self._factory(
                "root", self._plain_root(), pins((1, 1), self._keys("ab"), ops)
            ),
            "before": [_confirm("a", "ab", "c")],
            "age": 6,
            "ops": [
                self._publish("root", chain, "ab", "c"),
                self._publish("root", {pins_topic(): newest}, "b", "ac"),
                _confirm("b", "b", "ac"),
            ],
        }

    def contingency(self) -> dict[str, Any]:
        """A root, then the contingency root at 65,536 by keys that were only committed to, then pins under it."""
        ops, lost, new = self._ops, Signer("contingency"), Signer("new")
        held, next_held = [1, [lost.digest]], [1, [Signer("contingency two").digest]]
        one = ([1, [0]], [1, [0]])
        second = root(2, [ops], one, [ops], held)
        rescue = root(65536, [new, lost], one, [lost, new], next_held)
        newest = pins((65536, 1), self._keys("bc"), new, (self._pin["thief"],))
        first = root(1, [ops], one, [ops], held)
        return {
            "factory": self._factory("contingency", first, pins((1, 7), self._keys("ab"), ops)),
            "before": [_confirm("a", "ab", "c")],
            "age": 0,
            "ops": [
                self._publish("contingency", {root_topic(2): second}, "ab", "c"),
                self._publish("contingency", {root_topic(65536): rescue}, "ab", "c"),
                self._publish("contingency", {pins_topic(): newest}, "bc", "a"),
                _confirm("c", "bc", "a"),
            ],
        }

    def first_boot(self) -> dict[str, Any]:
        """A fresh region: the first boot, a first update that takes two sectors, and its confirmation."""
        ops = self._ops
        long = pins((1, 2), self._keys("bc"), ops, (self._pin["thief"],), 5000)
        return {
            "factory": self._factory(
                "first-boot", self._plain_root(), pins((1, 1), self._keys("ab"), ops)
            ),
            "before": [],
            "age": 0,
            "ops": [
                {"do": "boot", **_servers("ab", "c")},
                self._publish("first-boot", {pins_topic(): long}, "abc", ""),
                _confirm("c", "bc", "a"),
                {"do": "save", **_servers("bc", "a")},
            ],
        }

    def reset(self) -> dict[str, Any]:
        """A device with newer roots and pins goes back to its factory's; then all comes back by its digest."""
        ops, two = self._ops, Signer("two")
        chain = {
            root_topic(2): root(2, [ops, two], ([1, [0]], [1, [0]]), [ops]),
            root_topic(3): root(3, [ops, two], ([1, [1]], [1, [0]]), [ops, two]),
        }
        newest = pins((3, 4), self._keys("bc"), ops, (self._pin["thief"],))
        return {
            "factory": self._factory(
                "reset", self._plain_root(), pins((1, 1), self._keys("ab"), ops)
            ),
            "before": [
                self._publish("reset", chain, "ab", "c"),
                self._publish("reset", {pins_topic(): newest}, "abc", ""),
                _confirm("b", "bc", "a"),
            ],
            "age": 2,
            "ops": [
                {"do": "reset", **_servers("ab", "c")},
                {"do": "publish", "topics": {}, **_servers("abc", "")},
                _confirm("c", "bc", "a"),
            ],
        }

    def _say_numbers(self, path: dict[str, Any]) -> None:
        """Say of a path, before all and after each operation, which numbers and forbidden keys the documents so far have brought.

        [root version, [R, S], root that last changed the rule for pins, forbidden keys].
        """
        burnt_in = cbor2.loads(self._read(path["factory"]))
        bodies = [_body(burnt_in[5]), _body(burnt_in[6])]
        since = 1
        path["numbers"] = _numbers(bodies, since)
        for op in path["before"] + path["ops"]:
            for topic, file in op.get("topics", {}).items():
                at = 0 if "/root/" in topic else 1
                newer = _body(self._read(file))
                if at == 0 and _rule(newer) != _rule(bodies[0]):
                    since = newer[1]
                bodies[at] = newer
            op["numbers"] = _numbers(bodies, since)

    def _read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def write(self) -> None:
        """Write everything, `paths.json` last."""
        made = {name: getattr(self, name.replace("-", "_"))() for name in PATHS}
        for path in made.values():
            self._say_numbers(path)
        self._put("paths.json", json.dumps(made, indent=1).encode())


def _body(document: bytes) -> dict[int, Any]:
    found: dict[int, Any] = cbor2.loads(cbor2.loads(document).value[2])[BODY]
    return found


def _rule(body: dict[int, Any]) -> list[Any]:
    """Return the rule for pins of a root, its keys spelled out."""
    return [[threshold, [body[2][index] for index in keys]] for threshold, keys in body[3][2]]


def _numbers(bodies: list[dict[int, Any]], since: int) -> list[Any]:
    root_body, pins_body = bodies
    forbidden = sorted(digest.hex() for digest in pins_body.get(-2, []))
    return [root_body[1], [pins_body[1], pins_body[2]], since, forbidden]


def _servers(good: str, bad: str) -> Op:
    """Which certificates are accepted after an operation, and which are not; the thief's never is."""
    return {"good": [name + ".der" for name in good], "bad": [name + ".der" for name in bad]}


def _confirm(cert: str, good: str, bad: str) -> Op:
    return {"do": "confirm", "cert": cert + ".der", **_servers(good, bad)}


def write(folder: Path) -> None:
    """Make a folder for everpin_sim/device."""
    Maker(folder).write()
