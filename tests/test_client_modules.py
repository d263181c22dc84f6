"""What is requests' and aiohttp's own: the adapter, the connector, and the verdict behind any library's error."""

import asyncio
import pickle
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import urllib3

import everpin
import everpin.aiohttp
import everpin.requests
from client_programs import PATH, Use, http_answer, session_of_requests
from test_tls_cpython import Policy
from tls_servers import Server, identities


@pytest.fixture(scope="module")
def pki_set() -> Any:
    return identities()


@pytest.fixture
def server(pki_set: Any, tmp_path: Path) -> Iterator[Server]:
    made = Server(
        pki_set.server, pki_set.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3, answer=http_answer
    )
    yield made
    made.close()


# ---- requests -----------------------------------------------------------------------------------------------------------


def test_requests_own_context_does_not_take_the_place_of_the_adapters(
    server: Server, pki_set: Any
) -> None:
    # As requests 2.32.0 to 2.32.2 did for each request with verify=True.
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    url = f"https://localhost:{server.port}{PATH}"
    with session_of_requests(Use(Policy(pki_set.other), server.port)) as session:
        adapter: Any = session.get_adapter(url)
        adapter.poolmanager.connection_pool_kw["ssl_context"] = stranger
        with pytest.raises(requests.exceptions.SSLError) as caught:
            session.get(url, timeout=10)
    assert everpin.refusal(caught.value) is not None
    server.drain()
    assert server.application == []


def test_a_certificate_of_one_request_stays_with_its_host(
    server: Server, pki_set: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "client"
    folder.mkdir()
    cert, key = pki_set.client.save(folder, "client")
    policy = Policy(pki_set.server)
    with session_of_requests(Use(policy, server.port)) as session:
        session.get(
            f"https://localhost:{server.port}{PATH}", cert=(str(cert), str(key)), timeout=10
        )
        policy.host = "127.0.0.1"
        policy.generation += 1
        session.get(f"https://127.0.0.1:{server.port}{PATH}", timeout=10)
    server.drain()
    assert (
        server.client_certificates == 1 and b"".join(server.application).count(PATH.encode()) == 2
    )


def test_an_adapter_refuses_urls_without_tls() -> None:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", everpin.requests.Adapter(Policy()))
    with pytest.raises(requests.exceptions.InvalidSchema, match="no TLS, no verdict"):
        session.get("http://localhost:9/")
    with pytest.raises(requests.exceptions.InvalidSchema, match="no TLS, no verdict"):
        session.get("http://localhost:9/", proxies={"http": "http://localhost:9"})


def test_an_adapter_is_not_copied_to_another_process() -> None:
    with pytest.raises(TypeError, match="mount a new one"):
        pickle.dumps(everpin.requests.Adapter(Policy()))


@pytest.mark.parametrize("name", ["requests.Adapter", "aiohttp.Connector"])
def test_everpin_imports_a_library_only_for_what_is_its(name: str) -> None:
    library = name.split(".", maxsplit=1)[0]
    code = (
        f"import sys, everpin; everpin.ssl_context; everpin.refusal; assert '{library}' not in sys.modules;"
        f"everpin.{name}; assert '{library}' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("library", ["requests", "aiohttp"])
def test_without_a_library_the_error_says_what_to_install(library: str) -> None:
    code = f"import sys; sys.modules['{library}'] = None; import everpin.{library}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"everpin.{library} needs {library}: pip install '{library}>=" in done.stderr


# ---- aiohttp ------------------------------------------------------------------------------------------------------------


def _with_connector(policy: Policy, get: Callable[[aiohttp.ClientSession], Any]) -> None:
    async def run() -> None:
        connector = everpin.aiohttp.Connector(policy)
        async with aiohttp.ClientSession(connector=connector) as session:
            await get(session)

    asyncio.run(run())


@pytest.mark.parametrize(
    "own", [False, aiohttp.Fingerprint(b"\0" * 32), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)]
)
def test_a_request_s_own_ssl_does_not_take_the_place_of_the_connectors(
    own: Any, server: Server, pki_set: Any
) -> None:
    for pinned in (pki_set.server, pki_set.other):
        with pytest.raises(ValueError, match="take the place of the connector's"):
            _with_connector(
                Policy(pinned), lambda s: s.get(f"https://localhost:{server.port}{PATH}", ssl=own)
            )
    server.drain()
    assert server.records_after_hello == [] and not b"".join(server.sent)


def test_a_connector_refuses_urls_without_tls() -> None:
    with pytest.raises(aiohttp.InvalidUrlClientError, match="no TLS, no verdict"):
        _with_connector(Policy(), lambda s: s.get("http://localhost:9/"))


# ---- refusal ------------------------------------------------------------------------------------------------------------


def test_refusal_finds_none_in_other_errors_and_ends_on_a_ring() -> None:
    assert everpin.refusal(OSError(5, "x")) is None
    first, second = ValueError("a"), urllib3.exceptions.HTTPError("b")
    first.__cause__, second.__cause__ = second, first
    assert everpin.refusal(first) is None
