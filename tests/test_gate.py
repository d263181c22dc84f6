"""The gate on CPython, whatever OpenSSL does behind it: nothing but a ClientHello leaves without a verdict."""

import datetime
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from everpin.core import errors
from everpin.core.verdict import Verdict
from everpin.ports.cpython.gate import Gate, NotReady, PinRefused
from everpin.ports.cpython.tls import ssl_context

_HELLO = b"\x16\x03\x01\x00\x04\x01\x00\x00\x00"
_CERTIFICATE = b"\x16\x03\x03\x00\x04\x0b\x00\x00\x00"
_APPLICATION = b"\x17\x03\x03\x00\x01x"
_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"


class Policy:
    """Accepts any chain that is one; counts what it is asked."""

    generation = 1

    def __init__(self) -> None:
        self.asked: list[int] = []

    def platform(self, host: str) -> bool:
        return False

    def anchors(self) -> list[tuple[bytes, bytes]]:
        return []

    def verdict(
        self, host: str, chain: list[bytes], platform: Any = None, store: Any = None
    ) -> Verdict:
        self.asked.append(len(chain))
        found = Verdict(0 if chain else errors.NO_CERTIFICATE, host)
        found.generation = self.generation
        return found

    def completed(self, verdict: Verdict) -> None:
        raise AssertionError


class Served:
    """One certificate as the `_ssl` module hands it out."""

    def public_bytes(self, form: int) -> bytes:
        return b"certificate"


class Library:
    """Stands for OpenSSL's object: writes `flight`, has a chain of `count` certificates, and wants more or is done."""

    def __init__(self, held: ssl.MemoryBIO, flight: bytes, count: int, done: bool) -> None:
        self._held, self._flight, self._count, self._done = held, flight, count, done

    def do_handshake(self) -> None:
        self._held.write(self._flight)
        if not self._done:
            raise ssl.SSLWantReadError

    def get_unverified_chain(self) -> list[Served] | None:
        return [Served()] * self._count or None


def _gate(flight: bytes, count: int, done: bool) -> tuple[Gate, Policy, ssl.MemoryBIO]:
    held, outgoing, policy = ssl.MemoryBIO(), ssl.MemoryBIO(), Policy()
    library: Any = Library(held, flight, count, done)
    return Gate(library, held, policy, "h", outgoing), policy, outgoing


@pytest.mark.parametrize(
    "flight", [_CERTIFICATE, _APPLICATION, _HELLO + _CERTIFICATE, _HELLO[:4], b"\x18" + _HELLO[1:]]
)
def test_whatever_is_no_client_hello_is_held_back_while_no_chain_was_served(flight: bytes) -> None:
    gate, policy, outgoing = _gate(flight, 0, False)
    with pytest.raises(PinRefused):
        gate.handshake()
    assert outgoing.read() == b"" and policy.asked == [0]
    with pytest.raises(PinRefused):
        gate.handshake()
    with pytest.raises(PinRefused):
        gate.check()


@pytest.mark.parametrize(
    "flight", [_HELLO, _HELLO + _HELLO, _ALERT, b"\x14\x03\x03\x00\x01\x01" + _HELLO]
)
def test_a_client_hello_and_an_alert_may_leave_before_a_verdict(flight: bytes) -> None:
    gate, policy, outgoing = _gate(flight, 0, False)
    with pytest.raises(ssl.SSLWantReadError):
        gate.handshake()
    assert outgoing.read() == flight and policy.asked == []
    with pytest.raises(NotReady):
        gate.check()


def test_a_handshake_that_ends_without_a_chain_is_refused() -> None:
    # Resumed, PSK, anonymous: however it came about, nobody's key was judged.
    gate, policy, outgoing = _gate(b"", 0, True)
    with pytest.raises(PinRefused):
        gate.handshake()
    assert policy.asked == [0] and not gate.done and outgoing.read() == b""


@pytest.mark.parametrize(("count", "asked"), [(8, 8), (9, 0)])
def test_a_chain_beyond_the_bounds_is_taken_for_none(count: int, asked: int) -> None:
    gate, policy, _ = _gate(b"", count, True)
    if asked:
        gate.handshake()
    else:
        with pytest.raises(PinRefused):
            gate.handshake()
    assert policy.asked == [asked]


def _rsa_identity(folder: Path) -> Path:
    """Return a PEM file of a self-signed RSA certificate and its key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "h")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "rsa.pem"
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    path.write_bytes(
        made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


def test_a_key_exchange_that_does_not_prove_the_key_is_never_agreed_on(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_rsa_identity(tmp_path))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    # Static RSA: whoever replays the certificate gets as far as the client's own certificate and Finished.
    context.set_ciphers("AES128-GCM-SHA256:@SECLEVEL=0")
    listener = socket.create_server(("127.0.0.1", 0))
    failed = threading.Event()

    def serve() -> None:
        sock, _ = listener.accept()
        try:
            context.wrap_socket(sock, server_side=True).close()
        except OSError:
            failed.set()

    threading.Thread(target=serve, daemon=True).start()
    policy = Policy()
    client = ssl_context(policy)
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError) as refused, listener:
        sock = socket.create_connection(listener.getsockname(), 5)
        client.wrap_socket(sock, server_hostname="h")
    assert not isinstance(refused.value, PinRefused) and policy.asked == []
    assert failed.wait(5), "the server found no cipher in common"
