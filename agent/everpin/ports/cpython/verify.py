"""`everpin verify DOC...`: the device's own acceptance, over documents in the order given.

Trust comes from a folder: a device's (the region that its `device.json` names), or an operator's (`root/` and `pins/`, as a device would have them that was
provisioned with the lowest).
"""

import json
import os
import sys

from ...core import accept, claims, cose, limits
from ...core.errors import FlashError, PeerError
from ...core.store import Store
from ...core.trust import Trust
from ..device import CONFIG, ConfigError, region

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ...core.host import Anchor


class StoredError(Exception):
    """A device folder whose trust cannot be read: which, and why."""


def stored(folder: str) -> "tuple[Trust, list[Anchor]]":
    """Return the trust on a device's flash, and its inspection CAs; nothing is written. Raise `StoredError`."""
    try:
        flash = region(folder)
        try:
            store = Store(flash)
            return store.load(), store.factory().managed
        finally:
            flash.close()
    except ConfigError as error:
        raise StoredError(str(error)) from None
    except FlashError as error:
        raise StoredError(
            f"{folder}: {error.name}; its flash is no provisioned device's"
        ) from None
    except OSError as error:
        raise StoredError(f"{folder}: {error.strerror or error}") from None


class _Refused(Exception):
    """What cannot be used, where, and what to do."""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            # One byte more than a document may have: whether it is too long is acceptance's to say.
            return file.read(limits.DOCUMENT_MAX_BYTES + 1)
    except OSError as error:
        raise _Refused(f"{path}: {error.strerror}") from None


def _lowest(folder: str, kind: str) -> "list[tuple[list[int], str]]":
    """Return (numbers in its name, path) of an operator's documents of a kind, lowest first."""
    found = []
    where = os.path.join(folder, kind)
    for name in os.listdir(where) if os.path.isdir(where) else ():
        stem, dot, suffix = name.partition(".")
        parts = stem.split("-")
        if dot and suffix == "cbor" and all(part.isdigit() for part in parts):
            found.append(([int(part) for part in parts], os.path.join(where, name)))
    return sorted(found)


def _of_operator(folder: str) -> Trust:
    pins = _lowest(folder, "pins")
    root = os.path.join(folder, "root", f"{pins[0][0][0]}.cbor")
    data = _read(pins[0][1])
    try:
        # The fleet and channel that they say themselves: the signatures must bind the same.
        said = cose.claims(cose.signed(data, cose.PINS).payload)
        fleet = claims.name(said.get(claims.ISS))
        channel = claims.name(said.get(claims.AUD))
        return accept.first(fleet, channel, _read(root), data, 0)
    except PeerError as error:
        raise _Refused(
            f"{pins[0][1]}: no device would start from this and {root} ({error.name})"
        ) from None


def _trust(folder: str) -> Trust:
    if any(os.path.exists(os.path.join(folder, name)) for name in (CONFIG, "flash.img")):
        try:
            return stored(folder)[0]
        except StoredError as error:
            raise _Refused(str(error)) from None
    if _lowest(folder, "pins"):
        return _of_operator(folder)
    raise _Refused(
        f"{folder}: neither {CONFIG}, flash.img nor pins/; name a device's folder, or a fleet's, with --trust"
    )


def _said(number: "int | list[int]") -> str:
    return f"root {number}" if isinstance(number, int) else f"number {number[0]}-{number[1]}"


def main(args: "argparse.Namespace") -> int:
    """Print a line for each document of `args.documents` under `args.trust`; 0 when all were accepted, else 1."""
    refused = False
    try:
        trust = _trust(args.trust)
        for path in args.documents:
            error = None
            number: "int | list[int] | None" = None
            data = _read(path)
            try:
                trust, _ = accept.document(trust, data)
                is_root = cose.signed(data).typ == cose.ROOT
                number = trust.root.version if is_root else list(trust.pins.number)
            except PeerError as refusal:
                error = refusal.name
                refused = True
            if args.json:
                said = {"file": path, "accepted": error is None, "error": error, "number": number}
                print(json.dumps(said))
            elif number is not None:
                print(f"{path}: accepted, {_said(number)}")
            else:
                print(f"{path}: refused, {error}")
    except _Refused as problem:
        print(f"everpin: {problem}", file=sys.stderr)
        return 1
    return 1 if refused else 0
