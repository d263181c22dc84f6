"""Hostile carriers on loopback: each takes one kind of client and does one thing to it, until it is closed."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

CONNACK = b"\x20\x02\x00\x00"


class Carrier:
    """A listener whose every connection is served by `act(sock)`; `seen` is what each client sent first."""

    def __init__(
        self, act: Callable[[socket.socket], None], identity: tuple[Path, Path] | None = None
    ) -> None:
        self.seen: list[bytes] = []
        self._act = act
        self._context = None
        if identity is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*identity)
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
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
        self._listener.close()


def answer(data: bytes) -> Callable[[socket.socket], None]:
    """Return an act that sends `data` and closes."""
    return lambda sock: sock.sendall(data)


def stay(data: bytes) -> Callable[[socket.socket], None]:
    """Return an act that sends `data` and then says nothing more."""

    def act(sock: socket.socket) -> None:
        sock.sendall(data)
        sock.recv(4096)
        time.sleep(10)

    return act


def drip(data: bytes, gap_s: float = 0.2) -> Callable[[socket.socket], None]:
    """Return an act that sends `data` byte by byte, for ever."""

    def act(sock: socket.socket) -> None:
        while True:
            for at in range(len(data)):
                sock.sendall(data[at : at + 1])
                time.sleep(gap_s)

    return act


def flood(head: bytes, data: bytes) -> Callable[[socket.socket], None]:
    """Return an act that sends `head` and then `data` for ever, as fast as it goes."""

    def act(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(data)

    return act


def broker(after: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """Return an act that answers CONNECT and SUBSCRIBE (its packet id is 1) as a broker does, then `after`."""

    def act(sock: socket.socket) -> None:
        sock.sendall(CONNACK)
        asked = sock.recv(4096)
        topics = asked.count(b"everpin/1/")
        sock.sendall(b"\x90" + bytes((2 + topics, 0, 1)) + bytes(topics))
        after(sock)

    return act
