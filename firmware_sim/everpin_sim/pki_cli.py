"""`everpin sim pki`: chains by name, as files that any TLS server can serve."""

import argparse
import json
import time
from pathlib import Path

from . import pki
from .chains import Ground
from .sim_common import Misuse, unix_of, verb

_EXAMPLES = """\
examples:
  everpin sim pki --list                             the chains there are
  everpin sim pki forged --out DIR                   a leaf of a liar's beside the genuine CA, for api.example
  everpin sim pki good --out DIR --kind rsa2048 --host localhost
  everpin sim pki expired --out DIR --at 2021-09-30  as if made around that day

DIR gets chain.pem and leaf.key (what a server serves), root.pem (the root that policies anchor) and pins.json.
"""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to `everpin sim`."""
    made = verb(
        verbs, "pki", "Make a chain of certificates by its name, right or wrong", _EXAMPLES, _run
    )
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("chain", nargs="?", metavar="CHAIN", help="one of --list")
    what.add_argument("--list", action="store_true", help="print the names")
    made.add_argument("--out", metavar="DIR", help="where the files go; it is made")
    made.add_argument("--kind", choices=pki.KINDS, default="p256", help="of all keys")
    made.add_argument(
        "--host", default="api.example", help="name or address in the leaf (default: api.example)"
    )
    made.add_argument(
        "--at",
        metavar="DATE",
        help="the day around which it is made: the leaf is valid from the day before, for a year (default: today)",
    )


def _run(args: argparse.Namespace) -> int:
    ground = Ground(
        args.kind, args.host, int(time.time()) if args.at is None else unix_of(args.at, "--at")
    )
    chains = ground.chains()
    if args.list:
        print(json.dumps({"chains": list(chains)}) if args.json else "\n".join(chains))
        return 0
    if args.chain not in chains:
        raise Misuse(f"{args.chain}: no such chain; everpin sim pki --list has the names")
    if args.out is None:
        raise Misuse("--out: say where the files go")
    said = _write(Path(args.out), ground, args.chain)
    print(json.dumps(said) if args.json else "\n".join(f"{k}: {v}" for k, v in said.items()))
    return 0


def _write(folder: Path, ground: Ground, name: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    served = ground.chains()[name]
    cert, key = served.identity().save(folder, "chain")
    key = key.rename(folder / "leaf.key")
    root = pki.identity(
        [ground.issue(ground.root, "Root", ground.root.key, ca=True)], ground.root.key
    )
    (folder / "root.pem").write_bytes(root.pem())
    pins = {"leaf": pki.pin(served.key), "middle": ground.middle.pin, "root": ground.root.pin}
    (folder / "pins.json").write_text(json.dumps({k: v.hex() for k, v in pins.items()}))
    return {"chain": str(cert), "key": str(key), "root": str(folder / "root.pem")} | {
        f"pin_{k}": v.hex() for k, v in pins.items()
    }
