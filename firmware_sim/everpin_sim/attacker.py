"""The attacker: a TLS server with a certificate for the broker's name from a CA that the fleet's old way trusts."""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from .ports import Listener


@dataclass
class Caught:
    """One connection as the attacker saw it."""

    handshake: str = ""
    client_certificate: bool = False
    application: bytes = b""


class Attacker:
    """Asks every client for its certificate and first bytes, and logs what it gets in `log`."""

    def __init__(self, cert: Path, key: Path, client_ca: Path, port: int) -> None:
        self.log: list[Caught] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._context.load_verify_locations(client_ca)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._listener = Listener(self._serve, port)
        self.port = self._listener.port

    def _serve(self, sock: socket.socket) -> None:
        caught = Caught()
        self.log.append(caught)
        sock.settimeout(5)
        try:
            with self._context.wrap_socket(sock, server_side=True) as tls:
                caught.handshake = tls.version() or ""
                caught.client_certificate = tls.getpeercert(binary_form=True) is not None
                caught.application = tls.recv(4096)
                caught.client_certificate = tls.getpeercert(binary_form=True) is not None
                # Enough to keep a client that trusts us talking.
                tls.sendall(b"\x20\x02\x00\x00")
                with contextlib.suppress(OSError):
                    while data := tls.recv(4096):
                        caught.application += data
        except OSError as error:
            caught.handshake = caught.handshake or type(error).__name__

    def client_ids(self) -> list[str]:
        """Return the client id of every CONNECT that was caught (MQTT 3.1.1 section 3.1.3)."""
        found = []
        for caught in self.log:
            data = caught.application
            at = data.find(b"MQTT")
            if at >= 0 and len(data) >= at + 10:
                length = int.from_bytes(data[at + 8 : at + 10], "big")
                found.append(data[at + 10 : at + 10 + length].decode("utf-8", "replace"))
            elif data:
                found.append("?")
        return found

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()
