"""The playground: devices of any target under one roof, told by commands from another terminal through a private socket."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mpy
from everpin.ports.cpython import cli
from everpin_sim import fleet
from everpin_sim.playground import SOCKET, NoPlayground, ask, private
from everpin_sim.targets import registry
from everpin_sim.targets.events import Events


class Running:
    """`everpin sim run` as a process, its JSON lines as events."""

    def __init__(self, folder: Path, *argv: str) -> None:
        command = [sys.executable, "-m", "everpin.ports.cpython.cli", "sim", "run", "--json", "--dir", str(folder), *argv]  # fmt: skip
        self.folder = folder
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        self.lines: list[dict[str, Any]] = []

    def until(self, name: str, device: str, times: int = 1) -> None:
        """Read events until a device has told one so often, from now on."""
        assert self._process.stdout is not None
        while times:
            line = self._process.stdout.readline()
            assert line, self._process.stderr.read() if self._process.stderr else ""
            self.lines.append(json.loads(line))
            times -= self.lines[-1]["event"] == name and self.lines[-1]["device"] == device

    def end(self, by_signal: bool = True) -> int:
        if by_signal and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=30)
        return self._process.returncode


@pytest.fixture(params=["core", "unix"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    if request.param == "unix" and mpy.micropython()[0] is None:
        pytest.skip(mpy.micropython()[1])
    folder = tmp_path / "ground"
    found = Running(folder, "--target", request.param, "-n", "2")
    yield found
    found.end()


def _sim(folder: Path, *argv: str) -> int:
    return cli.main(["sim", *argv, "--dir", str(folder)])


def _status(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = ask(folder, {"do": "status"})
    return found


def test_devices_are_cut_rebooted_unplugged_and_given_another_time(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = running.folder
    for device in ("meter-1", "meter-2"):
        running.until("connected", device)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert _sim(folder, "cut", "meter-1") == 0
    said = _status(folder)["devices"]
    assert (said["meter-1"]["power"], said["meter-2"]["power"]) == (False, True)
    assert _sim(folder, "on", "meter-1") == 0
    running.until("connected", "meter-1")
    # It holds its lock: a device that runs is not switched on twice.
    assert _sim(folder, "on", "meter-1") == 2
    assert "the power is on" in capsys.readouterr().err
    assert _sim(folder, "net", "meter-2", "off") == 0
    running.until("unreachable", "meter-2")
    assert _sim(folder, "net", "meter-2", "on") == 0
    running.until("connected", "meter-2")
    assert _sim(folder, "clock", "meter-2", "2038-01-19", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["clock"] == "2147472000"
    assert _sim(folder, "clock", "meter-2", "unset") == 0
    assert _sim(folder, "reset", "meter-2") == 0
    running.until("connected", "meter-2")
    # An update by the operator's own verbs, as the playground's first lines say.
    said = _status(folder)
    where = ("--fleet", str(Path(said["run"]) / "acme"))
    fleet.verb("sign", *where, "--yes")
    fleet.verb("publish", *where, "--broker", said["operator"], "--insecure-plain")
    running.until("accepted", "meter-1")
    running.until("accepted", "meter-2")
    for name, why in (("nobody", "no such device"), ("meter-9", "meter-1, meter-2")):
        assert _sim(folder, "cut", name) == 2
        assert why in capsys.readouterr().err
    # One playground in one folder.
    assert _sim(folder, "run", "--target", "core") == 2
    assert "already" in capsys.readouterr().err
    logs = Path(_status(folder)["run"]) / "logs"
    starts = [json.loads(line)["event"] for line in (logs / "meter-1.log").read_text().splitlines()].count("start")  # fmt: skip
    assert starts == 2
    assert _sim(folder, "stop") == 0
    assert running.end(False) == 0
    assert not (folder / SOCKET).exists()


def test_what_is_no_request_is_answered_and_changes_nothing(tmp_path: Path) -> None:
    found = Running(tmp_path / "ground", "--target", "core")
    found.until("connected", "meter-1")
    for line in (b"\n", b"[]\n", b"{}\n", b"x" * 9000 + b"\n", b'{"do": "clock", "device": "meter-1"}\n',
                 b'{"do": "clock", "device": "meter-1", "unix": "soon"}\n', b'{"do": "fly", "device": "meter-1"}\n'):  # fmt: skip
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(found.folder / SOCKET))
            sock.sendall(line)
            with sock.makefile("rb") as file:
                assert json.loads(file.readline())["ok"] is False, line
    assert _status(found.folder)["devices"]["meter-1"]["power"] is True
    # Told by a signal, it takes its broker and its devices along.
    children = subprocess.run(["pgrep", "-f", str(found.folder)], capture_output=True, text=True).stdout.split()  # fmt: skip
    assert len(children) >= 2
    assert found.end() in (0, 130)
    for _ in range(50):
        left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
        if not left:
            break
        time.sleep(0.1)
    assert not left


def test_a_playground_lives_in_a_folder_that_is_its_owners_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    with pytest.raises(NoPlayground, match="yours alone"):
        private(shared)
    link = tmp_path / "link"
    link.symlink_to(private(tmp_path / "own"))
    with pytest.raises(NoPlayground, match="yours alone"):
        private(link)
    assert _sim(shared, "run") == 2
    assert _sim(tmp_path / "own", "status") == 2
    assert "everpin sim run" in capsys.readouterr().err
    assert _sim(tmp_path / "own", "run", "-n", "0") == 2
    assert cli.main(["sim", "clock", "meter-1", "tomorrow"]) == 2
    assert "2038-01-19" in capsys.readouterr().err
    assert os.listdir(tmp_path / "own") == []


def test_every_target_is_found_by_its_file_alone() -> None:
    assert {"core", "unix", "mcu"} <= set(registry.names())
    folder = Path(registry.__file__).parent
    with_device = {path.stem for path in folder.glob("*.py") if "\ndef open_device(" in path.read_text() and path.stem != "registry"}  # fmt: skip
    assert set(registry.names()) == with_device


def test_a_wait_for_events_ends_when_one_fits() -> None:
    events = Events()
    events.feed(b'{"event": "one"}')
    events.feed(b"no JSON")
    assert events.wait(lambda event: event["event"] == "one") is not None
    assert events.wait(lambda event: event["event"] == "two", 0, 0.05) is None
