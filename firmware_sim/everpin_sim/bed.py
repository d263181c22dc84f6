"""The bed a device lies in while weather passes over it: operator, broker behind a TLS front, network, mirror, clock, thief, all on loopback."""

import contextlib
import datetime
import hashlib
import threading
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

    def mark(self) -> None:
        """The weather begins: what is told of from here on is its own."""
        self._begun = self.target.mark()
        self._passed = len(self.middle.log)

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
