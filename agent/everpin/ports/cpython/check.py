"""`everpin check HOST[:PORT]`: would a device talk to that peer, and why.

The device is one with its folder (`--device`), or any that has a fleet's policy (`--policy`: policy.toml, a fleet's folder, a
signed `pins` document). The peer is asked over TLS, or its chain is given (`--served`).
"""

import datetime
import importlib
import json
import os
import socket
import ssl
import subprocess
import sys
import time

from ...core import accept
from ...core.errors import PeerError
from ...core.trust import Trust
from ...core.verdict import ENFORCED
from . import spki_sources, tls, trust_store
from .readonly import ReadOnly
from .verify import StoredError, stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ...core.pins import Pins
    from ...core.verdict import Verdict

_PORT = 443


class Unusable(Exception):
    """What cannot be used, where, and what to do."""


def main(args: "argparse.Namespace") -> int:
    """Print the verdict on `args.peer`; 0 when accepted, 1 when not."""
    try:
        peer = _peer(args.peer)
        clock = None if args.at is None else at(args.at)
    except ValueError as error:
        print(f"everpin: {error}", file=sys.stderr)
        return 2
    if args.agent is not None:
        return _with_agent(args)
    try:
        policy = _policy(args, clock)
        found = _judged(policy, peer, args)
    except (Unusable, spki_sources.SourceError) as error:
        print(f"everpin: {error}", file=sys.stderr)
        return 1
    _print(args, found)
    return 0 if found.accepted else 1


def _peer(text: str) -> "tuple[str, int]":
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1], _PORT
    if not colon or (":" in host and not host.startswith("[")):
        return text, _PORT  # a name, or an IPv6 address, alone
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text}: say HOST or HOST:PORT")
    return host.strip("[]"), int(port)


def at(text: str) -> int:
    """Return a time of ISO 8601 as Unix seconds, UTC where it says no offset; raise ValueError."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"--at {text}: say a time such as 2029-03-15 or 2029-03-15T12:00:00Z"
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.timezone.utc)
    return int(found.timestamp())


def _with_agent(args: "argparse.Namespace") -> int:
    """Run the same command over another copy of agent/."""
    if not os.path.isdir(os.path.join(args.agent, "everpin", "core")):
        print(
            f"everpin: {args.agent}: no copy of agent/ (it has no everpin/core)", file=sys.stderr
        )
        return 2
    command = [sys.executable, "-m", "everpin.ports.cpython.cli", "check", args.peer]
    for name in ("device", "policy", "served", "at"):
        value = getattr(args, name)
        if value is not None:
            command += [f"--{name}", value]
    if args.json:
        command.append("--json")
    path = [os.path.abspath(args.agent), os.environ.get("PYTHONPATH", "")]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([item for item in path if item]))
    return subprocess.run(command, env=env, check=False).returncode


# ---- whose policy -----------------------------------------------------------------------------------------------------


def _policy(args: "argparse.Namespace", clock: "int | None") -> ReadOnly:
    if args.device is not None:
        return of_device(args.device, clock)
    path = args.policy
    if os.path.isdir(path) and not os.path.exists(os.path.join(path, "policy.toml")):
        return of_device(path, clock)
    if path.endswith(".cbor"):
        try:
            with open(path, "rb") as file:
                pins = accept.stored_pins(file.read())
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}") from None
        except PeerError as error:
            raise Unusable(f"{path}: devices would refuse this document ({error.name})") from None
    else:
        pins = _of_toml(path)
    return ReadOnly([_trust(pins)], _now(clock, pins.sources))


def _now(clock: "int | None", sources: "list[str]") -> "int | None":
    """Return the time that is asked for, else this machine's when the policy names a clock that devices believe, else None."""
    if clock is None and sources:
        return int(time.time())
    return clock


def of_device(folder: str, clock: "int | None") -> ReadOnly:
    """Return the policy of a device's folder; raise `Unusable`."""
    try:
        trust, managed = stored(folder)
    except StoredError as error:
        raise Unusable(str(error)) from None
    return ReadOnly([trust], _now(clock, trust.pins.sources), managed)


def _of_toml(path: str) -> "Pins":
    try:
        reader = importlib.import_module("everpin_fleet.device_view")
    except ImportError as error:
        raise Unusable(
            f"{path}: the fleet tool reads policy files ({error}): pip install 'everpin[fleet]', or give a signed document"
        ) from None
    pins, problem = reader.pins(path)
    if problem:
        raise Unusable(problem)
    return pins  # type: ignore[no-any-return]


def _trust(pins: "Pins") -> Trust:
    """Return what a device trusts that has these pins and nothing before them; who signed them is not the question."""
    from ...core.root import Root

    return Trust("", "", Root(1, [], {}, None), b"", pins, b"", 0, 0)


# ---- the peer ---------------------------------------------------------------------------------------------------------


def _judged(policy: ReadOnly, peer: "tuple[str, int]", args: "argparse.Namespace") -> "Verdict":
    if args.served is not None:
        chain = spki_sources.certificates(args.served)
        # No handshake, so no check of OpenSSL's: ours stands alone, over the machine's store and the signed anchors.
        return policy.verdict(peer[0], chain, [], trust_store.anchors)
    problem = ""
    try:
        with socket.create_connection(peer, 10) as raw:
            tls.ssl_context(policy).wrap_socket(raw, server_hostname=peer[0]).close()
    except (OSError, ssl.SSLError) as error:
        problem = str(getattr(error, "strerror", None) or error)
    if policy.found is None:
        raise Unusable(f"{args.peer}: no TLS answer ({problem})")
    return policy.found


def _print(args: "argparse.Namespace", found: "Verdict") -> None:
    pin = None if found.pin is None else found.pin.hex()
    if args.json:
        said = {
            "peer": args.peer,
            "accepted": found.accepted,
            "usage": found.usage,
            "pin": pin,
            "path": [item.hex() for item in found.path],
            "why": found.name,
            "mode": found.mode if found.accepted else "",
            "by": found.by,
            "entry": found.entry,
        }
        print(json.dumps(said))
        return
    if not found.accepted:
        how = f"refused: {found.name}"
    elif found.mode == ENFORCED:
        how = f"accepted by a pin of the {found.by} entry, usage {found.usage}"
    else:
        how = f"accepted without a pin: {found.mode}" + (
            f" ({found.name})" if found.why != 0 else ""
        )
    print(f"{args.peer}: {how}\nspki sha256 {pin}")
    for item in found.path[1:]:
        print(f"path        {item.hex()}")
