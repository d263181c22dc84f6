"""Weather: a device lives through one hostile thing, and what it is worth then.

Calm, weather, an update meanwhile, calm again. Whatever came, the device accepted nothing but the operator's documents, gave an
attacker nothing, took no memory that grows, is alive, and has the update in the end: else the weather found something.
"""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .bed import Bed, Upstream
from .weathers import WEATHERS, Weather

# Patience of whoever looks on. A dial of the agent may take 15 s, a session's death 12 s.
_CALM_S, _MEET_S, _CLEAR_S = 60.0, 60.0, 90.0
# How much a process may grow from its first calm on, all buffers with a bound in it; MicroPython's heap by itself, collected. KiB.
GROWTH_KIB = {"core": 4096, "unix": 2048}
HEAP_GROWTH_KIB = 64


@dataclass
class Found:
    """What one weather found; `why` is empty when nothing."""

    weather: str
    target: str
    why: list[str] = field(default_factory=list)
    rss_kib: int = 0
    grown_kib: int = 0
    heap_kib: int = 0
    heap_grown_kib: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Return whether nothing was found."""
        return not self.why

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"ok": self.ok}


def _memory(pid: int) -> tuple[int, int]:
    """Return (resident, most ever resident) of a process in KiB, zeros where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", text, re.M))
    return int(found.get("VmRSS", 0)), int(found.get("VmHWM", 0))


def _heap(bed: Bed, found: Found) -> None:
    """Look at what MicroPython told of its heap: what is in use after a collection, before the weather and from then on."""
    before = [event["bytes"] // 1024 for event in bed.before() if event["event"] == "heap"]
    after = [event["bytes"] // 1024 for event in bed.since() if event["event"] == "heap"]
    if before and after:
        found.heap_kib, found.heap_grown_kib = max(after), max(after) - max(before)
        if found.heap_grown_kib > HEAP_GROWTH_KIB:
            found.why.append(f"its heap grew by {found.heap_grown_kib} KiB")


def _until(true: Callable[[], bool], timeout_s: float) -> bool:
    until = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _is(name: str, s: int) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event.get("event") == name and event.get("number") == [1, s]


def live_through(
    weather: Weather, target: str, agent: Path, upstream: Upstream, folder: Path
) -> Found:
    """Return what one weather finds on one device."""
    found = Found(weather.name, target)
    started = time.monotonic()
    bed = Bed(weather.name, target, agent, upstream, folder)
    try:
        _live(bed, weather, found)
    finally:
        bed.close()
    found.seconds = round(time.monotonic() - started, 1)
    return found


def _live(bed: Bed, weather: Weather, found: Found) -> None:
    target, why = bed.target, found.why
    impostor = weather.name in ("impostor", "forged")
    bed.update(2)
    target.power_on()
    if target.wait(_is("confirmed", 2), 0, _CALM_S) is None:
        why.append("it does not come up in calm weather")
        return
    calm = _memory(target.pid)[1]
    # A mirror that is part of the weather gets no news from the operator; no man in the middle keeps it from coming by that way.
    hostile_mirror = weather.name.startswith("mirror-")
    with_mirror = not hostile_mirror and (weather.through or not impostor)
    bed.mark()
    weather.begin(bed)
    bed.update(3, with_mirror)
    if not _until(lambda: weather.met(bed) or not target.alive, _MEET_S):
        why.append("it has not met this weather: nothing is proved")
    if weather.through and target.wait(_is("accepted", 3), 0, _MEET_S) is None:
        why.append("the update does not come through while it lasts")
    if impostor and bed.stolen():
        why.append("the man in the middle got bytes of the application, or a client certificate")
    bed.end()
    bed.update(3)
    if not target.alive:
        why.append("the agent has ended")
        return
    since = target.mark()
    if target.wait(_is("accepted", 3), 0, _CLEAR_S) is None:
        why.append("the update does not come when the weather has cleared")
    elif target.wait(_is("connected", 3), since, _CLEAR_S) is None:
        why.append("it does not come back to its broker")
    found.rss_kib = _memory(target.pid)[1]
    found.grown_kib = found.rss_kib - calm
    _heap(bed, found)
    if found.grown_kib > GROWTH_KIB[found.target]:
        why.append(f"it grew by {found.grown_kib} KiB")
    if not target.alive:
        why.append("the agent has ended")
    target.cut()
    numbers = [tuple(e["number"]) for e in target.since(0) if e["event"] == "accepted"]
    if set(numbers) - {(1, 2), (1, 3)} or numbers != sorted(numbers):
        why.append(f"it accepted {numbers}")
    why += bed.judge()


def run(
    names: list[str],
    targets: list[str],
    agent: Path,
    kind: str,
    folder: Path,
    jobs: int,
    tell: Callable[[Found], None],
) -> list[Found]:
    """Return what weathers find on targets, `jobs` at a time; `tell` is called with each as it ends."""
    upstream = Upstream(kind, folder)
    try:
        with ThreadPoolExecutor(jobs) as pool:

            def one(name: str, target: str) -> Found:
                found = live_through(
                    WEATHERS[name], target, agent, upstream, folder / f"{name}-{target}"
                )
                tell(found)
                return found

            waiting = [pool.submit(one, name, target) for name in names for target in targets]
            return [item.result() for item in waiting]
    finally:
        upstream.close()
