"""`everpin provision`: a device's flash image and configuration."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from everpin.core import limits
from everpin.ports.cpython.cli import lacking

from .. import files, provision
from ..board.boards import BOARDS, DEFAULT_FLASH
from ..errors import OperatorError
from .common import file, folder_of, machine, policy_of, verb

if TYPE_CHECKING:
    from .common import Verbs

AGENTS = ("mpy", "frozen", "none")


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(
        verbs,
        "provision",
        "write a device's flash image and configuration",
        "everpin provision meter-17 --out devices/meter-17\neverpin provision lamp-3 --sectors --wifi-ssid Plant --wifi-password-file plant.pw\neverpin provision lamp-3 --board esp32 --out lamp-3.bin",
        _provision,
    )
    made.add_argument("device", metavar="DEVICE")
    made.add_argument("--out", metavar="DIR", help="default: devices/DEVICE in the fleet's folder")
    made.add_argument("--force", action="store_true", help="make it anew; its state is forgotten")
    made.add_argument("--mqtt-user")
    made.add_argument("--mqtt-password-file", metavar="FILE", help="mode 0600")
    made.add_argument("--client-cert", metavar="FILE", help="for mutual TLS")
    made.add_argument("--client-key", metavar="FILE", help="mode 0600; it is sealed in the image")
    made.add_argument("--wifi-ssid", metavar="NAME", help="a board's network, sealed in the image")
    made.add_argument("--wifi-password-file", metavar="FILE", help="mode 0600")
    made.add_argument(
        "--managed",
        action="append",
        default=[],
        metavar="FILE",
        help=f"a managed device: this CA may inspect its connections to hosts whose policy says managed; again for more, {limits.MAX_MANAGED} at most",
    )
    made.add_argument(
        "--region",
        choices=("file", "sectors"),
        help="flash.img, or a folder with a file for each sector: for a board's littlefs (default: file, with --board sectors)",
    )
    made.add_argument(
        "--sectors",
        dest="region",
        action="store_const",
        const="sectors",
        help="the same as --region sectors",
    )
    board = made.add_argument_group(
        "a board", "the image of MicroPython's file system, for everpin flash; --out names it"
    )
    board.add_argument("--board", choices=tuple(BOARDS), help="make an image for this board")
    board.add_argument(
        "--agent",
        choices=AGENTS,
        default="mpy",
        help="compiled in the image; frozen in your firmware; or none, and no main.py either (default: mpy)",
    )
    board.add_argument("--main", metavar="FILE", help="your main.py in place of everpin's")
    board.add_argument(
        "--partition-table",
        metavar="CSV",
        help="of your firmware (default: MicroPython's)",
    )
    board.add_argument(
        "--flash-size",
        default=DEFAULT_FLASH,
        metavar="SIZE",
        help=f"the board's (default: {DEFAULT_FLASH}); MicroPython's file system goes to its end",
    )
    board.add_argument(
        "--files",
        metavar="DIR",
        help="the same files in a folder as well, for everpin flash --files",
    )
    machine(made)


def _device(args: argparse.Namespace, out: Path, sectors: bool) -> tuple[int, int]:
    """Write the device's folder."""
    if len(args.managed) > limits.MAX_MANAGED:
        raise OperatorError(
            f"{len(args.managed)} inspection CAs; devices take {limits.MAX_MANAGED}", "--managed"
        )
    return provision.provision(
        folder_of(args),
        policy_of(args),
        args.device,
        out,
        args.force,
        args.mqtt_user,
        file(args.mqtt_password_file),
        file(args.client_cert),
        file(args.client_key),
        wifi_ssid=args.wifi_ssid,
        wifi_password_file=file(args.wifi_password_file),
        sectors=sectors,
        managed=tuple(map(Path, args.managed)),
    )


def _image(args: argparse.Namespace) -> int:
    """Write the image of a board's file system."""
    if lacking("board"):
        print(
            "everpin: --board needs the extra 'board': pip install 'everpin[board]'",
            file=sys.stderr,
        )
        return 2
    from ..board import provisioning

    request = provisioning.Request(
        args.board, args.agent, file(args.partition_table), args.flash_size, file(args.main)
    )
    out = Path(args.out) if args.out else folder_of(args) / "devices" / f"{args.device}.bin"
    if out.is_dir():
        raise OperatorError("this is a folder", str(out), "with --board, --out names the image")
    if out.exists() and not args.force:
        raise OperatorError(
            "this device is provisioned", str(out), "--force makes it anew and forgets its state"
        )
    made = provisioning.make(
        request, out, lambda place: _device(args, place, args.region != "file")
    )
    if args.files is not None:
        provisioning.write_files(made.groups, Path(args.files))
    files.write(out, made.data, 0o600)
    said = {
        "device": args.device,
        "board": args.board,
        "agent": args.agent,
        "image": str(out),
        "number": list(made.number),
        "offset": made.partition.offset,
        "size": made.partition.size,
        "bytes": made.sizes,
        "free": made.free_bytes,
    }
    if args.json:
        print(json.dumps(said))
    else:
        parts = ", ".join(f"{name} {size}" for name, size in made.sizes.items() if size)
        print(
            f"{out}: {args.device} with document {made.number[0]}-{made.number[1]}, for {made.partition.offset:#x} ({made.partition.size} bytes)\n"
            f"bytes: {parts}; free {made.free_bytes}\n"
            f"next: everpin flash --port /dev/ttyUSB0 --image {out}"
        )
    return 0


def _provision(args: argparse.Namespace) -> int:
    folder = folder_of(args)
    if (args.client_cert is None) != (args.client_key is None):
        raise OperatorError(
            "a client certificate and its key go together",
            "",
            "give --client-cert and --client-key",
        )
    if args.wifi_password_file is not None and args.wifi_ssid is None:
        raise OperatorError("a Wi-Fi password without a network", "", "give --wifi-ssid")
    if args.board is not None:
        return _image(args)
    for name in ("main", "partition_table", "files"):
        if getattr(args, name) is not None:
            raise OperatorError(
                f"--{name.replace('_', '-')} is for a board's image", "", "give --board"
            )
    out = Path(args.out) if args.out else folder / "devices" / args.device
    number = _device(args, out, args.region == "sectors")
    if args.json:
        print(json.dumps({"device": args.device, "folder": str(out), "number": list(number)}))
    else:
        print(
            f"{out}: {args.device} with document {number[0]}-{number[1]}\nnext: everpin agent run {out}"
        )
    return 0
