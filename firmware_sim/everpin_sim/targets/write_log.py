"""What reached a card, write by write: the log that QEMU's `blklogwrites` keeps, and the card as a power cut in it would leave it.

Its format is Linux's dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst): a super block, then entries, each a
sector of numbers and its data.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from everpin.core.store import REGION_BYTES

from .card import REGION_AT, SECTOR
from .protocol import TargetError

_MAGIC = 0x6A736677736872
_FLUSH, _DISCARD = 1, 4

# How much of the write that meets the cut is on the card, in the words of device/cutflash.py: its first sector, half, all but its
# last, torn inside the sector in the middle. "lost" and "reorder" are what a card with a cache does to writes since the last flush.
KINDS = ("first", "half", "last", "torn", "after")
CACHE_KINDS = ("lost", "reorder")


@dataclass(frozen=True)
class Write:
    """A write to the region: where in it, what, and how many writes of the log came before it since the last flush."""

    offset: int
    data: bytes
    pending: int


def writes(log: Path) -> list[Write]:
    """Return the writes to the region in a log, in the order in which they reached the card."""
    found: list[Write] = []
    pending = 0
    for offset, flags, data in _entries(log.read_bytes()):
        if flags & _DISCARD:
            raise TargetError("the guest discards blocks of the card")
        if data:
            at = offset - REGION_AT
            if not 0 <= at <= at + len(data) <= REGION_BYTES:
                raise TargetError(f"the guest writes outside of the region: {offset}")
            found.append(Write(at, data, pending))
            pending += 1
        if flags & _FLUSH:
            pending = 0
    return found


def _entries(log: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, flags, data) of each entry; the emulator begins a log with the first of them."""
    if not any(log[:8]):
        return
    magic, _, count, sector = struct.unpack_from("<QQQI", log)
    if magic != _MAGIC:
        raise TargetError("no log of writes")
    at = sector
    for _ in range(count):
        where, length, flags, _ = struct.unpack_from("<QQQQ", log, at)
        at += sector
        size = 0 if flags & _DISCARD else length * sector
        yield where * sector, flags, log[at : at + size]
        at += size


class Cuts:
    """A region before a log's writes, and all that cuts may leave of it."""

    def __init__(self, origin: bytes, found: list[Write]) -> None:
        self._writes = found
        self._images = [origin]
        for write in found:
            self._images.append(_with(self._images[-1], write, write.data))

    def kinds(self, number: int) -> tuple[str, ...]:
        """Return the kinds of cut that a write can meet."""
        return KINDS + (CACHE_KINDS if self._writes[number].pending else ())

    def image(self, number: int, kind: str) -> bytes:
        """Return the region after a cut in a write."""
        write = self._writes[number]
        before, durable = self._images[number], self._images[number - write.pending]
        if kind == "lost":
            return durable
        if kind == "reorder":
            return _with(durable, write, write.data)
        return _with(before, write, _part(write.data, kind))


def _with(image: bytes, write: Write, data: bytes) -> bytes:
    return image[: write.offset] + data + image[write.offset + len(data) :]


def _part(data: bytes, kind: str) -> bytes:
    half = len(data) // 2 // SECTOR * SECTOR
    if kind == "torn":
        return data[: half + SECTOR // 3]
    return data[
        : {"first": SECTOR, "half": half, "last": len(data) - SECTOR, "after": len(data)}[kind]
    ]
