"""What a program may expect of any socket: no byte lost, doubled or out of order, whatever stands still and whoever writes."""

import contextlib
import random
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everpin.ports.cpython.tls import PinnedSocket, ssl_context
from test_tls_cpython import VERSIONS, Policy
from tls_servers import Identities, identities

_BUFFER_BYTES = 16384


class Slow:
    """A TLS server that reads only when it is told to."""

    def __init__(self, made: Identities, folder: Path, version: ssl.TLSVersion) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*made.server.save(folder, "slow"))
        self._context.minimum_version = self._context.maximum_version = version
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self.policy = Policy(made.server)
        self.got = bytearray()
        self._go = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        with (
            contextlib.suppress(OSError),  # a client that has gone
            self._context.wrap_socket(sock, server_side=True) as tls,
        ):
            self._go.wait(20)
            while data := tls.recv(65536):
                self.got += data
            tls.unwrap()

    def connect(self) -> PinnedSocket:
        """Return a connected client with small buffers."""
        raw = socket.create_connection(self._listener.getsockname(), 5)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        found: Any = ssl_context(self.policy).wrap_socket(raw, server_hostname="localhost")
        return found  # type: ignore[no-any-return]

    def go(self) -> None:
        """Start reading."""
        self._go.set()

    def all(self) -> bytes:
        """Return everything, after the client has closed."""
        self._thread.join(20)
        self._listener.close()
        return bytes(self.got)


@pytest.fixture(scope="module")
def made() -> Identities:
    return identities()


@pytest.fixture(params=VERSIONS, ids=["tls1.2", "tls1.3"])
def slow(request: pytest.FixtureRequest, made: Identities, tmp_path: Path) -> Iterator[Slow]:
    found = Slow(made, tmp_path, request.param)
    yield found
    found.go()


def _pieces() -> list[bytes]:
    seeded = random.Random(7)
    return [seeded.randbytes(100_000) for _ in range(80)]


def _close(sock: PinnedSocket) -> None:
    sock.settimeout(10)
    sock.unwrap()
    sock.close()


def test_a_write_that_would_block_is_repeated_and_goes_out_once(slow: Slow) -> None:
    pieces = _pieces()
    blocked = 0
    with slow.connect() as sock:
        sock.setblocking(False)
        for piece in pieces:
            while True:
                try:
                    assert sock.send(piece) == len(piece)
                    # It is on its way: nothing waits here for another call that may never come.
                    assert not sock._sslobj._outgoing.pending  # type: ignore[attr-defined]
                    break
                except ssl.SSLWantWriteError:
                    blocked += 1
                    slow.go()
        _close(sock)
    assert blocked
    assert slow.all() == b"".join(pieces)


def test_a_write_that_timed_out_is_repeated_and_goes_out_once(slow: Slow) -> None:
    pieces = _pieces()
    timed_out = 0
    with slow.connect() as sock:
        for piece in pieces:
            sock.settimeout(0.05)
            while True:
                try:
                    assert sock.send(piece) == len(piece)
                    break
                except TimeoutError:
                    timed_out += 1
                    slow.go()
                    sock.settimeout(10)
        _close(sock)
    assert timed_out
    assert slow.all() == b"".join(pieces)


def test_other_data_in_the_place_of_a_write_that_waits_is_an_error(slow: Slow) -> None:
    with slow.connect() as sock:
        sock.setblocking(False)
        with pytest.raises(ssl.SSLWantWriteError):
            while True:
                sock.send(b"a" * 100_000)
        with pytest.raises(ssl.SSLError, match="bad write retry"):
            sock.send(b"b" * 100_000)


def test_two_threads_that_write_lose_nothing(slow: Slow) -> None:
    slow.go()
    with slow.connect() as sock:

        def write(letter: bytes) -> None:
            for _ in range(300):
                sock.sendall(letter * 1000)

        threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        _close(sock)
    got = slow.all()
    assert (got.count(b"a"), got.count(b"b"), len(got)) == (300_000, 300_000, 600_000)


def test_a_handshake_step_by_step_tells_the_policy_once(slow: Slow) -> None:
    raw = socket.create_connection(slow._listener.getsockname(), 5)
    sock = ssl_context(slow.policy).wrap_socket(
        raw, server_hostname="localhost", do_handshake_on_connect=False
    )
    sock.setblocking(False)
    for _ in range(10_000_000):
        try:
            sock.do_handshake()
            break
        except ssl.SSLWantReadError:
            pass
    sock.do_handshake()
    assert len(slow.policy.done) == 1
    sock.close()


def test_select_tells_of_all_that_has_come_and_pending_of_the_rest_of_a_record(
    made: Identities, tmp_path: Path
) -> None:
    # A program that waits in select() and reads what there is: the server's two records come in one segment.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*made.server.save(tmp_path, "server"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        raw = socket.create_connection(listener.getsockname(), 5)
        peer, _ = listener.accept()

    def serve() -> None:
        while True:
            try:
                server.do_handshake()
                break
            except ssl.SSLWantReadError:
                peer.sendall(outgoing.read())
                incoming.write(peer.recv(65536))
        # Tickets, and what a server says first, leave together with the end of its handshake.
        server.write(b"first")
        server.write(b"second")
        peer.sendall(outgoing.read())

    thread = threading.Thread(target=serve)
    thread.start()
    sock = ssl_context(Policy(made.server)).wrap_socket(raw, server_hostname="localhost")
    thread.join(10)
    found = []
    while len(found) < 2:
        assert select.select([sock], [], [], 5)[0], found
        sock.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            found.append(sock.recv(3))
            assert sock.pending() == len((b"first", b"second")[len(found) - 1]) - 3
            found[-1] += sock.recv(100)
            assert sock.pending() == 0
    assert found == [b"first", b"second"]
    sock.close()
    peer.close()


@pytest.mark.parametrize("step", [1, 2, 4, 5, 6, 7, 100])
def test_records_that_come_in_crumbs_are_put_together(
    step: int, made: Identities, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*made.server.save(tmp_path, "server"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    near, far = socket.socketpair()
    near.settimeout(10)

    def send() -> None:
        data = outgoing.read()
        for at in range(0, len(data), step):
            far.sendall(data[at : at + step])

    def serve() -> None:
        while True:
            try:
                server.do_handshake()
                break
            except ssl.SSLWantReadError:
                send()
                incoming.write(far.recv(65536))
        server.write(b"one")
        server.write(b"two")
        send()
        far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with ssl_context(Policy(made.server)).wrap_socket(near, server_hostname="localhost") as sock:
        assert sock.recv(100) == b"one"
        assert sock.recv(100) == b"two"
        assert sock.recv(100) == b""
    thread.join(10)
