"""The matrix (tests/matrix.py): the hand's cells against the rule, how many there are, and a pairwise set over real TLS."""

import json
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import matrix
import matrix_data
import matrix_steps
import mpy
from everpin.ports.cpython.tls import PinRefused, ssl_context
from tls_servers import Server, identities

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# Ways to connect. "resumed" is the attempt: a stock client's session is offered, and then a full handshake is made.
CPYTHON = ("cpython 1.2", "cpython 1.3", "cpython resumed")
WAYS = (*CPYTHON, "micropython 1.2")
Cell = tuple[str, str, int]


def _rows() -> list[tuple[Cell, str]]:
    """Return (cell, way) with every pair of kind, state, usage and way."""
    found = [
        ((str(row["kind"]), str(row["state"]), int(str(row["usage"]))), str(row["way"]))
        for row in matrix.pairwise(
            {
                "kind": tuple(matrix.KINDS),
                "state": matrix.STATES,
                "usage": matrix.USAGES,
                "way": WAYS,
            }
        )
    ]
    # Without an entry there is no usage.
    empty = matrix.pairwise({"kind": tuple(matrix.KINDS), "state": matrix.EMPTY, "way": WAYS})
    found += [((str(row["kind"]), str(row["state"]), 0), str(row["way"])) for row in empty]
    return found


ROWS = _rows()


def test_the_rule_says_what_the_hand_says() -> None:
    assert len(matrix.BY_HAND) == len({cell[:3] for cell in matrix.BY_HAND}) == 60
    for kind, state, usage, wanted in matrix.BY_HAND:
        assert (kind, state, usage) in matrix.cells()
        assert matrix.rule(kind, state, usage) == wanted, (kind, state, usage)


def test_the_set_over_tls_holds_every_pair() -> None:
    for one, values in (
        ("kind", matrix.KINDS),
        ("state", matrix.STATES),
        ("usage", matrix.USAGES),
    ):
        index = ("kind", "state", "usage").index(one)
        for value in values:
            assert {way for cell, way in ROWS if cell[index] == value} == set(WAYS)
    pairs = {(cell[0], cell[1]) for cell, _ in ROWS}
    assert pairs == {
        (kind, state) for kind in matrix.KINDS for state in matrix.STATES + matrix.EMPTY
    }


def test_how_many_cells_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    each = len(matrix.cells())
    outcomes = {matrix.rule(*cell) for cell in matrix.cells()}
    assert each == 13 * 10 * 4 + 13 * 2
    assert outcomes == {
        "ok", "+trust-store", "+unlisted", "closed", "dates", "forbidden", "no-path", "pin-mismatch", "unlisted", "wrong-name",
    }  # fmt: skip
    with capsys.disabled():
        print(
            f"\nmatrix: {each} cells, each on two interpreters, {len(matrix.BY_HAND)} of them by hand;"
            f" {len(ROWS)} of {each * len(WAYS)} over TLS, every pair of values among them"
        )
        for (runtime, way), why in matrix.UNREACHABLE.items():
            print(f"matrix: no cells for {runtime}, {way}: {why}")


# ---- over TLS -------------------------------------------------------------------------------------------------------


class _Served:
    """A chain with its key as `tls_servers.Server` takes an identity."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain = [x509.load_der_x509_certificate(item) for item in matrix_steps.chain(self._kind)]
        cert.write_bytes(b"".join(item.public_bytes(Encoding.PEM) for item in chain))
        made = matrix_data.KEYS[matrix.KINDS[self._kind].leaf]
        key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cert, key


Servers = Callable[[str, str], Server]


@pytest.fixture(scope="module")
def pki_set() -> Any:
    return identities()


@pytest.fixture(scope="module")
def servers(pki_set: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    made: dict[tuple[str, str], Server] = {}

    def get(kind: str, version: str) -> Server:
        if (kind, version) not in made:
            served: Any = _Served(kind)
            folder = tmp_path_factory.mktemp("served")
            made[kind, version] = Server(served, pki_set.client_ca, folder, VERSIONS[version])
        server = made[kind, version]
        server.application.clear()
        server.client_certificates = 0
        return server

    yield get
    for server in made.values():
        server.close()


def _tcp(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 10)


def _session(server: Server, where: str) -> Any:
    """Return a session that the server would resume, had by a client that checks nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(_tcp(server), server_hostname=where) as tls:
        tls.sendall(b"x")
        assert tls.recv(10) == b"X"
        return tls.session


def _shake(context: ssl.SSLContext, server: Server, where: str) -> bool:
    try:
        with context.wrap_socket(_tcp(server), server_hostname=where) as tls:
            assert tls.session_reused is False
            tls.sendall(b"hello")
            assert tls.recv(100) == b"HELLO"
    except PinRefused:
        return False
    return True


