"""A reader of a device's region, written from the layout in core/store.py's and core/record.py's docstrings alone.

struct, hashlib and cbor2: nothing of the agent has a hand in it. It says what a device that boots now believes.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Any

import cbor2

SECTOR = 4096
ROOT, PINS, COMMIT, FACTORY, SECRETS, JOURNAL = 1, 2, 4, 5, 6, 7
BODY = -70001
# First sector and how many, for each place that holds records.
SLOTS = {
    FACTORY: ((0, 5), (32, 5)),
    SECRETS: ((5, 1), (6, 1)),
    ROOT: ((7, 3), (10, 3)),
    PINS: ((13, 3), (16, 3)),
}
RINGS = {COMMIT: ((19, 4), (23, 4)), JOURNAL: ((27, 5),)}


@dataclass(frozen=True)
class Record:
    kind: int
    sequence: int
    offset: int
    body: bytes

    @property
    def length(self) -> int:
        return 44 + len(self.body)


@dataclass
class View:
    """What the region says: `marks`, digests of the documents in force, `base` ({name: (entry, number)})."""

    marks: dict[str, Any]
    root: bytes
    pins: bytes
    base: dict[str, tuple[Any, tuple[int, int]]]
    journal: bytes | None
    secrets: list[bytes]


def record(image: bytes, offset: int, end: int, kind: int) -> Record | None:
    """Return the whole record of a kind at an offset."""
    if offset + 44 > end:
        return None
    magic, form, found, sequence, length = struct.unpack(">2sBBII", image[offset : offset + 12])
    if magic != b"eP" or form != 1 or found != kind or offset + 44 + length > end:
        return None
    body = image[offset + 44 : offset + 44 + length]
    if (
        hashlib.sha256(image[offset : offset + 12] + body).digest()
        != image[offset + 12 : offset + 44]
    ):
        return None
    return Record(kind, sequence, offset, body)


def places(image: bytes, kind: int) -> list[list[Record]]:
    """Return the whole records of a kind: a list for each of its slots or rings."""
    found = []
    for sector, count in SLOTS.get(kind, ()):
        # A record begins with its place, or with a later sector of it: those before had gone bad. The newest counts.
        whole, at, end = [], sector * SECTOR, (sector + count) * SECTOR
        while at < end:
            item = record(image, at, end, kind)
            if item is not None:
                whole.append(item)
            at += SECTOR if item is None else -(-item.length // SECTOR) * SECTOR
        found.append(sorted(whole, key=lambda item: -item.sequence)[:1])
    for sector, count in RINGS.get(kind, ()):
        inside, at, end = [], sector * SECTOR, (sector + count) * SECTOR
        while at < end:
            item = record(image, at, end, kind)
            if item is not None:
                inside.append(item)
                at += -(-item.length // 16) * 16
            else:
                at += 16
        found.append(inside)
    return found


def records(image: bytes) -> list[Record]:
    """Return every whole record."""
    return [item for kind in (*SLOTS, *RINGS) for place in places(image, kind) for item in place]


def newest(image: bytes, kind: int) -> list[Record]:
    """Return the records of a kind with the highest sequence, newest documents first where there are several."""
    every = [item for place in places(image, kind) for item in place]
    top = max((item.sequence for item in every), default=0)
    return [item for item in every if item.sequence == top]


def payload(document: bytes) -> dict[Any, Any]:
    """Return the claims of a COSE_Sign1 or COSE_Sign."""
    return dict(cbor2.loads(cbor2.loads(document).value[2]))


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def number(document: bytes) -> tuple[int, int]:
    body = payload(document)[BODY]
    return body[1], body[2]


def _in_force(
    image: bytes, kind: int, wanted: bytes, burnt_in: bytes, top: Any, order: Any
) -> bytes:
    """Return the digest of the document in force: the one wanted, else the newest that was accepted, else the factory's."""
    if wanted == digest(burnt_in):
        return wanted
    held = [item for place in places(image, kind) for item in place]
    for item in held:
        if digest(item.body) == wanted:
            return wanted
    for item in sorted(held, key=lambda item: -item.sequence):
        if order(item.body) <= top:
            return digest(item.body)
    return digest(burnt_in)


def view(image: bytes) -> View:
    """Return what a device that boots from this region believes."""
    made = cbor2.loads(newest(image, FACTORY)[0].body)
    root, pins = made[5], made[6]
    secrets = sorted(
        (item for place in places(image, SECRETS) for item in place),
        key=lambda item: -item.sequence,
    )
    journal = newest(image, JOURNAL)
    found = View(
        {
            "root": payload(root)[BODY][1],
            "root_digest": digest(root),
            "number": number(pins),
            "pins_digest": digest(pins),
            "forbidden": payload(pins)[BODY].get(-2, []),
            "floor": max(made[7], payload(root)[6], payload(pins)[6]),
            "rule_since": 1,
        },
        digest(root),
        digest(pins),
        {host[1]: (host, number(pins)) for host in payload(pins)[BODY][3]},
        journal[0].body if journal else None,
        [item.body for item in secrets],
    )
    commits = newest(image, COMMIT)
    if not commits:
        return found
    said = cbor2.loads(commits[0].body)
    found.marks = {
        "root": said[1],
        "root_digest": said[2],
        "number": tuple(said[3]),
        "pins_digest": said[4],
        "forbidden": said[5],
        "floor": said[6],
        "rule_since": said[7],
    }
    found.root = _in_force(
        image,
        ROOT,
        said.get(9, said[2]),
        root,
        said[1],
        lambda document: payload(document)[BODY][1],
    )
    found.pins = _in_force(image, PINS, said.get(10, said[4]), pins, tuple(said[3]), number)
    base = cbor2.loads(said[11])
    found.base = {name: (entry, tuple(at)) for name, (entry, at) in base[1].items()}
    return found
