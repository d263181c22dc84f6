"""TLS on CPython: what leaves before a verdict, by the server's and the wire's own logs. TLS 1.2 and 1.3."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from everpin.core import errors, spki
from everpin.core.verdict import Verdict
from everpin.ports.cpython.tls import NotReady, PinRefused, ssl_context
from everpin_sim import pki
from tls_servers import Server, identities

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Policy:
    """Pins keys for one host, like a device."""

    def __init__(self, *identities: pki.Identity, host: str = "localhost") -> None:
        self.generation = 1
        self.host = host
        self.pins = {
            spki.pin(item.certificate.public_bytes(pki.serialization.Encoding.DER))
            for item in identities
        }
        self.done: list[Verdict] = []
        self.asked: list[list[bytes]] = []

    def platform(self, host: str) -> bool:
        return False

    def anchors(self) -> list[tuple[bytes, bytes]]:
        return []

    def verdict(
        self, host: str, chain: list[bytes], platform: Any = None, store: Any = None
    ) -> Verdict:
        self.asked.append(chain)
        why = errors.NO_CERTIFICATE if not chain else 0
        if chain and (host != self.host or spki.pin(chain[0]) not in self.pins):
            why = errors.PIN_MISMATCH
        found = Verdict(why, host, host, 3, spki.pin(chain[0]) if chain else None, "newest")
        found.generation = self.generation
        return found

    def completed(self, verdict: Verdict) -> None:
        self.done.append(verdict)


@pytest.fixture(scope="module")
def pki_set() -> Any:
    return identities()


@pytest.fixture(params=VERSIONS, ids=["tls1.2", "tls1.3"])
def server(request: pytest.FixtureRequest, pki_set: Any, tmp_path: Path) -> Iterator[Server]:
    made = Server(pki_set.server, pki_set.client_ca, tmp_path, request.param)
    yield made
    made.close()


def _files(pki_set: Any, tmp_path: Path) -> tuple[str, str]:
    cert, key = pki_set.client.save(tmp_path, "client")
    return str(cert), str(key)


def _connect(server: Server, context: ssl.SSLContext, **how: Any) -> ssl.SSLSocket:
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", server.port), 5), server_hostname="localhost", **how
    )


def test_a_pinned_peer_is_talked_to_with_the_client_certificate(
    server: Server, pki_set: Any, tmp_path: Path
) -> None:
    policy = Policy(pki_set.server)
    with _connect(server, ssl_context(policy, *_files(pki_set, tmp_path))) as sock:
        sock.sendall(b"hello")
        assert sock.recv(100) == b"HELLO"
    server.settle()
    assert server.application == [b"hello"]
    assert server.client_certificates == 1
    assert server.records_after_hello, "the wire's log sees what leaves"
    assert len(policy.done) == 1


def test_a_refused_peer_gets_nothing_after_client_hello(
    server: Server, pki_set: Any, tmp_path: Path
) -> None:
    policy = Policy(pki_set.other)
    with pytest.raises(PinRefused) as refused:
        _connect(server, ssl_context(policy, *_files(pki_set, tmp_path)))
    assert isinstance(refused.value, ssl.SSLCertVerificationError)
    assert refused.value.verdict.name == "pin-mismatch"
    server.settle()
    assert server.application == [] and server.client_certificates == 0
    assert server.records_after_hello == [], "no record left after ClientHello"
    assert policy.done == []


def test_a_hello_retry_is_answered_and_still_nothing_leaks(pki_set: Any, tmp_path: Path) -> None:
    server = Server(
        pki_set.server, pki_set.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3, curve="secp521r1"
    )
    try:
        with _connect(server, ssl_context(Policy(pki_set.server))) as sock:
            sock.sendall(b"x")
            assert sock.recv(10) == b"X"
        with pytest.raises(PinRefused):
            _connect(server, ssl_context(Policy(pki_set.other), *_files(pki_set, tmp_path)))
        server.settle()
        assert server.client_certificates == 0
    finally:
        server.close()


def test_a_forged_leaf_beside_the_pinned_ca_is_refused(pki_set: Any, tmp_path: Path) -> None:
    # The CA's key is pinned; the leaf names it as issuer, the genuine CA certificate is served with it (CVE-2016-2402).
    server = Server(pki_set.forged, pki_set.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3)
    try:
        with pytest.raises(PinRefused):
            _connect(server, ssl_context(Policy(pki_set.root)))
    finally:
        server.close()


def test_no_handshake_is_implicit(server: Server, pki_set: Any) -> None:
    context = ssl_context(Policy(pki_set.other))
    for use in (
        lambda s: s.sendall(b"secret"),
        lambda s: s.recv(1),
        lambda s: s.write(b"x"),
        lambda s: s.read(1),
    ):
        sock = _connect(server, context, do_handshake_on_connect=False)
        with pytest.raises(NotReady):
            use(sock)
        sock.close()
    server.settle()
    assert server.application == []


def test_what_libraries_set_neither_disables_nor_replaces_the_verdict(
    server: Server, pki_set: Any
) -> None:
    for pinned, accepted in ((pki_set.server, True), (pki_set.other, False)):
        context = ssl_context(Policy(pinned))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_default_certs()
        context.set_ciphers("ALL")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        if accepted:
            _connect(server, context).close()
        else:
            with pytest.raises(PinRefused):
                _connect(server, context)


def test_a_session_is_never_resumed_and_a_host_always_named(server: Server, pki_set: Any) -> None:
    context = ssl_context(Policy(pki_set.server))
    sock = _connect(server, context)
    raw = socket.create_connection(("127.0.0.1", server.port), 5)
    with pytest.raises(ValueError, match="server_hostname"):
        context.wrap_socket(raw)
    with pytest.raises(ValueError, match="resumes no sessions"):
        context.wrap_socket(raw, server_hostname="localhost", session=object())
    raw.close()
    sock.close()


def test_a_policy_that_changes_under_a_live_session_ends_it_before_the_next_byte(
    server: Server, pki_set: Any
) -> None:
    policy = Policy(pki_set.server)
    writer, reader = _connect(server, ssl_context(policy)), _connect(server, ssl_context(policy))
    reader.sendall(b"late")
    server.settle()
    before = list(server.application)
    policy.pins = set()
    policy.generation += 1
    with pytest.raises(PinRefused):
        writer.sendall(b"secret")
    with pytest.raises(PinRefused):
        reader.recv(10)
    server.settle()
    assert server.application == before
    with pytest.raises(PinRefused):
        writer.sendall(b"again")
    writer.close()
    reader.close()


def test_a_policy_that_changes_and_still_accepts_costs_nothing(
    server: Server, pki_set: Any
) -> None:
    policy = Policy(pki_set.server)
    with _connect(server, ssl_context(policy)) as sock:
        policy.generation += 1
        sock.sendall(b"on")
        assert sock.recv(10) == b"ON"


def test_asyncio_streams_have_their_verdict_before_the_first_byte(
    server: Server, pki_set: Any, tmp_path: Path
) -> None:
    async def talk(pinned: pki.Identity) -> bytes:
        context = ssl_context(Policy(pinned), *_files(pki_set, tmp_path))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, server_hostname="localhost"
        )
        writer.write(b"hello" * 10000)
        await writer.drain()
        found = await reader.readexactly(50000)
        writer.close()
        return found

    assert asyncio.run(talk(pki_set.server)) == b"HELLO" * 10000
    certificates = server.client_certificates
    with pytest.raises(PinRefused):
        asyncio.run(talk(pki_set.other))
    server.settle()
    assert server.client_certificates == certificates == 1


def test_large_transfers_and_time_outs_work_as_with_any_socket(
    server: Server, pki_set: Any
) -> None:
    with _connect(server, ssl_context(Policy(pki_set.server))) as sock:
        data = b"abc" * 200_000
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        found = b""
        while len(found) < len(data):
            found += sock.recv(65536)
        sender.join()
        assert found == data.upper()
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            sock.recv(1)


def test_paho_connects_to_a_pinned_broker_only(pki_set: Any, tmp_path: Path) -> None:
    server = Server(
        pki_set.server,
        pki_set.client_ca,
        tmp_path,
        ssl.TLSVersion.TLSv1_3,
        answer=lambda data: b"\x20\x02\x00\x00",
    )
    try:
        for pinned, accepted in ((pki_set.server, True), (pki_set.other, False)):
            client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="paho")
            seen: list[Any] = []
            client.on_connect = lambda *args, seen=seen: seen.append(args)
            client.tls_set_context(ssl_context(Policy(pinned)))
            if not accepted:
                with pytest.raises(PinRefused):
                    client.connect("localhost", server.port)
                continue
            client.connect("localhost", server.port)
            for _ in range(50):
                client.loop(0.1)
                if seen:
                    break
            assert seen
            client.disconnect()
    finally:
        server.close()
