"""Hostile carriers on loopback: each takes one kind of client and does one thing to it, until it is closed."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ..ports import Listener

CONNACK = b"\x20\x02\x00\x00"
Act = Callable[[socket.socket], None]


class Carrier:
    """A listener whose every connection is served by `act(sock)`; `seen` is what each client sent first."""

    def __init__(self, act: Act, identity: tuple[Path, Path] | None = None, port: int = 0) -> None:
        self.seen: list[bytes] = []
        self._act = act
        self._context = None
        if identity is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*identity)
        self._listener = Listener(self._serve, port)
        self.port = self._listener.port

    def _serve(self, sock: socket.socket) -> None:
        # A TLS client that has its verdict goes away in the middle of a handshake.
        with contextlib.suppress(OSError), sock:
            sock.settimeout(10)
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            self.seen.append(sock.recv(4096))
            self._act(sock)

    def __enter__(self) -> "Carrier":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; connections that are served go on until their act ends."""
        self._listener.close()


def answer(data: bytes) -> Act:
    """Return an act that sends `data` and closes."""
    return lambda sock: sock.sendall(data)


def stay(data: bytes) -> Act:
    """Return an act that sends `data` and then says nothing more."""

    def act(sock: socket.socket) -> None:
        sock.sendall(data)
        sock.recv(4096)
        time.sleep(10)

    return act


def drip(data: bytes, gap_s: float = 0.2) -> Act:
    """Return an act that sends `data` byte by byte, for ever."""

    def act(sock: socket.socket) -> None:
        while True:
            for at in range(len(data)):
                sock.sendall(data[at : at + 1])
                time.sleep(gap_s)

    return act


def flood(head: bytes, data: bytes) -> Act:
    """Return an act that sends `head` and then `data` for ever, as fast as it goes."""

    def act(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(data)

    return act


def broker(after: Act) -> Act:
    """Return an act that answers CONNECT and SUBSCRIBE (its packet id is 1) as a broker does, then `after`."""

    def act(sock: socket.socket) -> None:
        sock.sendall(CONNACK)
        asked = sock.recv(4096)
        topics = asked.count(b"everpin/1/")
        sock.sendall(b"\x90" + bytes((2 + topics, 0, 1)) + bytes(topics))
        after(sock)

    return act


# ---- by name ---------------------------------------------------------------------------------------------------------

_OK = b"HTTP/1.1 200 OK\r\n"
# How a mirror that serves no documents can be: each costs a visitor no more than its budget.
MIRRORS: dict[str, Act] = {
    "garbage": answer(b"\x00\xff" * 300 + b"\r\n\r\n"),
    "endless headers": flood(_OK, b"X: y\r\n"),
    "a body that never ends": flood(_OK + b"\r\n", b"x" * 4096),
    "a length of 256 MiB": stay(_OK + b"Content-Length: 268435456\r\n\r\n"),
    "chunks for ever": flood(
        _OK + b"Transfer-Encoding: chunked\r\n\r\n", b"800\r\n" + b"x" * 2048 + b"\r\n"
    ),
    "two lengths": answer(_OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    "cut short": answer(_OK + b"Content-Length: 50\r\n\r\nhello"),
    "a redirect": answer(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\n\r\n"),
    "a server's error": answer(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
    "one byte a while": drip(_OK + b"X-Slow: " + b"y" * 1000),
    "silence": stay(b""),
    "closed at once": answer(b""),
}
