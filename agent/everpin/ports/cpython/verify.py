"""`everpin verify DOC...`: the device's own acceptance, over documents in the order given.

Trust comes from a folder: a device's (`flash.img`) or an operator's (`root/1.cbor` and the lowest `pins/*.cbor`).
"""

import json
import os
import sys

from ...core import accept, limits
from ...core.errors import FlashError, PeerError
from ...core.store import REGION_BYTES, SECTOR, Store
from ...core.trust import Trust
from ..fileflash import FileFlash

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


class _Refused(Exception):
    """What cannot be used, where, and what to do."""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            # One byte more than a document may have: whether it is too long is acceptance's to say.
            return file.read(limits.DOCUMENT_MAX_BYTES + 1)
    except OSError as error:
        raise _Refused(f"{path}: {error.strerror}") from None


def _trust(folder: str) -> Trust:
    image = os.path.join(folder, "flash.img")
    if os.path.exists(image):
        try:
            flash = FileFlash(image, REGION_BYTES, SECTOR, False)
            return Store(flash).load()
        except FlashError as error:
            raise _Refused(
                f"{image}: {error.name}; this is no provisioned device's image"
            ) from None
        except OSError as error:
            raise _Refused(f"{image}: {error.strerror or error}") from None
    raise _Refused(f"{folder}: no flash.img; name a device's folder with --trust")


def _said(number: "list[int]") -> str:
    return f"root {number[0]}" if len(number) == 1 else f"number {number[0]}-{number[1]}"


def main(args: "argparse.Namespace") -> int:
    """Print a line for each document of `args.documents` under `args.trust`; 0 when all were accepted, else 1."""
    refused = False
    try:
        trust = _trust(args.trust)
        for path in args.documents:
            error = None
            number = None
            try:
                trust, became = accept.document(trust, _read(path))
                if became == accept.ROOT_ACCEPTED:
                    number = [trust.root.version]
                else:
                    number = list(trust.pins.number)
            except PeerError as refusal:
                error = refusal.name
                refused = True
            if args.json:
                said = {"file": path, "accepted": error is None, "error": error, "number": number}
                print(json.dumps(said))
            elif error is None and number is not None:
                print(f"{path}: accepted, {_said(number)}")
            else:
                print(f"{path}: refused, {error}")
    except _Refused as problem:
        print(f"everpin: {problem}", file=sys.stderr)
        return 1
    return 1 if refused else 0
