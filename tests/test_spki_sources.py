"""Every source of `everpin spki` has the pin that openssl gives it, and what is no source is one clear line."""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from everpin.ports.cpython import spki_live, spki_sources
from everpin.ports.cpython.spki_sources import SourceError, load

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

_P256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
ALGORITHMS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa-pss": [
        *["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"],
        *["-pkeyopt", "rsa_pss_keygen_md:sha256", "-pkeyopt", "rsa_pss_keygen_mgf1_md:sha256"],
    ],
    "p256": _P256,
    "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "p256-explicit": [*_P256, "-pkeyopt", "ec_param_enc:explicit"],
    "ed25519": ["-algorithm", "ED25519"],
}


def openssl(*args: str | Path, data: bytes = b"") -> bytes:
    done = subprocess.run(
        ["openssl", *map(str, args)], input=data, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def pipeline(public_pem: bytes) -> str:
    """`pkey -pubin -outform der | dgst -sha256 -binary | enc -base64`."""
    spki = openssl("pkey", "-pubin", "-outform", "der", data=public_pem)
    digest = openssl("dgst", "-sha256", "-binary", data=spki)
    return openssl("enc", "-base64", data=digest).decode().strip()


def pins_of(found: list[tuple[str, bytes]]) -> list[str]:
    return [base64.b64encode(hashlib.sha256(spki).digest()).decode() for _, spki in found]


def everpin(*args: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `everpin spki` in a session of its own, so that no terminal is there to ask."""
    return subprocess.run(
        [sys.executable, "-m", "everpin.ports.cpython.cli", "spki", *map(str, args)],
        input=data,
        capture_output=True,
        timeout=60,
        start_new_session=True,
        check=False,
    )


def printed(*args: str | Path, data: bytes = b"") -> list[str]:
    done = everpin(*args, data=data)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def refusal(*args: str | Path, data: bytes = b"") -> str:
    """Return the one line that a failing call prints."""
    done = everpin(*args, data=data)
    said = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout, len(said)) == (1, b"", 1), (done.returncode, said)
    assert said[0].startswith("everpin: ")
    return said[0]


class Files:
    """One key with everything that openssl makes of it, PEM and DER."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = folder / "key.pem"
        self.certificate = folder / "cert.pem"
        self.request = folder / "csr.pem"
        self.public = folder / "pub.pem"
        openssl("genpkey", *ALGORITHMS[name], "-out", self.key)
        request = ["req", "-new", "-key", self.key, "-subj", f"/CN={name}"]
        openssl(*request, "-x509", "-out", self.certificate)
        openssl(*request, "-out", self.request)
        openssl("pkey", "-in", self.key, "-pubout", "-out", self.public)
        for command, path in (
            (["x509"], self.certificate),
            (["req"], self.request),
            (["pkey"], self.key),
            (["pkey", "-pubin"], self.public),
        ):
            openssl(*command, "-in", path, "-outform", "der", "-out", path.with_suffix(".der"))
        self.pin = pipeline(openssl("x509", "-in", self.certificate, "-pubkey", "-noout"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    return {name: Files(tmp_path_factory.mktemp(name), name) for name in ALGORITHMS}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_form_of_a_key_has_the_pin_of_openssl(made: dict[str, Files], name: str) -> None:
    files = made[name]
    for path in (files.certificate, files.request, files.public, files.key):
        for form in (path, path.with_suffix(".der")):
            assert pins_of(load(str(form))) == [files.pin], form


def test_one_line_per_source_and_nothing_else_is_printed(made: dict[str, Files]) -> None:
    names = ["rsa", "p256", "ed25519"]
    wanted = [made[name].pin for name in names]
    assert printed(*[made[name].certificate for name in names]) == wanted


@pytest.mark.parametrize("suffix", [".pem", ".der"])
def test_standard_input_is_a_source(made: dict[str, Files], suffix: str) -> None:
    files = made["p384"]
    data = files.certificate.with_suffix(suffix).read_bytes()
    assert printed("-", data=data) == [files.pin]


def test_text_around_the_pem_and_windows_line_ends_do_not_matter(made: dict[str, Files]) -> None:
    files = made["p256"]
    text = openssl("x509", "-in", files.certificate, "-text").replace(b"\n", b"\r\n")
    assert printed("-", data=text) == [files.pin]


_PASS = ["-passout", "pass:open"]
_PKCS8 = ["pkcs8", "-topk8", *_PASS]


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (["pkey", "-traditional"], ["rsa", "p256", "p256-explicit"]),
        (["rsa", "-traditional", "-aes256", *_PASS], ["rsa"]),
        (["ec", "-aes128", *_PASS], ["p256", "p256-explicit"]),
        (["rsa", "-RSAPublicKey_out"], ["rsa"]),
        (_PKCS8, list(ALGORITHMS)),
        ([*_PKCS8, "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"], ["rsa-pss"]),
        ([*_PKCS8, "-scrypt", "-scrypt_N", "1024"], ["rsa-pss", "p256-explicit"]),
        ([*_PKCS8, "-outform", "der"], ["rsa-pss", "ed25519"]),
    ],
    ids=" ".join,
)
def test_every_way_to_keep_a_key_has_the_same_pin(
    made: dict[str, Files], tmp_path: Path, command: list[str], names: list[str]
) -> None:
    for name in names:
        kept = tmp_path / f"{name}.kept"
        openssl(command[0], "-in", made[name].key, *command[1:], "-out", kept)
        assert pins_of(load(str(kept), b"open")) == [made[name].pin], name


def test_a_compressed_point_is_another_pin_as_with_openssl(
    made: dict[str, Files], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.pem"
    openssl("ec", "-in", made["p256"].key, "-conv_form", "compressed", "-out", kept)
    wanted = pipeline(openssl("ec", "-in", kept, "-pubout", "-conv_form", "compressed"))
    assert wanted != made["p256"].pin
    assert pins_of(load(str(kept))) == [wanted]


def test_openssh_keys_are_read(made: dict[str, Files], tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(made["ed25519"].key.read_bytes(), None)
    path = tmp_path / "id_ed25519"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    assert pins_of(load(str(path))) == [made["ed25519"].pin]


def test_a_passphrase_file_opens_a_key_and_a_wrong_one_is_named(
    made: dict[str, Files], tmp_path: Path
) -> None:
    kept, secret = tmp_path / "kept.pem", tmp_path / "secret"
    openssl(*_PKCS8, "-in", made["rsa"].key, "-out", kept)
    kept.chmod(0o600)
    secret.touch(0o600)
    secret.write_text("open\n")
    assert printed("--passphrase-file", secret, kept) == [made["rsa"].pin]
    secret.write_text("shut\n")
    assert "wrong passphrase" in refusal("--passphrase-file", secret, kept)
    assert "no terminal" in refusal(kept)
    assert "--passphrase-file" in refusal("--passphrase-file", tmp_path / "none", kept)
    with pytest.raises(SourceError, match="is encrypted"):
        load(str(kept))


def test_no_wrong_passphrase_gets_past_a_lucky_padding(
    made: dict[str, Files], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.pem"
    openssl(*_PKCS8, "-iter", "1", "-in", made["ed25519"].key, "-out", kept)
    # One passphrase in 256 leaves a padding that looks right.
    for number in range(1500):
        with pytest.raises(SourceError, match="wrong passphrase"):
            load(str(kept), b"%d" % number)


def test_a_private_key_that_others_may_read_is_warned_of(
    made: dict[str, Files], tmp_path: Path
) -> None:
    loose = tmp_path / "loose.pem"
    loose.write_bytes(made["p256"].key.read_bytes())
    loose.chmod(0o644)
    done = everpin(loose)
    assert (done.returncode, done.stdout.decode().strip()) == (0, made["p256"].pin)
    assert b"warning" in done.stderr and b"chmod 600" in done.stderr


def test_a_bundle_gives_its_first_certificate_and_with_chain_all(
    made: dict[str, Files], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    names = ["p256", "rsa", "ed25519"]
    # The key comes first: the certificate speaks for both.
    parts = [made["p256"].key, *[made[name].certificate for name in names]]
    bundle.write_bytes(b"".join(path.read_bytes() for path in parts))
    bundle.chmod(0o600)
    assert printed(bundle) == [made["p256"].pin]
    assert printed("--chain", bundle) == [made[name].pin for name in names]


def test_json_has_source_label_and_pin(made: dict[str, Files], tmp_path: Path) -> None:
    done = everpin("--json", made["rsa"].certificate, tmp_path / "none.pem")
    said = json.loads(done.stdout)
    assert (done.returncode, said["ok"]) == (1, False)
    (row,) = said["pins"]
    assert (row["source"], row["pin"]) == (str(made["rsa"].certificate), made["rsa"].pin)
    assert "CN=rsa" in row["label"]


def test_a_request_with_a_wrong_signature_is_refused(
    made: dict[str, Files], tmp_path: Path
) -> None:
    altered = tmp_path / "altered.der"
    data = bytearray(made["p256"].request.with_suffix(".der").read_bytes())
    data[data.index(b"p256")] ^= 1
    altered.write_bytes(data)
    assert "signature is wrong" in refusal(altered)


def test_names_in_certificates_cannot_drive_the_terminal(
    made: dict[str, Files], tmp_path: Path
) -> None:
    path = tmp_path / "evil.pem"
    subject = ["-subj", "/CN=\x1b[2Jevil"]
    openssl("req", "-x509", "-new", "-key", made["ed25519"].key, *subject, "-out", path)
    ((label, _),) = load(str(path))
    assert "evil" in label and "\x1b" not in label


def _pem(kind: str, body: str) -> bytes:
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n".encode()


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello\n", "is no certificate"),
    "random": (bytes(range(256)), "is no certificate"),
    "cut": (b"-----BEGIN CERTIFICATE-----\nMIIB\n", "cut off"),
    "other": (_pem("X509 CRL", "MIIB"), "holds only X509 CRL"),
    "base64": (_pem("CERTIFICATE", "M!!B"), "base64"),
    "not-der": (_pem("CERTIFICATE", "MIIB"), "is not a certificate"),
    "bad-key": (_pem("PRIVATE KEY", "MAMCAQA="), "cannot be read"),
    "bad-csr": (_pem("CERTIFICATE REQUEST", "MAMCAQA="), "is no CSR"),
    "bad-public": (_pem("PUBLIC KEY", "MAMCAQA="), "cannot be read"),
    "large": (b"\0" * (1024 * 1024 + 1), "larger than"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_content_is_one_clear_line(tmp_path: Path, name: str) -> None:
    content, words = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    line = refusal(path)
    assert words in line and str(path) in line


def test_bad_paths_are_one_clear_line(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.pem")
    assert "is a directory" in refusal(tmp_path)
    assert "is empty" in refusal("-")
    assert "no port 70000" in refusal("localhost:70000")
    assert "\x1b" not in refusal("\x1b[2J.pem")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_altered_file_is_a_pin_or_the_one_error(
    made: dict[str, Files], tmp_path: Path, name: str
) -> None:
    kept, altered = tmp_path / "kept.der", tmp_path / "altered"
    openssl(*_PKCS8, "-iter", "1", "-in", made[name].key, "-outform", "der", "-out", kept)
    for path in (made[name].key.with_suffix(".der"), made[name].request.with_suffix(".der"), kept):
        whole = path.read_bytes()
        for at in range(min(len(whole), 120)):
            for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]):
                altered.write_bytes(data)
                with contextlib.suppress(SourceError):
                    load(str(altered), b"open")


# ---- live servers ----------------------------------------------------------------------------


class Server:
    """A loopback listener; `talk` gets each connection, in a thread that ends with the test."""

    def __init__(self, talk: Callable[[socket.socket], None], host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.peer = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._talk = talk
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                self._talk(connection)

    def close(self) -> None:
        # A shutdown wakes accept(); close alone would not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(15)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(talk: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Server:
        servers.append(Server(talk, host))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Chain:
    """A server context that serves leaf, intermediate and root, and the pins of the three."""

    def __init__(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        self.root = trustme.CA()
        leaf = self.root.create_child_ca().issue_cert("localhost", "127.0.0.1", "::1")
        served = [*leaf.cert_chain_pems, self.root.cert_pem]
        self.pins = [
            pipeline(openssl("x509", "-pubkey", "-noout", data=blob.bytes())) for blob in served
        ]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.maximum_version = version
        with leaf.private_key_and_cert_chain_pem.tempfile() as path:
            both = Path(path).read_bytes() + self.root.cert_pem.bytes()
            Path(path).write_bytes(both)
            self.context.load_cert_chain(path)
        self.names: list[str | None] = []
        self.context.sni_callback = lambda _s, name, _c: self.names.append(name)

    def talk(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("demanding", [False, True], ids=["open", "wants a client certificate"])
def test_a_live_server_gives_its_leaf_and_with_chain_all_it_serves(
    serve: Callable[..., Server], version: ssl.TLSVersion, demanding: bool
) -> None:
    chain = Chain(version)
    assert len(chain.pins) == 3
    if demanding:
        chain.context.verify_mode = ssl.CERT_REQUIRED
        chain.root.configure_trust(chain.context)
    peer = serve(chain.talk).peer
    assert pins_of(load(peer)) == chain.pins[:1]
    assert pins_of(load(peer, chain=True)) == chain.pins


def test_names_go_out_as_server_name_and_addresses_do_not(serve: Callable[..., Server]) -> None:
    chain = Chain()
    port = serve(chain.talk).port
    load(f"localhost:{port}")
    load(f"127.0.0.1:{port}")
    assert chain.names == ["localhost", None]


def test_the_command_says_that_what_was_served_is_not_verified(
    serve: Callable[..., Server],
) -> None:
    chain = Chain()
    done = everpin("--chain", serve(chain.talk).peer)
    assert (done.returncode, done.stdout.decode().splitlines()) == (0, chain.pins)
    (line,) = done.stderr.decode().splitlines()
    assert "not verified" in line


def test_an_ipv6_address_stands_in_brackets(serve: Callable[..., Server]) -> None:
    chain = Chain()
    try:
        server = serve(chain.talk, "::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    assert pins_of(load(server.peer)) == chain.pins[:1]


def test_a_file_of_that_name_goes_before_a_server(
    made: dict[str, Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("localhost:1").write_bytes(made["rsa"].certificate.read_bytes())
    assert pins_of(load("localhost:1")) == [made["rsa"].pin]


def test_a_closed_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "connection refused" in refusal(f"127.0.0.1:{port}")


def test_a_silent_server_is_given_up_in_time(serve: Callable[..., Server]) -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(100000):
            pass

    assert "no answer within 0.3 s" in refusal("--timeout", "0.3", serve(silent).peer)


def test_a_server_that_drips_is_given_up_in_time(serve: Callable[..., Server]) -> None:
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        # The header of a record that never fills.
        for byte in b"\x16\x03\x03\x3f\xff" + bytes(200):
            connection.send(bytes([byte]))
            if gone.wait(0.05):
                return

    try:
        with pytest.raises(SourceError, match=r"no answer within 0\.5 s"):
            load(serve(drip).peer, timeout_s=0.5)
    finally:
        gone.set()


def test_a_server_without_tls_is_one_clear_line(serve: Callable[..., Server]) -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(100000)
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    assert "no TLS handshake" in refusal(serve(plain).peer)


def test_a_server_that_hangs_up_is_one_clear_line(serve: Callable[..., Server]) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(100000)

    peer = serve(hang_up).peer
    assert peer in refusal(peer)


def test_a_key_that_the_server_does_not_hold_is_not_printed(serve: Callable[..., Server]) -> None:
    """A middleman alters the server's proof (TLS 1.2 ServerKeyExchange): no handshake, no pin."""
    chain = Chain(ssl.TLSVersion.TLSv1_2)
    origin = serve(chain.talk)

    def middle(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", origin.port), 10) as onward:
            onward.sendall(connection.recv(100000))
            flight = b""
            while not flight.endswith(b"\x0e\x00\x00\x00"):  # ServerHelloDone
                flight += onward.recv(100000)
            cut = len(flight) - 20  # inside the signature
            connection.sendall(flight[:cut] + bytes([flight[cut] ^ 1]) + flight[cut + 1 :])
            connection.recv(100000)

    with pytest.raises(SourceError, match="no TLS handshake"):
        load(serve(middle).peer)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("broker:8883", ("broker", 8883)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]:443", ("::1", 443)),
        ("::1:443", None),
        ("broker", None),
        ("broker:", None),
        (":443", None),
        ("dir/file:1", None),
        ("https://broker:443", None),
    ],
)
def test_host_and_port_are_told_from_paths(text: str, peer: tuple[str, int] | None) -> None:
    assert spki_sources.parse_peer(text) == peer


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc on this machine")
def test_reading_a_chain_leaves_no_socket_open(serve: Callable[..., Server]) -> None:
    chain = Chain()
    port = serve(chain.talk).port
    spki_live.served_chain("127.0.0.1", port, None, 10)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        spki_live.served_chain("127.0.0.1", port, None, 10)
    # The server's side of the last connection may still be closing.
    assert len(os.listdir("/proc/self/fd")) <= before + 1
