"""`everpin sim build`: the firmware of an emulated device. Exit status: 0 it is built, 1 it cannot be compiled, 2 wrong use or no tools."""

import argparse
import json
import sys
import time
from pathlib import Path

from . import build_mcu
from .debian import NotAvailable

_EXAMPLES = """\
examples:
  everpin sim build mcu                       MicroPython with the agent in it, for a Cortex-M3
  everpin sim build mcu --board an500         the same port layer on a Cortex-M7
  everpin sim build mcu --agent DIR --json    with another copy of agent/; one JSON object says where it is

Sources are Debian's packages of pinned versions, verified by apt; equal inputs give equal bits. Builds are kept in
$XDG_CACHE_HOME/everpin (or where EVERPIN_CACHE says), so that a second call has nothing to do.
"""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to `everpin sim`."""
    verb = verbs.add_parser(
        "build",
        help="make the firmware of an emulated device",
        description="Make the firmware of an emulated device from Debian's source packages, with the agent frozen in.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_argument("what", choices=("mcu",), help="mcu: a microcontroller in QEMU")
    verb.add_argument(
        "--board",
        choices=build_mcu.BOARDS,
        default="an385",
        help="an385: Cortex-M3, an500: Cortex-M7 with FPU (default: an385)",
    )
    verb.add_argument(
        "--ram",
        type=int,
        default=build_mcu.RAM_BYTES,
        metavar="BYTES",
        help=f"RAM of a board that is told nothing else when it boots (default: {build_mcu.RAM_BYTES})",
    )
    verb.add_argument("--agent", metavar="DIR", help="freeze this copy of agent/")
    verb.add_argument(
        "--json",
        action="store_true",
        help="one JSON object on standard output; progress goes to standard error",
    )
    verb.set_defaults(run=run)


def tell(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr)


def run(args: argparse.Namespace) -> int:
    """Build."""
    problem = build_mcu.ram_problem(args.ram)
    if problem:
        tell(f"everpin: --ram {args.ram}: {problem}")
        return 2
    started = time.monotonic()
    try:
        agent = None if args.agent is None else Path(args.agent).resolve()
        firmware = build_mcu.build(args.board, agent, args.ram, tell)
    except NotAvailable as lacking:
        tell(f"everpin: {lacking}")
        return 2
    except build_mcu.BuildFailed as failed:
        tell(f"everpin: the firmware cannot be built:\n{failed}")
        return 1
    said = {
        "target": "mcu",
        "board": firmware.board,
        "firmware": str(firmware.elf),
        "bytes": firmware.text_bytes,
        "sha256": firmware.sha256,
        "micropython": firmware.micropython,
        "mbedtls": firmware.mbedtls,
        "seconds": round(time.monotonic() - started, 1),
    }
    if args.json:
        print(json.dumps(said))
    else:
        print(f"{firmware.elf}\n{firmware.text_bytes} bytes, SHA-256 {firmware.sha256}")
        print(f"MicroPython {firmware.micropython}, mbedTLS {firmware.mbedtls} (Debian)")
    return 0
