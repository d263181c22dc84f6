"""Power cuts by exhaustion on an emulated microcontroller: real firmware, its flash's own fuse, MicroPython's littlefs.

Every step of the flash, every kind of cut, each in a life of its own; then a life that recovers. Both are judged on the board by the
oracle of everpin_sim/device, and by the trust states that the same path has in process: a difference is a failure. Ids are those
of the other targets; what a life of its own cannot have, faults with the power on and rot in known places, is left to them.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from . import board_cuts, build_mcu
from .board_cuts import Case, Verdict
from .device.cutflash import ERASE_KINDS, PROG_KINDS
from .sweep_report import Report, Tell
from .targets.bench import Bench, Life

# By --flash of the command.
MEDIUMS = {"littlefs": "files", "partition": "raw"}


class _Sweep:
    """One path on one firmware."""

    def __init__(
        self,
        firmware: build_mcu.Firmware,
        folder: Path,
        path: str,
        ops: int,
        medium: str,
        expected: dict[str, Any],
    ) -> None:
        self.path, self._ops = path, ops
        self._firmware, self._folder, self._medium = firmware, folder, medium
        self._files = {
            item.name: item.read_bytes() for item in folder.iterdir() if item.suffix != ".part"
        }
        self._files["states.json"] = json.dumps(expected).encode()
        self._files["signatures"] = b""
        self._after: list[int] = expected["after"]
        self._local = threading.local()
        self._lock = threading.Lock()
        self._benches: list[Bench] = []
        self._verdicts: dict[tuple[bytes, int, int], Verdict] = {}
        self.steps = 0
        self.origin = b""

    # ---- lives -------------------------------------------------------------------------------------------------------

    def _bench(self) -> Bench:
        """Return this thread's board."""
        bench: Bench | None = getattr(self._local, "bench", None)
        if bench is None:
            folder = self._folder / f"{threading.get_ident()}.part"
            folder.mkdir()
            bench = self._local.bench = Bench(self._firmware, folder, self._medium)
            bench.pass_files(self._files)
            with self._lock:
                self._benches.append(bench)
        return bench

    def _call(self, name: str, *numbers: int) -> str:
        arguments = ", ".join((repr(self.path), *map(str, (*numbers, self._ops))))
        return f"import sweep; sweep.{name}({arguments})"

    def prepare(self) -> Verdict:
        """Make the device before the path, and live through it uncut; return what is wrong already."""
        bench = self._bench()
        for name, image in (("origin", None), ("live", True)):
            life = bench.life(self._call(name), self.origin if image else None)
            wrong = _wrong(life)
            if wrong is not None:
                return wrong
            self._files["signatures"] += b"".join(
                bytes.fromhex(said["signature"]) + bytes([said["valid"]])
                for said in life.said
                if "signature" in said
            )
            bench.pass_files(self._files)
            if image is None:
                self.origin = bench.part.image()
            self.steps = int(bench.part.page.steps)
        if bench.part.page.bad_progs:
            return "lost", "bytes were programmed whose bits would have to rise"
        return None

    def at_step(self, step: int, want: str = "") -> list[Case]:
        """Return (id, what is wrong) of every cut in a step, counted from 0; `want` is the only kind."""
        found = []
        number = PROG_KINDS.index(want) if want in PROG_KINDS else 0
        number = ERASE_KINDS.index(want) if want in ERASE_KINDS else number
        for kind in range(len(PROG_KINDS)) if not want else (number,):
            bench = self._bench()
            life = bench.life(self._call("live"), self.origin, (step + 1, kind))
            name = (ERASE_KINDS if bench.part.page.cut_erase else PROG_KINDS)[kind]
            if want in ("", name):
                found.append((f"{self.path}/1/{step}/{name}", self._cut(life)))
        return found

    def repeated(self, op: int) -> list[Case]:
        """Return (id, what is wrong) when the power goes before an operation's acknowledgement, and it is delivered again."""
        life = self._bench().life(self._call("live"), self.origin, phase=("OPERATION", op + 1))
        return [(f"{self.path}/1/op{op}/ack", self._cut(life, op))]

    def _cut(self, life: Life, done: int | None = None) -> Verdict:
        """Judge a life that was cut, and the one after it."""
        bench = self._bench()
        if life.ended != bench.part.layout["EXIT_POWER_CUT"]:
            return _wrong(life) or ("lost", "the cut was never met")
        floor, op = int(life.last("floor") or 0), int(life.last("op") or 0)
        if done is not None:
            floor, op = self._after[done], done
        key = hashlib.sha256(bench.part.image()).digest(), floor, op
        with self._lock:
            if key in self._verdicts:
                return self._verdicts[key]
        after = bench.life(self._call("judge", floor, op))
        verdict = _wrong(after)
        if verdict is None and bench.part.page.bad_progs:
            verdict = "lost", "bytes were programmed whose bits would have to rise"
        with self._lock:
            self._verdicts[key] = verdict
        return verdict

    def jobs(self, case: str) -> list[Callable[[], list[Case]]]:
        """Return what is to be done, each by one thread."""
        if not case:
            steps = [partial(self.at_step, step) for step in range(self.steps)]
            return [*steps, *(partial(self.repeated, op) for op in range(len(self._after)))]
        number, kind, is_op = board_cuts.parts(case)
        if kind == "ack" and is_op and number < len(self._after):
            return [partial(self.repeated, number)]
        if kind in PROG_KINDS + ERASE_KINDS and not is_op and 0 <= number < self.steps:
            return [partial(self.at_step, number, kind)]
        return []

    @property
    def distinct(self) -> int:
        """Return how many different devices were judged."""
        return len(self._verdicts)

    def close(self) -> None:
        """Let go of every board."""
        for bench in self._benches:
            bench.close()


def _wrong(life: Life) -> Verdict:
    """Return what is wrong with a life that should have come to its end."""
    if life.last("failed"):
        what, why = life.last("failed")
        return str(what), str(why)
    if life.last("event") == "files-lost":
        return "bricked", "the littlefs cannot be mounted"
    if life.last("done"):
        return None
    if life.ended is not None:
        return "bricked", f"the emulator ended with {life.ended} (control.h)"
    return "bricked", life.trace.strip() or "it said nothing"


def sweep(
    path: str,
    agent: Path | None = None,
    flash: str = "littlefs",
    ops: int = 0,
    case: str = "",
    tell: Tell | None = None,
    fast: bool = False,
) -> Report:
    """Return what a sweep of one path found, as `cuts.sweep` does; raise `NotAvailable`, `BuildFailed` or `SweepFailed`."""
    firmware = build_mcu.build(
        agent=agent, tell=lambda text: tell(path, 0, text) if tell else None
    )

    def make(folder: Path, expected: dict[str, Any]) -> _Sweep:
        return _Sweep(firmware, folder, path, ops, MEDIUMS[flash], expected)

    return board_cuts.sweep("mcu", flash, path, agent, ops, case, tell, fast, make)
