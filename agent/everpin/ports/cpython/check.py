"""`everpin check HOST:PORT --device DIR`: would this device talk to that peer, and why."""

import json
import socket
import ssl
import sys

from ...core import verdict
from . import tls
from .verify import StoredError, stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ...core.trust import Trust
    from ...core.verdict import Verdict


class _Policy:
    """A device's trust, read only: a check confirms nothing and writes nothing."""

    generation = 1

    def __init__(self, trust: "Trust") -> None:
        self._trust = trust
        self.found: "Verdict | None" = None

    def verdict(self, host: str, chain: "list[bytes]") -> "Verdict":
        self.found = verdict.decide(self._trust, host, chain)
        self.found.generation = self.generation
        return self.found

    def completed(self, found: "Verdict") -> None:
        pass


def main(args: "argparse.Namespace") -> int:
    """Connect to `args.peer` with the pins of `args.device`, print the verdict; 0 when accepted, 1 when not."""
    host, _, port = args.peer.rpartition(":")
    if not host or not port.isdigit():
        print(f"everpin: {args.peer}: say HOST:PORT", file=sys.stderr)
        return 2
    try:
        policy = _Policy(stored(args.device))
    except StoredError as error:
        print(f"everpin: {error}", file=sys.stderr)
        return 1
    host = host.strip("[]")
    problem = ""
    try:
        with socket.create_connection((host, int(port)), 10) as raw:
            tls.ssl_context(policy).wrap_socket(raw, server_hostname=host).close()
    except (OSError, ssl.SSLError) as error:
        problem = str(getattr(error, "strerror", None) or error)
    found = policy.found
    if found is None:
        print(f"everpin: {args.peer}: no TLS answer ({problem})", file=sys.stderr)
        return 1
    pin = None if found.pin is None else found.pin.hex()
    if args.json:
        said = {
            "peer": args.peer,
            "accepted": found.accepted,
            "why": found.name,
            "by": found.by,
            "pin": pin,
        }
        print(json.dumps(said))
    else:
        how = (
            f"accepted by a pin of the {found.by} entry"
            if found.accepted
            else f"refused: {found.name}"
        )
        print(f"{args.peer}: {how}\nspki sha256 {pin}")
    return 0 if found.accepted else 1
