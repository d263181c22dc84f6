"""docs/adoption.md, lived through: its commands in its order against a real broker, and what it says of boards on MicroPython."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import mpy
from everpin.ports.cpython import cli
from everpin_sim import pki
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.child import Child
from everpin_sim.mirror import Mirror
from everpin_sim.ports import free
from tls_servers import Identities, identities

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "adoption.md"
needs_mosquitto = pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
# Of a real machine, a real board or the web: these are shown, not run.
NOT_RUN = ("pip ", "mpremote ", "everpin agent install", "everpin agent status\n")


def commands() -> list[str]:
    """Return the page's indented commands, each with its newline."""
    return [found + "\n" for found in re.findall(r"^    (\S.*)$", PAGE.read_text(), re.MULTILINE)]


class Town:
    """The broker and the web server of the page, on loopback ports."""

    def __init__(self, folder: Path, made: Identities) -> None:
        self.main, rescue, operator, web = free(4)
        users = {"operator": "o", "meter-17": "m", "lamp-3": "l"}
        (folder / "client-ca.pem").write_bytes(made.client_ca.pem())
        ports = (self.main, rescue, operator)
        self.broker = Broker("mosquitto", folder, ports, users, folder / "client-ca.pem")
        self.broker.start(made.server)
        self.mirror = Mirror(folder / "acme" / "mirror", web)
        self.names = {
            "broker.example:8883": f"localhost:{self.main}",
            "http://pins.example/acme": f"http://127.0.0.1:{web}",
            "broker.example": "localhost",
        }
        for user, password in {**users, "plant": "w"}.items():
            path = folder / f"{user}.pw"
            path.touch(mode=0o600)
            path.write_text(password + "\n")

    def local(self, line: str) -> list[str]:
        for there, here in self.names.items():
            line = line.replace(there, here)
        return shlex.split(line)

    def close(self) -> None:
        self.broker.stop()
        self.mirror.close()


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Town, Identities]]:
    made = identities()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERPIN_PASSPHRASE", "a passphrase of the operator's")
    built = Town(tmp_path, made)
    yield built, made
    built.close()


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run one of the page's lines where the ones before it have led."""
    if words[0] == "cd":
        monkeypatch.chdir(words[1])
        for secret in Path("..").glob("*.pw"):
            secret.rename(secret.name)
        return 0
    if words[0] == "openssl":
        done = subprocess.run(words, capture_output=True, text=True)
        for key in Path(".").glob("*.key"):
            key.chmod(0o600)
        return done.returncode
    if words[1] == "sign":
        words = [*words, "--yes"]  # what the operator answers
    return cli.main(words[1:])


