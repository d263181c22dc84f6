"""`everpin reports`: collect what devices report, and acknowledge it."""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from everpin.core import topics

from .. import archive, collect
from ..connect import Broker
from .common import address, broker, file, folder_of, machine, policy_of, verb

if TYPE_CHECKING:
    from .common import Verbs


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(
        verbs,
        "reports",
        "collect what devices report, and acknowledge it",
        "everpin reports --broker broker.example:8883 --for 60",
        _reports,
    )
    broker(made, True)
    made.add_argument(
        "--for", dest="seconds", type=float, metavar="SECONDS", help="default: until Ctrl-C"
    )
    made.add_argument("--count", type=int, metavar="N", help="end after N reports")
    made.add_argument("--no-ack", action="store_true", help="listen only")
    machine(made)


def _reports(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    found = policy_of(args)
    shown: list[dict[str, Any]] = []

    def store(item: dict[str, Any]) -> None:
        collect.keep(folder, item)
        shown.append(item)
        if args.json:
            print(json.dumps(item, sort_keys=True), flush=True)

    collector = collect.Collector(folder, found, store, not args.no_ack)
    trusts = None if args.insecure_plain else archive.trusts(folder, found)
    with Broker(
        address(args.broker), trusts, args.user, file(args.password_file), collector.take
    ) as connection:
        connection.subscribe(topics.report(found.fleet, "+"))
        until = time.monotonic() + args.seconds if args.seconds else None
        try:
            while (until is None or time.monotonic() < until) and not (
                args.count and collector.good >= args.count
            ):
                time.sleep(0.05)
                collector.flush(connection)
        except KeyboardInterrupt:
            pass
        collector.flush(connection)
    if not args.json:
        _show(shown)
    for error, count in sorted(collector.refused.items()):
        print(f"everpin: {count} report(s) refused: {error}", file=sys.stderr)
    return 0


def _show(reports: list[dict[str, Any]]) -> None:
    """Print reports for people: every event, then what is known of each peer that no pin matched, then each device's state."""
    console = Console()
    table = Table("device", "document", "event", "where", "error", "count")
    details: list[str] = []
    states: dict[str, str] = {}
    for item in reports:
        for event in item["events"]:
            number = _number(event.get("number", item["number"]))
            where = event.get("hostname", "")
            if "port" in event:
                where += f":{event['port']}"
            table.add_row(
                item["device"],
                number,
                event["kind"],
                where,
                event.get("error", ""),
                str(event["count"]),
            )
            if "served-certificate-chain" in event or "validated-certificate-chain" in event:
                details += [f"{item['device']}: {event['kind']}, {where}", *_peer(event, number)]
        states[item["device"]] = _state(item)
    console.print(table)
    for line in [*details, *states.values()]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _number(pair: list[int]) -> str:
    return "-".join(map(str, pair))


def _peer(event: dict[str, Any], number: str) -> list[str]:
    """Return what RFC 7469 section 3 tells of a peer, a line for each."""
    noted = event.get("noted-hostname", "none")
    pins = " ".join(event.get("known-pins", ())) or "not in this archive"
    lines = [
        f"  noted hostname   {noted}{' and its subdomains' if event.get('include-subdomains') else ''}",
        f"  known pins       {pins} (document {number})",
        f"  expires          {event.get('effective-expiration-date', 'never')}",
        f"  first seen       {event.get('date-time', 'the device did not know the time')}",
    ]
    for name, what in (("served", "served chain"), ("validated", "validated chain")):
        chain = event.get(f"{name}-certificate-chain")
        if chain:
            lines.append(f"  {what:<16} {' '.join(item + '…' for item in chain)}")
    return lines


def _state(item: dict[str, Any]) -> str:
    """Return a device's state in a line."""
    said = [
        f"{item['eat']['swname']} {item['eat']['swversion']}",
        f"root {item['root']}, document {_number(item['number'])}",
    ]
    if item["eat"]["uptime"] is not None:
        said.append(f"up {item['eat']['uptime']} s")
    if not item["fresh"]:
        said.append("no ack since it started")
    for label in ("unconfirmed", "expired"):
        if item[label]:
            said.append(f"{label}: {' '.join(item[label])}")
    if item["fail_open"]:
        counts = (f"{kind} {count}" for kind, count in sorted(item["fail_open"].items()))
        said.append(f"accepted without a match so far: {', '.join(counts)}")
    return f"{item['device']}: {'; '.join(said)}"
