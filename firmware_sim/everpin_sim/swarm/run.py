"""A swarm: the broker, the operator's push, the collector, the workers, and what came of it."""

import datetime
import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from everpin.core import eat, report, sealing, topics
from everpin.core.errors import PeerError

from .. import pki
from ..broker import Broker
from ..child import Child
from ..little_fleet import HOST, LittleFleet
from ..ports import free
from .device import NEWEST
from .faults import FAULTS

_FLEET = "swarm"
# Connections that are open at once, at the push; further devices find the update retained.
LIVE_MAX = 10_000
_SPARE_FDS = 500
_PUBLISH_S = 60.0
# Without any device going on for so long, the broker is given up.
_STILL_S = 120.0
_SHOWN = 20

Tell = Callable[[str], None]


class SwarmFailed(Exception):
    """The swarm's own machinery ended before its time: the text says how."""


class Collector:
    """Takes reports, answers each with an ack, and counts devices whose authentic report named the newest document."""

    def __init__(self, fleet: LittleFleet, port: int) -> None:
        self._fleet = fleet
        self.pushed = False
        self.heard: set[str] = set()
        self.refused = 0
        self.failed = False
        self._up = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "collector")
        self._client.max_queued_messages_set(0)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *unused: self._up.set()
        self._client.on_message = self._take
        self._client.connect(HOST, port)
        self._client.loop_start()
        if not self._up.wait(20):
            raise SwarmFailed("the broker does not answer the collector")

    def _connected(self, client: paho.Client, *unused: Any) -> None:
        client.subscribe(topics.report(self._fleet.name, "+"), 1)

    def _take(self, client: paho.Client, unused: Any, message: paho.MQTTMessage) -> None:
        # An error in here ends paho's thread, which nobody would see.
        self.failed, went_well = True, self.failed
        self._answer(client, message)
        self.failed = went_well

    def _answer(self, client: paho.Client, message: paho.MQTTMessage) -> None:
        fleet, device = self._fleet, message.topic.rsplit("/", 1)[-1]
        key = sealing.report_key(fleet.device_key(device), fleet.name, device)
        try:
            said = report.open_report(key, fleet.name, device, bytes(message.payload))
        except PeerError:
            self.refused += 1
            return
        if tuple(said[4]) == NEWEST:
            self.heard.add(device)
        number = NEWEST if self.pushed else (1, 1)
        data = report.make_ack(key, fleet.name, device, said[eat.NONCE], number, int(time.time()))
        client.publish(topics.ack(fleet.name, device), data, 1)

    def publish(self, documents: dict[str, bytes]) -> None:
        """Publish retained documents."""
        sent = [
            self._client.publish(topic, data, 1, retain=True) for topic, data in documents.items()
        ]
        until = time.monotonic() + _PUBLISH_S
        for item in sent:
            item.wait_for_publish(max(0.1, until - time.monotonic()))
            if not item.is_published():
                raise SwarmFailed("the broker does not take the update")

    def close(self) -> None:
        """Go away."""
        self._client.disconnect()
        self._client.loop_stop()


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    devices: int
    seed: int
    shares: dict[str, float]
    agent: Path
    broker: str
    processes: int


def _config(wanted: Wanted, fleet: LittleFleet, port: int) -> dict[str, Any]:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    root = pki.root("Root", until)
    # The server's key at first, which is stolen and forbidden; the one that it has from the push on; and the one after.
    stolen, genuine, spare = (
        pki.leaf(root, "broker", pki.key(n)) for n in ("one", "two", "three")
    )
    stranger = pki.leaf(root, "broker", pki.key("stranger"))
    one, two, three, four = (pki.pin(i.key) for i in (stolen, genuine, spare, stranger))
    chains = {"stolen": stolen, "genuine": genuine, "stranger": stranger}
    return {
        "fleet": fleet.name,
        "port": port,
        "seed": wanted.seed,
        "shares": wanted.shares,
        "live_max": LIVE_MAX,
        "root": fleet.root().hex(),
        "first": fleet.pins(1, one, two).hex(),
        "newest": fleet.pins(2, two, three, forbidden=(one,)).hex(),
        "forged": fleet.pins(9, four, three, by=fleet.poser()).hex(),
        "chains": {name: [item.hex() for item in i.der()] for name, i in chains.items()},
    }


