"""The network between the devices and their broker: a TCP relay whose far end can be switched, cutting live connections."""

import contextlib
import socket
import threading

from .ports import shut


class Switchboard:
    """Listens on the address that devices know. `switch(port)` relays to a port on loopback from now on, None to nobody.

    `port` is where it listens: any that is free when 0 is asked for.
    """

    def __init__(self, port: int) -> None:
        self._target: int | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def switch(self, target: int | None) -> None:
        """Relay to another port; live connections are cut."""
        with self._lock:
            self._target = target
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for sock in pair:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self.admit(near):
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target or 0), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)  # the limit was for connecting: a session may be quiet for long
            with self._lock:
                self._pairs.add((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(one, other), daemon=True).start()

    def admit(self, near: socket.socket) -> bool:
        """Return whether a new connection goes on to the target; who says no closes it."""
        return True

    def passed(self, data: bytes, one: socket.socket, other: socket.socket) -> bool:
        """Pass data on from one socket to the other; return False to end both directions."""
        other.sendall(data)
        return True

    def _relay(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (data := one.recv(65536)) and self.passed(data, one, other):
                pass
        self.end(one, other)
        # Each direction closes its own end: the other may still be reading.
        one.close()

    def end(self, one: socket.socket, other: socket.socket) -> None:
        """End both directions: a FIN to either side."""
        for sock in (one, other):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and cut everything."""
        shut(self._listener)
        self.switch(None)
