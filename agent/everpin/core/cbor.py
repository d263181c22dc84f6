"""CBOR (RFC 8949) in exactly one encoding: core deterministic, section 4.2.1, of a bounded subset.

`loads` accepts only bytes that `dumps` would give again. That alone refuses duplicate keys, indefinite lengths, long-form
integers, floats, undefined and trailing bytes. Types: integers of 64 bits, byte and text strings, arrays, maps with integer
or text keys, tags, false, true and null.

RAM of `loads`: the result, and a stack bounded by `limits.CBOR_MAX_DEPTH`; no announced length is believed before the bytes
are there.
"""

from ..compat import const
from . import errors, limits
from .errors import MisuseError, PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UINT = const(0)
_NINT = const(1)
_BSTR = const(2)
_TSTR = const(3)
_ARRAY = const(4)
_MAP = const(5)
_TAG = const(6)
_SIMPLE = const(7)

_UINT64 = 0xFFFFFFFFFFFFFFFF


class Tag:
    """A tagged value (RFC 8949 section 3.4)."""

    def __init__(self, number: int, value: "Any") -> None:
        self.number = number
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tag) and self.number == other.number and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.number)

    def __repr__(self) -> str:
        return "Tag(%d, %r)" % (self.number, self.value)


class _Reader:
    def __init__(self, data: "bytes | bytearray | memoryview") -> None:
        self._data = memoryview(data)
        self._at = 0

    def left(self) -> int:
        return len(self._data) - self._at

    def head(self) -> "tuple[int, int]":
        """Return (major type, argument), in the shortest form only (section 4.2.1)."""
        if self.left() < 1:
            raise PeerError(errors.ENCODING)
        first = self._data[self._at]
        self._at += 1
        info = first & 31
        if info < 24:
            return first >> 5, info
        if info > 27:
            raise PeerError(errors.ENCODING)  # reserved, or an indefinite length
        size = 1 << (info - 24)
        value = int.from_bytes(self.take(size), "big")
        if value < 24 or (size > 1 and value >> (4 * size) == 0):
            raise PeerError(errors.ENCODING)
        return first >> 5, value

    def take(self, length: int) -> bytes:
        if length > self.left():
            raise PeerError(errors.ENCODING)
        start = self._at
        self._at += length
        return bytes(self._data[start : self._at])

    def value(self, depth: int) -> "Any":
        if depth == 0:
            raise PeerError(errors.ENCODING)
        major, number = self.head()
        if major == _UINT:
            return number
        if major == _NINT:
            return -1 - number
        if major == _BSTR:
            return self.take(number)
        if major == _TSTR:
            return _text(self.take(number))
        if major == _ARRAY:
            if number > limits.CBOR_MAX_ITEMS:
                raise PeerError(errors.ENCODING)
            return [self.value(depth - 1) for _ in range(number)]
        if major == _MAP:
            return self._map(number, depth)
        if major == _TAG:
            return Tag(number, self.value(depth - 1))
        # Simple values have one-byte heads; those with an argument, and floats, are not of the subset.
        if self._data[self._at - 1] == 0xF4:
            return False
        if self._data[self._at - 1] == 0xF5:
            return True
        if self._data[self._at - 1] == 0xF6:
            return None
        raise PeerError(errors.ENCODING)

    def _map(self, count: int, depth: int) -> "dict[Any, Any]":
        if count > limits.CBOR_MAX_ITEMS:
            raise PeerError(errors.ENCODING)
        found = {}
        before = b""
        for _ in range(count):
            start = self._at
            if self.left() < 1 or self._data[start] >> 5 not in (_UINT, _NINT, _TSTR):
                raise PeerError(errors.ENCODING)
            key = self.value(depth - 1)
            encoded = bytes(self._data[start : self._at])
            # Bytewise lexicographic order (section 4.2.1); a duplicate is not above its like.
            if encoded <= before:
                raise PeerError(errors.ENCODING)
            before = encoded
            found[key] = self.value(depth - 1)
        return found


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except (UnicodeError, ValueError):
        raise PeerError(errors.ENCODING)
    # MicroPython's decoder lets overlong forms and surrogates pass; a code point has one encoding (RFC 3629 section 3).
    for character in text:
        if 0xD800 <= ord(character) <= 0xDFFF or ord(character) > 0x10FFFF:
            raise PeerError(errors.ENCODING)
    if _utf8(text) != data:
        raise PeerError(errors.ENCODING)
    return text


def _utf8(text: str) -> bytes:
    out = bytearray()
    for character in text:
        point = ord(character)
        if point < 0x80:
            out.append(point)
        elif point < 0x800:
            out.append(0xC0 | point >> 6)
            out.append(0x80 | point & 63)
        elif point < 0x10000:
            out.append(0xE0 | point >> 12)
            out.append(0x80 | point >> 6 & 63)
            out.append(0x80 | point & 63)
        else:
            out.append(0xF0 | point >> 18)
            out.append(0x80 | point >> 12 & 63)
            out.append(0x80 | point >> 6 & 63)
            out.append(0x80 | point & 63)
    return bytes(out)


def loads(data: "bytes | bytearray | memoryview", limit: int = limits.DOCUMENT_MAX_BYTES) -> "Any":
    """Return the one value that `data` encodes; raise `encoding` for everything else, longer than `limit` included."""
    given: object = data
    if not isinstance(given, (bytes, bytearray, memoryview)) or len(given) > limit:
        raise PeerError(errors.ENCODING)
    reader = _Reader(data)
    value = reader.value(limits.CBOR_MAX_DEPTH)
    if reader.left():
        raise PeerError(errors.ENCODING)
    return value


def dumps(value: "Any") -> bytes:
    """Return the deterministic encoding of a value; raise `MisuseError` for a type that is not of the subset."""
    out = bytearray()
    _write(out, value, limits.CBOR_MAX_DEPTH)
    return bytes(out)


def _head(out: bytearray, major: int, number: int) -> None:
    if number < 24:
        out.append(major << 5 | number)
        return
    size = 1
    while number >> (8 * size):
        size *= 2
    if size > 8:
        raise MisuseError
    out.append(major << 5 | 24 + (1, 2, 4, 8).index(size))
    out.extend(number.to_bytes(size, "big"))


def _write(out: bytearray, value: "Any", depth: int) -> None:
    if depth == 0:
        raise MisuseError
    if value is None or value is True or value is False:
        out.append(0xF6 if value is None else 0xF5 if value else 0xF4)
    elif isinstance(value, int):
        if value >= 0:
            _head(out, _UINT, value)
        else:
            _head(out, _NINT, -1 - value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _head(out, _BSTR, len(value))
        out.extend(value)
    elif isinstance(value, str):
        data = value.encode()
        _head(out, _TSTR, len(data))
        out.extend(data)
    elif isinstance(value, (list, tuple)):
        _head(out, _ARRAY, len(value))
        for item in value:
            _write(out, item, depth - 1)
    elif isinstance(value, dict):
        _head(out, _MAP, len(value))
        items = []
        for key in value:
            if not isinstance(key, (int, str)) or key is True or key is False:
                raise MisuseError
            items.append((dumps(key), value[key]))
        items.sort(key=_first)
        for encoded, item in items:
            out.extend(encoded)
            _write(out, item, depth - 1)
    elif isinstance(value, Tag):
        _head(out, _TAG, value.number)
        _write(out, value.value, depth - 1)
    else:
        raise MisuseError


def _first(item: "tuple[bytes, Any]") -> bytes:
    return item[0]
