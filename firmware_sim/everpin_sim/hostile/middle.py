"""A man in the middle who speaks TLS and MQTT: he ends TLS with a certificate of his own, or a stolen one, and reads what passes.

Behind him is a true broker, plain, on loopback. With the genuine identity and no tamper he is just a broker's TLS front.
"""

import contextlib
import select
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..pki import Identity
from ..ports import Listener
from .tampers import Tamper
from .wire import CONNECT, Broken, Packet, Splitter

Maker = Callable[[], Tamper]
_SEEN_MAX = 65536
_SEND_S = 20.0


@dataclass
class Passed:
    """One connection as he saw it."""

    handshake: bool = False
    client_certificate: bool = False
    application: bytes = b""
    client_ids: list[str] = field(default_factory=list)
    tamper: Tamper | None = None


class Middle:
    """Listens on `port` (0: any). `serve` and `tamper` hold for connections from then on; `log` has them all."""

    def __init__(
        self,
        identity: Identity,
        upstream: int,
        port: int = 0,
        client_ca: Identity | None = None,
    ) -> None:
        self.log: list[Passed] = []
        self.tamper: Maker | None = None
        self._upstream = upstream
        self._client_ca = client_ca
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.serve(identity)
        self._listener = Listener(self._serve, port)
        self.port = self._listener.port

    def serve(self, identity: Identity) -> None:
        """Serve a certificate from the next connection on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory(prefix="everpin-middle-") as folder:
            context.load_cert_chain(*identity.save(Path(folder), "served"))
        if self._client_ca is not None:
            context.load_verify_locations(cadata=self._client_ca.pem().decode())
            context.verify_mode = ssl.CERT_OPTIONAL
        self._context = context

    def cut(self) -> None:
        """Cut live connections."""
        with self._lock:
            held, self._open = self._open, set()
        for sock in held:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and cut everything."""
        self._listener.close()
        self.cut()

    def _serve(self, sock: socket.socket) -> None:
        passed = Passed(tamper=None if self.tamper is None else self.tamper())
        self.log.append(passed)
        with self._lock:
            self._open.add(sock)
        near: socket.socket = sock
        try:
            sock.settimeout(_SEND_S)
            tls = self._context.wrap_socket(sock, server_side=True)
            near = tls
            with self._lock:
                self._open.add(tls)
            passed.handshake = True
            passed.client_certificate = tls.getpeercert(binary_form=True) is not None
            with socket.create_connection(("127.0.0.1", self._upstream), 5) as far:
                self._relay(tls, far, passed)
        except (OSError, Broken):
            pass  # a client that has its verdict, or a cut
        finally:
            with self._lock:
                self._open -= {sock, near}
            near.close()

    def _relay(self, near: ssl.SSLSocket, far: socket.socket, passed: Passed) -> None:
        up, down = Splitter(), Splitter()
        # Not select(): that takes no descriptor above 1023, and a swarm has thousands.
        poll = select.poll()
        poll.register(near, select.POLLIN)
        poll.register(far, select.POLLIN)
        while True:
            ready = {near.fileno()} if near.pending() else {number for number, _ in poll.poll()}
            if near.fileno() in ready:
                data = near.recv(65536)
                if not data:
                    return
                passed.application = (passed.application + data)[:_SEEN_MAX]
                for packet in up.feed(data):
                    if packet.kind == CONNECT:
                        passed.client_ids.append(packet.client_id)
                far.sendall(data)
            if far.fileno() in ready:
                data = far.recv(65536)
                if not data:
                    return
                for packet in down.feed(data):
                    self._down(near, packet, passed.tamper)

    def _down(self, near: ssl.SSLSocket, packet: Packet, tamper: Tamper | None) -> None:
        if tamper is None:
            near.sendall(packet.raw)
            return
        for data in tamper.down(packet):
            if not tamper.gap_s:
                if data:
                    near.sendall(data)
                elif near.fileno() < 0 or self._gone(near):
                    return
                continue
            for at in range(len(data)):
                near.sendall(data[at : at + 1])
                time.sleep(tamper.gap_s)

    def _gone(self, near: ssl.SSLSocket) -> bool:
        with self._lock:
            return near not in self._open
