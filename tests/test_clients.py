"""The context in every client library: accepted peers are talked to, refused ones get a ClientHello and nothing else.

By the server's own log and the wire's, with TLS 1.2 and 1.3, with and without a client certificate, with all that a caller can set.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import everpin
from client_programs import PROGRAMS, PROXIED, SECRET, Use, connect_proxy
from test_tls_cpython import VERSIONS, Policy
from tls_servers import Server, identities

WAYS = ("plain", "with a certificate", "loose, with a certificate")


@pytest.fixture(scope="module")
def pki_set() -> Any:
    return identities()


@pytest.fixture(scope="module")
def files(pki_set: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("clients")
    cert, key = pki_set.client.save(folder, "client")
    (folder / "root.pem").write_bytes(pki_set.root.pem())
    return {"identity": (str(cert), str(key)), "ca_file": folder / "root.pem"}


@pytest.fixture(params=VERSIONS, ids=["tls1.2", "tls1.3"])
def version(request: pytest.FixtureRequest) -> Iterator[ssl.TLSVersion]:
    yield request.param


def _use(policy: Policy, port: int, way: str, files: dict[str, Any]) -> Use:
    return Use(
        policy,
        port,
        identity=files["identity"] if way != "plain" else None,
        loose=way.startswith("loose"),
        ca_file=files["ca_file"],
    )


def _refused(run: Any, use: Use) -> None:
    with pytest.raises(Exception) as caught:
        run(use)
    verdict = everpin.refusal(caught.value)
    assert verdict is not None, repr(caught.value)
    assert (verdict.name, verdict.host) == ("pin-mismatch", "localhost")


def _nothing_left(server: Server) -> None:
    server.drain()
    assert server.application == [] and server.client_certificates == 0
    assert server.records_after_hello == [], "nothing behind a ClientHello"
    assert SECRET.encode() not in b"".join(server.sent)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_client_talks_to_an_accepted_peer(
    name: str,
    way: str,
    version: ssl.TLSVersion,
    pki_set: Any,
    files: dict[str, Any],
    tmp_path: Path,
) -> None:
    program, policy = PROGRAMS[name], Policy(pki_set.server)
    server = Server(
        pki_set.server, pki_set.client_ca, tmp_path, version, None, program.answer, program.first
    )
    try:
        program.run(_use(policy, server.port, way, files))
        server.drain()
        assert SECRET.encode() in b"".join(server.application) or "websockets" in name
        assert server.application
        assert server.client_certificates == (0 if way == "plain" else len(policy.done))
        assert policy.done
    finally:
        server.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_client_gives_a_refused_peer_nothing(
    name: str,
    way: str,
    version: ssl.TLSVersion,
    pki_set: Any,
    files: dict[str, Any],
    tmp_path: Path,
) -> None:
    program, policy = PROGRAMS[name], Policy(pki_set.other)
    server = Server(
        pki_set.server, pki_set.client_ca, tmp_path, version, None, program.answer, program.first
    )
    try:
        _refused(program.run, _use(policy, server.port, way, files))
        _nothing_left(server)
        assert policy.asked and not policy.done
    finally:
        server.close()


@pytest.mark.parametrize("name", PROXIED)
def test_a_peer_behind_a_proxy_has_its_verdict(
    name: str, version: ssl.TLSVersion, pki_set: Any, files: dict[str, Any], tmp_path: Path
) -> None:
    program = PROGRAMS[name]
    for pinned, accepted in ((pki_set.other, False), (pki_set.server, True)):
        server = Server(
            pki_set.server,
            pki_set.client_ca,
            tmp_path,
            version,
            None,
            program.answer,
            connect_proxy,
        )
        use = _use(Policy(pinned), 9, "loose, with a certificate", files)
        use.proxy = f"http://127.0.0.1:{server.port}"
        try:
            if accepted:
                program.run(use)
                server.drain()
                assert SECRET.encode() in b"".join(server.application)
            else:
                _refused(program.run, use)
                _nothing_left(server)
        finally:
            server.close()
