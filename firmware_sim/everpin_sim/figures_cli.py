"""`everpin sim figures`: what the agent costs on a device. Exit status: 0 measured, 1 the agent did something wrong, 2 wrong use or no tools."""

import argparse
import json
from pathlib import Path

from . import build_mcu, mcu_figures
from .build_cli import tell
from .debian import NotAvailable

_EXAMPLES = """\
examples:
  everpin sim figures --target mcu                  instructions, heap and code of the agent on a Cortex-M3
  everpin sim figures --target mcu --least-ram      and the least RAM in which all of it goes well
  everpin sim figures --target mcu --agent DIR      of another copy of agent/: a check removed there ends with 1

What is counted: a TLS handshake with the verdict inside it (with a thief's server, too: it must be refused before it gets a byte),
the verdict alone, and pins signed by Ed25519, ESP256 and HSS-LMS, each forged first. Each answer is held against the right one.
"""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to `everpin sim`."""
    verb = verbs.add_parser(
        "figures",
        help="instructions, heap and code that the agent takes on a device",
        description="Count what the agent costs on an emulated device, while it does what it is there for.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_argument("--target", choices=("mcu",), required=True, help="mcu: a board of QEMU")
    verb.add_argument(
        "--board", choices=build_mcu.BOARDS, default="an385", help="which one (default: an385)"
    )
    verb.add_argument(
        "--ram",
        type=int,
        default=build_mcu.RAM_BYTES,
        metavar="BYTES",
        help=f"RAM that the board has (default: {build_mcu.RAM_BYTES})",
    )
    verb.add_argument(
        "--least-ram", action="store_true", help="look for the least RAM that is enough"
    )
    verb.add_argument("--agent", metavar="DIR", help="measure this copy of agent/")
    verb.add_argument(
        "--json",
        action="store_true",
        help="one JSON object on standard output; progress goes to standard error",
    )
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure."""
    problem = build_mcu.ram_problem(args.ram)
    if problem:
        tell(f"everpin: --ram {args.ram}: {problem}")
        return 2
    agent = None if args.agent is None else Path(args.agent).resolve()
    try:
        found = mcu_figures.figures(args.board, agent, args.ram, args.least_ram, tell)
    except NotAvailable as lacking:
        tell(f"everpin: {lacking}")
        return 2
    except build_mcu.BuildFailed as failed:
        tell(f"everpin: the firmware cannot be built:\n{failed}")
        return 1
    if args.json:
        print(json.dumps(found))
    else:
        _print(found)
    return 0 if found["ok"] else 1


def _print(found: mcu_figures.Report) -> None:
    print(f"{found['board']}, {found['ram']} bytes of RAM")
    for name in mcu_figures.COUNTS:
        if found[name] is not None:
            print(f"{name:16}{found[name]:>14,} instructions  heap {found['heap'][name]:>7,}")
    for name in ("heap_peak", "stack_peak", "ram_least", "frozen_bytes", "firmware_bytes"):
        if name in found:
            print(f"{name:16}{found[name]:>14,} bytes")
    for what in found["wrong"]:
        print(f"wrong: {what}")
    if found["trace"]:
        print(f"the board ended: {found['trace']}")
