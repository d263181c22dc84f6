"""`everpin key`: signing keys, their public halves, and the digests that a contingency commitment holds."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import archive, bodies, keys, policy
from ..errors import OperatorError
from .common import file, folder_of, machine, passphrase, verb

if TYPE_CHECKING:
    from .common import Verbs

_EXAMPLES = """\
everpin key new ops
everpin key new vault --alg lms --role root      hash-based: verified with SHA-256 alone
everpin key import carol carol.pub               another signer's public half
everpin key skip vault 20                        after its state was restored from a backup: leaves below are used
everpin key digest vault                         for [contingency] in policy.toml: the key itself stays unpublished
everpin key list"""


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(verbs, "key", "make, import and list signing keys", _EXAMPLES, _key)
    actions = made.add_subparsers(
        dest="action", required=True, metavar="new|import|digest|skip|list"
    )
    new = actions.add_parser("new", help="make a signing key", allow_abbrev=False)
    new.add_argument("name")
    new.add_argument("--alg", choices=sorted(keys.ALGS), default="ed25519")
    new.add_argument(
        "--role",
        choices=("root", "pins"),
        help="lms: the one role that the key will ever sign for",
    )
    new.add_argument(
        "--height",
        type=int,
        choices=(5, 10, 15),
        default=10,
        help="lms: 2^HEIGHT signatures in all (default: 10)",
    )
    new.add_argument(
        "--w", type=int, choices=(1, 2, 4, 8), default=8, help="lms: larger is shorter and slower"
    )
    new.add_argument("--levels", type=int, choices=(1, 2), default=1, help="lms")
    new.add_argument(
        "--n", type=int, choices=(24, 32), default=32, help="lms: bytes of a hash (default: 32)"
    )
    new.add_argument(
        "--no-passphrase",
        action="store_true",
        help="keep it in clear: for tests, and for disks that are encrypted",
    )
    passphrase(new)
    machine(new)
    take = actions.add_parser(
        "import", help="take another machine's public key", allow_abbrev=False
    )
    take.add_argument("name")
    take.add_argument("source", metavar="FILE", help="its NAME.pub, or a PEM public key")
    digest = actions.add_parser(
        "digest", help="print SHA-256 of a public key, for a contingency commitment"
    )
    digest.add_argument("name")
    skip = actions.add_parser(
        "skip",
        help="count an LMS key's leaves below one as used, after a backup was restored",
        allow_abbrev=False,
    )
    skip.add_argument("name")
    skip.add_argument("leaf", type=int)
    passphrase(skip)
    listed = actions.add_parser("list", help="list signing keys", allow_abbrev=False)
    machine(listed)


def _key(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    if not (folder / policy.FILE).exists() and not (folder / "keys").is_dir():
        raise OperatorError(
            "no fleet here",
            str(folder),
            "`everpin init` starts one; on a signer's own machine a folder named keys is enough",
        )
    actions = {"new": _new, "import": _import, "digest": _digest, "skip": _skip, "list": _list}
    return actions[args.action](args, folder)


def _new(args: argparse.Namespace, folder: Path) -> int:
    keys.unused(folder, args.name)
    if args.alg == "lms" and args.role is None:
        raise OperatorError(
            "an LMS key serves one role", "--role", "say --role root or --role pins"
        )
    secret = (
        None
        if args.no_passphrase
        else keys.passphrase(file(args.passphrase_file), f"passphrase for {args.name}", True)
    )
    if args.alg == "lms":
        from .. import lms

        cose_key = lms.create(
            keys.path_of(folder, args.name, ".lms"),
            args.name,
            args.role,
            secret,
            height=args.height,
            w=args.w,
            n=args.n,
            levels=args.levels,
            progress=_progress,
        ).cose_key
        made = keys.save_public(folder, args.name, cose_key)
    else:
        keys.create(folder, args.name, args.alg, secret)
        made = keys.public(folder, args.name)
    if args.json:
        print(json.dumps({"name": made.name, "alg": made.alg, "kid": made.kid.hex()}))
    else:
        print(f"{keys.path_of(folder, args.name, '.pub')}  {args.alg}  kid {made.kid.hex()}")
    return 0


def _progress(done: int, total: int) -> None:
    """Show how far a tree of one-time keys is: the default one takes tens of seconds."""
    if sys.stderr.isatty():
        end = "\n" if done == total else "\r"
        print(f"one-time keys: {done} of {total}", end=end, file=sys.stderr, flush=True)


def _import(args: argparse.Namespace, folder: Path) -> int:
    made = keys.import_public(folder, args.name, Path(args.source))
    print(
        f"{keys.path_of(folder, args.name, '.pub')}  {keys.NAMES[made.alg]}  kid {made.kid.hex()}"
    )
    return 0


def _digest(args: argparse.Namespace, folder: Path) -> int:
    print(bodies.base64_of(keys.public(folder, args.name).digest))
    return 0


def _skip(args: argparse.Namespace, folder: Path) -> int:
    from .. import lms

    path = keys.path_of(folder, args.name, ".lms")
    if not path.exists():
        raise OperatorError("no such LMS key", str(path))
    secret = None
    if lms.encrypted(path):
        secret = keys.passphrase(file(args.passphrase_file), f"passphrase of {args.name}")
    key = lms.load(path, secret)
    key.skip_to(args.leaf, archive.signatures(folder, key.kid))
    print(f"{path}: {key.remaining()} signatures left")
    return 0


def _list(args: argparse.Namespace, folder: Path) -> int:
    rows = []
    for name in keys.names(folder):
        found = keys.public(folder, name)
        rows.append(
            {
                "name": name,
                "alg": keys.NAMES[found.alg],
                "kid": found.kid.hex(),
                "private": keys.is_here(folder, name),
            }
        )
    if args.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        where = "private key here" if row["private"] else "public half only"
        print(f"{row['name']}  {row['alg']}  kid {row['kid']}  {where}")
    return 0
