"""`everpin sim pki`: chains by name, as files that any TLS server can serve."""

import argparse
import json
import time
from pathlib import Path

from . import history, pki
from .chains import Ground
from .sim_common import Misuse, unix_of, verb

_EXAMPLES = """\
examples:
  everpin sim pki --list                             the chains there are
  everpin sim pki forged --out DIR                   a leaf of a liar's beside the genuine CA, for api.example
  everpin sim pki good --out DIR --kind rsa2048 --host localhost
  everpin sim pki expired --out DIR --at 2021-09-30  as if made around that day
  everpin sim pki addtrust/after --out DIR           what servers sent the second after AddTrust's root had ended

DIR gets chain.pem and leaf.key (what a server serves); root.pem (the root that policies anchor) and pins.json, where the chain is no historical one: those have their own dates,
hosts and kinds of key.
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
    past = _past()
    if args.chain in past:
        return _tell(args, _write_past(_folder(args), *past[args.chain]))
    ground = Ground(
        args.kind, args.host, int(time.time()) if args.at is None else unix_of(args.at, "--at")
    )
    chains = ground.chains()
    if args.list:
        names = [*chains, *past]
        print(json.dumps({"chains": names}) if args.json else "\n".join(names))
        return 0
    if args.chain not in chains:
        raise Misuse(f"{args.chain}: no such chain; everpin sim pki --list has the names")
    return _tell(args, _write(_folder(args), ground, args.chain))


def _folder(args: argparse.Namespace) -> Path:
    if args.out is None:
        raise Misuse("--out: say where the files go")
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _tell(args: argparse.Namespace, said: dict[str, str]) -> int:
    print(json.dumps(said) if args.json else "\n".join(f"{k}: {v}" for k, v in said.items()))
    return 0


def _past() -> dict[str, tuple[str, str]]:
    """Return the chains of real outages by name: their event and moment."""
    return {f"{e}/{m}": (e, m) for e, event in history.EVENTS.items() for m in event.moments}


def _write_past(folder: Path, event: str, moment: str) -> dict[str, str]:
    first, *rest = history.chain(event, moment)
    cert, key = pki.Identity(first, history.key(""), tuple(rest)).save(folder, "chain")
    key = key.rename(folder / "leaf.key")
    said = history.EVENTS[event]
    return {
        "chain": str(cert),
        "key": str(key),
        "what": f"{said.title}: {said.moments[moment].what}",
        "at": said.moments[moment].at,
        "pin_leaf": pki.pin(history.key("")).hex(),
        "pin_old_root": pki.pin(history.key(said.old)).hex(),
        "pin_new_root": pki.pin(history.key(said.new)).hex(),
    }


def _write(folder: Path, ground: Ground, name: str) -> dict[str, str]:
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
