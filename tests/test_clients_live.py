"""Pools and kept connections when the policy changes, and proxies that speak TLS."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests

import everpin
import everpin.aiohttp
import everpin.requests
from client_programs import (
    PROGRAMS,
    SECRET,
    Use,
    connect_proxy,
    http_answer,
    pool_of_urllib3,
    session_of_requests,
)
from everpin.ports.cpython.tls import PinRefused
from everpin_sim.ports import Listener
from test_tls_cpython import VERSIONS, Policy
from tls_servers import Server, carried, identities

POOLED = ("urllib3", "requests", "httpx", "aiohttp")


@pytest.fixture(scope="module")
def pki_set() -> Any:
    return identities()


@pytest.fixture(params=VERSIONS, ids=["tls1.2", "tls1.3"])
def server(request: pytest.FixtureRequest, pki_set: Any, tmp_path: Path) -> Iterator[Server]:
    made = Server(pki_set.server, pki_set.client_ca, tmp_path, request.param, answer=http_answer)
    yield made
    made.close()


@contextlib.contextmanager
def _pool(name: str, use: Use) -> Iterator[Callable[[], bytes]]:
    """Yield a function that gets the same URL again and again, on kept connections."""
    if name == "urllib3":
        with pool_of_urllib3(use) as pool:
            yield lambda: pool.request("GET", use.url).data
            pool.connection_from_url(
                use.url
            ).close()  # clear() leaves that to the garbage collector
    elif name == "requests":
        with session_of_requests(use) as session:
            yield lambda: session.get(use.url, timeout=10).content
    elif name == "httpx":
        with httpx.Client(verify=use.context(), trust_env=False, timeout=10) as client:
            yield lambda: client.get(use.url).content
    else:
        with asyncio.Runner() as runner:

            async def opened() -> aiohttp.ClientSession:
                connector = aiohttp.TCPConnector(ssl=use.context())
                return aiohttp.ClientSession(connector=connector)

            async def get() -> bytes:
                async with made.get(use.url) as answer:
                    return await answer.read()

            made = runner.run(opened())
            yield lambda: runner.run(get())
            runner.run(made.close())


def _fails(get: Callable[[], Any]) -> str:
    """Return the verdict's name behind the error that `get` raises; the error itself goes, for it holds pools open."""
    with pytest.raises(Exception) as caught:
        get()
    found = everpin.refusal(caught.value)
    assert found is not None, repr(caught.value)
    return found.name


def _sum(server: Server) -> int:
    return b"".join(server.application).count(SECRET.encode())


@pytest.mark.parametrize("name", POOLED)
def test_a_kept_connection_whose_peer_is_no_longer_accepted_carries_nothing_more(
    name: str, server: Server, pki_set: Any
) -> None:
    policy = Policy(pki_set.server)
    with _pool(name, Use(policy, server.port)) as get:
        assert get() == get() == b"ok"
        assert len(policy.done) == 1, "kept"
        before = _sum(server)
        policy.pins, pins = set(), policy.pins
        policy.generation += 1
        assert _fails(get) == "pin-mismatch"
        assert _fails(get) == "pin-mismatch"
        assert _sum(server) == before == 2
        # There is a way back: the next connection has a verdict of its own.
        policy.pins = pins
        policy.generation += 1
        assert get() == b"ok"
        assert len(policy.done) == 2
    server.drain()
    assert _sum(server) == 3


@pytest.mark.parametrize("name", POOLED)
def test_a_retry_asks_anew_and_finds_the_server_s_next_key(
    name: str, server: Server, pki_set: Any
) -> None:
    policy = Policy(pki_set.server)
    with _pool(name, Use(policy, server.port)) as get:
        assert get() == b"ok"
        # The server rotates; then the document comes that forbids its old key.
        server.serve(pki_set.other)
        policy.pins = Policy(pki_set.other).pins
        policy.generation += 1
        try:
            assert get() == b"ok"  # urllib3 and aiohttp try again by themselves
        except (requests.RequestException, httpx.TransportError) as error:
            assert name in ("requests", "httpx")
            assert everpin.refusal(error) is not None
            assert get() == b"ok"
        assert len(policy.done) == 2
    server.drain()
    assert _sum(server) == 2


