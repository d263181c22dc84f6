"""`everpin flash`: firmware and a device's image, or its files, to a board on a serial port."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ..board.boards import BOARDS
from ..errors import OperatorError
from .common import file, machine, verb

if TYPE_CHECKING:
    from .common import Verbs

_BAUD = 460800
_TIMEOUT_S = 30.0


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(
        verbs,
        "flash",
        "write firmware and a device's image to a board, and ask the board what it has",
        "everpin flash --port /dev/ttyUSB0 --firmware micropython.bin --image lamp-3.bin\n"
        "everpin flash --port /dev/ttyUSB0 --files lamp-3.d",
        _flash,
        folder=False,
    )
    made.add_argument("--port", required=True, metavar="PORT", help="/dev/ttyUSB0 and the like")
    made.add_argument("--image", metavar="FILE", help="what everpin provision --board has made")
    made.add_argument(
        "--firmware",
        metavar="FILE",
        help="MicroPython for the board: boot loader, table, application",
    )
    made.add_argument(
        "--files",
        metavar="DIR",
        help="copy these files with mpremote instead of writing an image: MicroPython is there already",
    )
    made.add_argument("--board", choices=tuple(BOARDS), default="esp32", help="default: esp32")
    made.add_argument("--baud", type=int, default=_BAUD, help=f"while writing (default: {_BAUD})")
    made.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT_S,
        metavar="SECONDS",
        help=f"give up when a step says nothing for so long (default: {_TIMEOUT_S:.0f})",
    )
    made.add_argument(
        "--force", action="store_true", help="write over a device that is provisioned"
    )
    made.add_argument(
        "--no-status",
        action="store_true",
        help="do not ask the board afterwards: your own program brings everpin",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="check the files, print the commands, touch no port"
    )
    machine(made)


def _flash(args: argparse.Namespace) -> int:
    if args.image is None and args.firmware is None and args.files is None:
        raise OperatorError("nothing to write", "", "name --image, --firmware or --files")
    if args.image is not None and args.files is not None:
        raise OperatorError("an image holds the files already", "", "name --image or --files")
    if args.timeout <= 0 or args.baud <= 0:
        raise OperatorError("--timeout and --baud are above 0")
    from ..board.flashing import Flasher, Plan

    live = sys.stderr.isatty()
    width = 0

    def tell(text: str) -> None:
        nonlocal width
        if live:
            print("\r" + text.ljust(width), end="", file=sys.stderr, flush=True)
            width = len(text)
        elif text.endswith(" …"):  # a step's name; percentages are for people who look on
            print(text, file=sys.stderr, flush=True)

    flasher = Flasher(
        Plan(
            args.port,
            args.board,
            file(args.image),
            file(args.firmware),
            file(args.files),
            args.baud,
            args.timeout,
            args.force,
            # A firmware alone may be one without a device yet.
            not args.no_status and (args.image is not None or args.files is not None),
        ),
        tell,
    )
    if args.dry_run:
        commands = flasher.commands()
        print(
            json.dumps({"dry_run": True, "commands": commands})
            if args.json
            else "\n".join(commands)
        )
        return 0
    try:
        done = flasher.run()
    finally:
        if live:
            print(file=sys.stderr)
    if args.json:
        print(
            json.dumps(
                {
                    "port": args.port,
                    "board": args.board,
                    "offset": done.offset,
                    "steps": [{"step": name, "seconds": seconds} for name, seconds in done.steps],
                    "status": done.status,
                }
            )
        )
        return 0
    said = done.status or {}
    if "device" in said:
        number = "-".join(map(str, said["number"]))
        secrets = "its secrets open" if said["secrets"] else "its secrets do not open"
        print(
            f"{args.port}: {said['device']} with document {number}, {secrets}; MicroPython {said['micropython']}"
        )
    else:
        print(f"{args.port}: written")
    return 0
