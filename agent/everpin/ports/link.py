"""A byte stream over a connected socket, TLS or not, that behaves alike on both interpreters.

CPython's sockets take a time-out for each call; MicroPython's TLS streams are polled, for a blocking `read(n)` there waits for
all n bytes.
"""

import select
import sys
import time

from ..compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHUNK = const(1024)
_ETIMEDOUT = const(110)

_POLLED = sys.implementation.name == "micropython"


def seconds() -> float:
    """Return monotonic seconds; MicroPython's ticks wrap after days, and what is measured here takes seconds."""
    ticks = getattr(time, "ticks_ms", None)
    return time.monotonic() if ticks is None else ticks() / 1000


class Link:
    """A stream: `receive` and `send` with time-outs in seconds. `deadline` (of `seconds`) bounds everything together."""

    def __init__(self, sock: "Any", send_s: float = 15.0, deadline: "float | None" = None) -> None:
        self._sock = sock
        self._send_s = send_s
        self._deadline = deadline
        if _POLLED:
            sock.setblocking(False)
            self._poll = select.poll()
            self._poll.register(getattr(sock, "pollable", sock), select.POLLIN)

    def _within(self, wait_s: float) -> float:
        if self._deadline is None:
            return wait_s
        left = self._deadline - seconds()
        if left <= 0:
            raise OSError(_ETIMEDOUT)
        return min(wait_s, left)

    def receive(self, wait_s: float) -> "bytes | None":
        """Return what arrived within `wait_s`, None when nothing did, b"" at the end; raise OSError when it is lost."""
        wait_s = self._within(wait_s)
        if _POLLED:
            found = self._sock.read(_CHUNK)
            if found is None and self._poll.poll(int(wait_s * 1000)):
                found = self._sock.read(_CHUNK)
            return found  # type: ignore[no-any-return]
        self._sock.settimeout(wait_s)
        try:
            return self._sock.recv(_CHUNK)  # type: ignore[no-any-return]
        except TimeoutError:
            return None

    def send(self, data: bytes) -> None:
        """Send all of `data`; raise OSError when it is lost or takes too long."""
        limit_s = self._within(self._send_s)
        if not _POLLED:
            self._sock.settimeout(limit_s)
            self._sock.sendall(data)
            return
        view = memoryview(data)
        until = seconds() + limit_s
        while view:
            count = self._sock.write(view)
            if count:
                view = view[count:]
            elif seconds() > until:
                raise OSError(_ETIMEDOUT)
            else:
                time.sleep_ms(10)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
