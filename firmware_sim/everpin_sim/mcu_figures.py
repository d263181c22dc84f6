"""`everpin sim figures --target mcu`: what the agent costs on an emulated microcontroller, counted while it does what it is there for.

A TLS handshake with the verdict inside it, with a real server and with a thief; pins signed by Ed25519, ESP256 and HSS-LMS, each
forged first. Every answer is held against the one that is right: no figure is that of a broken agent.
"""

import datetime
import hashlib
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from everpin.core import errors, spki

from . import build_mcu, pki
from .attacker import Attacker
from .debian import Tell
from .documents import ED25519, ESP256, HSS_LMS, SERVER, Signer, factory, pins, pins_topic, root
from .targets.bench import COUNTED, SHIFTS, TICK_NS, Bench
from .targets.machine import Machine
from .targets.modem import Modem
from .targets.protocol import TargetError

# Figures that are counts of instructions.
COUNTS = ("handshake", "accept_ed25519", "accept_esp256", "accept_lms_w4", "pin_check")

_SIGNERS = {"ed25519": ED25519, "esp256": ESP256, "lms_w4": HSS_LMS}
# What a collector that runs after so many bytes leaves is what is in use, to that much.
_EXACT = 1024
# A collector that waits until nothing is left scatters what lives long over all of the heap, and no room for TLS's buffer is left.
COLLECT_EVERY = 4096
_RAM_STEP = 1024
# How the heap comes to lie differs with certificates and documents: RAM is enough when it is in so many lives.
_LIVES = 6
_ANSWER = b"\x20\x02\x00\x00"
_FORGED = errors.name_of(errors.BAD_SIGNATURE)
_OLDER = errors.name_of(errors.ROLLBACK)
_OTHER_KEY = errors.name_of(errors.PIN_MISMATCH)

Report = dict[str, Any]


@dataclass
class Ground:
    """A server that is pinned, a thief that is not, and documents by three kinds of keys."""

    server: Attacker
    thief: Attacker
    files: dict[str, bytes]

    def close(self) -> None:
        """Stop both."""
        self.server.close()
        self.thief.close()


@dataclass
class Run:
    """One life: what it found right and wrong, instructions by figure, bytes of heap in use at most by figure, bytes of stack."""

    verdicts: dict[str, bool] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    heap: dict[str, int] = field(default_factory=dict)
    stack: int = 0
    trace: str = ""

    @property
    def ok(self) -> bool:
        """Return whether everything was right."""
        return not self.trace and all(self.verdicts.values())


