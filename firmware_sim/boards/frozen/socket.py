"""MicroPython's `socket` over the board's second UART, as far as a TCP client needs it; everpin_sim/targets/modem.py is its far end.

Frames both ways: kind (1 byte), id (1), length of the payload (2, big-endian), payload. The id counts requests, so that what was still
under way for an earlier one is known and dropped.

    to the bench      R name          what addresses has it?
                      C address\\0port  connect
                      D bytes         send
                      F               close
    to the board      A addresses     separated by spaces, none: there is no such name
                      O               connected
                      E errno         not connected (1 byte)
                      D bytes         received, at most _ROOM
                      F errno         the end of what the peer sends; errno not 0: the connection is broken

One connection at a time, as a board with little memory has it.
"""

import io

import board
from micropython import const

AF_INET = const(2)
SOCK_STREAM = const(1)

_ROOM = const(512)
_ANSWER_MS = const(30000)
# Once a frame has begun, all of it is on its way.
_REST_MS = const(5000)
_FOREVER_MS = const(0x3FFFFFFF)

_ENFILE = const(23)
_EIO = const(5)
_ECONNRESET = const(104)
_ENOTCONN = const(107)
_ETIMEDOUT = const(110)
_EAI_NONAME = const(-2)

# ioctl requests and flags of py/stream.h
_POLL = const(3)
_CLOSE = const(4)
_READABLE = const(1)
_WRITABLE = const(4)

_kind = bytearray(1)
_head = bytearray(3)
_held = bytearray(_ROOM)
_view = memoryview(_held)
_last = 0  # id of the latest request
_connected: "socket | None" = None


def _send(kind: int, payload: "bytes | memoryview") -> None:
    board.link_write(bytes((kind, _last, len(payload) >> 8, len(payload) & 0xFF)))
    board.link_write(payload)


def _request(kind: int, payload: bytes) -> None:
    global _last
    _last = (_last + 1) & 0xFF
    _send(kind, payload)


def _receive(wait_ms: int) -> "tuple[int, int] | None":
    """Return (kind, length) of the next frame of the latest request, its payload in `_held`; None when none came in time."""
    while True:
        if board.link_read(_kind, wait_ms) == 0:
            return None
        count = board.link_read(_head, _REST_MS)
        length = _head[1] << 8 | _head[2]
        if count < 3 or length > _ROOM or board.link_read(_view[:length], _REST_MS) < length:
            raise OSError(_EIO)  # the bench has gone
        if _head[0] == _last:
            return _kind[0], length


def getaddrinfo(host, port, family=0, kind=0, proto=0, flags=0):
    """Return a tuple for each address of a name; raise OSError(-2) for a name that nobody knows."""
    if _connected is not None:
        raise OSError(_ENFILE)
    _request(0x52, host.encode())
    found = _receive(_ANSWER_MS)
    if found is None:
        raise OSError(_ETIMEDOUT)
    names = bytes(_view[: found[1]]).decode().split()
    if not names:
        raise OSError(_EAI_NONAME)
    return [(AF_INET, SOCK_STREAM, 0, "", (name, port)) for name in names]


class socket(io.IOBase):
    """A TCP client."""

    def __init__(self, family=AF_INET, kind=SOCK_STREAM, proto=0):
        self._wait_ms = _FOREVER_MS  # 0: non-blocking
        self._open = False
        self._ended = False
        self._errno = _ENOTCONN
        # What was received and not read lies in _held from here to there.
        self._at = 0
        self._end = 0

    def settimeout(self, seconds):
        """Wait so long at most in each call; None: for ever, 0: not at all."""
        self._wait_ms = _FOREVER_MS if seconds is None else int(seconds * 1000)

    def setblocking(self, flag):
        """Wait for ever, or not at all."""
        self._wait_ms = _FOREVER_MS if flag else 0

    def connect(self, address):
        """Connect to what `getaddrinfo` gave; raise OSError."""
        global _connected
        if _connected is not None:
            raise OSError(_ENFILE)
        board.phase(board.PHASE_DIAL)
        _request(0x43, ("%s\0%d" % address).encode())
        found = _receive(self._wait_ms or _ANSWER_MS)
        if found is None:
            _send(0x46, b"")
            raise OSError(_ETIMEDOUT)
        if found[0] != 0x4F:
            raise OSError(_held[0])
        self._open = True
        self._errno = 0
        _connected = self

    def _more(self, wait_ms: int) -> bool:
        """Take a frame when all that was received is read; return whether there is something to read, the end included."""
        if self._at < self._end or self._ended or self._errno:
            return True
        found = _receive(wait_ms) if wait_ms or board.link_any() else None
        if found is None:
            return False
        if found[0] == 0x44:
            self._at = 0
            self._end = found[1]
        else:
            self._ended = True
            self._errno = _held[0] if found[1] else 0
        return True

    def readinto(self, buf, size=-1):
        """Return how many bytes came, 0 at the end; for non-blocking ones None when there are none. A C stream's negative errno."""
        if not self._more(self._wait_ms):
            return -_ETIMEDOUT if self._wait_ms else None
        if self._errno:
            return -self._errno
        count = min(len(buf) if size < 0 else size, self._end - self._at)
        buf[:count] = _view[self._at : self._at + count]
        self._at += count
        return count

    def recv(self, size):
        """Return up to `size` bytes, b"" at the end; raise OSError."""
        found = bytearray(size)
        count = self.readinto(found)
        if count is None or count < 0:
            raise OSError(11 if count is None else -count)
        return bytes(memoryview(found)[:count])

    def read(self, size=-1):
        """Return `size` bytes, or all until the end; a non-blocking one what there is, None when there is nothing."""
        found = b""
        while size < 0 or len(found) < size:
            part = bytearray(_ROOM if size < 0 else min(_ROOM, size - len(found)))
            count = self.readinto(part)
            if count is None:
                return found or None
            if count < 0:
                raise OSError(-count)
            if count == 0:
                break
            found += memoryview(part)[:count]
        return found

    def write(self, data, size=-1):
        """Send; return how many bytes that were. A C stream's negative errno."""
        if self._errno or not self._open:
            return -(self._errno or _ENOTCONN)
        view = memoryview(data)
        if size >= 0:
            view = view[:size]
        for at in range(0, len(view), _ROOM):
            _send(0x44, view[at : at + _ROOM])
        return len(view)

    def send(self, data):
        """Send; return how many bytes that were; raise OSError."""
        count = self.write(data)
        if count < 0:
            raise OSError(-count)
        return count

    sendall = send

    def ioctl(self, request, arg):
        """What MicroPython's streams ask: whether a call would wait, and to close."""
        if request == _POLL:
            ready = _WRITABLE
            if self._more(0):
                ready |= _READABLE
            return arg & ready
        if request == _CLOSE:
            self.close()
        return 0

    def close(self):
        """Close."""
        global _connected
        if self._open:
            self._open = False
            self._errno = _ENOTCONN
            _connected = None
            _send(0x46, b"")
