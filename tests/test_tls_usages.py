"""Usages 0 to 2 over real TLS on both runtimes: the runtime's own check, verified paths, and nothing before a verdict."""

import json
import os
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import mpy
import path_data
from documents import GAMMA, T0, Fleet, host
from everpin.core import accept
from everpin.core.trust import Trust
from everpin.ports.cpython.gate import PinRefused
from everpin.ports.cpython.readonly import ReadOnly
from everpin.ports.cpython.tls import ssl_context
from tls_servers import Server, identities

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
CHAINS = path_data.chains()
KEYS = {
    "forged": "thief",
    "forged-with-root": "thief",
    "new-key": "new leaf",
    "inspected": "proxy",
    "stranger": "stranger",
}
# Policy, chain, whether a device takes the peer on CPython, and how the refusal is called.
ROWS = [
    ("ta", "good", "ok"),
    ("ta", "superfluous", "ok"),
    ("ta", "reordered", "ok"),
    ("ta", "expired", "ok"),
    ("ta", "forged", "no-path"),
    ("ta", "forged-with-root", "no-path"),
    ("ta", "forged-same-key", "no-path"),
    ("ta", "sub-ca-that-is-none", "no-path"),
    ("ta", "wrong-name", "wrong-name"),
    ("ta", "missing", "no-path"),
    ("ta-middle", "good", "ok"),
    ("ta-middle", "forged", "no-path"),
    ("ee", "good", "ok"),
    ("ee", "new-key", "pin-mismatch"),
    ("ee", "self-signed", "pkix"),
    ("ee", "forged-same-key", "pkix"),
    ("ee", "wrong-name", "pkix"),
    ("ca", "good", "ok"),
    ("ca", "new-key", "ok"),
    ("ca", "forged", "pkix"),
    ("ca", "expired", "ok"),  # no clock that anybody believes
    ("ca-other", "good", "pin-mismatch"),
    ("ca-report-only", "good", "ok"),
    ("dane-report-only", "good", "ok"),
    ("dane-report-only", "forged", "pin-mismatch"),
    ("unlisted", "good", "ok"),
    ("unlisted", "self-signed", "pkix"),
]  # fmt: skip


def _trust(policy: str) -> Trust:
    made = path_data.policies()[policy]
    fleet = Fleet()
    broker = host("broker.example", GAMMA, bytes(32))
    hosts = [broker] if made["entry"] is None else [broker, made["entry"]]
    pins = fleet.pins(1, hosts, body=made["body"] | {9: ["rtc"]})
    return accept.first(fleet.name, fleet.channel, fleet.root(), pins, T0)


class _Served:
    """A chain with its key as `tls_servers.Server` takes an identity."""

    def __init__(self, name: str) -> None:
        self._name = name

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(
            b"".join(
                x509.load_der_x509_certificate(item).public_bytes(Encoding.PEM)
                for item in CHAINS[self._name]
            )
        )
        made = path_data.key(KEYS.get(self._name, "leaf"))
        key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cert, key


def served_by(
    chain: str,
    folder: Path,
    version: ssl.TLSVersion,
    answer: Callable[[bytes], bytes] = bytes.upper,
) -> Server:
    """Return a server that serves one of `path_data.chains()`."""
    served: Any = _Served(chain)
    return Server(served, identities().client_ca, folder, version, answer=answer)


