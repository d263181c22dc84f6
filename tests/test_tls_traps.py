"""The traps of DESIGN section 5 on CPython: what `ssl` itself does (so that each trap is real here), and what everpin's sockets do.

The other traps of the table have their tests where they were met first: client certificate before the verdict and the implicit
handshake in test_tls_cpython.py, a flight without a chain in test_gate.py, each client library in test_clients.py.
"""

import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from everpin.ports.cpython.tls import NotReady, PinRefused, ssl_context
from everpin_sim import pki
from test_tls_cpython import VERSIONS, Policy
from tls_servers import Server, carried, identities

X509_V_FLAG_PARTIAL_CHAIN, X509_V_FLAG_NO_CHECK_TIME = 0x80000, 0x200000


@pytest.fixture(scope="module")
def pki_set() -> Any:
    return identities()


@pytest.fixture(params=VERSIONS, ids=["tls1.2", "tls1.3"])
def server(request: pytest.FixtureRequest, pki_set: Any, tmp_path: Path) -> Iterator[Server]:
    made = Server(pki_set.server, pki_set.client_ca, tmp_path, request.param)
    yield made
    made.close()


class Listener:
    """Takes one TCP connection and keeps what came, in the clear."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = self._socket.getsockname()
        self.got = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            sock, _ = self._socket.accept()
            with sock:
                while data := sock.recv(4096):
                    self.got += data

    def all(self) -> bytes:
        """Return everything, once the peer has closed."""
        self._thread.join(5)
        self._socket.close()
        return self.got


def _tcp(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 5)


def _shake(context: ssl.SSLContext, server: Server, session: Any = None) -> ssl.SSLObject:
    """Return an object after its handshake and one exchange of bytes, so that tickets have come too."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    if session is not None:
        made.session = session
    with _tcp(server) as sock:
        run = carried(sock, incoming, outgoing)
        run(made.do_handshake)
        run(made.write, b"x")
        assert run(made.read, 10) == b"X"
    return made


def _none() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


# ---- the verified chain that verifies nothing ---------------------------------------------------------------------------


def _forged(root: pki.Identity, names: x509.SubjectKeyIdentifier | None) -> pki.Identity:
    """Return a leaf that names `root` as its issuer and is signed by somebody else, with the genuine root beside it."""
    genuine = pki.leaf(root, "localhost")
    made = (
        x509.CertificateBuilder()
        .subject_name(genuine.certificate.subject)
        .issuer_name(root.certificate.subject)
        .public_key(genuine.key.public_key())
        .serial_number(7)
        .not_valid_before(genuine.certificate.not_valid_before_utc)
        .not_valid_after(genuine.certificate.not_valid_after_utc)
    )
    if names is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(names)
        made = made.add_extension(identifier, critical=False)
    certificate = made.sign(pki.new_key(), hashes.SHA256())
    return pki.Identity(certificate, genuine.key, (root.certificate,))


@pytest.mark.parametrize("version", VERSIONS, ids=["tls1.2", "tls1.3"])
@pytest.mark.parametrize("named", ["the CA's key", "no key"])
def test_openssl_s_verified_chain_holds_a_forged_leaf_and_everpin_s_verdict_refuses_it(
    named: str, version: ssl.TLSVersion, pki_set: Any, tmp_path: Path
) -> None:
    # CVE-2016-2402: a leaf that names the pinned CA as its issuer, served beside the genuine CA certificate.
    root = pki_set.root.certificate
    key = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    forged = _forged(pki_set.root, key if named == "the CA's key" else None)
    stray = pki_set.client_ca.certificate  # OpenSSL leaves it out
    forged = pki.Identity(forged.certificate, forged.key, (stray, root))
    server = Server(forged, pki_set.client_ca, tmp_path, version)
    cert, client_key = pki_set.client.save(tmp_path, "client")
    try:
        context = _none()
        context.load_verify_locations(cadata=pki_set.root.pem().decode())
        with context.wrap_socket(_tcp(server), server_hostname="localhost") as sock:
            internal: Any = sock
            chain = internal._sslobj.get_verified_chain()
            assert len(chain) == 2, (
                "the trap: the genuine CA stands above a leaf that it never signed"
            )
        server.drain()
        before = len(server.records_after_hello)
        policy = Policy(pki_set.root)
        with pytest.raises(PinRefused) as refused:
            ssl_context(policy, str(cert), str(client_key)).wrap_socket(
                _tcp(server), server_hostname="localhost"
            )
        assert refused.value.verdict.name == "pin-mismatch"
        # The policy is asked about what was served, leaf first, and not about a path that OpenSSL made of it.
        assert policy.asked == [[_der(forged.certificate), _der(stray), _der(root)]]
        server.drain()
        assert server.client_certificates == 0 and server.records_after_hello[before:] == []
    finally:
        server.close()


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def test_a_resumed_session_has_no_chain_and_everpin_resumes_none(
    server: Server, pki_set: Any
) -> None:
    plain = _none()
    again = _shake(plain, server, _shake(plain, server).session)
    internal: Any = again
    if again.session_reused:
        assert not internal._sslobj.get_verified_chain(), "the trap is there"
    else:
        assert server.version == ssl.TLSVersion.TLSv1_2, "1.3 has tickets"
    context = ssl_context(Policy(pki_set.server))
    first = _shake(context, server)
    assert first.session is None and first.session_reused is False
    with pytest.raises(ValueError, match="resumes no sessions"):
        _shake(context, server, again.session)
    with context.wrap_socket(
        _tcp(server), server_hostname="localhost", do_handshake_on_connect=False
    ) as sock:
        assert sock.session is None and sock.session_reused is False
        with pytest.raises(ValueError, match="resumes no sessions"):
            sock.session = again.session  # type: ignore[misc]
        sock.session = None  # type: ignore[misc]
        sock.do_handshake()


