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
        table = Table("device", "document", "event", "where", "error", "count")
        for item in shown:
            for event in item["events"]:
                number = event.get("number", item["number"])
                table.add_row(
                    item["device"],
                    "-".join(map(str, number)),
                    event["kind"],
                    event.get("where", ""),
                    event.get("error", ""),
                    str(event["count"]),
                )
        Console().print(table)
    for error, count in sorted(collector.refused.items()):
        print(f"everpin: {count} report(s) refused: {error}", file=sys.stderr)
    return 0
