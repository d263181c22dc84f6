"""`everpin publish`: signed documents to the broker and to a mirror folder."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from everpin.core import topics

from .. import archive, files
from ..connect import Broker
from ..errors import OperatorError
from .common import address, broker, file, folder_of, machine, policy_of, verb

if TYPE_CHECKING:
    from .common import Verbs


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(
        verbs,
        "publish",
        "publish every root and the newest document to the broker and to a mirror folder",
        "everpin publish --broker broker.example:8883 --user operator --password-file op.pw --mirror /srv/pins",
        _publish,
    )
    broker(made, False)
    made.add_argument("--mirror", metavar="DIR", help="a folder that a web server serves")
    made.add_argument(
        "--no-read-back",
        action="store_true",
        help="do not ask the broker whether it retains what was published",
    )
    made.add_argument(
        "--bucket",
        default="all",
        metavar="LIST",
        help="all, or numbers from 0 to 63 with commas: a wave",
    )
    made.add_argument(
        "--rescue",
        action="store_true",
        help="release it to devices in rescue though not every bucket has it",
    )
    machine(made)


def _publish(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    found = policy_of(args)
    if not args.broker and not args.mirror:
        raise OperatorError(
            "nowhere to publish", "", "name --broker HOST:PORT, --mirror DIR, or both"
        )
    try:
        buckets = (
            list(range(topics.BUCKETS))
            if args.bucket == "all"
            else sorted({int(item) for item in args.bucket.split(",")})
        )
    except ValueError:
        buckets = [-1]
    if not all(0 <= item < topics.BUCKETS for item in buckets):
        raise OperatorError(
            f"{args.bucket!r} is no list of buckets",
            "--bucket",
            "all, or numbers from 0 to 63 with commas",
        )
    messages = archive.outgoing(folder, found, buckets, args.bucket == "all" or args.rescue)
    number, _ = archive.newest(folder)
    if args.mirror:
        for topic, data in messages.items():
            files.write(Path(args.mirror) / topic, data)
    if args.broker:
        trusts = None if args.insecure_plain else archive.trusts(folder, found)
        with Broker(
            address(args.broker), trusts, args.user, file(args.password_file)
        ) as connection:
            connection.publish(messages)
            if not args.no_read_back:
                connection.read_back(messages)
    if args.json:
        print(
            json.dumps(
                {
                    "number": list(number),
                    "topics": len(messages),
                    "broker": args.broker,
                    "mirror": args.mirror,
                }
            )
        )
    else:
        where = " and ".join(item for item in (args.broker, args.mirror) if item)
        print(f"document {number[0]}-{number[1]}: {len(messages)} topics on {where}")
    return 0
