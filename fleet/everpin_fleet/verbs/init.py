"""`everpin init`: start a fleet."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from everpin.core.carrier import parse_url
from everpin.core.host import canonical

from .. import files, policy, provision
from ..errors import OperatorError
from .common import address, verb

if TYPE_CHECKING:
    from .common import Verbs

_POLICY = """\
# The fleet's policy: what devices trust. `everpin sign` makes the next document of it.
fleet = {fleet}
channel = {channel}

# Where devices fetch documents when no pinned broker is reachable: unverified, without identity.
rescue = {rescue}

# Keys that no device may talk to any more, base64 of SHA-256 of the SPKI.
forbidden = []

[signers]
root = [{signer}]
pins = [{signer}]

[[brokers]]
host = {host}
port = {port}

# Each host needs two different pins: the one it serves, and the next one. `everpin pin add` writes them here.
[[hosts]]
name = {host}
"""


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(
        verbs,
        "init",
        "start a fleet: a policy file and folders for keys and documents",
        "everpin init acme --fleet acme --channel meters --broker broker.example:8883 --rescue http://pins.example/acme",
        _init,
        folder=False,
    )
    made.add_argument("folder", metavar="DIR")
    made.add_argument("--fleet", required=True, metavar="NAME")
    made.add_argument(
        "--channel",
        required=True,
        metavar="NAME",
        help="the audience: one hardware or customer group",
    )
    made.add_argument("--broker", required=True, metavar="HOST:PORT")
    made.add_argument(
        "--rescue",
        action="append",
        metavar="URL",
        help="mqtts://host:port or http(s)://host/folder; again for more",
    )
    made.add_argument(
        "--signer", default="ops", metavar="NAME", help="the key that will sign (default: ops)"
    )


def _init(args: argparse.Namespace) -> int:
    folder = Path(args.folder)
    path = folder / policy.FILE
    if path.exists():
        raise OperatorError("a fleet is here already", str(path))
    host, port = address(args.broker)
    rescue = args.rescue or [f"mqtts://{'[' + host + ']' if ':' in host else host}:{port}"]
    for url in rescue:
        if parse_url(url) is None:
            raise OperatorError(
                f"{url!r} is no carrier",
                "--rescue",
                "mqtts://host:port, mqtt://host:port or http(s)://host/folder",
            )
    text = _POLICY.format(
        fleet=json.dumps(args.fleet),
        channel=json.dumps(args.channel),
        rescue=json.dumps(rescue),
        signer=json.dumps(args.signer),
        host=json.dumps(canonical(host)),
        port=port,
    )
    draft = folder / f"{policy.FILE}.new"
    files.write(draft, text.encode())
    try:
        policy.load(draft, complete=False)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    files.write(folder / provision.MASTER, os.urandom(32), 0o600)
    for name in ("keys", "root", "pins", "devices"):
        (folder / name).mkdir(exist_ok=True)
    print(
        f"{path}\nnext: cd {folder}; everpin key new {args.signer}; everpin pin add {host} --from CERTIFICATE; everpin pin add {host} --from NEXT-KEY --status backup"
    )
    return 0