@pytest.mark.parametrize("name", POOLED)
def test_an_answer_that_comes_after_the_change_is_not_delivered(
    name: str, pki_set: Any, tmp_path: Path
) -> None:
    policy = Policy(pki_set.server)

    def answer(data: bytes) -> bytes:
        # Between the request and its answer.
        policy.pins = set()
        policy.generation += 1
        return http_answer(data)

    server = Server(
        pki_set.server, pki_set.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3, answer=answer
    )
    try:
        with _pool(name, Use(policy, server.port)) as get:
            assert _fails(get) == "pin-mismatch"
    finally:
        server.close()


# ---- proxies that speak TLS ---------------------------------------------------------------------------------------------


class TlsProxy:
    """A proxy behind TLS: takes one CONNECT for each connection and passes everything on to `port`."""

    def __init__(self, identity: tuple[Path, Path], port: int) -> None:
        self.connects = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*identity)
        self._target = port
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def _serve(self, sock: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(sock, server_side=True) as near,
            socket.create_connection(("127.0.0.1", self._target)) as far,
        ):
            connect_proxy(near)
            self.connects += 1

            def back() -> None:
                with contextlib.suppress(OSError):
                    while data := far.recv(65536):
                        near.sendall(data)

            threading.Thread(target=back, daemon=True).start()
            while data := near.recv(65536):
                far.sendall(data)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


@pytest.mark.parametrize("name", ["urllib3", "requests"])
def test_a_proxy_behind_tls_has_a_verdict_of_its_own_before_it_learns_the_target(
    name: str, server: Server, pki_set: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "proxy"
    folder.mkdir()
    proxy = TlsProxy(pki_set.other.save(folder, "proxy"), server.port)
    try:
        for pins, connects, gets in (
            ((pki_set.server,), 0, 0),  # not the proxy
            ((pki_set.other,), 1, 0),  # not the server behind it
            ((pki_set.server, pki_set.other), 1, 1),
        ):
            proxy.connects = 0
            use = Use(Policy(*pins), server.port, proxy=f"https://localhost:{proxy.port}")
            if gets:
                PROGRAMS[name].run(use)
            else:
                with _one_try(name, use) as get:
                    assert _fails(get) == "pin-mismatch"
            assert proxy.connects == connects
            assert _sum(server) == gets
    finally:
        proxy.close()


@contextlib.contextmanager
def _one_try(name: str, use: Use) -> Iterator[Callable[[], Any]]:
    if name == "urllib3":
        with pool_of_urllib3(use, retries=0) as pool:
            yield lambda: pool.request("GET", use.url)
    else:
        with session_of_requests(use) as session:
            yield lambda: session.get(use.url, timeout=10)


# ---- between two looks at the policy ---------------------------------------------------------------------------------


class ChangesBetween(Policy):
    """A policy that changes when it has been looked at once more, as another thread may change it."""

    looks = -1

    @property
    def generation(self) -> int:
        if self.looks == 0:
            self.pins = set()
        self.looks -= 1
        return 1 if self.looks >= 0 or self.pins else 2

    @generation.setter
    def generation(self, value: int) -> None:
        pass


def test_what_was_read_while_the_policy_changed_is_not_delivered(
    pki_set: Any, tmp_path: Path
) -> None:
    policy = ChangesBetween(pki_set.server)
    server = Server(pki_set.server, pki_set.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = everpin.ssl_context(policy).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        run = carried(sock, incoming, outgoing)
        run(made.do_handshake)
        run(made.write, b"one")
        assert run(made.read, 10) == b"ONE"
        run(made.write, b"two")
        while True:
            policy.looks = 1
            try:
                found = made.read(10)
                break
            except ssl.SSLWantReadError:
                policy.looks = -1
                incoming.write(sock.recv(65536))
            except PinRefused:
                found = b""
                break
    server.close()
    assert found == b"" and policy.pins == set()


def test_what_a_socket_read_while_the_policy_changed_is_not_delivered(
    server: Server, pki_set: Any
) -> None:
    policy = ChangesBetween(pki_set.server)
    raw = socket.create_connection(("127.0.0.1", server.port), 5)
    with everpin.ssl_context(policy).wrap_socket(raw, server_hostname="localhost") as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        policy.looks = 1
        with pytest.raises(PinRefused):
            sock.recv(1000)