def room() -> int:
    """Raise this process's limit of open files as far as it goes; return how many connections fit a broker's."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return int(hard) - _SPARE_FDS if hard != resource.RLIM_INFINITY else LIVE_MAX


def run(wanted: Wanted, folder: Path, tell: Tell) -> dict[str, Any]:
    """Return what became of a swarm; raise `SwarmFailed`."""
    ports = free(3)
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    ca = pki.root("Broker", until)
    (folder / "client-ca.pem").write_bytes(ca.pem())
    # Whatever user names devices come with are let in: the broker is no part of what is proved.
    broker = Broker(
        wanted.broker, folder, (ports[0], ports[1], ports[2]), {"x": "x"}, folder / "client-ca.pem", crowd=True,
    )  # fmt: skip
    started = time.monotonic()
    try:
        broker.start(pki.leaf(ca, "broker"))
    except RuntimeError as problem:
        raise SwarmFailed(str(problem)) from None
    fleet = LittleFleet(_FLEET, ports[2], [f"mqtt://{HOST}:{ports[2]}"])
    workers: list[Worker] = []
    try:
        collector = Collector(fleet, ports[2])
        try:
            config = _config(wanted, fleet, ports[2])
            workers = _start(wanted, folder, config)
            return _push(wanted, workers, collector, config, started, tell)
        finally:
            collector.close()
    finally:
        for worker in workers:
            worker.child.stop()
        broker.stop()


@dataclass
class Worker:
    """One process and where its results go."""

    child: Child
    out: Path


def _start(wanted: Wanted, folder: Path, config: dict[str, Any]) -> list[Worker]:
    path = folder / "swarm.json"
    path.write_text(json.dumps(config))
    env = {**os.environ, "PYTHONPATH": str(wanted.agent), "PYTHONUNBUFFERED": "1"}
    found = []
    for part in range(wanted.processes):
        first = wanted.devices * part // wanted.processes
        last = wanted.devices * (part + 1) // wanted.processes
        out = folder / f"part-{part}.jsonl"
        command = [
            sys.executable, "-B", "-m", "everpin_sim.swarm.worker", str(path), str(first), str(last), str(out),
        ]  # fmt: skip
        log = folder / f"part-{part}.log"
        found.append(Worker(Child(command, env, log, stdin=subprocess.PIPE), out))
    return found


def _await(workers: list[Worker], event: str, what: str, total: int, tell: Tell) -> None:
    """Wait until each worker has said `event`; tell of their counts meanwhile."""
    told, since = 0, time.monotonic()
    while True:
        latest = [worker.child.latest(what) for worker in workers]
        count = sum(item.get("count", 0) for item in latest)
        if count != told:
            told, since = count, time.monotonic()
            tell(f"{what}: {count} of {total}")
        said = [any(e["event"] == event for e in worker.child.since(0)) for worker in workers]
        if event == "ended":
            said = [not worker.child.alive for worker in workers]
        if all(said):
            return
        for worker in workers:
            if not worker.child.alive and event != "ended":
                raise SwarmFailed(f"a worker has ended: {worker.child.tail()}")
        if time.monotonic() - since > _STILL_S:
            raise SwarmFailed(f"nothing happens any more at {what}: {told} of {total}")
        time.sleep(0.2)


def _push(
    wanted: Wanted,
    workers: list[Worker],
    collector: Collector,
    config: dict[str, Any],
    started: float,
    tell: Tell,
) -> dict[str, Any]:
    _await(workers, "ready", "live", wanted.devices, tell)
    ready = time.monotonic()
    collector.pushed = True
    newest = bytes.fromhex(config["newest"])
    fleet = LittleFleet(_FLEET, 0, [])
    collector.publish(
        {fleet.topic(b): newest for b in range(topics.BUCKETS)} | {fleet.released: newest}
    )
    for worker in workers:
        worker.child.say("push")
    _await(workers, "ended", "done", wanted.devices, tell)
    collector.close()  # whatever it was at is done then
    if collector.failed:
        raise SwarmFailed("the collector ended before its time")
    ended = time.monotonic()
    rows: list[dict[str, Any]] = []
    for worker in workers:
        text = worker.out.read_text() if worker.out.exists() else ""
        rows += [json.loads(line) for line in text.splitlines()]
    if len(rows) != wanted.devices:
        raise SwarmFailed(
            f"{wanted.devices - len(rows)} devices have no end: {workers[0].child.tail()}"
        )
    rows.sort(key=lambda row: row["device"])
    for row in rows:
        row["reported"] = row["reported"] and row["device"] in collector.heard
        if not row["why"] and not (row["accepted"] and row["confirmed"] and row["reported"]):
            row["why"] = "it has not the update, confirmed and reported"
    found = _counted(wanted, rows)
    found["seconds"] = {
        "up": round(ready - started, 1),
        "push": round(ended - ready, 1),
        "all": round(ended - started, 1),
    }
    return found


def _counted(wanted: Wanted, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the outcome, which depends on the seed alone."""
    share = {
        name: round(sum(row[name] for row in rows) / len(rows), 4)
        for name in ("accepted", "confirmed", "reported")
    }
    stranded = {row["device"]: row["why"] for row in rows if row["why"]}
    fooled = {row["device"]: row["fooled"] for row in rows if row["fooled"]}
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    return {
        "ok": not stranded and not fooled,
        "devices": len(rows),
        "seed": wanted.seed,
        "broker": wanted.broker,
        **share,
        "lag_s": {"accepted": _spread(rows, "lag_s"), "confirmed": _spread(rows, "confirmed_s")},
        # How many devices drew a fault, and how many really met it.
        "faults": {
            name: [sum(name in row[key] for row in rows) for key in ("faults", "met")]
            for name in FAULTS
        },
        "stranded": len(stranded),
        "fooled": len(fooled),
        "which": dict(list((stranded | fooled).items())[:_SHOWN]),
        "outcome": digest,
    }


def _spread(rows: list[dict[str, Any]], key: str) -> dict[str, float | None]:
    values = sorted(row[key] for row in rows if row[key] is not None)
    at = {"median": 0.5, "p95": 0.95, "max": 1.0}
    return {
        name: values[min(len(values) - 1, int(share * len(values)))] if values else None
        for name, share in at.items()
    }
