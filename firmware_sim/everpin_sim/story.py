"""The story of `everpin demo`: one run, told in steps; each step adds lines that are true or not.

Everything is real: the broker, TLS, both interpreters, the operator's verbs, flash files; and everything is on loopback.
"""

import base64
import contextlib
import datetime
import hashlib
import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from everpin.core import topics
from everpin.ports.cpython import spki_sources
from everpin_fleet.connect import Broker as Connection

from . import bad, fleet, pki
from .attacker import Attacker
from .broker import Broker
from .child import Child, Event
from .mirror import Mirror
from .ports import free
from .story_devices import Device, Devices, Running
from .switchboard import Switchboard

HOST = "127.0.0.1"
FLEET, CHANNEL = "acme", "meters"
# On MicroPython, on MicroPython, on CPython with a TLS client certificate.
DEVICES = ("meter", "lamp", "gateway")
AWAKE = ("lamp", "gateway")
# A demo's patience: real devices wait longer (core/schedule.py).
TIMING = {
    "backoff_min_s": 0.4,
    "backoff_max_s": 2.0,
    "rescue_rounds": 2,
    "carrier_budget_s": 8,
    "report_retry_s": 2.0,
    # amqtt forgets a subscription now and then when a client comes back before its old connection is gone.
    "pull_every_s": 3.0,
}


class Untrue(Exception):
    """A line of the story is not true, and the rest would make no sense."""


@dataclass
class Row:
    """One line: what was expected of whom, and whether it held."""

    step: int
    device: str
    what: str
    verdict: str
    number: str
    at_s: float
    ok: bool


@dataclass
class Run:
    """One run of the story: its lines and downtimes."""

    rescue: str
    rows: list[Row] = field(default_factory=list)
    downtime_s: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Return whether every line held."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def plain(self) -> dict[str, Any]:
        """Return the run for JSON."""
        return {
            "rescue": self.rescue,
            "ok": self.ok,
            "rows": [asdict(row) for row in self.rows],
            "downtime_s": self.downtime_s,
        }


def is_event(name: str, **fields: Any) -> Callable[[Event], bool]:
    """Return a test for an event by name and fields."""

    def fits(event: Event) -> bool:
        return event.get("event") == name and all(
            event.get(key) == value for key, value in fields.items()
        )

    return fits


