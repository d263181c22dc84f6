"""The small collector of this release: takes authentic reports, answers each with an ack, keeps them as JSON lines."""

import functools
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from everpin.core import eat, report, topics
from everpin.core.errors import PeerError, name_of
from everpin.core.pins import Pins

from . import archive, bodies, files, provision
from .connect import Broker
from .errors import OperatorError
from .policy import Policy

Documents = Callable[[tuple[int, int]], Pins | None]


def documents(folder: Path) -> Documents:
    """Return what finds a `pins` document of the fleet's archive by its number, None where it is not there."""

    @functools.lru_cache(maxsize=8)
    def found(number: tuple[int, int]) -> Pins | None:
        path = archive.pins_path(folder, number)
        if not path.is_file():
            return None
        try:
            return archive.parsed_pins(files.read(path), path)
        except OperatorError:
            return None

    return found


def iso(seconds: int) -> str:
    """Return a time as RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _chain(beginnings: bytes) -> list[str]:
    """Return a chain as the first ten characters of each certificate's pin in base64: 60 of the 64 bits that a report carries."""
    size = report.PREFIX_BYTES
    return [
        bodies.base64_of(beginnings[at : at + size])[:10] for at in range(0, len(beginnings), size)
    ]


def _event(event: dict[int, Any], known: Documents) -> dict[str, Any]:
    """Return an event; what RFC 7469 section 3 has a name for has that name."""
    item: dict[str, Any] = {
        "kind": report.KINDS.get(event[1], str(event[1])),
        "count": event[2],
    }
    where = event.get(3)
    if where is not None:
        item["hostname"] = where
    if 4 in event:
        item["error"] = name_of(event[4])
    if 5 in event:
        item["number"] = event[5]
    if 6 in event:
        item["pin"] = bodies.base64_of(event[6])
    if 7 in event:
        item["date-time"] = iso(event[7])
    if report.PORT in event:
        item["port"] = event[report.PORT]
    if where is not None and report.NOTED in event:
        item["noted-hostname"] = where[event[report.NOTED] :]
        item["include-subdomains"] = report.SUBDOMAINS in event
        document = known((event[5][0], event[5][1])) if 5 in event else None
        entry = None if document is None else document.host(where)
        if entry is not None:
            item["known-pins"] = [bodies.base64_of(digest) for digest in entry.digests()]
    if report.EXPIRES in event:
        item["effective-expiration-date"] = iso(event[report.EXPIRES])
    if report.SERVED in event:
        item["served-certificate-chain"] = _chain(event[report.SERVED])
    if report.VALIDATED in event:
        item["validated-certificate-chain"] = _chain(event[report.VALIDATED])
    return item


def readable(device: str, said: dict[int, Any], known: Documents) -> dict[str, Any]:
    """Return a report as people and machines read it; `known` finds the documents that it names."""
    document = known((said[4][0], said[4][1]))
    names = [] if document is None else [host.name for host in document.hosts]

    def hosts(label: int) -> list[str]:
        places = said.get(label, [])
        return [names[at] if at < len(names) else f"#{at}" for at in places]

    return {
        "device": device,
        "number": said[4],
        "root": said[5],
        "counter": said[3],
        "fresh": said[8],
        "unconfirmed": hosts(report.UNCONFIRMED),
        "expired": hosts(report.NOW_EXPIRED),
        "fail_open": {
            report.KINDS[kind]: count for kind, count in said[report.OPENED_SO_FAR].items()
        },
        # RFC 9711, by the names of its claims.
        "eat": {
            "eat_nonce": said[eat.NONCE].hex(),
            "ueid": said[eat.UEID].hex(),
            "eat_profile": said[eat.PROFILE],
            "bootseed": said[eat.BOOTSEED].hex(),
            "swname": said[eat.SWNAME],
            "swversion": said[eat.SWVERSION][0],
            "uptime": said.get(eat.UPTIME),
        },
        "events": [_event(event, known) for event in said[6]],
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
        self._known = documents(folder)
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
        found = readable(device, said, self._known)
        with self._lock:
            if self._ack:
                number, _ = archive.newest(self._folder)
                data = report.make_ack(
                    key, self._policy.fleet, device, said[eat.NONCE], number, int(time.time())
                )
                self.answers.append((topics.ack(self._policy.fleet, device), data))
            # QoS 1 delivers twice now and then, and anybody may replay: a counter that does not rise is old.
            life = (device, found["eat"]["bootseed"])
            before = self._seen.get(life, 0)
            if found["counter"] <= before:
                return
            self._seen[life] = found["counter"]
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
