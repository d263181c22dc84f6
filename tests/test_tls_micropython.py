"""TLS on real MicroPython: the verdict is inside the handshake, before the client's certificate and the first byte."""

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mpy
from everpin.core import spki
from everpin_sim import pki
from tls_servers import Server, identities

_DER = pki.serialization.Encoding.DER

# A policy that pins one key, and the calls of one test; its result is a JSON line.
_SCRIPT = """
import json, os, socket
from everpin.core import errors, spki
from everpin.core.verdict import Verdict
from everpin.ports.micropython import tls
from binascii import unhexlify

class Policy:
    generation = 1
    done = 0
    def __init__(self, pin):
        self.pin = unhexlify(pin)
    def platform(self, host):
        return False
    def verdict(self, host, chain, platform=None, store=None):
        pin = spki.pin(chain[0]) if chain else None
        found = Verdict(0 if pin == self.pin else errors.PIN_MISMATCH, host, host, 3, pin, "newest")
        found.generation = self.generation
        return found
    def completed(self, verdict):
        self.done += 1

def read(name):
    path = os.getenv("TLS_FOLDER") + "/" + name
    with open(path, "rb") as file:
        return file.read()

policy = Policy(os.getenv("TLS_PIN"))
port = int(os.getenv("TLS_PORT"))
said = {}
try:
    CALLS
except tls.PinRefused as refused:
    said["refused"] = refused.verdict.name
except OSError as error:
    said["error"] = error.args[0]
said["done"] = policy.done
print(json.dumps(said))
"""

_BLOCKING = """
    sock = tls.connect(policy, "localhost", port, 5, read("client.crt.der"), read("client.key.der"))
    sock.write(b"hello")
    said["read"] = sock.read(5).decode()
    sock.close()
"""
_ASYNCIO = """
    import asyncio
    async def talk():
        reader, writer = await tls.open_connection(policy, "localhost", port, 5)
        writer.write(b"hello")
        await writer.drain()
        said["read"] = (await reader.readexactly(5)).decode()
    asyncio.run(talk())
"""
_CHANGED = """
    sock = tls.connect(policy, "localhost", port, 5)
    sock.write(b"hello")
    sock.read(5)
    policy.pin = b""
    policy.generation += 1
    sock.write(b"secret")
"""


@pytest.fixture
def made(tmp_path: Path) -> Any:
    found = identities()
    (tmp_path / "client.crt.der").write_bytes(found.client.certificate.public_bytes(_DER))
    key = found.client.key.private_bytes(
        _DER, pki.serialization.PrivateFormat.TraditionalOpenSSL, pki.serialization.NoEncryption()
    )
    (tmp_path / "client.key.der").write_bytes(key)
    return found


@pytest.fixture
def server(made: Any, tmp_path: Path) -> Iterator[Server]:
    running = Server(made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_2)
    yield running
    running.close()


def _run(calls: str, server: Server, pinned: pki.Identity, folder: Path) -> dict[str, Any]:
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    env = {
        **os.environ,
        "MICROPYPATH": f"{mpy.AGENT}:.frozen",
        "TLS_PIN": spki.pin(pinned.certificate.public_bytes(_DER)).hex(),
        "TLS_PORT": str(server.port),
        "TLS_FOLDER": str(folder),
    }
    script = folder / "script.py"
    script.write_text(_SCRIPT.replace("    CALLS\n", calls.lstrip("\n")))
    done = subprocess.run(
        [program, str(script)],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    server.settle()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_pinned_peer_is_talked_to_with_the_client_certificate(
    made: Any, server: Server, tmp_path: Path
) -> None:
    assert _run(_BLOCKING, server, made.server, tmp_path) == {"read": "HELLO", "done": 1}
    assert server.client_certificates == 1


@pytest.mark.parametrize("calls", [_BLOCKING, _ASYNCIO], ids=["blocking", "asyncio"])
def test_a_refused_peer_gets_neither_certificate_nor_byte(
    made: Any, server: Server, tmp_path: Path, calls: str
) -> None:
    assert _run(calls, server, made.other, tmp_path) == {"refused": "pin-mismatch", "done": 0}
    assert server.application == [] and server.client_certificates == 0
    # mbedTLS says good-bye with an alert (21); nothing else leaves.
    assert set(server.records_after_hello) <= {21}


def test_asyncio_streams_have_their_verdict_before_they_are_returned(
    made: Any, server: Server, tmp_path: Path
) -> None:
    assert _run(_ASYNCIO, server, made.server, tmp_path) == {"read": "HELLO", "done": 1}


def test_a_forged_leaf_beside_the_pinned_ca_is_refused(made: Any, tmp_path: Path) -> None:
    server = Server(made.forged, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_2)
    try:
        assert _run(_BLOCKING, server, made.root, tmp_path) == {
            "refused": "pin-mismatch",
            "done": 0,
        }
    finally:
        server.close()


@pytest.mark.parametrize("more", range(5, 9))
def test_a_long_chain_does_not_push_its_leaf_out_of_what_is_judged(
    more: int, made: Any, tmp_path: Path
) -> None:
    # mbedTLS chains by name where it need not verify: behind a thief's leaf the genuine certificate, a self-signed one, and strangers
    # of its name above, until the genuine one stands where a bounded list has its first place.
    until = made.root.certificate.not_valid_after_utc
    strangers = tuple(pki.root("Root", until).certificate for _ in range(more))
    chain = (made.root.certificate, *strangers)
    thief = pki.Identity(made.forged.certificate, made.forged.key, chain)
    server = Server(thief, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_2)
    try:
        said = _run(_BLOCKING, server, made.root, tmp_path)
        # Ten certificates are more than mbedTLS itself takes (MBEDTLS_ERR_X509_FATAL_ERROR).
        wanted = {"refused": "pin-mismatch"} if more < 8 else {"error": -0x3000}
        assert said == wanted | {"done": 0}
        assert server.application == [] and server.client_certificates == 0
    finally:
        server.close()


def test_a_policy_that_changes_under_a_live_session_ends_it_before_the_next_byte(
    made: Any, server: Server, tmp_path: Path
) -> None:
    assert _run(_CHANGED, server, made.server, tmp_path)["refused"] == "pin-mismatch"
    assert server.application == [b"hello"]


def test_a_server_of_tls_1_3_alone_is_an_error_and_no_hang(made: Any, tmp_path: Path) -> None:
    # MicroPython's firmware of 2026 speaks TLS 1.2 only; this line turns when that does.
    server = Server(made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3)
    try:
        assert _run(_BLOCKING, server, made.server, tmp_path) == {"error": -30592, "done": 0}
    finally:
        server.close()
