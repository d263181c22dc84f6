"""The bench under labgrid, and on a board: the drivers against stand-ins on ptys, the RP2040's program against its own instructions."""

import http.server
import importlib.util
import os
import pty
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pio
from esp_standin import Board as Standin
from everpin_fleet.board import littlefs_image
from everpin_hil import bench, scenario
from everpin_hil.targets import NoTarget
from everpin_hil.targets.board import Board
from test_board_flash import PLACE
from test_board_target import blank, command

HIL = Path(__file__).resolve().parent.parent / "hil"
AGENT = HIL.parent / "agent"


# ---- the switch --------------------------------------------------------------------------------------------------------


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the program's switch, on a board of tests/pio.py."""
    for name, module in pio.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    found = importlib.util.spec_from_file_location("rp2040_main", HIL / "rp2040" / "main.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    pio.StateMachine.made.clear()
    return module.Switch()


def test_the_power_goes_behind_the_nth_mark_to_the_tenth_of_a_microsecond(switch: Any) -> None:
    # A mark of 40 cycles every 100; the first rises at 60.
    def mark(cycle: int) -> int:
        return int(cycle % 100 >= 60)

    for edges, us in ((1, 0), (1, 5), (3, 0), (3, 12), (7, 40)):
        assert switch.answer("on") == "ok on" and pio.Pin.pins[3] == 1
        assert switch.answer(f"arm {edges} {us}") == "ok armed" == switch.answer("state")
        machine = pio.StateMachine.made[-1]
        machine.clock(mark, 100 * edges + 10 * us + 50)
        rises = 60 + 100 * (edges - 1)
        assert machine.cut_at is not None and machine.freq == 10_000_000
        assert 0 <= machine.cut_at - rises - 10 * us <= 6, (edges, us, machine.cut_at)
        assert pio.Pin.pins[3] == 0 and switch.answer("state") == "ok cut"


def test_a_mark_that_is_there_already_is_not_counted(switch: Any) -> None:
    switch.answer("on")
    switch.answer("arm 1 0")
    machine = pio.StateMachine.made[-1]
    machine.clock(lambda cycle: int(cycle < 30 or cycle > 90), 200)
    assert machine.cut_at is not None and machine.cut_at > 90


def test_before_its_mark_comes_the_power_stays_and_can_be_disarmed(switch: Any) -> None:
    switch.answer("on")
    switch.answer("arm 2 0")
    machine = pio.StateMachine.made[-1]
    machine.clock(lambda cycle: int(50 < cycle < 90), 500)
    assert machine.cut_at is None and switch.answer("state") == "ok armed"
    assert switch.answer("off") == "ok off" and pio.Pin.pins[3] == 0 and not machine.running


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("arm 1 1", "error it is off"),
        ("arm", "error on, off"),
        ("arm one two", "error arm takes two numbers"),
        ("arm 0 1", "error 1 to"),
        ("arm 1 -1", "error 1 to"),
        ("arm 1 99999999", "error 1 to"),
        ("explode", "error on, off"),
    ],
)
def test_what_the_switch_cannot_do_is_an_error_and_changes_nothing(
    switch: Any, line: str, why: str
) -> None:
    assert switch.answer(line).startswith(why)
    assert switch.state == "off"


class Pico:
    """The switch on a pty; it turns the stand-in's power by its file, and when armed cuts at the n-th thing that the board says."""

    def __init__(self, power: Path) -> None:
        self._power = power
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        self.port, self._theirs = os.ttyname(theirs), theirs
        self.state, self.said, self._edges = "off", [""], 0
        threading.Thread(target=self._work, daemon=True).start()

    def mark(self) -> None:
        """A mark of the board."""
        self._edges -= 1
        if self.state == "armed" and self._edges <= 0:
            self._turn("cut", "off")

    def _turn(self, state: str, power: str) -> None:
        self.state = state
        self._power.write_text(power)

    def _work(self) -> None:
        held = b""
        while True:
            try:
                held += os.read(self._ours, 100)
            except OSError:
                return
            *lines, held = held.split(b"\n")
            for line in lines:
                os.write(self._ours, line + b"\r\n" + self._answer(line.decode()) + b"\r\n")

    def _answer(self, line: str) -> bytes:
        self.said.append(line)
        word, *rest = line.split()
        if word in ("on", "off"):
            self._turn(word, word)
        elif word == "arm" and self.state != "on":
            return b"error it is " + self.state.encode() + b": switch it on before arming it"
        elif word == "arm":
            self.state, self._edges = "armed", int(rest[0])
        return b"ok " + self.state.encode()

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


