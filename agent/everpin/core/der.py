"""DER (X.690): a bounded reader of definite, minimal lengths and low tag numbers; it looks at structure, not at values."""

from ..compat import const
from . import errors
from .errors import PeerError

SEQUENCE = const(0x30)
INTEGER = const(0x02)
BIT_STRING = const(0x03)
OID = const(0x06)
VERSION = const(0xA0)  # [0] EXPLICIT


class Reader:
    """Reads elements one after the other between two offsets of `data`; `encoding` for what is no DER."""

    def __init__(self, data: "bytes | memoryview", start: int, end: int) -> None:
        self._data = data
        self.at = start
        self.end = end

    def more(self) -> bool:
        """Return whether elements are left."""
        return self.at < self.end

    def peek(self) -> int:
        """Return the next element's tag."""
        if self.at >= self.end:
            raise PeerError(errors.ENCODING)
        return self._data[self.at]

    def element(self, tag: int) -> "tuple[int, int]":
        """Step over one element of that tag; return (start, end) of its content."""
        if self.peek() != tag:
            raise PeerError(errors.ENCODING)
        at = self.at + 1
        if at >= self.end:
            raise PeerError(errors.ENCODING)
        length = self._data[at]
        at += 1
        if length >= 0x80:
            # X.690 section 10.1: definite, and in the fewest octets.
            count = length & 0x7F
            if not 1 <= count <= 3 or at + count > self.end:
                raise PeerError(errors.ENCODING)
            length = int.from_bytes(bytes(self._data[at : at + count]), "big")
            at += count
            if length < 0x80 or length >> (8 * (count - 1)) == 0:
                raise PeerError(errors.ENCODING)
        if length > self.end - at:
            raise PeerError(errors.ENCODING)
        self.at = at + length
        return at, self.at

    def inside(self, tag: int) -> "Reader":
        """Step over one element of that tag; return a reader of its content."""
        start, end = self.element(tag)
        return Reader(self._data, start, end)
