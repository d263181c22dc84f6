"""One HTTP GET as bytes (RFC 9112), for mirrors: bounded, and nothing in it says who asks."""

from ..compat import const
from . import errors, limits
from .errors import PeerError

# Status line and headers together; servers' defaults allow senders 8 kB, real mirrors use a few hundred bytes.
_HEAD_MAX_BYTES = const(4096)
# A chunk's size line, extensions included.
_CHUNK_LINE_MAX_BYTES = const(256)


def request(host: str, path: str) -> bytes:
    """Return a request that names host and path, and nothing else."""
    where = "[" + host + "]" if ":" in host else host
    return (
        "GET " + path + " HTTP/1.1\r\nHost: " + where + "\r\nConnection: close\r\n\r\n"
    ).encode()


class Response:
    """Reads one response as it arrives: `status`, and `body` once `done`. RAM: the head and body bounds.

    `feed` and `eof` raise `http` for what is no response, `too-long` for a body above the bound.
    """

    def __init__(self, max_body: int = limits.DOCUMENT_MAX_BYTES) -> None:
        self.status = 0
        self.body = bytearray()
        self.done = False
        self._max_body = max_body
        self._raw = bytearray()
        self._left: "int | None" = (
            None  # of the body or the chunk; None: until the end of the stream
        )
        self._chunked = False
        self._headed = False
        self._trailer = False

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the response is whole."""
        self._raw.extend(data)
        if not self._headed and not self._head():
            return False
        if self._chunked:
            self._chunks()
        elif not self.done:
            self._take(len(self._raw))
            if self._left == 0:
                self.done = True
        return self.done

    def eof(self) -> None:
        """Say that the stream ended: it ends a body without a length, and cuts one with it short."""
        if not self._headed or (self._chunked and not self.done) or self._left:
            raise PeerError(errors.HTTP)
        self.done = True

    def _take(self, count: int) -> None:
        if self._left is not None:
            count = min(count, self._left)
            self._left -= count
        if len(self.body) + count > self._max_body:
            raise PeerError(errors.TOO_LONG)
        self.body.extend(self._raw[:count])
        self._raw = self._raw[count:]

    def _head(self) -> bool:
        end = bytes(self._raw[: _HEAD_MAX_BYTES + 4]).find(b"\r\n\r\n")
        if end < 0:
            if len(self._raw) > _HEAD_MAX_BYTES:
                raise PeerError(errors.HTTP)
            return False
        try:
            lines = bytes(self._raw[:end]).decode().split("\r\n")
        except (UnicodeError, ValueError):
            raise PeerError(errors.HTTP)
        self._raw = self._raw[end + 4 :]
        first = lines[0].split(" ", 2)
        if len(first) < 2 or first[0] not in ("HTTP/1.0", "HTTP/1.1") or len(first[1]) != 3:
            raise PeerError(errors.HTTP)
        self.status = _number(first[1], 10)
        length = None
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise PeerError(errors.HTTP)
            name = name.lower()
            value = value.strip()
            if name == "content-length":
                if length is not None and length != value:
                    raise PeerError(errors.HTTP)  # RFC 9112 section 6.3: two lengths are an attack
                length = value
            elif name == "transfer-encoding":
                if value.lower() != "chunked":
                    raise PeerError(errors.HTTP)
                self._chunked = True
        if self._chunked and length is not None:
            raise PeerError(errors.HTTP)  # RFC 9112 section 6.1
        if length is not None:
            self._left = _number(length, 10)
            if self._left > self._max_body:
                raise PeerError(errors.TOO_LONG)
            self.done = self._left == 0
        elif self.status in (204, 304):
            self.done = True
        self._headed = True
        return True

    def _chunks(self) -> None:
        # RFC 9112 section 7.1.
        while not self.done:
            if self._left:
                if not self._raw:
                    return
                self._take(len(self._raw))
                continue
            line = bytes(self._raw[:_CHUNK_LINE_MAX_BYTES])
            end = line.find(b"\r\n")
            if end < 0:
                if len(self._raw) >= _CHUNK_LINE_MAX_BYTES:
                    raise PeerError(errors.HTTP)
                return
            line = line[:end]
            self._raw = self._raw[end + 2 :]
            if self._left == 0:  # the CRLF behind a chunk
                if line:
                    raise PeerError(errors.HTTP)
                self._left = None
                continue
            size = _number("".join([chr(byte) for byte in line.split(b";")[0].strip()]), 16)
            if size == 0:
                self.done = True  # trailers are of no use, and the connection closes
            elif len(self.body) + size > self._max_body:
                raise PeerError(errors.TOO_LONG)
            else:
                self._left = size


def _number(text: str, base: int) -> int:
    if not text:
        raise PeerError(errors.HTTP)
    for character in text.lower():
        if character not in "0123456789abcdef"[:base]:
            raise PeerError(errors.HTTP)
    if len(text) > 8:
        raise PeerError(errors.TOO_LONG)
    return int(text, base)
