"""Network faults by name: a proxy on loopback that treats connections as bad networks do. No privileges are needed.

What a TCP proxy can show of a lost segment is what an application sees of it: a delay, doubled with each loss (RFC 6298), or silence.
"""

import contextlib
import random
import socket
import ssl
import struct
import tempfile
import threading
import time
from pathlib import Path

from ..pki import Identity
from ..switchboard import Switchboard

FAULTS = ("loss", "delay", "reset", "half-open", "refuse", "black-hole", "trickle", "portal")
_LOSS = 0.3
_RTO_S = 0.2
_DELAY_S = 0.3
_LOGIN = (
    b"HTTP/1.1 302 Found\r\nLocation: http://login.portal.example/\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class Network(Switchboard):
    """A switchboard whose `fault` (one of FAULTS, "" for none) holds for connections and bytes from then on.

    `portal` is the certificate of a captive portal. `met` counts what met a fault.
    """

    def __init__(self, port: int, seed: int = 0, portal: Identity | None = None) -> None:
        self.fault = ""
        self.met = 0
        self._random = random.Random(seed)
        self._portal = portal
        self._held: list[socket.socket] = []
        super().__init__(port)

    def clear(self) -> None:
        """The weather clears; connections that hang stay as they are: what hangs is for the device to notice."""
        self.fault = ""

    def close(self) -> None:
        """Stop listening and cut everything."""
        super().close()
        for sock in self._held:
            sock.close()

    def admit(self, near: socket.socket) -> bool:
        """Treat a new connection; return whether it goes on to the target."""
        if self.fault == "refuse":
            near.close()
        elif self.fault == "black-hole":
            self._held.append(near)
        elif self.fault == "portal":
            threading.Thread(target=self._at_portal, args=(near,), daemon=True).start()
        else:
            return True
        self.met += 1
        return False

    def passed(self, data: bytes, one: socket.socket, other: socket.socket) -> bool:
        """Pass data on from one socket to the other, or not; return False to end both directions."""
        fault = self.fault
        if not fault:
            other.sendall(data)
            return True
        self.met += 1
        if fault == "half-open":
            return True  # swallowed, in both directions, and nobody is told
        if fault == "reset":
            return False
        if fault == "delay":
            time.sleep(_DELAY_S * (0.5 + self._random.random()))
        wait = _RTO_S
        while fault == "loss" and self._random.random() < _LOSS:
            time.sleep(wait)
            wait *= 2
        if fault == "trickle":
            for at in range(0, len(data), 64):
                other.sendall(data[at : at + 64])
                time.sleep(0.02)
            return True
        other.sendall(data)
        return True

    def end(self, one: socket.socket, other: socket.socket) -> None:
        """End both directions, with a reset when that is the weather."""
        if self.fault != "reset":
            super().end(one, other)
            return
        for sock in (one, other):
            with contextlib.suppress(OSError):
                # RFC 9293 section 3.10.4: with a linger of nothing, close sends a reset; SHUT_RD sends nothing, and wakes the other.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)

    def _at_portal(self, near: socket.socket) -> None:
        """Answer TLS with the portal's own certificate, and anything else with the way to its login page."""
        with contextlib.suppress(OSError), near:
            near.settimeout(5)
            first = near.recv(1, socket.MSG_PEEK)
            if first == b"\x16" and self._portal is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                with tempfile.TemporaryDirectory(prefix="everpin-portal-") as folder:
                    context.load_cert_chain(*self._portal.save(Path(folder), "portal"))
                near = context.wrap_socket(near, server_side=True)
            near.recv(4096)
            near.sendall(_LOGIN)