@pytest.mark.parametrize("way", CPYTHON)
def test_over_tls_on_cpython(
    way: str, servers: Servers, pki_set: Any, tmp_path: Path, device_data: Path
) -> None:
    cert, key = pki_set.client.save(tmp_path, "client")
    rows = [cell for cell, which in ROWS if which == way]
    assert rows
    for cell in rows:
        kind, where = cell[0], matrix.where(*cell)
        server = servers(kind, way.split()[1] if "." in way else "1.2")
        device = matrix_steps.device(matrix.phase(*cell))
        judge, verdicts = device.verdict, []

        def verdict(*asked: Any, judge: Any = judge, verdicts: list[Any] = verdicts) -> Any:
            verdicts.append(judge(*asked))
            return verdicts[-1]

        device.verdict = verdict
        context = ssl_context(device, str(cert), str(key))
        if way.endswith("resumed"):
            session = _session(server, where)
            server.drain()
            server.application.clear()
            with _tcp(server) as sock, pytest.raises(ValueError, match="resumes no sessions"):
                context.wrap_socket(sock, server_hostname=where, session=session)
        wanted = matrix.rule(*cell, openssl=True)
        accepted = wanted == "ok" or wanted.startswith("+")
        assert _shake(context, server, where) == accepted, cell
        # A second verdict is asked for when the handshake has confirmed the entry.
        assert {matrix_steps.said(found) for found in verdicts} == {wanted}, cell
        server.drain()
        assert server.application == ([b"hello"] if accepted else []), cell
        assert server.client_certificates == accepted, cell


_SCRIPT = """
import gc, json, os, socket
import matrix_steps
from everpin.ports.micropython import tls

def read(name):
    with open(os.getenv("MATRIX_FOLDER") + "/" + name, "rb") as file:
        return file.read()

cert, key = read("client.der"), read("client.key.der")
for phase, where, port in json.loads(read("rows.json")):
    gc.collect()
    device = matrix_steps.device(phase)
    found = []
    completed = device.completed
    device.completed = lambda verdict: (found.append(verdict), completed(verdict))
    sock = socket.socket()
    sock.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    answer = ""
    try:
        stream = tls.wrap(sock, device, where, cert, key)
        stream.write(b"hello")
        answer = stream.read(5).decode()
        stream.close()
        said = matrix_steps.said(found[0])
    except tls.PinRefused as refusal:
        said = refusal.verdict.name
    except OSError as error:
        said = "handshake: %s" % error
    print(json.dumps([said, answer]))
"""


@pytest.fixture(scope="module")
def micropython(
    tmp_path_factory: pytest.TempPathFactory, pki_set: Any, device_data: Path
) -> Callable[[list[tuple[str, str, int]]], list[list[str]]]:
    """Return what plays rows of (phase, host, port) in one process, and returns [outcome, answer] for each."""
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    built, folder = tmp_path_factory.mktemp("mpy"), tmp_path_factory.mktemp("rows")
    mpy.build(built)
    client = pki_set.client
    (folder / "client.der").write_bytes(client.certificate.public_bytes(Encoding.DER))
    (folder / "client.key.der").write_bytes(
        client.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
    env = {
        **os.environ,
        "MICROPYPATH": f"{built}:.frozen",
        "MATRIX_FOLDER": str(folder),
        "EVERPIN_TEST_DATA": str(device_data),
    }

    def play(rows: list[tuple[str, str, int]]) -> list[list[str]]:
        (folder / "rows.json").write_text(json.dumps(rows))
        done = subprocess.run(
            [program, "-X", "heapsize=1M", "-c", _SCRIPT],
            env=env, cwd=built, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr or done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()]

    return play


def test_over_tls_on_micropython(servers: Servers, micropython: Any) -> None:
    rows = [cell for cell, way in ROWS if way == "micropython 1.2"]
    for kind in matrix.KINDS:
        cells = [cell for cell in rows if cell[0] == kind]
        server = servers(kind, "1.2")
        said = micropython(
            [(matrix.phase(*cell), matrix.where(*cell), server.port) for cell in cells]
        )
        wanted = [matrix.rule(*cell) for cell in cells]
        assert [one for one, _ in said] == wanted, cells
        accepted = [one == "ok" or one.startswith("+") for one in wanted]
        assert [answer == "HELLO" for _, answer in said] == accepted
        server.drain()
        assert server.application == [b"hello"] * sum(accepted)
        assert server.client_certificates == sum(accepted)


def test_micropython_has_no_tls_1_3_and_no_sessions(servers: Servers, micropython: Any) -> None:
    # If one day it has, its cells are to be reached.
    server = servers("p256", "1.3")
    ((said, answer),) = micropython([("current-own-3", "current-own-3.m.example", server.port)])
    assert said.startswith("handshake: ") and answer == ""
    program, _ = mpy.micropython()
    done = subprocess.run(
        [str(program), "-c", "import tls; print([name for name in dir(tls) + dir(tls.SSLContext) if 'session' in name.lower()])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
