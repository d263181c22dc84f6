"""`everpin sim hostile`: serve one hostile thing on loopback, for a device of yours, until interrupted."""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from . import pki
from .attacker import Attacker
from .chains import Ground
from .hostile.carrier import MIRRORS, Carrier
from .hostile.middle import Middle
from .hostile.network import FAULTS, Network
from .hostile.ntp import NtpServer
from .hostile.tampers import TAMPERS
from .sim_common import Misuse, verb

_EXAMPLES = """\
examples:
  everpin sim hostile --list
  everpin sim hostile net-loss --listen 8883 --to 18883          a network that loses three segments in ten
  everpin sim hostile net-portal --listen 8883                   a captive portal, with its own certificate
  everpin sim hostile broker-flood --listen 8883 --to 1883 --cert broker.pem --key broker.key
                                                                 a broker with the genuine key before a plain, true one
  everpin sim hostile middle --listen 8883 --to 1883             a man in the middle with a certificate of his own
  everpin sim hostile mirror-garbage --listen 8080
  everpin sim hostile ntp --ahead 315360000                      an NTP server ten years ahead

All of it listens on 127.0.0.1 alone.
"""


def _names() -> dict[str, str]:
    found = {
        "middle": "a man in the middle: TLS with --cert, or one of his own; MQTT read and passed on"
    }
    found |= {"thief": "a TLS server with a certificate of its own that keeps what it is told"}
    found |= {f"broker-{n}": (t.__doc__ or "").rstrip(".").lower() for n, t in TAMPERS.items()}
    found |= {f"net-{name}": f"a network: {name}" for name in FAULTS}
    found |= {f"mirror-{name.replace(' ', '-')}": f"a mirror: {name}" for name in MIRRORS}
    return found | {"ntp": "an NTP server that lies"}


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to `everpin sim`."""
    made = verb(verbs, "hostile", "Serve one hostile thing on loopback", _EXAMPLES, _run)
    made.add_argument("name", nargs="?", metavar="NAME", help="one of --list")
    made.add_argument("--list", action="store_true", help="print the names")
    made.add_argument(
        "--listen", type=int, default=0, metavar="PORT", help="default: any free one"
    )
    made.add_argument(
        "--to",
        type=int,
        metavar="PORT",
        help="what is behind: for net-… as it is, for middle and broker-… a plain MQTT broker",
    )
    made.add_argument("--cert", metavar="PEM", help="serve this certificate and its chain")
    made.add_argument("--key", metavar="PEM", help="the key of --cert, without passphrase")
    made.add_argument(
        "--host", default="localhost", help="the name in a certificate that is made here"
    )
    made.add_argument(
        "--ahead",
        type=int,
        default=0,
        metavar="SECONDS",
        help="how far ntp is ahead of the right time; negative: behind",
    )


def _identity(args: argparse.Namespace) -> pki.Identity:
    if (args.cert is None) != (args.key is None):
        raise Misuse("--cert and --key go together")
    if args.cert is None:
        return Ground("p256", args.host, int(time.time())).chains()["stranger"].identity()
    try:
        chain = x509.load_pem_x509_certificates(Path(args.cert).read_bytes())
        key = load_pem_private_key(Path(args.key).read_bytes(), None)
    except (OSError, ValueError, TypeError) as problem:
        raise Misuse(f"{args.cert}, {args.key}: {problem}") from None
    return pki.Identity(chain[0], key, tuple(chain[1:]))  # type: ignore[arg-type]


def _behind(args: argparse.Namespace) -> int:
    if args.to is None:
        raise Misuse(f"{args.name}: --to says which port is behind it")
    return int(args.to)


def serve(args: argparse.Namespace, folder: Path) -> int:
    """Start the hostile thing that the arguments name; return its port. Raise `Misuse`."""
    kind, _, name = args.name.partition("-")
    if args.name not in _names():
        raise Misuse(f"{args.name}: no such thing; everpin sim hostile --list has the names")
    if args.name == "ntp":
        return NtpServer(lambda: time.time() + args.ahead).port
    if kind == "mirror":
        return Carrier(MIRRORS[name.replace("-", " ")], port=args.listen).port
    if kind == "net":
        network = Network(args.listen, portal=_identity(args))
        network.fault = name
        if name not in ("refuse", "black-hole", "portal"):
            network.switch(_behind(args))
        return network.port
    identity = _identity(args)
    if kind == "thief":
        cert, key = identity.save(folder, "thief")
        return Attacker(cert, key, cert, args.listen).port
    middle = Middle(identity, _behind(args), args.listen)
    if kind == "broker":
        middle.tamper = lambda: TAMPERS[name]([], b"\xa0")
    return middle.port


def _run(args: argparse.Namespace) -> int:
    if args.list or args.name is None:
        if not args.list:
            raise Misuse("say which; everpin sim hostile --list has the names")
        names = _names()
        print(
            json.dumps(names) if args.json else "\n".join(f"{n:<32}{w}" for n, w in names.items())
        )
        return 0
    with tempfile.TemporaryDirectory(prefix="everpin-hostile-") as folder:
        try:
            port = serve(args, Path(folder))
        except OSError as problem:
            raise Misuse(f"--listen {args.listen}: {problem.strerror}") from None
        said = {"name": args.name, "port": port}
        print(json.dumps(said) if args.json else f"{args.name} on 127.0.0.1:{port}", flush=True)
        threading.Event().wait()
    return 0