@pytest.mark.slow
@needs_mosquitto
def test_the_pages_commands_in_its_order_take_a_device_through_the_change(
    town: tuple[Town, Identities],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place, made = town
    ran: list[str] = []
    once = 0
    for line in commands():
        if line.startswith(NOT_RUN):
            continue
        words = place.local(line)
        capsys.readouterr()
        if words[:2] == ["everpin", "reports"]:
            words[words.index("--for") + 1] = "12"
            # The device's next wake, while the operator listens.
            timer = threading.Timer(1.0, _wake)
            timer.start()
            status = run(words, monkeypatch)
            timer.join()
            assert "meter-17" in capsys.readouterr().out
        else:
            if words[1:3] == ["agent", "run"]:
                once += 1
                if once == 3:
                    key = serialization.load_pem_private_key(Path("next.key").read_bytes(), None)
                    assert isinstance(key, ec.EllipticCurvePrivateKey)
                    place.broker.restart(pki.leaf(made.other, "anybody", key))
                words += ["--budget", "25", "--json"]
            status = run(words, monkeypatch)
        out, err = capsys.readouterr()
        assert status == 0, (line, out, err)
        if words[1] == "check":
            assert "accepted by a pin of the newest entry" in out
        if words[1:3] == ["agent", "run"]:
            events = [json.loads(item)["event"] for item in out.splitlines()]
            assert "connected" in events and ("accepted" in events) == (once == 2), events
        ran.append(line)
    assert once == 3 and len(ran) >= 17
    status_line = cli.main(["agent", "status", "--device", "devices/meter-17", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert status_line == 0 and facts["document"]["number"] == [1, 2]
    assert facts["hosts"][0]["confirmed"]


def _wake() -> None:
    command = [sys.executable, "-m", "everpin.ports.cpython.cli", "agent", "run"]
    subprocess.run(
        [*command, "devices/meter-17", "--once", "--budget", "10"],
        stdout=subprocess.DEVNULL,
        check=False,
    )


def test_what_is_not_run_is_still_on_the_page() -> None:
    for prefix in NOT_RUN:
        assert any(line.startswith(prefix) for line in commands()), prefix


NETWORK = """
STA_IF = 0
class WLAN:
    def __init__(self, kind):
        self._asked = None
        self._waits = 2
    def active(self, on):
        self._on = on
    def connect(self, ssid, password):
        if not self._on:
            raise OSError("Wifi Not Started")
        self._asked = (ssid, password)
    def isconnected(self):
        self._waits -= 1
        if self._waits < 0:
            print('{"event": "wifi", "ssid": "%s", "password": "%s"}' % self._asked)
        return self._waits < 0
"""


@needs_mosquitto
def test_the_main_of_ten_lines_runs_a_board_from_what_the_page_provisions(
    town: tuple[Town, Identities], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    micropython, why = mpy.micropython()
    if micropython is None:
        pytest.skip(why)
    place, _ = town
    wanted = ("everpin init", "cd ", "everpin key", "everpin pin add", "openssl", "everpin sign", "everpin provision lamp")  # fmt: skip
    for line in commands():
        if line.startswith("everpin agent run"):
            break
        if line.startswith(wanted):
            assert run(place.local(line), monkeypatch) == 0, line
    board = tmp_path / "board"
    board.mkdir()
    os.rename("devices/lamp-3", board / "device")
    assert (board / "device" / "sectors").is_dir()
    assert not (board / "device" / "flash.img").exists()
    (board / "network.py").write_text(NETWORK)
    (board / "main.py").write_bytes((TOP / "examples" / "main.py").read_bytes())
    env = {**os.environ, "MICROPYPATH": f"{board}:{mpy.AGENT}:.frozen"}
    monkeypatch.chdir(board)  # a board's files are where its programs start
    program = Child([micropython, "-X", "heapsize=1M", "main.py"], env, tmp_path / "board.log")
    try:
        wifi = program.wait(lambda said: said["event"] == "wifi")
        assert wifi is not None and (wifi["ssid"], wifi["password"]) == ("Plant", "w")
        assert program.wait(lambda said: said["event"] == "connected") is not None
        assert ("lamp-3", "lamp-3") in place.broker.clients()
    finally:
        program.stop()


def test_the_main_is_about_ten_lines() -> None:
    text = (TOP / "examples" / "main.py").read_text().split('"""', 2)[2]
    assert len([line for line in text.splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize("argv", [["--wifi-password-file", "x"], ["--wifi-ssid", "n" * 40]])
def test_wifi_that_no_board_could_use_is_refused(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    where = ("--fleet", "acme", "--channel", "meters", "--broker", "b.example:8883")
    assert cli.main(["init", "acme", *where, "--rescue", "http://m.example/p"]) == 0
    assert cli.main(["provision", "--fleet", "acme", "lamp", *argv]) == 1
    assert not Path("acme/devices/lamp").exists()


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[int]:
    (port,) = free(1)
    mirror = Mirror(folder, port)
    try:
        yield port
    finally:
        mirror.close()


def test_mip_installs_an_agent_that_starts(tmp_path: Path) -> None:
    micropython, why = mpy.micropython()
    if micropython is None:
        pytest.skip(why)
    with _served(mpy.AGENT) as port:
        url = f"http://127.0.0.1:{port}/mip/package.json"
        command = [micropython, "-m", "mip", "install", "--target", str(tmp_path / "lib"), url]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0 and "Done" in done.stdout, done.stdout + done.stderr
    code = "import everpin; from everpin.ports.micropython.main import main; print(everpin.Device, everpin.connect, everpin.attach)"
    env = {**os.environ, "MICROPYPATH": f"{tmp_path / 'lib'}:.frozen"}
    done = subprocess.run(
        [micropython, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=env,
        timeout=60,
    )
    assert done.returncode == 0 and "Device" in done.stdout, done.stderr
