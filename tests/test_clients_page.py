"""docs/clients.md: each block is ten lines at most, talks to an accepted server, and gives a stranger nothing."""

import re
import ssl
from pathlib import Path
from typing import Any

import pytest

import everpin
from client_programs import PROGRAMS, connect_proxy
from one_device import OneDevice
from tls_servers import Identities, Server, identities

PAGE = Path(__file__).resolve().parent.parent / "docs" / "clients.md"
# The heading that a block stands under, and the program whose server it talks to.
SERVERS = {
    "The policy": "urllib",
    "urllib3": "urllib3",
    "requests": "requests",
    "httpx": "httpx",
    "aiohttp": "aiohttp",
    "asyncio streams": "asyncio",
    "http.client": "http.client",
    "smtplib and others that start TLS": "smtplib",
    "paho-mqtt": "paho-mqtt",
    "Behind a proxy": "urllib3",
    "When a peer is refused": "urllib3",
}


def _blocks() -> dict[str, str]:
    found = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        blocks = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        if blocks:
            (found[section.splitlines()[0]],) = blocks
    return found


BLOCKS = _blocks()


@pytest.fixture(scope="module")
def made() -> Identities:
    return identities()


@pytest.fixture(scope="module")
def device(made: Identities, tmp_path_factory: pytest.TempPathFactory) -> OneDevice:
    folder = tmp_path_factory.mktemp("page")
    made.client.save(folder, "client")
    return OneDevice(folder, made.server)


def _here(text: str, device: OneDevice, port: int, proxied: bool) -> str:
    """Return a block with this test's names in the place of the page's."""
    certificates = device.path.parents[2]
    for old, new in (
        (r"/var/lib/everpin/gateway", str(device.path)),
        (r"/etc/everpin/client\.(pem|key)", rf"{certificates}/client.\1"),
        (r"https://meters\.example", f"https://localhost:{9 if proxied else port}"),
        (r"http://proxy\.example:3128", f"http://127.0.0.1:{port}"),
        (r'"(?:meters|mail|broker)\.example", \d+', f'"localhost", {port}'),
    ):
        text = re.sub(old, new, text)
    return text


def test_each_library_has_its_block() -> None:
    assert set(BLOCKS) == set(SERVERS)


@pytest.mark.parametrize("heading", BLOCKS)
def test_a_block_is_ten_lines(heading: str) -> None:
    assert sum(bool(line.strip()) for line in BLOCKS[heading].splitlines()) <= 10


@pytest.mark.parametrize("genuine", [True, False], ids=["accepted", "stranger"])
@pytest.mark.parametrize("heading", SERVERS)
def test_a_block_does_what_the_page_says(
    heading: str,
    genuine: bool,
    made: Identities,
    device: OneDevice,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = PROGRAMS[SERVERS[heading]]
    proxied = heading == "Behind a proxy"
    server = Server(
        made.server if genuine else made.other,
        made.client_ca,
        tmp_path,
        ssl.TLSVersion.TLSv1_3,
        None,
        program.answer,
        connect_proxy if proxied else program.first,
    )
    code = compile(_here(BLOCKS[heading], device, server.port, proxied), heading, "exec")
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        if genuine:
            exec(code, names)  # noqa: S102 - the page's own text
            assert server.application
            assert heading != "The policy" or server.client_certificates == 1
        elif heading == "When a peer is refused":
            exec(code, names)  # noqa: S102
            assert capsys.readouterr().out == "refused: localhost pin-mismatch\n"
        else:
            with pytest.raises(Exception) as caught:
                exec(code, names)  # noqa: S102
            assert everpin.refusal(caught.value) is not None, repr(caught.value)
        if not genuine:
            server.drain()
            assert server.application == [] and server.records_after_hello == []
    finally:
        names.clear()
        server.close()
