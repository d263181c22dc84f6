"""Listening on loopback: ports that are free, a listener, and its end."""

import contextlib
import random
import socket
import threading
from collections.abc import Callable

# Below what systems take for outgoing connections (Linux from 32768, RFC 6335 from 49152): a port from there can be gone, as
# some connection's own, by the time somebody listens on it.
_FIRST, _LAST = 15000, 32767


def free(count: int) -> list[int]:
    """Return ports that nobody listens on now; raise OSError when there are none."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(_FIRST, _LAST + 1), 1000 + count):
        if len(found) == count:
            return found
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    raise OSError(f"no {count} free ports on loopback between {_FIRST} and {_LAST}")


def shut(listener: socket.socket) -> None:
    """Close a listener that another thread waits on: closing alone would leave it bound."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


class Listener:
    """Takes connections on loopback, each served by `serve(sock)` in a thread of its own. `port` is where: any free one when 0 is asked for."""

    def __init__(self, serve: Callable[[socket.socket], None], port: int = 0) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def close(self) -> None:
        """Stop listening; connections that are served go on."""
        shut(self._socket)