def _server(chain: str, folder: Path, version: ssl.TLSVersion) -> tuple[Server, Any]:
    found = identities()
    served: Any = _Served(chain)
    return Server(served, found.client_ca, folder, version), found


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize(("policy", "chain", "wanted"), ROWS, ids=str)
def test_on_cpython(
    policy: str, chain: str, wanted: str, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    server, found = _server(chain, tmp_path, version)
    cert, key = found.client.save(tmp_path, "client")
    judge = ReadOnly([_trust(policy)])
    context = ssl_context(judge, str(cert), str(key))
    raw = socket.create_connection(("127.0.0.1", server.port), 10)
    try:
        with context.wrap_socket(raw, server_hostname=path_data.HOST) as tls:
            tls.sendall(b"hello")
            assert tls.recv(100) == b"HELLO"
        said = "ok"
    except PinRefused as refusal:
        said = refusal.verdict.name
    assert said == wanted
    assert server.application == ([b"hello"] if wanted == "ok" else [])
    assert server.client_certificates == (1 if wanted == "ok" else 0)


def test_an_anchor_of_an_earlier_document_is_no_root_of_the_platforms(tmp_path: Path) -> None:
    server, _ = _server("good", tmp_path, ssl.TLSVersion.TLSv1_3)
    judge = ReadOnly([_trust("ca")])
    context = ssl_context(judge)

    def visit() -> str:
        raw = socket.create_connection(("127.0.0.1", server.port), 10)
        try:
            context.wrap_socket(raw, server_hostname=path_data.HOST).close()
        except PinRefused as refusal:
            return refusal.verdict.name
        return "ok"

    raw = socket.create_connection(("127.0.0.1", server.port), 10)
    live = context.wrap_socket(raw, server_hostname=path_data.HOST)
    assert visit() == "ok"
    # The same pins, and the anchor is gone: OpenSSL's context still has it, the verdict has not.
    judge._trusts[0].pins.anchors = []
    assert visit() == "pkix"
    judge.generation += 1
    with live, pytest.raises(PinRefused):
        live.sendall(b"hello")
    assert not server.application


_SCRIPT = """
import json, os, socket
from everpin.core import accept, verdict
from everpin.ports.micropython import tls

def read(name):
    with open(os.getenv("TLS_FOLDER") + "/" + name, "rb") as file:
        return file.read()

class Policy:
    generation = 1
    def __init__(self):
        self.trust = accept.first("acme", "meters", read("root.cbor"), read("pins.cbor"), 0)
        self.found = None
    def platform(self, host):
        return verdict.platform_modes(self.trust, host)[0]
    def clock(self):
        now = os.getenv("TLS_CLOCK")
        return int(now) if now else None
    def anchors(self):
        return self.trust.pins.anchors
    def verdict(self, host, chain, platform=None, store=None):
        evidence = verdict.Evidence(self.clock(), platform, store)
        self.found = verdict.decide(self.trust, host, chain, evidence)
        self.found.generation = 1
        return self.found
    def completed(self, found):
        pass

policy = Policy()
sock = socket.socket()
sock.connect(socket.getaddrinfo("127.0.0.1", int(os.getenv("TLS_PORT")))[0][-1])
answer = ""
try:
    stream = tls.wrap(sock, policy, "api.example", read("client.der"), read("client.key.der"))
    stream.write(b"hello")
    answer = stream.read(5).decode()
    said = "ok"
except tls.PinRefused as refusal:
    said = refusal.verdict.name
print(json.dumps([said, answer]))
"""
# Where MicroPython says otherwise: mbedTLS shows the one chain that it built, and without a clock its own check is not asked.
ON_MICROPYTHON = {
    # It takes the first served issuer whose key fits, which a stranger's root has signed.
    ("ta", "superfluous"): "no-path",
    ("ee", "self-signed"): "no-path",
    ("ee", "forged-same-key"): "no-path",
    ("ee", "wrong-name"): "wrong-name",
    ("ca", "forged"): "no-path",
    ("unlisted", "self-signed"): "no-path",
}


def _micropython(
    policy: str, chain: str, built: Path, folder: Path, clock: int | None
) -> tuple[list[str], Server]:
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    server, found = _server(chain, folder, ssl.TLSVersion.TLSv1_2)
    made, fleet = path_data.policies()[policy], Fleet()
    broker = host("broker.example", GAMMA, bytes(32))
    hosts = [broker] if made["entry"] is None else [broker, made["entry"]]
    (folder / "root.cbor").write_bytes(fleet.root())
    (folder / "pins.cbor").write_bytes(fleet.pins(1, hosts, body=made["body"]))
    client = found.client
    (folder / "client.der").write_bytes(client.certificate.public_bytes(Encoding.DER))
    (folder / "client.key.der").write_bytes(
        client.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
    env = {
        **os.environ,
        "MICROPYPATH": f"{built}:.frozen",
        "TLS_FOLDER": str(folder),
        "TLS_PORT": str(server.port),
        "TLS_CLOCK": "" if clock is None else str(clock),
    }
    done = subprocess.run(
        [program, "-c", _SCRIPT], env=env, cwd=built, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout
    return json.loads(done.stdout), server


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("mpy")
    mpy.build(target)
    return target


@pytest.mark.parametrize(("policy", "chain", "wanted"), ROWS, ids=str)
def test_on_micropython(policy: str, chain: str, wanted: str, built: Path, tmp_path: Path) -> None:
    said, server = _micropython(policy, chain, built, tmp_path, None)
    wanted = ON_MICROPYTHON.get((policy, chain), wanted)
    assert said == [wanted, "HELLO" if wanted == "ok" else ""]
    assert server.application == ([b"hello"] if wanted == "ok" else [])
    assert server.client_certificates == (1 if wanted == "ok" else 0)


@pytest.mark.parametrize(
    ("policy", "chain", "wanted"),
    [("ee", "good", "ok"), ("ca", "good", "ok"), ("ca", "new-key", "ok"), ("ca-other", "good", "pin-mismatch")],
)  # fmt: skip
def test_mbedtls_judges_as_well_where_a_clock_may_be_believed(
    policy: str, chain: str, wanted: str, built: Path, tmp_path: Path
) -> None:
    said, _ = _micropython(policy, chain, built, tmp_path, T0 + 5000)
    assert said[0] == wanted


def test_mbedtls_refuses_by_the_machines_clock_what_ours_accepts(
    built: Path, tmp_path: Path
) -> None:
    # An hour of September 2026: valid by the clock that the policy names, over or still to come by this machine's.
    said, server = _micropython("ee", "expired", built, tmp_path, T0 - 3600)
    assert said == ["pkix", ""]
    assert server.application == [] and server.client_certificates == 0
