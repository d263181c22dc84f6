"""Weather: a device lives through one hostile thing, and what it is worth then.

Calm, weather, an update meanwhile, calm again. Whatever came, the device accepted nothing but the operator's documents, gave an
attacker nothing, took no memory that grows, is alive, and has the update in the end: else the weather found something.
"""

import contextlib
import datetime
import hashlib
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from everpin.core.agent import Agent
from everpin.core.store import REGION_BYTES, SECTOR, Store
from everpin.ports.fileflash import FileFlash
from everpin_fleet.connect import Broker as Connection

from . import pki
from .broker import Broker
from .documents import T0
from .hostile.carrier import Carrier
from .hostile.clocks import ClockDriver
from .hostile.middle import Middle, Passed
from .hostile.network import Network
from .little_fleet import HOST, LittleFleet
from .mirror import Mirror
from .ports import free
from .switchboard import Switchboard
from .targets import core, unix
from .targets.events import Event
from .targets.process import Process
from .weathers import WEATHERS, Weather

TARGETS: dict[str, type[Process]] = {"core": core.Core, "unix": unix.Unix}
# A device's patience, shortened: seconds, as core/schedule.py has them.
_TIMING = {
    "backoff_min_s": 0.2,
    "backoff_max_s": 1.0,
    "rescue_rounds": 2,
    "carrier_budget_s": 2,
    "report_retry_s": 2.0,
    "pull_every_s": 1.2,
    "rescue_every_s": 4.0,
}
_DEVICE = "meter-1"
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


class Upstream:
    """One true broker, plain, for all beds; they differ in the fleet's name."""

    def __init__(self, kind: str, folder: Path) -> None:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=9)
        self.ca = pki.root("Root", until)
        ports = free(3)
        (folder / "client-ca.pem").write_bytes(self.ca.pem())
        users = {_DEVICE: "password"}
        self._broker = Broker(kind, folder, (ports[0], ports[1], ports[2]), users, folder / "client-ca.pem")  # fmt: skip
        self._broker.start(pki.leaf(self.ca, "upstream"))
        self.port = self._broker.operator
        self._lock = threading.Lock()
        self._connection = Connection((HOST, self.port), None)

    def publish(self, topic: str, data: bytes) -> None:
        """Publish a retained document."""
        with self._lock:
            self._connection.publish({topic: data})

    def close(self) -> None:
        """Stop."""
        self._connection.close()
        self._broker.stop()


class Bed:
    """One device and all that is around it: operator, broker behind a TLS front, network, mirror, clock, thief."""

    def __init__(
        self, name: str, target: str, agent: Path, upstream: Upstream, folder: Path
    ) -> None:
        self._stack = contextlib.ExitStack()
        self._upstream = upstream
        front, mirror, behind = free(3)
        self._fleet = LittleFleet(f"{name}-{target}", front, [f"http://{HOST}:{mirror}"])
        self._genuine = pki.leaf(upstream.ca, "broker")
        self.genuine_only = pki.Identity(
            self._genuine.certificate, self._genuine.key, (self._genuine.certificate,)
        )
        self.thief = pki.leaf(upstream.ca, "broker")
        self.middle = Middle(self._genuine, upstream.port, client_ca=upstream.ca)
        self._stack.callback(self.middle.close)
        self.network = Network(front, portal=pki.leaf(upstream.ca, "portal"))
        self._stack.callback(self.network.close)
        self.network.switch(self.middle.port)
        self._files = folder / "mirror"
        self._files.mkdir(parents=True)
        self._mirror = Mirror(self._files, behind)
        self._stack.callback(self._mirror.close)
        self.mirrors = Switchboard(mirror)
        self._stack.callback(self.mirrors.close)
        self.mirrors.switch(behind)
        self._mirror_port = behind
        self.hostile: Carrier | None = None
        self.cut = False  # the weather began with a cut of live sessions
        # Its pins end by a clock that signed policy names, long ago: no other clock may make them end.
        self._ends: dict[str, Any] = {"fields": {-2: T0 + 1000}, "body": {9: ["rtc"]}}
        factory = self._document(1)
        config = {"timing": _TIMING, "time_source": "ntp"}
        home = self._fleet.folder(folder / "device", _DEVICE, factory, config)
        self.old = [(self._topic, factory)]
        self.forged = self._fleet.pins(
            9, pki.pin(self.thief.key), bytes(32), by=self._fleet.poser()
        )
        self.target = TARGETS[target](home, agent)
        self._stack.callback(self.target.close)
        self.clock = ClockDriver(self.target)
        self._stack.callback(self.clock.close)
        self._begun = 0
        self._passed = 0

    @property
    def _topic(self) -> str:
        return self._fleet.topic(_DEVICE)

    def _document(self, s: int) -> bytes:
        # Another backup each time: a new entry waits for the next handshake to confirm it.
        spare = hashlib.sha256(b"spare %d" % s).digest()
        return self._fleet.pins(s, pki.pin(self._genuine.key), spare, **self._ends)

    def write_mirror(self, data: bytes) -> None:
        """Put a document into the mirror, as the bucket's newest."""
        path = self._files / self._topic
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(data)
        new.replace(path)

    def update(self, s: int, mirror: bool = True) -> None:
        """The operator publishes document (1, s)."""
        data = self._document(s)
        self._upstream.publish(self._topic, data)
        if mirror:
            self.write_mirror(data)

    def begin(self, weather: Weather) -> None:
        """Let the weather begin."""
        self._begun = self.target.mark()
        self._passed = len(self.middle.log)
        weather.begin(self)

    def end(self) -> None:
        """Let it clear."""
        self.network.clear()
        self.middle.tamper = None
        self.middle.serve(self._genuine)
        self.middle.cut()
        self.network.switch(self.middle.port)
        self.mirrors.switch(self._mirror_port)
        if self.clock.sets:
            self.clock.right()
        if self.hostile is not None:
            self.hostile.close()

    def count(self, *names: str, **fields: object) -> int:
        """Return how many events of these names, with these fields, the device told since the weather began."""
        return sum(
            event["event"] in names and all(event.get(k) == v for k, v in fields.items())
            for event in self.since()
        )

    def since(self) -> list[Event]:
        """Return the device's events since the weather began."""
        return self.target.since(self._begun)

    def before(self) -> list[Event]:
        """Return those before it."""
        return self.target.since(0)[: self._begun]

    def passed(self) -> list[Passed]:
        """Return the connections that the man in the middle saw since then."""
        return self.middle.log[self._passed :]

    def stolen(self) -> list[Passed]:
        """Return those in which somebody without the genuine key got something."""
        return [item for item in self.passed() if item.application or item.client_certificate]

    def judge(self) -> list[str]:
        """Return what is wrong with the trust on the device's flash; its power is off."""
        flash = FileFlash(str(self.target.home / "flash.img"), REGION_BYTES, SECTOR, False)
        try:
            agent = Agent(Store(flash), bytes, {})
            wrong = []
            if agent.number != (1, 3):
                wrong.append(f"its flash holds document {agent.number}, not (1, 3)")
            if not agent.verdict(HOST, self._genuine.der()).accepted:
                wrong.append("it does not trust its broker")
            if agent.verdict(HOST, self.thief.der()).accepted:
                wrong.append("it trusts the thief")
            return wrong
        finally:
            flash.close()

    def close(self) -> None:
        """End all."""
        self._stack.close()


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
    bed.begin(weather)
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
