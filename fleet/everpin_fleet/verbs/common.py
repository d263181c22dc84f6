"""What the verbs share: their parsers' shape, and the arguments that several of them take."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .. import policy
from ..errors import OperatorError

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

Run = Callable[[argparse.Namespace], int]


def verb(
    verbs: "Verbs", name: str, what: str, examples: str, run: Run, folder: bool = True
) -> argparse.ArgumentParser:
    """Return the parser of a verb, with its examples in the help."""
    made = verbs.add_parser(
        name,
        description=what,
        help=what,
        epilog="examples:\n  " + examples.replace("\n", "\n  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if folder:
        made.add_argument(
            "--fleet",
            dest="fleet_dir",
            default=".",
            metavar="DIR",
            help="the fleet's folder (default: here)",
        )
    made.set_defaults(run=run)
    return made


def passphrase(made: argparse.ArgumentParser) -> None:
    """Add where passphrases come from."""
    made.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="mode 0600; else EVERPIN_PASSPHRASE, else a prompt",
    )


def machine(made: argparse.ArgumentParser) -> None:
    """Add --json."""
    made.add_argument("--json", action="store_true", help="facts as JSON")


def broker(made: argparse.ArgumentParser, required: bool) -> None:
    """Add the broker and how to log in."""
    made.add_argument(
        "--broker", metavar="HOST:PORT", required=required, help="checked by the policy's own pins"
    )
    made.add_argument("--user", help="MQTT user")
    made.add_argument("--password-file", metavar="FILE", help="mode 0600")
    made.add_argument(
        "--insecure-plain", action="store_true", help="no TLS: for a listener on loopback only"
    )


def folder_of(args: argparse.Namespace) -> Path:
    """Return the fleet's folder."""
    return Path(args.fleet_dir)


def policy_of(args: argparse.Namespace, complete: bool = True) -> policy.Policy:
    """Return the policy of the fleet's folder."""
    path = folder_of(args) / policy.FILE
    if not path.exists():
        raise OperatorError(
            "no policy here",
            str(path),
            "run in the fleet's folder or name it with --fleet; `everpin init` starts one",
        )
    return policy.load(path, complete)


def file(name: str | None) -> Path | None:
    """Return a path, None for None."""
    return Path(name) if name else None


def address(text: str) -> tuple[str, int]:
    """Return (host, port) of HOST:PORT."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise OperatorError(f"{text!r} is no HOST:PORT")
    return host, int(port)
