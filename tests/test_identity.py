"""A device whose TLS identity is lost still gets its pinned session: it comes as a stranger."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

import device_folders
from device_folders import document, pin, spare
from documents import Fleet
from everpin.core.errors import PeerError
from everpin.ports.cpython.runner import CPythonPort
from everpin.ports.device import Device
from everpin_sim.hostile.carrier import CONNACK
from tls_servers import Identities, Server, identities


@pytest.fixture(scope="module")
def made() -> Identities:
    return identities()


@pytest.fixture
def server(made: Identities, tmp_path: Path) -> Iterator[Server]:
    up = Server(
        made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3, answer=lambda _: CONNACK
    )
    yield up
    up.close()


@pytest.mark.parametrize("lost", ["", "device.key", "client.pem"])
def test_what_is_lost_costs_the_certificate_and_not_the_connection(
    lost: str, made: Identities, server: Server, tmp_path: Path
) -> None:
    fleet = Fleet()
    pins = document(fleet, 1, "localhost", pin(made.server), spare())
    folder = device_folders.make(tmp_path / "device", fleet, pins, made.client)
    if lost:
        (folder / lost).unlink()
    device = Device(str(folder))
    # The server answers CONNECT and nothing else: what it says next is no MQTT, and the session ends after the handshake.
    with pytest.raises((OSError, PeerError)) as ended:
        CPythonPort(device).open(device.agent, "localhost", server.port)
    assert getattr(ended.value, "verdict", None) is None
    server.settle()
    assert b"MQTT" in b"".join(server.application)
    assert server.client_certificates == (0 if lost else 1)
    device.close()