def ground(folder: Path) -> Ground:
    """Make it; servers listen on ports of loopback."""
    authority = pki.root("Root", datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
    (folder / "ca.pem").write_bytes(authority.pem())
    made, leaf = {}, {}
    for name in ("server", "thief"):
        # The same keys each time, so that what is hashed and signed is the same.
        identity = pki.leaf(authority, name, Signer(name, ESP256).key)
        leaf[name] = identity.certificate.public_bytes(Encoding.DER)
        made[name] = Attacker(*identity.save(folder, name), folder / "ca.pem", 0)
    keys = (spki.pin(leaf["server"]), hashlib.sha256(b"backup").digest())
    signers = [Signer(name, alg) for name, alg in _SIGNERS.items()]
    first = root(1, signers, ([1, [0]], [1, [0, 1, 2]]), [signers[0]])
    files = {"factory.cbor": factory(first, pins((1, 1), keys, signers[0]))}
    for number, (name, signer) in enumerate(zip(_SIGNERS, signers, strict=True), 2):
        # Another backup each time: the base stays what it was until a handshake confirms the new pins.
        document = pins((1, number), (keys[0], hashlib.sha256(name.encode()).digest()), signer)
        files[name] = document
        files["forged " + name] = document[:-1] + bytes([document[-1] ^ 1])
    files |= {name + ".der": der for name, der in leaf.items()}
    return Ground(made["server"], made["thief"], files)


class _Live:
    """A board that is up, and one call after the other."""

    def __init__(self, bench: Bench, machine: Machine, run: Run, shift: int) -> None:
        self._bench, self._machine, self._run, self._shift = bench, machine, run, shift

    def call(self, name: str, *args: Any, figure: str = "") -> dict[str, Any]:
        """Call a function of frozen/figures.py; return its lines as one map."""
        self._bench.part.page.heap_peak = 0
        arguments = ", ".join(map(repr, args))
        life = self._bench.say(self._machine, f"figures.{name}({arguments})")
        if life.trace:
            raise TargetError(life.trace)
        found: dict[str, Any] = {}
        for line in life.said:
            found |= line
        page = self._bench.part.page
        self._run.heap[figure or name] = max(
            self._run.heap.get(figure or name, 0), int(page.heap_peak)
        )
        self._run.stack = max(self._run.stack, int(page.stack_peak))
        if figure:
            self._run.counts[figure] = int(found["ticks"]) * TICK_NS >> self._shift
        return found

    def right(self, what: str, fact: bool) -> None:
        """Note whether something was as it should be."""
        self._run.verdicts[what] = fact


def measure(
    firmware: build_mcu.Firmware,
    made: Ground,
    folder: Path,
    ram: int = 0,
    collect_every: int = 0,
    icount: str = COUNTED,
) -> Run:
    """Return one life of a fresh board; `collect_every`: let the collector run after so many bytes."""
    run = Run()
    modem = Modem([made.server.port, made.thief.port], {SERVER: "127.0.0.1"})
    (folder / "bench.part").unlink(missing_ok=True)
    bench = Bench(firmware, folder, ram=ram, icount=icount, modem=modem)
    bench.set_clock(int(time.time()))
    bench.pass_files(made.files)
    try:
        machine = bench.boot()
        try:
            if collect_every:
                machine.run(f"import gc; gc.threshold({collect_every})")
            machine.run("import figures")
            _live(_Live(bench, machine, run, SHIFTS.get(icount, 0)), made)
        finally:
            machine.kill()
    except TargetError as problem:
        run.trace = str(problem).strip()
    finally:
        modem.detach()
        bench.close()
    return run


def _live(board: _Live, made: Ground) -> None:
    seen = len(made.thief.log)
    before = board.call("start")["said"]
    topic = pins_topic()
    said = board.call("handshake", SERVER, made.server.port, figure="handshake")
    board.right("handshake: the server is accepted", _talked(said))
    said = board.call("handshake", SERVER, made.thief.port)
    board.right("handshake: a thief is refused", said["said"] == _OTHER_KEY)
    said = board.call("pin", SERVER, "server.der", figure="pin_check")
    board.right("pin check: the server's key", said["said"] == "ok")
    said = board.call("pin", SERVER, "thief.der")
    board.right("pin check: another key", said["said"] == _OTHER_KEY)
    for name in _SIGNERS:
        said = board.call("document", topic, "forged " + name)
        same = board.call("digest")["said"] == before
        board.right(f"{name}: a forged document is refused", said["said"] == _FORGED and same)
        said = board.call("document", topic, name, figure="accept_" + name)
        old, before = before, board.call("digest")["said"]
        board.right(f"{name}: accepted", said["said"] == "accepted" and before != old)
    said = board.call("document", topic, "ed25519")
    same = board.call("digest")["said"] == before
    board.right("an older document is refused", said["said"] == _OLDER and same)
    # Pins that came by a document are confirmed by a handshake, and that is written to the flash.
    said = board.call("handshake", SERVER, made.server.port)
    confirmed = board.call("digest")["said"] != before
    board.right("handshake: it confirms new pins", _talked(said) and confirmed)
    # Now: what the thief was sent has arrived by then.
    caught = made.thief.log[seen:]
    board.right(
        "handshake: the thief got no byte",
        bool(caught) and not any(item.application for item in caught),
    )


def _talked(said: dict[str, Any]) -> bool:
    """Return whether a handshake came to its end, and the bytes after it."""
    return bool(said["said"] == "ok" and said.get("read") == _ANSWER.hex())


def least_ram(firmware: build_mcu.Firmware, folder: Path, tell: Tell = lambda _: None) -> int:
    """Return the least RAM, to 1 KiB, in which all of it goes well: stack, static data and heap."""
    low, high = build_mcu.RAM_MIN - _RAM_STEP, build_mcu.RAM_BYTES
    while high - low > _RAM_STEP:
        middle = (low + high) // 2 // _RAM_STEP * _RAM_STEP
        enough = is_enough(firmware, folder, middle)
        tell(f"{middle} bytes of RAM: {'enough' if enough else 'too little'}")
        low, high = (low, middle) if enough else (middle, high)
    return high


def is_enough(firmware: build_mcu.Firmware, folder: Path, ram: int) -> bool:
    """Return whether all of it goes well in so much RAM, in several lives."""
    for _ in range(_LIVES):
        made = ground(folder)
        try:
            if not measure(firmware, made, folder, ram, COLLECT_EVERY, "").ok:
                return False
        finally:
            made.close()
    return True


def figures(
    board: str = "an385",
    agent: Path | None = None,
    ram: int = 0,
    least: bool = False,
    tell: Tell = lambda _: None,
) -> Report:
    """Return the figures of one board; raise `NotAvailable` or `BuildFailed`."""
    started = time.monotonic()
    firmware = build_mcu.build(board, agent, tell=tell)
    bare = build_mcu.build(board, tell=tell, without_agent=True)
    with tempfile.TemporaryDirectory(prefix="everpin-figures-") as where:
        folder = Path(where)
        made = ground(folder)
        try:
            tell("counting instructions")
            counted = measure(firmware, made, folder, ram)
            tell("measuring the heap")
            heap = measure(firmware, made, folder, ram, _EXACT, icount="")
            found = least_ram(firmware, folder, tell) if least and counted.ok else None
        finally:
            made.close()
    wrong = [what for run in (counted, heap) for what, ok in run.verdicts.items() if not ok]
    return {
        "target": "mcu",
        "board": board,
        "ok": counted.ok and heap.ok,
        "wrong": sorted(set(wrong)),
        "trace": counted.trace or heap.trace,
        **{name: counted.counts.get(name) for name in COUNTS},
        "heap_peak": max(heap.heap.values(), default=0),
        "heap": {name: heap.heap.get(name) for name in ("start", *COUNTS)},
        "stack_peak": heap.stack,
        "frozen_bytes": firmware.text_bytes - bare.text_bytes,
        "firmware_bytes": firmware.text_bytes,
        "ram": ram or build_mcu.RAM_BYTES,
        **({"ram_least": found} if found is not None else {}),
        "seconds": round(time.monotonic() - started, 1),
    }
