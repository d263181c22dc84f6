"""Existing MQTT programs gain everpin in ten lines, with one connection in all by the broker's own log."""

import difflib
import os
import re
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import mpy
from everpin.ports.cpython import cli
from everpin_sim import pki
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.ports import free
from tls_servers import identities

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# The example, and the client id that its program takes.
PROGRAMS = {"paho": "gateway", "chumicro": "lamp"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_change_is_ten_lines(name: str) -> None:
    texts = [
        (EXAMPLES / f"{name}_{when}.py").read_text().splitlines() for when in ("before", "after")
    ]
    changed = [
        line
        for line in difflib.ndiff(*texts)
        if line[:2] == "+ " and line[2:].strip() and not line.startswith('+ """')
    ]
    assert 0 < len(changed) <= 10, changed


def _command(name: str) -> tuple[list[str], dict[str, str]]:
    """Return how an example is started on its interpreter."""
    program = str(EXAMPLES / f"{name}_after.py")
    if name == "paho":
        return [sys.executable, program], {}
    micropython, why = mpy.micropython()
    if micropython is None:
        pytest.skip(why)
    # chumicro's packages are pure Python of both dialects, so MicroPython takes them from where pip put them.
    path = f"{mpy.AGENT}:{sysconfig.get_path('purelib')}:.frozen"
    return [micropython, "-X", "heapsize=1M", program], {"MICROPYPATH": path}


@pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
@pytest.mark.parametrize("name", PROGRAMS)
def test_one_connection_carries_the_applications_messages_and_everpins(
    name: str, tmp_path: Path
) -> None:
    program, environment = _command(name)
    client = PROGRAMS[name]
    made = identities()
    main, rescue, operator = free(3)
    folder, where = tmp_path / "acme", ("--fleet", str(tmp_path / "acme"))
    cert, _ = made.server.save(tmp_path, "server")
    cli.main(
        [
            "init", str(folder), "--fleet", "acme", "--channel", "meters",
            "--broker", f"127.0.0.1:{main}", "--rescue", f"mqtts://127.0.0.1:{rescue}",
        ]
    )  # fmt: skip
    cli.main(["key", *where, "new", "ops", "--no-passphrase"])
    cli.main(["pin", *where, "add", "127.0.0.1", "--from", str(cert)])
    for key in ("two", "three"):
        (tmp_path / key).write_bytes(pki.key_pem(pki.new_key()))
    cli.main(["pin", *where, "add", "127.0.0.1", "--from", str(tmp_path / "two")])
    cli.main(["sign", *where, "--yes"])
    assert cli.main(["provision", *where, client]) == 0
    (tmp_path / "client-ca.pem").write_bytes(made.client_ca.pem())
    broker = Broker(
        "mosquitto", tmp_path, (main, rescue, operator), {"op": "x"}, tmp_path / "client-ca.pem"
    )
    broker.start(made.server)
    # The application logs in as nobody: that listener is the one for anonymous clients.
    command = [*program, "127.0.0.1", str(rescue), str(folder / "devices" / client)]
    log = tmp_path / "program.log"
    process = subprocess.Popen(
        command,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        assert _comes(log, "connected"), log.read_text()
        cli.main(["pin", *where, "add", "127.0.0.1", "--from", str(tmp_path / "three")])
        cli.main(["sign", *where, "--yes"])
        assert (
            cli.main(["publish", *where, "--broker", f"127.0.0.1:{operator}", "--insecure-plain"])
            == 0
        )
        for word in ("accepted", "confirmed", "report-sent"):
            assert _comes(log, word), log.read_text()
        # The report's own session is up and the application goes on.
        assert _comes(tmp_path / "broker.log", f"everpin/1/acme/report/{client}")
    finally:
        process.terminate()
        process.wait()
        broker.stop()
    said = (tmp_path / "broker.log").read_text()
    # One client, and never two of its connections at a time: it reconnects once, to confirm.
    steps = re.findall(
        rf"New client connected from \S+ as {client}|(?:Client {client}) (?:closed|disconnected|.*terminat)|Socket error on client {client}",
        said,
    )
    opened = 0
    for step in steps:
        opened += 1 if step.startswith("New") else -1
        assert opened in (0, 1), steps
    assert sum(step.startswith("New") for step in steps) == 2, steps
    assert f"telemetry/{client}" in said


def _comes(log: Path, word: str, timeout_s: float = 20.0) -> bool:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if word in log.read_text():
            return True
        time.sleep(0.1)
    return False
