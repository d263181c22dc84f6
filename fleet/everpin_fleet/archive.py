"""The fleet's folder of signed documents: every root and every pins document, and the trust of a device that took them."""

import re
from hashlib import sha256
from pathlib import Path

from everpin.core import accept, claims, cose, topics
from everpin.core.errors import PeerError
from everpin.core.pins import Pins
from everpin.core.root import Root
from everpin.core.trust import Trust

from . import files
from .errors import OperatorError
from .policy import Policy

Number = tuple[int, int]


def root_path(folder: Path, version: int) -> Path:
    """Return where a root document lies."""
    return folder / "root" / f"{version}.cbor"


def pins_path(folder: Path, number: Number) -> Path:
    """Return where a `pins` document lies."""
    return folder / "pins" / f"{number[0]}-{number[1]}.cbor"


def roots(folder: Path) -> list[int]:
    """Return the versions of the signed roots, rising."""
    return sorted(
        int(path.stem) for path in (folder / "root").glob("*.cbor") if path.stem.isdigit()
    )


def numbers(folder: Path) -> list[Number]:
    """Return the numbers of the signed `pins` documents, rising."""
    found = []
    for path in (folder / "pins").glob("*.cbor"):
        match = re.fullmatch(r"(\d+)-(\d+)", path.stem)
        if match:
            found.append((int(match[1]), int(match[2])))
    return sorted(found)


def newest_root(folder: Path) -> tuple[int, bytes]:
    """Return (version, document) of the newest signed root."""
    found = roots(folder)
    if not found:
        raise OperatorError(
            "no root is signed yet", str(folder / "root"), "`everpin sign` makes the first"
        )
    return found[-1], files.read(root_path(folder, found[-1]))


def newest(folder: Path) -> tuple[Number, bytes]:
    """Return (number, document) of the newest signed `pins` document."""
    found = numbers(folder)
    if not found:
        raise OperatorError(
            "nothing is signed yet", str(folder / "pins"), "`everpin sign` makes a document"
        )
    return found[-1], files.read(pins_path(folder, found[-1]))


def parsed_root(document: bytes, path: Path) -> Root:
    """Return the body of a root of ours."""
    try:
        return accept.stored_root(document)
    except PeerError as error:
        raise OperatorError(f"no root document ({error.name})", str(path)) from None


def parsed_pins(document: bytes, path: Path) -> Pins:
    """Return the body of a `pins` document of ours."""
    try:
        return accept.stored_pins(document)
    except PeerError as error:
        raise OperatorError(f"no pins document ({error.name})", str(path)) from None


def issued(document: bytes) -> int:
    """Return a document's iat."""
    return int(cose.claims(cose.signed(document).payload)[claims.IAT])


def first_trust(folder: Path, fleet: str, channel: str) -> Trust:
    """Return the trust of a device provisioned with the lowest `pins` document and the root that this requires."""
    have = numbers(folder)
    if not have:
        raise OperatorError(
            "nothing is signed yet", str(folder / "pins"), "`everpin sign` makes a document"
        )
    root, pins = root_path(folder, have[0][0]), pins_path(folder, have[0])
    try:
        return accept.first(fleet, channel, files.read(root), files.read(pins), 0)
    except PeerError as error:
        raise OperatorError(
            f"the first documents are none that a device would start from ({error.name})",
            f"{root}, {pins}",
        ) from None


def trusts(folder: Path, policy: Policy) -> list[Trust]:
    """Return the trust state after each signed `pins` document, every root taken on the way; [] when none is signed."""
    have = numbers(folder)
    if not have:
        return []
    trust = first_trust(folder, policy.fleet, policy.channel)
    found = [trust]
    rest = have[1:]
    for version in [version for version in roots(folder) if version >= have[0][0]]:
        if version > trust.root.version:
            trust = _taken(trust, root_path(folder, version))
            found[-1] = trust
        while rest and rest[0][0] == version:
            trust = _taken(trust, pins_path(folder, rest.pop(0)))
            found.append(trust)
    if rest:
        raise OperatorError(
            f"no root {rest[0][0]} for document {rest[0][0]}-{rest[0][1]}", str(folder / "root")
        )
    return found


def _taken(trust: Trust, path: Path) -> Trust:
    try:
        return accept.document(trust, files.read(path))[0]
    except PeerError as error:
        raise OperatorError(
            f"does not follow the documents before it ({error.name})", str(path)
        ) from None


def trust(folder: Path, policy: Policy) -> Trust | None:
    """Return the trust state of a device that has taken every document, None when none is signed."""
    found = trusts(folder, policy)
    return found[-1] if found else None


def outgoing(folder: Path, policy: Policy, buckets: list[int], everyone: bool) -> dict[str, bytes]:
    """Return topic: document of what is published: every root, for sleepers walk through all of them, and the newest pins."""
    _, document = newest(folder)
    found = {
        topics.root(policy.fleet, version): files.read(root_path(folder, version))
        for version in roots(folder)
    }
    for bucket in buckets:
        found[topics.pins(policy.fleet, policy.channel, bucket)] = document
    if everyone:
        found[topics.pins(policy.fleet, policy.channel)] = document
    return found


def digest(document: bytes) -> str:
    """Return a document's SHA-256, hex."""
    return sha256(document).hexdigest()


def signatures(folder: Path, kid: bytes) -> list[bytes]:
    """Return every signature by a key in the documents of this folder."""
    found = []
    for kind in ("root", "pins"):
        for path in sorted((folder / kind).glob("*.cbor")):
            try:
                message = cose.signed(files.read(path))
            except PeerError as error:
                raise OperatorError(f"no document ({error.name})", str(path)) from None
            found += [item[3] for item in message.signatures if item[2] == kid]
    return found
