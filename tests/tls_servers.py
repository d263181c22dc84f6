"""TLS servers that log what they get, with a relay in front that logs what was on the wire."""

import contextlib
import datetime
import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everpin_sim import pki
from everpin_sim.ports import shut


@dataclass
class Identities:
    root: pki.Identity
    server: pki.Identity
    other: pki.Identity
    forged: pki.Identity
    client_ca: pki.Identity
    client: pki.Identity


def identities() -> Identities:
    """Return a root with a server's leaf, a stranger's leaf, a forged leaf that names the root, and a client's."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    root, ca = pki.root("Root", until), pki.root("Client CA", until)
    # Signed by a key that is not the root's, under the root's name, with the genuine root served beside it.
    liar = pki.Identity(root.certificate, pki.new_key())
    return Identities(
        root,
        pki.leaf(root, "server"),
        pki.leaf(root, "other"),
        pki.leaf(liar, "server"),
        ca,
        pki.leaf(ca, "client", client=True),
    )


class Server:
    """Answers what it reads (in upper case, when nothing else is said); asks for a client certificate.

    `first` talks in the clear on each connection before TLS begins: a proxy's CONNECT, a STARTTLS.
    """

    def __init__(
        self,
        identity: pki.Identity,
        client_ca: pki.Identity,
        folder: Path,
        version: ssl.TLSVersion,
        curve: str | None = None,
        answer: Callable[[bytes], bytes] = bytes.upper,
        first: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self._folder = folder
        authority = folder / "client-ca.pem"
        authority.write_bytes(client_ca.pem())
        self.application: list[bytes] = []
        self.client_certificates = 0
        self.records_after_hello: list[int] = []
        self.sent: list[bytes] = []  # on the wire, by each connection
        self.version = version
        self._answer = answer
        self._first = first
        self._ends = threading.Condition()
        self._open = 0
        self._peers: set[object] = set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.serve(identity)
        self._context.load_verify_locations(authority)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.minimum_version = self._context.maximum_version = version
        if curve is not None:
            self._context.set_ecdh_curve(curve)
        self._inner = socket.create_server(("127.0.0.1", 0))
        self._outer = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._outer.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._inner, self._serve), daemon=True).start()
        threading.Thread(target=self._accept, args=(self._outer, self._relay), daemon=True).start()

    def serve(self, identity: pki.Identity) -> None:
        """Serve another certificate from the next connection on."""
        self._context.load_cert_chain(*identity.save(self._folder, "server"))

    def _accept(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            with self._ends:
                self._open += 1
                self._peers.add(peer)
            threading.Thread(target=self._one, args=(sock, serve), daemon=True).start()

    def _one(self, sock: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        try:
            with sock:
                serve(sock)
        finally:
            with self._ends:
                self._open -= 1
                self._ends.notify_all()

    def _serve(self, sock: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(sock, server_side=True) as tls,
        ):
            if tls.getpeercert(binary_form=True) is not None:
                self.client_certificates += 1
            while data := tls.recv(65536):
                self.application.append(data)
                tls.sendall(self._answer(data))

    def _relay(self, near: socket.socket) -> None:
        # A connection that the listener's backlog still held when the test ended has nobody behind it.
        with contextlib.suppress(OSError):
            self._pass_on(near)

    def _pass_on(self, near: socket.socket) -> None:
        if self._first is not None:
            self._first(near)
        far = socket.create_connection(("127.0.0.1", int(self._inner.getsockname()[1])))

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := far.recv(65536):
                    near.sendall(data)
                near.shutdown(socket.SHUT_WR)

        answers = threading.Thread(target=back, daemon=True)
        answers.start()
        sent = b""
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                sent += data
                far.sendall(data)
        self.sent.append(sent)
        # Each record's type behind the first: 20 ChangeCipherSpec, 21 alert, 22 handshake, 23 application.
        at = 0
        kinds = []
        while at + 5 <= len(sent):
            kinds.append(sent[at])
            at += 5 + int.from_bytes(sent[at + 3 : at + 5], "big")
        self.records_after_hello += kinds[1:]
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)
        answers.join(10)
        far.close()

    def drain(self) -> None:
        """Wait until every connection made so far has ended and is in the logs; the clients have closed theirs."""
        gc.collect()  # urllib3 leaves pools, aiohttp 3.10 tunnels without TLS, to the collector
        # The listener takes them in order: when this one was taken, all before it were.
        with socket.create_connection(("127.0.0.1", self.port), 5) as last:
            mine = last.getsockname()
        with self._ends:
            assert self._ends.wait_for(lambda: mine in self._peers and not self._open, 10)

    def resumed(self) -> int:
        """Return how many handshakes resumed a session."""
        return self._context.session_stats()["hits"]

    def settle(self) -> None:
        """Wait until what was sent has been read."""
        time.sleep(0.15)

    def close(self) -> None:
        """Stop listening."""
        shut(self._inner)
        shut(self._outer)


def carried(
    sock: socket.socket, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
) -> Callable[..., Any]:
    """Return what calls a method of an `SSLObject` until it is through, its records carried over a socket."""

    def run(call: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                found = call(*args)
                sock.sendall(outgoing.read())
                return found
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))

    return run
