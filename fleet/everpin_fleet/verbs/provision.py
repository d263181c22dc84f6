"""`everpin provision`: a device's flash image and configuration."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .. import provision
from ..errors import OperatorError
from .common import file, folder_of, machine, policy_of, verb

if TYPE_CHECKING:
    from .common import Verbs


def add(verbs: "Verbs") -> None:
    """Add the verb."""
    made = verb(
        verbs,
        "provision",
        "write a device's flash image and configuration",
        "everpin provision meter-17 --out devices/meter-17\neverpin provision lamp-3 --sectors --wifi-ssid Plant --wifi-password-file plant.pw",
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
        "--sectors",
        action="store_true",
        help="a folder with a file for each sector instead of flash.img: for a board's littlefs",
    )
    machine(made)


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
    out = Path(args.out) if args.out else folder / "devices" / args.device
    number = provision.provision(
        folder,
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
        sectors=args.sectors,
    )
    if args.json:
        print(json.dumps({"device": args.device, "folder": str(out), "number": list(number)}))
    else:
        print(
            f"{out}: {args.device} with document {number[0]}-{number[1]}\nnext: everpin agent run {out}"
        )
    return 0
