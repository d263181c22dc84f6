"""Records on flash: a header that is frozen for ever, a body, and a digest over both.

    offset  bytes
    0       2      magic "eP"
    2       1      format of the body, 1
    3       1      kind
    4       4      sequence, big-endian
    8       4      length of the body
    12      32     SHA-256 of bytes 0 to 11 and the body
    44      ...    body

An agent of any age can tell a record's kind, sequence and length, and whether it is whole; whether it can read the body is the
body's to say. A sector that has gone bad is passed over: what cannot be read there is no record, what cannot be written goes to
the next sector of the same place.
"""

from hashlib import sha256

from ..compat import const
from . import errors
from .errors import FlashError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Flash(Protocol):
        """Four calls under NOR rules: erased bytes are 0xFF, `prog` only clears bits, `erase` takes whole sectors."""

        size: int
        sector: int

        def read(self, offset: int, length: int) -> bytes: ...
        def prog(self, offset: int, data: bytes) -> None: ...
        def erase(self, offset: int, length: int) -> None: ...
        def sync(self) -> None: ...


ROOT = const(1)
PINS = const(2)
BASE = const(3)
COMMIT = const(4)
FACTORY = const(5)
SECRETS = const(6)
JOURNAL = const(7)

_MAGIC = b"eP"
_FORMAT = const(1)
_PREFIX = const(12)
HEADER_BYTES = const(44)
# Records in a ring start at multiples of this, so that one torn record does not hide those behind it.
_ALIGN = const(16)
_PAGE = const(512)


def encode(kind: int, sequence: int, body: bytes) -> bytes:
    """Return a record's bytes."""
    head = (
        _MAGIC
        + bytes((_FORMAT, kind))
        + sequence.to_bytes(4, "big")
        + len(body).to_bytes(4, "big")
    )
    digest = sha256(head)
    digest.update(body)
    return head + digest.digest() + body


def _read(flash: "Flash", offset: int, length: int) -> bytes:
    """Return bytes of the flash, where they cannot be read zeros: no record, and nothing to be written over."""
    try:
        return flash.read(offset, length)
    except (OSError, FlashError):
        return bytes(length)


def decode(flash: "Flash", offset: int, room: int, kind: int) -> "tuple[int, bytes] | None":
    """Return (sequence, body) of a whole record of that kind at an offset, of any format, or None."""
    head = _read(flash, offset, HEADER_BYTES)
    if head[0:2] != _MAGIC or head[3] != kind:
        return None
    length = int.from_bytes(head[8:12], "big")
    if length > room - HEADER_BYTES:
        return None
    body = _read(flash, offset + HEADER_BYTES, length)
    digest = sha256(head[:_PREFIX])
    digest.update(body)
    if digest.digest() != head[_PREFIX:HEADER_BYTES]:
        return None
    return int.from_bytes(head[4:8], "big"), bytes(body)


