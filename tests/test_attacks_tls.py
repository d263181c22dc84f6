"""A public certificate, replayed: it gets a verdict and nothing else, on both interpreters."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mpy
from everpin.core import spki
from everpin_sim import pki
from everpin_sim.hostile import carrier as hostile
from tls_servers import Server, identities

_DER = pki.serialization.Encoding.DER
# TLS 1.2 shows the server's whole first flight in the clear: ServerHello, Certificate, ServerKeyExchange, ServerHelloDone.
_SERVER_HELLO_DONE = b"\x0e\x00\x00\x00"
_ALERT = 21

_CALLS = """
import json, os, socket
from everpin.core.verdict import Verdict
from everpin.core import spki
from binascii import unhexlify

class Policy:
    generation = 1
    asked = 0
    done = 0
    def platform(self, host):
        return False
    def verdict(self, host, chain, platform=None, store=None):
        self.asked += 1
        pin = spki.pin(chain[0]) if chain else None
        assert pin == unhexlify(os.getenv("TLS_PIN"))
        found = Verdict(0, host, host, 3, pin, "newest")
        found.generation = self.generation
        return found
    def completed(self, verdict):
        self.done += 1

policy = Policy()
port = int(os.getenv("TLS_PORT"))
failed = False
try:
    CONNECT
except OSError:
    failed = True
print(json.dumps({"asked": policy.asked, "done": policy.done, "failed": failed}))
"""
_CONNECT = {
    "cpython": """from everpin.ports.cpython.tls import ssl_context
    raw = socket.create_connection(("127.0.0.1", port), 5)
    ssl_context(policy, os.getenv("TLS_CERT"), os.getenv("TLS_KEY")).wrap_socket(raw, server_hostname="localhost").sendall(b"x")""",
    "micropython": """from everpin.ports.micropython import tls
    cert, key = tls.load(os.getenv("TLS_CERT")), tls.load(os.getenv("TLS_KEY"))
    tls.connect(policy, "localhost", port, 5, cert, key).write(b"x")""",
}


def _first_flight(port: int) -> bytes:
    """Return what a genuine server answers to a ClientHello, as anybody can get it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    flight = b""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(outgoing.read())
        while not flight.endswith(_SERVER_HELLO_DONE):
            flight += sock.recv(65536)
    return flight


@pytest.fixture
def genuine(tmp_path: Path) -> Iterator[tuple[Server, dict[str, str]]]:
    made = identities()
    server = Server(made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_2)
    # mbedTLS, as MicroPython builds it, reads a SEC 1 key.
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    cert.write_bytes(made.client.pem())
    key.write_bytes(
        made.client.key.private_bytes(
            pki.serialization.Encoding.PEM,
            pki.serialization.PrivateFormat.TraditionalOpenSSL,
            pki.serialization.NoEncryption(),
        )
    )
    yield (
        server,
        {
            "TLS_PIN": spki.pin(made.server.certificate.public_bytes(_DER)).hex(),
            "TLS_CERT": str(cert),
            "TLS_KEY": str(key),
        },
    )
    server.close()


def _connect(interpreter: str, port: int, how: dict[str, str], folder: Path) -> dict[str, object]:
    program: str | None = sys.executable
    if interpreter == "micropython":
        program, why = mpy.micropython()
        if program is None:
            pytest.skip(why)
    script = folder / "script.py"
    script.write_text(_CALLS.replace("CONNECT", _CONNECT[interpreter]))
    env = {
        **os.environ,
        **how,
        "TLS_PORT": str(port),
        "PYTHONPATH": str(mpy.AGENT),
        "MICROPYPATH": f"{mpy.AGENT}:.frozen",
    }
    done = subprocess.run(
        [str(program), str(script)],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_a_replayed_certificate_completes_no_handshake_and_gets_nothing(
    interpreter: str, genuine: tuple[Server, dict[str, str]], tmp_path: Path
) -> None:
    server, how = genuine
    flight = _first_flight(server.port)
    got = bytearray()

    def replay(sock: socket.socket) -> None:
        sock.sendall(flight)
        while data := sock.recv(65536):
            got.extend(data)

    assert _connect(interpreter, server.port, how, tmp_path) == {
        "asked": 1, "done": 1, "failed": False,
    }  # fmt: skip
    with hostile.Carrier(replay) as carrier:
        said = _connect(interpreter, carrier.port, how, tmp_path)
    # A verdict on that certificate is right to accept it (mbedTLS asks before it looks at the signature, OpenSSL behind); what
    # proves that the peer holds the key fails, so nothing is confirmed.
    assert said.pop("asked") in (0, 1) and said == {"done": 0, "failed": True}
    assert not got or got[0] == _ALERT, (
        "neither the client's certificate nor a byte of the application"
    )
    assert len(got) <= 7
