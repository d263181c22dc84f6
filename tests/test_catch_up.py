"""A device that slept through twelve roots and sixty documents catches up in one connection: pinned, and in rescue."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mpy
from everpin.ports.cpython import cli
from everpin_sim import pki
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.mirror import Mirror
from everpin_sim.ports import free
from tls_servers import identities

ROOTS, DOCUMENTS = 12, 60
pytestmark = pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")


class Slept:
    """A fleet with a device that was provisioned at the start, and all that came after it, published."""

    def __init__(self, folder: Path) -> None:
        made = identities()
        self.folder = folder / "acme"
        self.where = ("--fleet", str(self.folder))
        main, rescue, operator, mirror = free(4)
        cert, _ = made.server.save(folder, "server")
        self._run(
            "init", str(self.folder), "--fleet", "acme", "--channel", "meters",
            "--broker", f"127.0.0.1:{rescue}", "--rescue", f"http://127.0.0.1:{mirror}",
        )  # fmt: skip
        for name in ("ops", "second"):
            self._run("key", *self.where, "new", name, "--no-passphrase")
        self._run("pin", *self.where, "add", "127.0.0.1", "--from", str(cert))
        (folder / "spare").write_bytes(pki.key_pem(pki.new_key()))
        self._run("pin", *self.where, "add", "127.0.0.1", "--from", str(folder / "spare"))
        self._run("sign", *self.where, "--yes")
        self._run("provision", *self.where, "gw")
        self.device = self.folder / "devices" / "gw"
        config = json.loads((self.device / "device.json").read_text())
        config["timing"] = {"backoff_min_s": 0.3, "rescue_rounds": 1}
        (self.device / "device.json").write_text(json.dumps(config))
        self._everything()
        (folder / "client-ca.pem").write_bytes(made.client_ca.pem())
        self.log = folder / "broker.log"
        self.broker = Broker(
            "mosquitto", folder, (main, rescue, operator), {"op": "x"}, folder / "client-ca.pem"
        )
        self.broker.start(made.server)
        self.mirror_folder = folder / "mirror"
        self.mirror = Mirror(self.mirror_folder, mirror)
        self._run(
            "publish", *self.where, "--broker", f"127.0.0.1:{operator}", "--insecure-plain",
            "--mirror", str(self.mirror_folder),
        )  # fmt: skip

    def _run(self, *argv: str) -> None:
        assert cli.main(list(argv)) == 0, argv

    def _everything(self) -> None:
        policy = self.folder / "policy.toml"
        text = policy.read_text()
        for version in range(2, ROOTS + 2):
            # The second key comes and goes: each root changes the rule for pins.
            names = '"ops", "second"' if version % 2 == 0 else '"ops"'
            rule = f"[[signers.pins]]\nthreshold = 1\nkeys = [{names}]\n"
            policy.write_text(text.replace('pins = ["ops"]\n', rule))
            self._run("sign", *self.where, "root", "--yes")
            for _ in range(DOCUMENTS // ROOTS):
                self._run("sign", *self.where, "--yes", "--with", "ops")

    def wake(self, interpreter: str, folder: Path, budget_s: int = 40) -> list[dict[str, Any]]:
        """Run the device once; return its events."""
        if interpreter == "cpython":
            command = [
                sys.executable, "-m", "everpin.ports.cpython.cli", "agent", "run", str(folder),
                "--once", "--json", "--budget", str(budget_s),
            ]  # fmt: skip
        else:
            program, why = mpy.micropython()
            if program is None:
                pytest.skip(why)
            code = f"from everpin.ports.micropython.main import main; main({str(folder)!r}, {budget_s})"
            command = [program, "-X", "heapsize=512K", "-c", code]
        env = {**os.environ, "MICROPYPATH": f"{mpy.AGENT}:.frozen"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert found, done.stderr
        return found


@pytest.fixture(scope="module")
def slept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slept]:
    made = Slept(tmp_path_factory.mktemp("slept"))
    yield made
    made.broker.stop()
    made.mirror.close()


def _caught_up(events: list[dict[str, Any]], session: str) -> None:
    newest = [ROOTS + 1, DOCUMENTS + 1]
    roots = [event["version"] for event in events if event["event"] == "root"]
    assert roots == list(range(2, ROOTS + 2)), roots
    accepted = [event["number"] for event in events if event["event"] == "accepted"]
    assert accepted == [newest], accepted
    # All of it between one beginning and the next: no second connection was needed.
    kinds = [event["event"] for event in events]
    first = kinds.index(session)
    last = kinds.index("accepted")
    assert kinds[first + 1 : last].count(session) == 0, kinds


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_over_the_pinned_broker(slept: Slept, interpreter: str, tmp_path: Path) -> None:
    folder = tmp_path / "gw"
    shutil.copytree(slept.device, folder)
    _caught_up(slept.wake(interpreter, folder), "connected")


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_over_a_plain_mirror_in_rescue(slept: Slept, interpreter: str, tmp_path: Path) -> None:
    folder = tmp_path / "gw"
    shutil.copytree(slept.device, folder)
    slept.broker.stop()
    try:
        asked = len(slept.mirror.requests)
        _caught_up(slept.wake(interpreter, folder, 8), "rescue")
        # Each root once, and little else: it goes on from each to the next.
        text = slept.mirror.requests[asked:]
        assert sum("/root/" in request for request in text) <= 2 * (ROOTS + 2), text
    finally:
        slept.broker.start(identities_of(slept))


def identities_of(slept: Slept) -> pki.Identity:
    """Return the server's identity again, from its files."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    folder = slept.folder.parent
    certificates = x509.load_pem_x509_certificates((folder / "broker.pem").read_bytes())
    key = load_pem_private_key((folder / "broker.key").read_bytes(), None)
    return pki.Identity(certificates[0], key, tuple(certificates[1:]))  # type: ignore[arg-type]
