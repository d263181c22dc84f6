"""`everpin sim build`: what an emulated device runs. Exit status: 0 it is built, 1 it cannot be compiled, 2 wrong use or no tools."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from . import build_mcu, build_pi, pi_userland
from .debian import NotAvailable

_EXAMPLES = """\
examples:
  everpin sim build mcu                       MicroPython with the agent in it, for a Cortex-M3
  everpin sim build mcu --board an500         the same port layer on a Cortex-M7
  everpin sim build pi                        Linux and CPython with the agent installed, for QEMU's fastest 64-bit Arm board
  everpin sim build pi --machine raspi3b      the same for its model of a Raspberry Pi 3B
  everpin sim build mcu --agent DIR --json    with another copy of agent/; one JSON object says where it is

All of it comes from Debian's packages of pinned versions, verified by apt; equal inputs give equal bits. Builds are kept in
$XDG_CACHE_HOME/everpin (or where EVERPIN_CACHE says), so that a second call has nothing to do.
"""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to `everpin sim`."""
    verb = verbs.add_parser(
        "build",
        help="make what an emulated device runs",
        description="Make what an emulated device runs: firmware with the agent frozen in, or Linux with the agent installed.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_argument("what", choices=("mcu", "pi"), help="a microcontroller, or a Raspberry Pi")
    verb.add_argument(
        "--board",
        choices=build_mcu.BOARDS,
        help="mcu: an385, a Cortex-M3 (default), or an500, a Cortex-M7 with FPU",
    )
    verb.add_argument(
        "--machine",
        choices=build_pi.MACHINES,
        help="pi: virt for speed (default), raspi3b for likeness",
    )
    verb.add_argument(
        "--ram",
        type=int,
        metavar="BYTES",
        help=f"mcu: RAM of a board that is told nothing else when it boots (default: {build_mcu.RAM_BYTES})",
    )
    verb.add_argument("--agent", metavar="DIR", help="put in this copy of agent/")
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
    misused = ("machine",) if args.what == "mcu" else ("board", "ram")
    for option in misused:
        if getattr(args, option) is not None:
            tell(f"everpin: --{option} says nothing of {args.what}")
            return 2
    problem = build_mcu.ram_problem(args.ram) if args.ram is not None else ""
    if problem:
        tell(f"everpin: --ram {args.ram}: {problem}")
        return 2
    started = time.monotonic()
    agent = None if args.agent is None else Path(args.agent).resolve()
    try:
        said, lines = (_mcu if args.what == "mcu" else _pi)(args, agent)
    except NotAvailable as lacking:
        tell(f"everpin: {lacking}")
        return 2
    except build_mcu.BuildFailed as failed:
        tell(f"everpin: it cannot be built:\n{failed}")
        return 1
    if args.json:
        seconds = round(time.monotonic() - started, 1)
        print(json.dumps({"target": args.what, **said, "seconds": seconds}))
    else:
        print("\n".join(lines))
    return 0


def _mcu(args: argparse.Namespace, agent: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Return what there is to say of a firmware: for programs, and for people."""
    made = build_mcu.build(args.board or "an385", agent, args.ram or build_mcu.RAM_BYTES, tell)
    said = {
        "board": made.board,
        "firmware": str(made.elf),
        "bytes": made.text_bytes,
        "sha256": made.sha256,
        "micropython": made.micropython,
        "mbedtls": made.mbedtls,
    }
    return said, [
        str(made.elf),
        f"{made.text_bytes} bytes, SHA-256 {made.sha256}",
        f"MicroPython {made.micropython}, mbedTLS {made.mbedtls} (Debian)",
    ]


def _pi(args: argparse.Namespace, agent: Path | None) -> tuple[dict[str, Any], list[str]]:
    made = build_pi.build(args.machine or "virt", agent, tell)
    said = {
        "machine": made.machine,
        "kernel": str(made.kernel),
        "initramfs": str(made.initramfs),
        "bytes": made.bytes,
        "sha256": made.sha256,
        "packages": made.packages,
    }
    return said, [
        str(made.folder),
        f"{made.bytes} bytes, SHA-256 {made.sha256} with the kernel",
        f"{len(made.packages)} packages of Debian's {pi_userland.SUITE}: --json names them",
    ]
