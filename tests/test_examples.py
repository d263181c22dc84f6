"""An existing paho program gains everpin in ten lines, with one connection in all by the broker's own log."""

import difflib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from everpin.ports.cpython import cli
from everpin_sim import pki
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.ports import free
from tls_servers import identities

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_the_change_is_ten_lines() -> None:
    texts = [
        (EXAMPLES / name).read_text().splitlines() for name in ("paho_before.py", "paho_after.py")
    ]
    changed = [
        line for line in difflib.ndiff(*texts) if line[:2] == "+ " and not line.startswith('+ """')
    ]
    assert 0 < len(changed) <= 10, changed


@pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
def test_one_connection_carries_the_applications_messages_and_everpins(tmp_path: Path) -> None:
    made = identities()
    main, rescue, operator = free(3)
    folder, where = tmp_path / "acme", ("--fleet", str(tmp_path / "acme"))
    cert, _ = made.server.save(tmp_path, "server")
    cli.main(
        [
            "init",
            str(folder),
            "--fleet",
            "acme",
            "--channel",
            "meters",
            "--broker",
            f"localhost:{main}",
            "--rescue",
            f"mqtts://localhost:{rescue}",
        ]
    )
    cli.main(["key", *where, "new", "ops", "--no-passphrase"])
    cli.main(["pin", *where, "add", "localhost", "--from", str(cert)])
    for name in ("two", "three"):
        (tmp_path / name).write_bytes(pki.key_pem(pki.new_key()))
    cli.main(["pin", *where, "add", "localhost", "--from", str(tmp_path / "two")])
    cli.main(["sign", *where, "--yes"])
    assert cli.main(["provision", *where, "gateway"]) == 0
    (tmp_path / "client-ca.pem").write_bytes(made.client_ca.pem())
    broker = Broker(
        "mosquitto", tmp_path, (main, rescue, operator), {"op": "x"}, tmp_path / "client-ca.pem"
    )
    broker.start(made.server)
    # The application logs in as nobody: that listener is the one for anonymous clients.
    command = [
        sys.executable,
        str(EXAMPLES / "paho_after.py"),
        "localhost",
        str(rescue),
        str(folder / "devices" / "gateway"),
    ]
    log = tmp_path / "program.log"
    process = subprocess.Popen(
        command, stdout=log.open("w"), env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert _comes(log, "connected")
        cli.main(["pin", *where, "add", "localhost", "--from", str(tmp_path / "three")])
        cli.main(["sign", *where, "--yes"])
        assert (
            cli.main(["publish", *where, "--broker", f"localhost:{operator}", "--insecure-plain"])
            == 0
        )
        assert _comes(log, "accepted") and _comes(log, "confirmed") and _comes(log, "report-sent")
    finally:
        process.terminate()
        process.wait()
        broker.stop()
    said = (tmp_path / "broker.log").read_text()
    # One client, and never two of its connections at a time: it reconnects once, to confirm.
    steps = re.findall(
        r"New client connected from \S+ as gateway|(?:Client gateway) (?:closed|disconnected|.*terminat)|Socket error on client gateway",
        said,
    )
    opened = 0
    for step in steps:
        opened += 1 if step.startswith("New") else -1
        assert opened in (0, 1), steps
    assert sum(step.startswith("New") for step in steps) == 2, steps
    assert "telemetry/gateway" in said and "everpin/1/acme/report/gateway" in said


def _comes(log: Path, word: str, timeout_s: float = 15.0) -> bool:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if word in log.read_text():
            return True
        time.sleep(0.1)
    return False