# ---- a board -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Standin]:
    """Return a board that has MicroPython and an empty littlefs."""
    image, _ = littlefs_image.build({"none": {}}, PLACE[1], "board")
    board = blank(tmp_path, tmp_path / "power", image)
    yield board
    board.close()


def test_a_board_plays_scenarios_as_the_core_does(
    standin: Standin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = tmp_path / "power"
    on, off = (command(power, word) for word in ("on", "off"))
    (tmp_path / "board.toml").write_text(
        f"port = '{standin.port}'\npower_on = {on}\npower_off = {off}\noff_s = 0.3\n".replace(
            "'", '"'
        )
    )
    monkeypatch.setenv("EVERPIN_BOARD", str(tmp_path))
    cases = bench.run([scenario.load("cut-while-updating")], "board", 7, AGENT)
    assert [f"{case.scenario}: {case.failures}" for case in cases if not case.ok] == []
    assert all(case.facts[-1]["f"] == "end" for case in cases)


def test_a_board_that_nobody_describes_is_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVERPIN_BOARD", raising=False)
    with pytest.raises(NoTarget, match=r"EVERPIN_BOARD names no folder with a board\.toml"):
        Board()
    monkeypatch.setenv("EVERPIN_BOARD", str(tmp_path))
    with pytest.raises(NoTarget, match=r"board\.toml: No such file"):
        Board()


# ---- labgrid -----------------------------------------------------------------------------------------------------------

labgrid = pytest.importorskip("labgrid", reason="the extra lab is not installed")


def environment(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "env.yaml"
    path.write_text(text)
    return labgrid.Environment(str(path))


@pytest.mark.parametrize(
    "name",
    ["core", "unix", pytest.param("mcu", marks=pytest.mark.long), pytest.param("pi", marks=pytest.mark.long)],
)  # fmt: skip
def test_each_environment_plays_through_its_driver(name: str) -> None:
    from everpin_hil.lab import Player

    target = labgrid.Environment(str(HIL / "environments" / f"{name}.yaml")).get_target()
    try:
        case = target.get_driver(Player).run("dst-x3", seed=7)
    except NoTarget as lacking:
        pytest.skip(str(lacking))
    assert case.ok, case.failures
    assert (case.target, case.scenario) == (name, "dst-x3")


@pytest.mark.parametrize("name", ["board", "place"])
def test_the_boards_environments_name_what_there_is(name: str) -> None:
    config = labgrid.Environment(str(HIL / "environments" / f"{name}.yaml")).config
    (target,) = config.get_targets().values()
    known = labgrid.factory.target_factory
    for kind in target["drivers"]:
        assert kind in known.drivers
    for kind in target["resources"]:
        assert kind in known.resources


class _Socket(http.server.BaseHTTPRequestHandler):
    """A power socket in the network, as labgrid's model "rest" speaks to it."""

    said: "list[str]" = []  # noqa: RUF012 - one for the test

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.said.append(f"{self.path} {body.decode()}")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_place_of_a_coordinator_gives_a_board_its_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from everpin_hil.lab import Player

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Socket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("LG_COORDINATOR", address)
    host = f"http://127.0.0.1:{server.server_port}/socket/{{index}}"
    (tmp_path / "exporter.yaml").write_text(
        f"lamp: {{NetworkPowerPort: {{model: rest, host: '{host}', index: '7'}}}}\n"
    )
    tools = Path(sys.executable).parent

    def client(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [tools / "labgrid-client", "-p", "lamp", *argv]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)

    def until_done(*argv: str) -> None:
        until = time.monotonic() + 60
        while (done := client(*argv)).returncode:
            assert time.monotonic() < until, done.stdout + done.stderr
            time.sleep(0.5)

    started: list[subprocess.Popen[bytes]] = []

    def start(*command: object) -> None:
        quiet = subprocess.DEVNULL
        words = [str(word) for word in command]
        started.append(subprocess.Popen(words, cwd=tmp_path, stdout=quiet, stderr=quiet))

    try:
        start(tools / "labgrid-coordinator", "-l", address)
        until_done("create")
        # It gives up where no coordinator answers yet.
        start(tools / "labgrid-exporter", "-c", address, "-n", "bench", tmp_path / "exporter.yaml")
        until_done("add-match", "bench/lamp/NetworkPowerPort")
        until_done("lock")
        target = labgrid.Environment(str(HIL / "environments" / "place.yaml")).get_target()
        player = target.get_driver(Player)
        player.power.on()
        player.power.off()
        assert _Socket.said == ["/socket/7 1", "/socket/7 0"]
        target.cleanup()
        client("unlock")
    finally:
        for process in started:
            process.kill()
            process.wait()
        server.shutdown()
        server.server_close()


def test_under_labgrids_own_pytest_plugin_each_scenario_is_a_test(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)),
            *("--pyargs", "everpin_hil.lab.test_scenarios", "-k", "dst-x3 or pins-nobody"),
            *("--lg-env", str(HIL / "environments" / "core.yaml"), "-c", os.devnull),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_switchs_driver_turns_arms_and_tells_what_went_wrong(tmp_path: Path) -> None:
    from labgrid.driver.exception import ExecutionError

    pico = Pico(tmp_path / "power")
    try:
        target = environment(
            tmp_path,
            f"targets: {{main: {{resources: {{RP2040Switch: {{port: '{pico.port}'}}}}, "
            "drivers: {RP2040SwitchDriver: {delay: 0.1}}}}\nimports: [everpin_hil.lab]\n",
        ).get_target()
        driver = target.get_driver("PowerProtocol")
        with pytest.raises(ExecutionError, match="it is off: switch it on"):
            driver.arm(3, 20)
        driver.on()
        assert driver.get() == "on" and (tmp_path / "power").read_text() == "on"
        driver.arm(3, 20)
        assert driver.get() == "armed" and "arm 3 20" in pico.said
        driver.cycle()
        assert pico.said[-2:] == ["off", "on"]
        target.deactivate(driver)
    finally:
        pico.close()


def test_a_real_cut_leaves_a_board_with_a_state_that_the_scenario_has(
    standin: Standin, tmp_path: Path
) -> None:
    from everpin_hil.lab import Player

    pico = Pico(tmp_path / "power")
    stop = threading.Event()

    def marks() -> None:
        """The stand-in has no pins: each line that it says is a mark."""
        seen = 0
        while not stop.wait(0.002):
            lines = standin.console.count(b'"f":')
            for _ in range(lines - seen):
                pico.mark()
            seen = lines

    thread = threading.Thread(target=marks)
    thread.start()
    try:
        target = environment(
            tmp_path,
            f"targets: {{main: {{resources: {{RP2040Switch: {{port: '{pico.port}'}}, "
            f"RawSerialPort: {{port: '{standin.port}'}}}}, drivers: {{RP2040SwitchDriver: {{}}, "
            "EverpinBoardDriver: {silent_s: 10.0}}}}\nimports: [everpin_hil.lab]\n",
        ).get_target()
        player = target.get_driver(Player)
        assert player.cut("dst-x3", edges=9, us=0, seed=7) == ""
        assert "the cut was never met" in player.cut("dst-x3", edges=100_000, us=0, seed=7)
    finally:
        stop.set()
        thread.join()
        pico.close()
