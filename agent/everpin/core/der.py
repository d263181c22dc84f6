"""DER (X.690): a bounded reader of definite, minimal lengths and low tag numbers; object identifiers and integers in their one form."""

from ..compat import const
from . import errors
from .errors import PeerError

SEQUENCE = const(0x30)
SET = const(0x31)
INTEGER = const(0x02)
BIT_STRING = const(0x03)
OID = const(0x06)
BOOLEAN = const(0x01)
OCTET_STRING = const(0x04)
UTC_TIME = const(0x17)
GENERALIZED_TIME = const(0x18)
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

    def byte(self, at: int) -> int:
        """Return one byte of the data."""
        return self._data[at]

    def slice(self, start: int, end: int) -> bytes:
        """Return some of the data."""
        return bytes(self._data[start:end])

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
        if tag == OID:
            self._identifier(at, at + length)
        elif tag == INTEGER:
            self._shortest(at, at + length)
        self.at = at + length
        return at, self.at

    def _identifier(self, start: int, end: int) -> None:
        """Raise unless the content is an object identifier (X.690 section 8.19): whole numbers of base 128, none with a leading zero."""
        first = True
        for at in range(start, end):
            if first and self._data[at] == 0x80:
                raise PeerError(errors.ENCODING)
            first = self._data[at] < 0x80
        if start == end or not first:
            raise PeerError(errors.ENCODING)

    def _shortest(self, start: int, end: int) -> None:
        """Raise unless the content is an integer in its fewest octets (X.690 section 8.3.2)."""
        if start == end:
            raise PeerError(errors.ENCODING)
        if end - start > 1:
            top = self._data[start] << 1 | self._data[start + 1] >> 7
            if top in (0, 0x1FF):
                raise PeerError(errors.ENCODING)

    def inside(self, tag: int) -> "Reader":
        """Step over one element of that tag; return a reader of its content."""
        start, end = self.element(tag)
        return Reader(self._data, start, end)


def wrap(tag: int, content: bytes) -> bytes:
    """Return an element with its length in the fewest octets (X.690 section 10.1), of up to 65,535 bytes."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    if length < 0x100:
        return bytes((tag, 0x81, length)) + content
    return bytes((tag, 0x82)) + length.to_bytes(2, "big") + content
