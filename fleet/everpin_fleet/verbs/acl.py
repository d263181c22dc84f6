"""`everpin acl`: a broker's access rules."""

import argparse
import sys
from typing import TYPE_CHECKING

from .. import acl
from .common import policy_of, verb

if TYPE_CHECKING:
    from .common import Verbs


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(
        verbs,
        "acl",
        "print the broker's access rules",
        "everpin acl mosquitto > /etc/mosquitto/everpin.acl",
        _acl,
    )
    made.add_argument("broker", choices=sorted(acl.PRINTERS))


def _acl(args: argparse.Namespace) -> int:
    print(acl.PRINTERS[args.broker](policy_of(args, complete=False)), end="")
    if args.broker == "aws":
        print(
            "everpin: AWS IoT admits no anonymous client: rescue must be a mirror (http://…)",
            file=sys.stderr,
        )
    return 0
