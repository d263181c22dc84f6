"""Power cuts by exhaustion on an emulated Pi: CPython's own file flash on a partition of its card, and what its kernel wrote to it.

Every write that reached the card is in the emulator's log, and so are its flushes. For each write and each way in which it can be
torn, the card is rebuilt as the cut would have left it, with what a card's cache does to earlier writes; then a Pi recovers from it.
What only the guest held is lost in each. And the power really goes (SIGKILL) at the end of each operation, before its
acknowledgement, and in some of the moments between a sync's begin and its end, wherever that finds the machine.

Both lives are judged in the guest by the oracle of everpin_sim/device, by the trust states that the same path has in process.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from everpin.core.store import REGION_BYTES

from . import board_cuts, build_pi
from .board_cuts import Case, Verdict
from .build_pi import Guest
from .sources import DEVICE
from .sweep_report import Report, SweepFailed, Tell
from .targets.events import Event
from .targets.pi import Pi
from .targets.write_log import CACHE_KINDS, KINDS, Cuts, writes

_LIFE_S = 120.0
# Real cuts in the midst of a sync, spread over the path.
_KILLS = 6
_SECTOR = 512


class _Bench(Pi):
    """A Pi that lives what it is told to, over its partition."""

    def __init__(
        self, guest: Guest, folder: Path, files: dict[str, bytes], log: Path | None = None
    ) -> None:
        folder.mkdir()
        (folder / "device.json").write_text("{}")
        (folder / "flash.img").write_bytes(b"\xff" * REGION_BYTES)
        super().__init__(folder, guest, write_log=log)
        self._more = files

    def boot(self) -> None:
        """Boot to where it waits for lives."""
        mark = self.mark()
        self.start((), "sweep.py", self._more)
        if self.wait(lambda event: event.get("event") == "at-your-service", mark, _LIFE_S) is None:
            tail = (self.home / "pi.log").read_text(errors="replace")[-600:]
            raise SweepFailed(f"the guest does not come up: {tail}")

    def begin(self, **asked: Any) -> int:
        """Begin a life; return the mark of its first line."""
        mark = self.mark()
        self.machine.say(json.dumps(asked).encode() + b"\n")
        return mark

    def live(self, **asked: Any) -> tuple[Verdict, list[Event]]:
        """Live one life to its end; return what is wrong with it, and all that it said."""
        mark = self.begin(**asked)
        ended = self.wait(lambda event: "done" in event or "failed" in event, mark, _LIFE_S)
        if ended is None:
            return ("bricked", "it says nothing more"), []
        said = self.since(mark)
        if "failed" in ended:
            what, why = ended["failed"]
            return (str(what), str(why)), said
        return None, said


class _Sweep:
    """One path on one guest."""

    def __init__(
        self, guest: Guest, folder: Path, path: str, ops: int, expected: dict[str, Any]
    ) -> None:
        self._guest, self._folder = guest, folder
        self._asked: dict[str, Any] = {"path": path, "ops": ops}
        self._path = path
        self._files = {item.name: item.read_bytes() for item in folder.iterdir()}
        self._files["states.json"] = json.dumps(expected).encode()
        self._files["sweep.py"] = (build_pi.SOURCE / "sweep.py").read_bytes()
        for item in DEVICE.glob("*.py"):
            self._files[item.name] = item.read_bytes()
        self._after: list[int] = expected["after"]
        self._local = threading.local()
        self._lock = threading.Lock()
        self._benches: list[_Bench] = []
        self._verdicts: dict[tuple[bytes, int, int], Verdict] = {}
        # For each write (floor, operation), and the same for each sync.
        self._places: list[tuple[int, int]] = []
        self._syncs: list[tuple[int, int]] = []
        self._cuts: Cuts | None = None
        self._origin = b""
        self.steps = 0

    # ---- lives -------------------------------------------------------------------------------------------------------

    def _new(self, log: bool = False) -> _Bench:
        with self._lock:
            folder = self._folder / f"pi-{len(self._benches)}"
            bench = _Bench(self._guest, folder, self._files, folder / "writes" if log else None)
            self._benches.append(bench)
        return bench

    def _bench(self) -> _Bench:
        """Return this thread's Pi, which waits for lives."""
        bench: _Bench | None = getattr(self._local, "bench", None)
        if bench is None:
            bench = self._local.bench = self._new()
        if not bench.alive:
            bench.cut()
            bench.boot()
        return bench

    def prepare(self) -> Verdict:
        """Make the device before the path, and live through it uncut with each write logged; return what is wrong already."""
        bench = self._new(log=True)
        bench.boot()
        wrong, _ = bench.live(what="origin", **self._asked)
        bench.cut()
        if wrong is not None:
            return wrong
        self._origin = bench.snapshot()
        bench.boot()
        wrong, said = bench.live(what="live", **self._asked)
        bench.cut()
        if wrong is not None:
            return wrong
        found = writes(bench.home / "writes")
        self.steps = len(found)
        self._cuts = Cuts(self._origin, found)
        self._place([len(write.data) // _SECTOR for write in found], said)
        return None

    def _place(self, sectors: list[int], said: list[Event]) -> None:
        """Find for each write, by how many sectors were written before it, the sync that it belongs to."""
        floor = op = 0
        begins: list[int] = []
        for line in said:
            floor, op = line.get("floor", floor), line.get("op", op)
            if "sync" in line:
                begins.append(line["sync"])
                self._syncs.append((floor, op))
        done = 0
        for count in sectors:
            at = max(number for number, begin in enumerate(begins) if begin - begins[0] <= done)
            self._places.append(self._syncs[at])
            done += count
        # More may follow: what a flash has left to the kernel is written when its partition is closed.
        if done < begins[-1] - begins[0]:
            raise SweepFailed("the guest and the log do not agree on what was written")
        self._syncs.pop()  # the last was the life's end

    # ---- cases -------------------------------------------------------------------------------------------------------

    def jobs(self, case: str) -> list[Callable[[], list[Case]]]:
        """Return what is to be done, each by one thread."""
        ops, syncs = len(self._after), len(self._syncs)
        if not case:
            some = sorted({number * syncs // _KILLS for number in range(_KILLS)})
            return [
                *(partial(self._written, number) for number in range(self.steps)),
                *(partial(self._repeated, op) for op in range(ops)),
                *(partial(self._killed, number) for number in some),
            ]
        number, kind, is_op = board_cuts.parts(case)
        if kind == "ack" and is_op and number < ops:
            return [partial(self._repeated, number)]
        if kind == "kill" and not is_op and number < syncs:
            return [partial(self._killed, number)]
        if kind in KINDS + CACHE_KINDS and not is_op and 0 <= number < self.steps:
            return [partial(self._written, number, kind)]
        return []

    def _written(self, number: int, want: str = "") -> list[Case]:
        """Return (id, what is wrong) of every cut in a write."""
        assert self._cuts is not None  # noqa: S101 - prepared before
        found = []
        for kind in self._cuts.kinds(number):
            if want in ("", kind):
                verdict = self._judge(self._cuts.image(number, kind), *self._places[number])
                found.append((f"{self._path}/1/{number}/{kind}", verdict))
        return found

    def _repeated(self, op: int) -> list[Case]:
        """The power goes when an operation is done, before its acknowledgement, and it is delivered again."""
        image = self._cut_when(lambda event: event.get("rests") == op, rest=op)
        return [(f"{self._path}/1/op{op}/ack", self._judge(image, self._after[op], op))]

    def _killed(self, number: int) -> list[Case]:
        """The power goes somewhere in a sync."""
        seen = [-1]

        def begins(event: Event) -> bool:
            seen[0] += "sync" in event
            return seen[0] == number

        image = self._cut_when(begins)
        return [(f"{self._path}/1/{number}/kill", self._judge(image, *self._syncs[number]))]

    def _cut_when(self, fits: Callable[[Event], bool], **asked: Any) -> bytes:
        """Return the region after a life from the path's begin that ended when it said what fits."""
        bench = self._bench()
        bench.card.write(self._origin)
        mark = bench.begin(what="live", **self._asked, **asked)
        met = bench.wait(fits, mark, _LIFE_S)
        bench.cut()
        if met is None:
            raise SweepFailed("the moment of the cut was never met")
        return bench.snapshot()

    def _judge(self, image: bytes, floor: int, op: int) -> Verdict:
        """Judge the life after a cut in operation `op`, when state `floor` was committed last."""
        key = hashlib.sha256(image).digest(), floor, op
        with self._lock:
            if key in self._verdicts:
                return self._verdicts[key]
        bench = self._bench()
        bench.card.write(image)
        verdict, _ = bench.live(what="judge", floor=floor, op=op, **self._asked)
        with self._lock:
            self._verdicts[key] = verdict
        return verdict

    @property
    def distinct(self) -> int:
        """Return how many different devices were judged."""
        return len(self._verdicts)

    def close(self) -> None:
        """End every Pi."""
        for bench in self._benches:
            bench.close()


def sweep(
    path: str,
    agent: Path | None = None,
    ops: int = 0,
    case: str = "",
    tell: Tell | None = None,
    fast: bool = False,
) -> Report:
    """Return what a sweep of one path found, as `cuts.sweep` does; raise `NotAvailable`, `BuildFailed` or `SweepFailed`."""
    guest = build_pi.build(agent=agent, tell=lambda text: tell(path, 0, text) if tell else None)

    def make(folder: Path, expected: dict[str, Any]) -> _Sweep:
        return _Sweep(guest, folder, path, ops, expected)

    return board_cuts.sweep("pi", "partition", path, agent, ops, case, tell, fast, make)
