"""Devices that live through an update path: what is delivered to them in which order, and what their trust is worth.

Device dialect. The folder that a path is read from is made by everpin_sim.paths.
"""

import json
import os
from binascii import unhexlify

from everpin import crypto
from everpin.core import errors
from everpin.core.agent import Agent
from everpin.core.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from everpin.core.record import Flash
    from everpin_sim.device.cutflash import PowerCut
else:
    from cutflash import PowerCut

SERVER = "broker.example"
# Certificates that no state accepts: "thief" is forbidden, or was never pinned.
_NEVER = "thief.der"
# A session that walks more roots than this is no session.
_ROUNDS = 70
_FLASH = errors.name_of(errors.FLASH)


class Failed(Exception):
    """What a device may not do: `what` is "bricked", "lost" or "lowered", `why` says more."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what + ": " + why)
        self.what = what


class Random:
    """Counts up: what needs unpredictable bytes gets different ones, the same in each life."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, length: int) -> bytes:
        self._count += 1
        return (self._count.to_bytes(4, "big") * (length // 4 + 1))[:length]


class Path:
    """An update path: `factory` (bytes), `before` and `ops` (what happens, in order), `age` (commits before it)."""

    def __init__(self, folder: str, name: str, ops: "int | None" = None) -> None:
        """Read a path of a folder, or its first `ops` operations."""
        self._folder = folder
        said = json.loads(self._read("paths.json"))[name]
        self.name = name
        self._files: "dict[str, bytes]" = {}
        self.factory = self.file(said["factory"])
        self.before: "list[dict[str, Any]]" = said["before"]
        self.age: int = said["age"]
        self._numbers: "list[Any]" = said["numbers"]
        self.ops: "list[dict[str, Any]]" = said["ops"][:ops]

    def _read(self, name: str) -> bytes:
        where = self._folder + "/" + name
        with open(where, "rb") as file:
            return file.read(os.stat(where)[6])

    def file(self, name: str) -> bytes:
        """Return a file of the path's folder."""
        if name not in self._files:
            self._files[name] = self._read(name)
        return self._files[name]

    def retained(self, upto: int) -> "dict[str, str]":
        """Return what the broker holds once operation `upto` (-1: none) was published: {topic: file}."""
        found: "dict[str, str]" = {}
        for op in self.before + self.ops[: upto + 1]:
            if op["do"] == "publish":
                found.update(op["topics"])
        return found

    def servers(self, op: int) -> "tuple[list[str], list[str]]":
        """Return the certificates that are accepted after an operation (-1: before all), and those that are not."""
        found = self.ops[op] if op >= 0 else (self.before or self.ops[:1])[-1]
        return found["good"], found["bad"] + [_NEVER]

    def numbers(self, op: int) -> "tuple[Any, ...]":
        """Return what the documents so far have brought, after an operation (-1: before all), in the words of `Life.numbers`."""
        last = self.ops[op] if op >= 0 else (self.before or [{"numbers": self._numbers}])[-1]
        root, number, since, forbidden = last["numbers"]
        return root, tuple(number), since, [unhexlify(digest) for digest in forbidden]


class Life:
    """One life of a device, from its boot to a power cut or to the end of its path."""

    def __init__(self, path: Path, flash: "Flash") -> None:
        self._path = path
        self.agent = Agent(Store(flash), Random())
        # Called after each call of the agent that may have committed something.
        self.note: "Any" = None
        self._encoded: "tuple[Any, bytes]" = (None, b"")

    def _noted(self) -> None:
        if self.note is not None:
            self.note(self)

    def state(self) -> bytes:
        """Return the trust state, byte for byte."""
        if self._encoded[0] is not self.agent.trust:
            self._encoded = (self.agent.trust, self.agent.trust.encode())
        return self._encoded[1]

    def numbers(self) -> "tuple[Any, ...]":
        """Return what never falls: root version, (R, S), the root that last changed the rule for pins, the forbidden set."""
        marks = self.agent.trust.marks
        return marks.root_version, marks.number, marks.rule_since, sorted(marks.forbidden)

    def accepts(self, cert: str) -> bool:
        """Return whether the server with that certificate is talked to."""
        return self.agent.verdict(SERVER, [self._path.file(cert)]).accepted

    def do(self, number: int) -> None:
        """Do operation `number`, or do it again."""
        self.act(self._path.ops[number], self._path.retained(number))

    def act(self, op: "dict[str, Any]", retained: "dict[str, str]") -> None:
        """Do one operation while the broker holds `retained`."""
        try:
            self._act(op, retained)
        except (PowerCut, Failed):
            raise
        except Exception as error:  # noqa: BLE001 - whatever an agent raises there, its device has crashed
            raise Failed("bricked", "it crashed: " + repr(error))

    def _act(self, op: "dict[str, Any]", retained: "dict[str, str]") -> None:
        if op["do"] == "publish":
            self._session(retained)
        elif op["do"] == "confirm":
            found = self.agent.verdict(SERVER, [self._path.file(op["cert"])])
            if not found.accepted:
                raise Failed("bricked", "the genuine server is refused: " + found.name)
            self.agent.completed(found)
            self._noted()
        elif op["do"] == "reset":
            self.agent.reset()
            self._noted()
        elif op["do"] == "save":
            self.agent.save()
        elif op["do"] != "boot":
            raise ValueError(op["do"])

    def _session(self, retained: "dict[str, str]") -> None:
        """Subscribe and take what is retained, again and again until nothing is news, or the flash fails."""
        for _ in range(_ROUNDS):
            news = False
            for topic in self.agent.topics():
                if topic in retained:
                    became = self.agent.receive(topic, self._path.file(retained[topic]))
                    self._noted()
                    if became == _FLASH:
                        return
                    if became in ("root", "accepted"):
                        news = True
            if not news:
                return
        raise Failed("lost", "documents that were delivered are news for ever")


_really = crypto.verify
_known: "dict[tuple[int, bytes, bytes, bytes], bool]" = {}


def _remembered(alg: int, public_key: bytes, message: bytes, signature: bytes) -> bool:
    key = (alg, public_key, message, signature)
    if key not in _known:
        _known[key] = _really(alg, public_key, message, signature)
    return _known[key]


def remember_signatures(yes: bool) -> None:
    """Check each signature once in this process, or each time again.

    A sweep boots a device thousands of times over the same few documents; MicroPython takes a tenth of a second for each check
    in Python. The answer to equal bytes under an equal key is the same each time.
    """
    crypto.verify = _remembered if yes else _really