class Slot:
    """A place for one record: whole sectors, erased as far as the record reaches and no further.

    It begins with the place, or with a later sector of it when those before have gone bad: the highest sequence counts.
    """

    def __init__(self, flash: "Flash", offset: int, room: int, kind: int) -> None:
        self._flash = flash
        self._offset = offset
        self._room = room
        self._kind = kind

    def load(self) -> "tuple[int, bytes] | None":
        """Return (sequence, body), or None when the slot holds no whole record."""
        newest = None
        at = 0
        while at < self._room:
            found = decode(self._flash, self._offset + at, self._room - at, self._kind)
            at += self._flash.sector
            if found is not None:
                # Nothing inside a record is one.
                at += (HEADER_BYTES + len(found[1]) - 1) // self._flash.sector * self._flash.sector
                if newest is None or found[0] > newest[0]:
                    newest = found
        return newest

    def save(self, sequence: int, body: bytes) -> None:
        """Write a record and read it back from flash; raise `flash-full`, `read-back`, or the port's OSError."""
        data = encode(self._kind, sequence, body)
        failed: "Exception" = FlashError(errors.FLASH_FULL)
        at = 0
        while at + len(data) <= self._room:
            try:
                self._write(at, data, sequence, body)
                return
            except (FlashError, OSError) as error:
                failed = error
            at += self._flash.sector
        raise failed

    def _write(self, at: int, data: bytes, sequence: int, body: bytes) -> None:
        sector = self._flash.sector
        self._flash.erase(self._offset + at, (len(data) + sector - 1) // sector * sector)
        self._flash.prog(self._offset + at, data)
        self._flash.sync()
        # Read back from flash before anything points at it: a silently dropped write, or a bit that did not take.
        if self.load() != (sequence, body):
            raise FlashError(errors.READ_BACK)


class Ring:
    """Records of one kind, appended round and round: the one with the highest sequence counts.

    A sector is erased when writing enters it and not before, so that a record of 300 bytes costs a thirteenth of an erase. Torn
    records are passed over. RAM: the record, and a page while looking for records.
    """

    def __init__(self, flash: "Flash", offset: int, room: int, kind: int, start: int = 0) -> None:
        """Use `room` bytes at `offset` (whole sectors). The first record of all goes to `start`, which provisioning has erased."""
        self._flash = flash
        self._offset = offset
        self._room = room
        self._kind = kind
        self._start = start
        self._sequence = 0  # of the newest record
        self._newest_at = -1  # where that begins
        self._next: "int | None" = (
            None  # where the next record goes, None until the ring was looked through
        )

    def load(self) -> "tuple[int, bytes] | None":
        """Return (sequence, body) of the record with the highest sequence, or None."""
        newest = None
        self._next = self._start
        self._newest_at = -1
        at = 0
        while at + HEADER_BYTES <= self._room:
            page = _read(self._flash, self._offset + at, min(_PAGE, self._room - at))
            inside = 0
            if page == b"\xff" * len(page):  # the rule on a new device
                inside = len(page)
            while inside < len(page) and page[inside : inside + 2] != _MAGIC:
                inside += _ALIGN
            at += inside
            if inside >= len(page):
                continue
            found = decode(self._flash, self._offset + at, self._room - at, self._kind)
            if found is None:
                at += _ALIGN
                continue
            behind = at + aligned(HEADER_BYTES + len(found[1]))
            if newest is None or found[0] > newest[0]:
                newest = found
                self._newest_at = at
                self._next = behind
            at = behind
        self._sequence = 0 if newest is None else newest[0]
        return newest

    def newest(self) -> int:
        """Return the sequence of the newest record, 0 without one."""
        if self._next is None:
            self.load()
        return self._sequence

    def _place(self) -> int:
        """Return where the next record goes: behind the newest, and behind what was torn there."""
        if self._next is None:
            self.load()
        self._next = self._behind_torn(self._next or 0)
        return self._next

    def left(self) -> int:
        """Return the erased bytes behind the newest record in its sector; a longer record enters the next sector."""
        return -self._place() % self._flash.sector

    def save(self, sequence: int, body: bytes, enter: bool = False) -> None:
        """Append a record and read it back; raise `flash-full`, `read-back`, or the port's OSError.

        `enter`: begin a sector, though this one has room.
        """
        data = encode(self._kind, sequence, body)
        failed: "Exception" = FlashError(errors.FLASH_FULL)
        sector = self._flash.sector
        at = self._place()
        self._next = None  # until it is known to be whole
        if enter:
            at += -at % sector
        if len(data) <= self._room:
            # Once round, sector by sector, until one takes it; no second try costs the newest record.
            for count in range(self._room // sector):
                if at + len(data) > self._room:
                    at = 0
                if count and at <= self._newest_at < at + len(data) + -len(data) % sector:
                    break
                try:
                    self._write(at, data, sequence, body)
                    self._next = at + aligned(len(data))
                    self._sequence = sequence
                    self._newest_at = at
                    return
                except (FlashError, OSError) as error:
                    failed = error
                at += sector - at % sector
        raise failed

    def _write(self, at: int, data: bytes, sequence: int, body: bytes) -> None:
        sector = self._flash.sector
        first = at + -at % sector
        last = at + len(data) + -(at + len(data)) % sector
        if last > first:
            self._flash.erase(self._offset + first, last - first)
        self._flash.prog(self._offset + at, data)
        self._flash.sync()
        if decode(self._flash, self._offset + at, self._room - at, self._kind) != (sequence, body):
            raise FlashError(errors.READ_BACK)

    def _behind_torn(self, at: int) -> int:
        """Return the first aligned offset from `at` on, in the same sector, behind which nothing of the sector was written."""
        end = (
            at + -at % self._flash.sector
        )  # `at` itself where a sector begins: it is erased anyway
        while end > at:
            start = max(at, end - _PAGE)
            used = len(_read(self._flash, self._offset + start, end - start).rstrip(b"\xff"))
            if used:
                return start + aligned(used)
            end = start
        return at


def aligned(length: int) -> int:
    """Return what a record of `length` bytes takes in a ring."""
    return length + -length % _ALIGN