def test_flags_that_loosen_openssl_s_check_are_not_set_by_anybody(
    server: Server, pki_set: Any
) -> None:
    context = ssl_context(Policy(pki_set.other))
    made = context.verify_flags
    context.verify_flags = ssl.VerifyFlags(X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME)
    assert context.verify_flags == made
    options = context.options
    context.options = ssl.Options(0)
    context.options &= ~(ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION)
    assert context.options == options
    context.load_verify_locations(cadata=pki_set.root.pem().decode())
    context.set_default_verify_paths()
    context.load_default_certs()
    assert context.cert_store_stats()["x509"] == 0
    with pytest.raises(PinRefused):
        context.wrap_socket(_tcp(server), server_hostname="localhost")


# ---- an SSLSocket that is a plain one -----------------------------------------------------------------------------------


def test_ssl_s_socket_sends_in_the_clear_where_it_has_no_tls_yet_and_everpin_s_never(
    pki_set: Any,
) -> None:
    for context, leaks in ((_none(), True), (ssl_context(Policy(pki_set.server)), False)):
        listener = Listener()
        sock = context.wrap_socket(
            socket.socket(), server_hostname="localhost", do_handshake_on_connect=False
        )
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(listener.address)
        select.select([], [sock], [], 5)
        for use in (lambda s: s.send(b"secret"), lambda s: s.sendall(b"secret")):
            with contextlib.nullcontext() if leaks else pytest.raises(NotReady):
                use(sock)
        sock.close()
        assert (b"secret" in listener.all()) == leaks


def test_a_connect_that_is_under_way_goes_on_to_a_handshake(server: Server, pki_set: Any) -> None:
    sock = ssl_context(Policy(pki_set.server)).wrap_socket(
        socket.socket(), server_hostname="localhost", do_handshake_on_connect=False
    )
    sock.setblocking(False)
    sock.connect_ex(("127.0.0.1", server.port))
    select.select([], [sock], [], 5)
    sock.settimeout(5)
    sock.do_handshake()
    sock.sendall(b"x")
    assert sock.recv(10) == b"X"
    sock.close()


def test_what_a_peer_says_before_it_hangs_up_is_not_taken_for_its_answer(pki_set: Any) -> None:
    # CVE-2023-40217: a peer that answers in the clear and resets; getpeername then says "not connected".
    with socket.create_server(("127.0.0.1", 0)) as listener:
        raw = socket.create_connection(listener.getsockname(), 5)
        peer, _ = listener.accept()
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.close()
        raw.sendall(b"x")  # answered by a reset
        select.select([raw], [], [], 5)
        with contextlib.suppress(OSError):
            raw.shutdown(socket.SHUT_WR)
        try:
            sock = ssl_context(Policy(pki_set.server)).wrap_socket(
                raw, server_hostname="localhost", do_handshake_on_connect=False
            )
        except OSError:
            return
        with sock, pytest.raises(OSError, match="no verdict yet"):
            sock.recv(100)


def test_ssl_s_socket_goes_on_in_the_clear_after_a_shutdown_and_everpin_s_stays_in_tls(
    server: Server, pki_set: Any
) -> None:
    for context, leaks in ((_none(), True), (ssl_context(Policy(pki_set.server)), False)):
        sent = len(server.sent)
        with context.wrap_socket(_tcp(server), server_hostname="localhost") as sock:
            sock.shutdown(socket.SHUT_RD)
            sock.send(b"secret")
        server.drain()
        assert (b"secret" in b"".join(server.sent[sent:])) == leaks


def test_a_socket_shut_for_writing_still_reads_what_the_peer_says(
    server: Server, pki_set: Any
) -> None:
    with ssl_context(Policy(pki_set.server)).wrap_socket(
        _tcp(server), server_hostname="localhost"
    ) as sock:
        sock.sendall(b"last")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(10) == b"LAST"


# ---- another certificate after the verdict ------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_server_that_renegotiates_after_the_verdict_is_refused_that(
    pki_set: Any, tmp_path: Path
) -> None:
    # TLS 1.2: a new handshake inside the old one could serve another certificate (RFC 5746; CVE-2009-3555 and after).
    cert, key = pki_set.server.save(tmp_path, "server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-cert",
        cert,
        "-key",
        key,
        "-tls1_2",
    ]
    kinds = {}
    for name, context in (("ssl", _none()), ("everpin", ssl_context(Policy(pki_set.server)))):
        server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert server.stdin is not None and server.stdout is not None
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        made = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            while b"ACCEPT" not in server.stdout.readline():
                pass
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                while True:
                    try:
                        made.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        sock.sendall(outgoing.read())
                        incoming.write(sock.recv(65536))
                sock.sendall(outgoing.read())
                made.write(b"x\n")
                sock.sendall(outgoing.read())
                while server.stdout.readline() != b"x\n":
                    pass
                server.stdin.write(b"r\n")  # s_server's word for "renegotiate"
                server.stdin.flush()
                incoming.write(sock.recv(65536))
                with contextlib.suppress(ssl.SSLError):
                    made.read(10)
                kinds[name] = outgoing.read()[:1]
        finally:
            server.kill()
            server.wait()
            server.stdin.close()
            server.stdout.close()
    assert kinds == {"ssl": b"\x16", "everpin": b"\x15"}, "a ClientHello; an alert"
