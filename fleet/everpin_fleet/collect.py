"""The small collector of this release: takes authentic reports, answers each with an ack, keeps them as JSON lines."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from everpin.core import report, topics
from everpin.core.errors import PeerError, name_of

from . import archive, bodies, provision
from .connect import Broker
from .policy import Policy


def readable(device: str, said: dict[int, Any]) -> dict[str, Any]:
    """Return a report as people and machines read it."""
    events = []
    for event in said[6]:
        item: dict[str, Any] = {
            "kind": report.KINDS.get(event[1], str(event[1])),
            "count": event[2],
        }
        if 3 in event:
            item["where"] = event[3]
        if 4 in event:
            item["error"] = name_of(event[4])
        if 5 in event:
            item["number"] = event[5]
        if 6 in event:
            item["pin"] = bodies.base64_of(event[6])
        if 7 in event:
            item["since"] = event[7]
        events.append(item)
    return {
        "device": device,
        "number": said[4],
        "root": said[5],
        "epoch": said[2].hex(),
        "counter": said[3],
        "fresh": said[8],
        "events": events,
    }


class Collector:
    """Feeds on report messages; `good` reports go to `store`, `refused` counts what was forged or unreadable by its error."""

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        store: Callable[[dict[str, Any]], None],
        ack: bool = True,
    ) -> None:
        self._folder = folder
        self._policy = policy
        self._store = store
        self._ack = ack
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], int] = {}
        self.good = 0
        self.refused: dict[str, int] = {}
        self.answers: list[tuple[str, bytes]] = []

    def take(self, topic: str, payload: bytes) -> None:
        """Take one message; an ack for it is in `answers` afterwards."""
        device = topic.rsplit("/", 1)[-1]
        key = provision.report_key(self._folder, self._policy.fleet, device)
        try:
            said = report.open_report(key, self._policy.fleet, device, payload)
        except PeerError as error:
            with self._lock:
                self.refused[error.name] = self.refused.get(error.name, 0) + 1
            return
        found = readable(device, said)
        with self._lock:
            if self._ack:
                number, _ = archive.newest(self._folder)
                data = report.make_ack(
                    key, self._policy.fleet, device, said[7], number, int(time.time())
                )
                self.answers.append((topics.ack(self._policy.fleet, device), data))
            # QoS 1 delivers twice now and then, and anybody may replay: a counter that does not rise is old.
            before = self._seen.get((device, found["epoch"]), 0)
            if found["counter"] <= before:
                return
            self._seen[(device, found["epoch"])] = found["counter"]
            self.good += 1
        self._store(found | {"received": int(time.time())})

    def flush(self, broker: Broker) -> None:
        """Publish the acks that wait."""
        with self._lock:
            waiting, self.answers = self.answers, []
        for topic, data in waiting:
            broker.publish({topic: data}, retain=False)


def keep(folder: Path, found: dict[str, Any]) -> None:
    """Append a report to `reports.jsonl`."""
    with (folder / "reports.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(found, sort_keys=True) + "\n")
