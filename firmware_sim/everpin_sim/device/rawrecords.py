"""Records as they lie on flash, found by their header and digest alone: nothing of the store has a hand in it.

Header (44 bytes): "eP", format 1, kind, sequence (4), length of the body (4), SHA-256 of the 12 bytes before it and the body.
"""

from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from everpin_sim.device.cutflash import CutFlash

_HEADER = 44
_PAGE = 256
KINDS = {
    1: "root",
    2: "pins",
    4: "commit",
    5: "factory",
    6: "secrets",
    7: "journal",
}
COMMIT = 4
FACTORY = 5


class Raw:
    """One whole record: `kind`, `sequence`, `offset`, `length` of all of it, `body`."""

    def __init__(self, kind: int, sequence: int, offset: int, body: bytes) -> None:
        self.kind = kind
        self.sequence = sequence
        self.offset = offset
        self.length = _HEADER + len(body)
        self.body = body


def records(flash: "CutFlash") -> "Iterator[Raw]":
    """Yield every whole record, by offset."""
    behind = 0
    for number in sorted(flash.pages):
        page = flash.pages[number]
        inside = page.find(b"eP")
        while inside >= 0:
            offset = number * _PAGE + inside
            found = _record(flash, offset) if offset >= behind and inside % 16 == 0 else None
            if found is not None:
                behind = offset + found.length
                yield found
            inside = page.find(b"eP", inside + 1)


def _record(flash: "CutFlash", offset: int) -> "Raw | None":
    head = flash.read(offset, min(_HEADER, flash.size - offset))
    length = int.from_bytes(head[8:12], "big")
    if len(head) < _HEADER or head[2] != 1 or offset + _HEADER + length > flash.size:
        return None
    body = flash.read(offset + _HEADER, length)
    if sha256(head[:12] + body).digest() != head[12:]:
        return None
    return Raw(head[3], int.from_bytes(head[4:8], "big"), offset, body)


def copies(flash: "CutFlash") -> "tuple[int, int]":
    """Return how many whole copies there are of the newest commit (2 when there is none), and of the factory record."""
    newest = 0
    bodies: "list[bytes]" = []
    factories = 0
    for item in records(flash):
        if item.kind == FACTORY:
            factories += 1
        if item.kind == COMMIT and item.sequence >= newest:
            if item.sequence > newest:
                bodies = []
            newest = item.sequence
            bodies.append(item.body)
    return len([body for body in bodies if body == bodies[0]]) if bodies else 2, factories