class Story:
    """One run in a folder of its own; `tell` is called with each line."""

    def __init__(
        self,
        folder: Path,
        broker: str,
        devices: Devices,
        rescue: str,
        lifetime_s: float,
        tell: Callable[[Row], None],
        title: Callable[[str], None],
        fail_fast: bool = False,
    ) -> None:
        self.run = Run(rescue)
        self._folder = folder
        self._tell = tell
        self._title = title
        self._fail_fast = fail_fast
        self._start = time.monotonic()
        self._step = 0
        self._stack = contextlib.ExitStack()
        self._devices = devices
        self._children: dict[str, Running] = {}
        self._on: dict[str, Device] = {}  # those with an agent
        front, main, rescue_port, operator, attack, mirror = free(6)
        self._ports = (front, rescue_port, mirror)
        self._front, self._operator = front, f"{HOST}:{operator}"
        self._mirror_folder = folder / "mirror"
        self._mirror_folder.mkdir()
        self._passwords = {name: secrets.token_hex(12) for name in (*DEVICES, "static")}
        # Alpha Root's real end, to the second; all certificates below it end with it.
        self._ends = datetime.datetime.now(datetime.UTC).replace(
            microsecond=0
        ) + datetime.timedelta(seconds=lifetime_s)
        far = self._ends + datetime.timedelta(days=3650)
        self._alpha = pki.root("Alpha Root", self._ends)
        self._beta = pki.root("Beta Root", far)
        self._spare, self._next = pki.new_key(), pki.new_key()
        client_ca = pki.root("Fleet Client CA", far)
        self._first = pki.leaf(self._alpha, "broker")
        self._second = pki.leaf(self._beta, "broker", self._next)
        self._client = pki.leaf(client_ca, "gateway", client=True)
        (folder / "client-ca.pem").write_bytes(client_ca.pem())
        self._broker = Broker(
            broker,
            folder,
            (main, rescue_port, operator),
            self._passwords,
            folder / "client-ca.pem",
        )
        self._carrier = (
            f"mqtts://{HOST}:{rescue_port}" if rescue == "mqtt" else f"http://{HOST}:{mirror}"
        )
        self._attack_port, self._mirror_port = attack, mirror

    # ---- telling -----------------------------------------------------------------------------------------------------

    def _line(
        self,
        device: str,
        what: str,
        ok: bool,
        verdict: str = "",
        number: Any = None,
        stop: bool = False,
    ) -> None:
        shown = "-".join(str(part) for part in number) if number else ""
        row = Row(
            self._step,
            device,
            what,
            verdict,
            shown,
            round(time.monotonic() - self._start, 1),
            bool(ok),
        )
        self.run.rows.append(row)
        self._tell(row)
        if not ok and (stop or self._fail_fast):
            raise Untrue

    def tell(self) -> Run:
        """Tell the whole story; a line that makes the rest senseless ends it."""
        try:
            for number, step in enumerate(
                (
                    self._everyone_connects,
                    self._attack,
                    self._update,
                    self._expiry,
                    self._mistakes,
                ),
                1,
            ):
                self._step = number
                step()
        except (Untrue, fleet.VerbFailed, RuntimeError) as problem:
            if not isinstance(problem, Untrue):
                self._line("demo", str(problem), False)
        finally:
            for child in self._children.values():
                child.stop()
            self._stack.close()
        return self.run

    def _wait(
        self, device: str, fits: Callable[[Event], bool], since: int, timeout_s: float = 20.0
    ) -> Event | None:
        return self._children[device].wait(fits, since, timeout_s)

    def _marks(self) -> dict[str, int]:
        return {name: child.mark() for name, child in self._children.items()}

    # ---- the fleet ---------------------------------------------------------------------------------------------------

    def _spawn(self, device: str) -> None:
        home, log = self._folder / "devices" / device, self._folder / f"{device}.log"
        self._on[device] = self._devices.spawn(device, home, log, self._ports)
        self._children[device] = self._on[device]

    def _pin(self, source: Path, status: str) -> None:
        fleet.verb(
            "pin",
            "--fleet",
            str(self._folder),
            "add",
            HOST,
            "--from",
            str(source),
            "--status",
            status,
        )

    def _sign_and_publish(self, *how: str) -> None:
        where = ("--fleet", str(self._folder))
        fleet.verb("sign", *where, "--yes", *how)
        fleet.verb(
            "publish",
            *where,
            "--broker",
            self._operator,
            "--insecure-plain",
            "--mirror",
            str(self._mirror_folder),
        )

    def _provision(self) -> None:
        folder = self._folder
        cert, _key = self._first.save(folder, "alpha-broker")
        (folder / "spare.key").touch(mode=0o600)
        (folder / "spare.key").write_bytes(pki.key_pem(self._spare))
        (folder / "alpha-root.pem").write_bytes(self._alpha.pem())
        client_cert, client_key = self._client.save(folder, "client")
        where = ("--fleet", str(folder))
        fleet.verb(
            "init", str(folder), "--fleet", FLEET, "--channel", CHANNEL,
            "--broker", f"{HOST}:{self._front}", "--rescue", self._carrier,
        )  # fmt: skip
        fleet.verb("key", *where, "new", "ops", "--no-passphrase")
        self._pin(cert, "active")
        self._pin(folder / "spare.key", "backup")
        fleet.verb("sign", *where, "--yes")
        for device in DEVICES:
            password = fleet.secret_file(folder / f"{device}.password", self._passwords[device])
            mutual = (
                ("--client-cert", str(client_cert), "--client-key", str(client_key))
                if device == "gateway"
                else ()
            )
            fleet.verb(
                "provision",
                *where,
                device,
                "--mqtt-user",
                device,
                "--mqtt-password-file",
                str(password),
                *mutual,
            )
            config = folder / "devices" / device / "device.json"
            config.write_text(json.dumps(json.loads(config.read_text()) | {"timing": TIMING}))

    # ---- 1 -----------------------------------------------------------------------------------------------------------

    def _everyone_connects(self) -> None:
        self._title("A broker under Alpha Root; four devices, each with a flash of its own")
        self._provision()
        self._broker.start(self._first)
        self._stack.callback(self._broker.stop)
        self._switch = Switchboard(self._front)
        self._stack.callback(self._switch.close)
        self._switch.switch(self._broker.main)
        self._mirror = Mirror(self._mirror_folder, self._mirror_port)
        self._stack.callback(self._mirror.close)
        where = ("--fleet", str(self._folder))
        fleet.verb(
            "publish",
            *where,
            "--broker",
            self._operator,
            "--insecure-plain",
            "--mirror",
            str(self._mirror_folder),
        )
        self._collector = self._collect()
        for device in DEVICES:
            self._spawn(device)
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "STATIC_PASSWORD": self._passwords["static"]}
        static = [
            sys.executable,
            "-m",
            "everpin_sim.static_device",
            HOST,
            str(self._front),
            str(self._folder / "alpha-root.pem"),
        ]
        self._children["static"] = Child(static, env, self._folder / "static.log")
        for device in (*DEVICES, "static"):
            event = self._wait(device, is_event("connected"), 0)
            number = event.get("number") if event else None
            self._line(
                device, "connects to the broker", event is not None, "accepted", number, stop=True
            )

    def _collect(self) -> Child:
        command = [
            sys.executable, "-m", "everpin.ports.cpython.cli", "reports", "--fleet", str(self._folder),
            "--broker", self._operator, "--insecure-plain", "--json",
        ]  # fmt: skip
        child = Child(
            command, {**os.environ, "PYTHONUNBUFFERED": "1"}, self._folder / "collector.log"
        )
        self._stack.callback(child.stop)
        return child

    # ---- 2 -----------------------------------------------------------------------------------------------------------

    def _attack(self) -> None:
        self._title(
            "An attacker on the network, with a certificate for the broker's name from Alpha Root itself"
        )
        cert, key = pki.leaf(self._alpha, "broker").save(self._folder, "attacker")
        attacker = Attacker(cert, key, self._folder / "client-ca.pem", self._attack_port)
        self._stack.callback(attacker.close)
        marks = self._marks()
        self._switch.switch(attacker.port)
        event = self._wait("static", is_event("connected"), marks["static"])
        self._line("static", "connects to the attacker", event is not None, "accepted")
        for device in DEVICES:
            event = self._wait(device, is_event("refused"), marks[device])
            self._line(
                device,
                "refuses the attacker",
                event is not None,
                event["error"] if event else "connected",
            )
        ids = attacker.client_ids()
        self._line(
            "attacker",
            "got application bytes from static alone",
            bool(ids) and set(ids) == {"static"},
            ",".join(sorted(set(ids))),
        )
        certificates = sum(caught.client_certificate for caught in attacker.log)
        self._line(
            "attacker",
            "got no client certificate",
            certificates == 0 and len(attacker.log) > 3,
            f"{len(attacker.log)} connections",
        )
        marks = self._marks()
        self._switch.switch(self._broker.main)
        for device in (*DEVICES, "static"):
            event = self._wait(device, is_event("connected"), marks[device])
            self._line(
                device,
                "is back at its broker",
                event is not None,
                "accepted",
                event and event.get("number"),
                stop=True,
            )
        # Once more, with everybody back: what the attacker has now is all it ever had.
        self._line(
            "attacker", "has nothing else to this end", set(attacker.client_ids()) == {"static"}
        )

    # ---- 3 -----------------------------------------------------------------------------------------------------------

    def _update(self) -> None:
        self._title(
            "meter sleeps; the operator adds the next key (under Beta Root), signs, publishes"
        )
        self._children["meter"].stop()
        request = self._folder / "next.csr"
        request.write_bytes(pki.request(self._next, "broker"))
        marks = self._marks()
        self._pin(request, "backup")
        self._sign_and_publish()
        for device in AWAKE:
            event = self._wait(device, is_event("accepted", number=[1, 2]), marks[device])
            self._line(
                device,
                "accepts the document",
                event is not None,
                "accepted",
                event and event["number"],
                stop=True,
            )
            event = self._wait(device, is_event("confirmed", number=[1, 2]), marks[device])
            self._line(
                device,
                "reconnects and confirms it",
                event is not None,
                "confirmed",
                event and event["number"],
                stop=True,
            )
            event = self._wait(device, is_event("acked"), marks[device])
            self._line(device, "reports, and is acknowledged", event is not None, "acked")
        self._line(
            "demo",
            "all that before Alpha Root ends",
            datetime.datetime.now(datetime.UTC) < self._ends,
            stop=True,
        )

    # ---- 4 -----------------------------------------------------------------------------------------------------------

    def _expiry(self) -> None:
        left = (self._ends - datetime.datetime.now(datetime.UTC)).total_seconds()
        self._title(f"Alpha Root ends in {left:.0f} s; then the broker restarts with the new key")
        time.sleep(max(0.0, left + 1.1))
        marks = self._marks()
        down = time.monotonic()
        self._broker.restart(self._second)
        self._switch.switch(self._broker.main)
        for device in AWAKE:
            event = self._wait(device, is_event("connected"), marks[device])
            rescued = [
                item
                for item in self._children[device].since(marks[device])
                if item["event"] == "rescue-end" and item["result"] == "accepted"
            ]
            if event is not None:
                self.run.downtime_s[device] = round(event["at"] - down, 1)
            self._line(
                device,
                "reconnects by the new key, without rescue",
                event is not None and not rescued,
                f"down {self.run.downtime_s.get(device, 0)} s",
                event and event["number"],
                stop=True,
            )
        event = self._wait("static", is_event("refused"), marks["static"])
        again = event and self._wait(
            "static", is_event("refused"), self._children["static"].mark()
        )
        still_out = not any(
            item["event"] == "connected"
            for item in self._children["static"].since(marks["static"])
        )
        self._line(
            "static", "is locked out", bool(again) and still_out, event["error"] if event else ""
        )
        self._wake()

    def _wake(self) -> None:
        seen = len(self._broker.clients())
        asked = len(self._mirror.requests)
        self._spawn("meter")
        event = self._wait("meter", is_event("refused"), 0)
        self._line(
            "meter",
            "wakes with the old pins; its broker is not pinned",
            event is not None,
            event["error"] if event else "",
            (1, 1),
        )
        event = self._wait("meter", is_event("accepted", number=[1, 2], via=self._carrier), 0, 30)
        self._line(
            "meter",
            f"accepts the document in rescue ({self._carrier.split(':')[0]})",
            event is not None,
            "accepted",
            event and event["number"],
            stop=True,
        )
        event = self._wait("meter", is_event("connected"), 0)
        self._line(
            "meter",
            "returns pinned",
            event is not None,
            "accepted",
            event and event["number"],
            stop=True,
        )
        event = self._wait("meter", is_event("confirmed", number=[1, 2]), 0)
        self._line(
            "meter", "confirms it", event is not None, "confirmed", event and event["number"]
        )
        if self.run.rescue == "mqtt":
            # lamp and gateway are online and stay so: whoever is new and anonymous is meter in rescue.
            named = [client for client, user in self._broker.clients()[seen:] if user is None]
            ok = bool(named) and not any("meter" in client for client in named)
            self._line(
                "meter",
                "sent no identity in rescue: a random client id, no user",
                ok,
                ",".join(named)[:24],
            )
        else:
            text = "\n".join(self._mirror.requests[asked:])
            ok = (
                bool(text)
                and "meter-" not in text
                and "/meter " not in text
                and self._passwords["meter"] not in text
            )
            ok = ok and "user-agent" not in text.lower() and "authorization" not in text.lower()
            self._line(
                "meter",
                "sent no identity in rescue: nothing but paths",
                ok,
                f"{len(self._mirror.requests) - asked} requests",
            )

    # ---- 5 -----------------------------------------------------------------------------------------------------------

    def _mistakes(self) -> None:
        self._title("A signed document that pins nobody; then forged, replayed and foreign ones")
        keep = (self._folder / "policy.toml").read_text()
        marks, reports = self._marks(), self._collector.mark()
        nobody = [
            base64.b64encode(hashlib.sha256(secrets.token_bytes(8)).digest()).decode()
            for _ in range(2)
        ]
        lines = [
            line
            for line in keep.splitlines()
            if not line.startswith(("[[hosts.pins]]", "sha256", "status", "note"))
        ]
        for digest in nobody:
            lines += ["[[hosts.pins]]", f'sha256 = "{digest}"']
        (self._folder / "policy.toml").write_text("\n".join(lines) + "\n")
        self._sign_and_publish("--no-overlap")
        for device in DEVICES:
            event = self._wait(device, is_event("overlap", number=[1, 3]), marks[device])
            back = event and self._wait(
                device, is_event("connected", number=[1, 3]), marks[device]
            )
            self._line(
                device,
                "stays connected by the last confirmed pins",
                bool(back),
                "overlap",
                (1, 3),
                stop=True,
            )
        for device in DEVICES:
            told = self._collector.wait(_tells(device, "overlap"), reports, 20)
            self._line(
                device, "its report names the document", told is not None, "reported", (1, 3)
            )
        (self._folder / "policy.toml").write_text(keep)
        # Back to what is right, and the old key is retired with it.
        spki = spki_sources.load(str(self._folder / "alpha-broker.pem"))[0][1]
        old = base64.b64encode(hashlib.sha256(spki).digest()).decode()
        fleet.verb("pin", "--fleet", str(self._folder), "remove", HOST, old)
        marks = self._marks()
        self._sign_and_publish("--no-overlap")
        for device in DEVICES:
            event = self._wait(device, is_event("confirmed", number=[1, 4]), marks[device])
            self._line(
                device,
                "confirms the next document",
                event is not None,
                "confirmed",
                (1, 4),
                stop=True,
            )
            self._wait(device, is_event("connected", number=[1, 4]), marks[device])
        self._forgeries()

    def _forgeries(self) -> None:
        before = {device: self._trust(device) for device in DEVICES}
        scratch = self._folder / "thief"
        scratch.mkdir()
        thief = self._stack.enter_context(
            Connection((HOST, int(self._operator.rpartition(":")[2])), None)
        )
        for error, document in bad.all_of(self._folder, scratch):
            marks = self._marks()
            for device in DEVICES:
                topic = topics.pins(FLEET, CHANNEL, topics.bucket(FLEET, device))
                event = None
                # Not retained, so it is gone when a session ends in that very moment: thieves try again, too.
                for _ in range(5):
                    thief.publish({topic: document}, retain=False)
                    event = self._wait(device, is_event("document-refused"), marks[device], 4)
                    if event is not None:
                        break
                name = event["error"] if event else "accepted"
                self._line(device, f"refuses: {error}", name == error, name, (1, 4))
        for device in DEVICES:
            self._line(
                device,
                "trust state is byte-identical",
                self._trust(device) == before[device],
                "",
                (1, 4),
            )

    def _trust(self, device: str) -> str:
        """Return a digest of all of a flash image that holds trust: pins, base and commit; not the journal of reports."""
        return hashlib.sha256(self._on[device].image()[:110592]).hexdigest()


def _tells(device: str, kind: str) -> Callable[[Event], bool]:
    def fits(item: Event) -> bool:
        return item.get("device") == device and any(
            event["kind"] == kind for event in item.get("events", ())
        )

    return fits
