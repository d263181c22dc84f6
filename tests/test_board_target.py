"""A real board as a target, driven through the one device protocol, with the stand-in of tests/esp_standin.py on its port.

esptool, mpremote and pyserial are the real ones, MicroPython and the littlefs behind them too; the switch is a command that writes a
file, which the stand-in obeys.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mpy
from board_ground import Boards
from esp_standin import FLASH_BYTES, Board
from everpin.core.store import REGION_BYTES
from everpin.ports.cpython import cli
from everpin.ports.fileflash import FileFlash
from everpin_sim.targets import registry
from everpin_sim.targets.board import region_of, sectors_of
from everpin_sim.targets.board_wiring import wiring
from everpin_sim.targets.protocol import Target, TargetError
from test_board_flash import DEFAULT, PLACE, TABLE_OFFSET

DEVICE = "lamp-3"
Open = Callable[..., Target]
_WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"


def command(path: Path, word: str) -> list[str]:
    """Return a command that writes a word into a file, as a power switch's client turns a socket on."""
    return [sys.executable, "-c", _WRITE, str(path), word]


def toml(home: Path, **settings: object) -> None:
    """Write board.toml."""
    # A list or a string of JSON is one of TOML, too.
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (home / "board.toml").write_text("".join(lines))


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a device's folder, as `everpin provision` writes it."""
    boards = Boards(tmp_path_factory.mktemp("board-fleet"))
    out = boards.folder.parent / DEVICE
    assert cli.main(["provision", *boards.where, DEVICE, "--out", str(out)]) == 0
    return out


@pytest.fixture
def home(provisioned: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may change."""
    made = tmp_path / DEVICE
    made.mkdir(mode=0o700)
    for path in provisioned.iterdir():
        target = made / path.name
        target.touch(mode=0o600)
        target.write_bytes(path.read_bytes())
    return made


def blank(folder: Path, switch: Path | None = None, files: bytes = b"") -> Board:
    """Return a board that has MicroPython, and `files` as its file system; skip where there is no MicroPython."""
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    flash = bytearray(b"\xff" * FLASH_BYTES)
    flash[TABLE_OFFSET : TABLE_OFFSET + 0xC00] = DEFAULT.ljust(0xC00, b"\xff")
    flash[PLACE[0] : PLACE[0] + len(files)] = files
    (folder / "board.flash").write_bytes(flash)
    return Board(folder, program, PLACE, switch=switch)


@pytest.fixture
def standin(home: Path, tmp_path: Path) -> Iterator[Board]:
    """Return a board whose power home/../power switches."""
    power = tmp_path / "power"
    board = blank(tmp_path, power)
    toml(
        home,
        port=board.port,
        silent_s=15.0,
        power_on=command(power, "on"),
        power_off=command(power, "off"),
    )
    yield board
    board.close()


@pytest.fixture
def target(home: Path, standin: Board) -> Iterator[Target]:
    """Return the target of that board."""
    with registry.open_device("board", home, mpy.AGENT, ()) as opened:
        yield opened


def boot(opened: Target, since: int = 0) -> dict[str, object]:
    found = opened.wait(lambda event: event.get("event") == "unreachable", since, 30)
    assert found is not None, opened.events
    return found


def test_it_gets_its_device_and_its_console_tells_what_the_agent_says(
    target: Target, home: Path
) -> None:
    assert not target.alive
    target.power_on()
    assert target.alive
    boot(target)
    assert b"unreachable" in (home / "console.log").read_bytes()


def test_a_cut_ends_it_and_it_boots_again_from_the_same_flash(
    target: Target, standin: Board
) -> None:
    target.power_on()
    boot(target)
    writes = len(standin.writes)
    target.cut()
    assert not target.alive
    time.sleep(0.3)
    said = len(standin.console)
    time.sleep(1.0)
    assert len(standin.console) == said, "it is silent without power"
    mark = target.mark()
    target.power_on()
    boot(target, mark)
    assert len(standin.writes) == writes, "it is provisioned once"
    mark = target.mark()
    target.reset()
    boot(target, mark)


def test_the_flash_image_goes_in_and_out(target: Target, home: Path) -> None:
    target.power_on()
    boot(target)
    with pytest.raises(TargetError, match="the power is on"):
        target.flash_out()
    with pytest.raises(TargetError, match="the power is on"):
        target.flash_in(b"")
    target.cut()
    first = target.flash_out()
    assert len(first) == REGION_BYTES
    from everpin.core.store import Store

    path = home / "out.img"
    path.write_bytes(first)
    flash = FileFlash(str(path), REGION_BYTES)
    assert Store(flash).load().root.version == 1
    flash.close()
    original = (home / "flash.img").read_bytes().ljust(REGION_BYTES, b"\xff")
    target.flash_in(original)
    assert target.flash_out() == original
    mark = target.mark()
    target.power_on()
    boot(target, mark)


def test_its_clock_is_set_over_the_prompt_and_is_lost_with_its_power(
    target: Target, standin: Board, tmp_path: Path
) -> None:
    target.set_clock(2145916800)  # 2038-01-01
    target.power_on()
    boot(target)
    ahead = float((tmp_path / "board.rtc").read_text())
    assert abs(time.time() + ahead - 2145916800) < 60
    with pytest.raises(TargetError, match="cut it first"):
        target.set_clock(None)
    mark = target.mark()
    target.set_clock(1893456000)  # 2030-01-01, while it runs
    boot(target, mark)
    ahead = float((tmp_path / "board.rtc").read_text())
    assert abs(time.time() + ahead - 1893456000) < 60
    target.cut()
    target.set_clock(None)
    target.power_on()
    boot(target, target.mark())
    assert (tmp_path / "board.rtc").read_bytes() == b""


def test_its_network_is_switched_by_the_command_that_is_said(
    home: Path, standin: Board, tmp_path: Path
) -> None:
    with registry.open_device("board", home, mpy.AGENT, ()) as opened:
        with pytest.raises(TargetError, match=r"network_off: .*names no command"):
            opened.network(False)
    text = (home / "board.toml").read_text()
    word = json.dumps(command(tmp_path / "net", "off"))
    (home / "board.toml").write_text(text + f"network_off = {word}\n")
    with registry.open_device("board", home, mpy.AGENT, ()) as opened:
        opened.network(False)
    assert (tmp_path / "net").read_text() == "off"


def test_without_a_switch_nothing_pretends_to_cut(home: Path, tmp_path: Path) -> None:
    board = blank(tmp_path)
    try:
        toml(home, port=board.port, silent_s=15.0)
        with registry.open_device("board", home, mpy.AGENT, ()) as opened:
            opened.power_on()
            with pytest.raises(TargetError, match="names no power_off"):
                opened.cut()
            assert opened.alive
            mark = opened.mark()
            opened.reset()
            boot(opened, mark)
    finally:
        board.close()


def test_a_switch_that_fails_is_told_with_its_last_words(home: Path, standin: Board) -> None:
    fails = [sys.executable, "-c", "import sys; sys.exit('no such hub')"]
    toml(home, port=standin.port, power_on=fails)
    with registry.open_device("board", home, mpy.AGENT, ()) as opened:
        with pytest.raises(TargetError, match=r"power_on: .*no such hub"):
            opened.power_on()
    toml(home, port=standin.port, power_on=["/no/such/program"])
    with registry.open_device("board", home, mpy.AGENT, ()) as opened:
        with pytest.raises(TargetError, match="power_on: /no/such/program"):
            opened.power_on()


def test_a_chip_that_does_not_answer_is_told(home: Path, tmp_path: Path) -> None:
    board = Board(tmp_path, None, PLACE, deaf=True)
    try:
        toml(home, port=board.port, silent_s=3.0)
        with (
            registry.open_device("board", home, mpy.AGENT, ()) as opened,
            pytest.raises(TargetError, match=r"does not answer|said nothing"),
        ):
            opened.power_on()
    finally:
        board.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it says no port"),
        ("port = 5", "port is not 5"),
        ("port = 'x'\npower_on = 'on'", "power_on is a list of a command's arguments"),
        ("port = 'x'\npower = ['on']", "power: no such setting"),
        ("port =", "Invalid value"),
    ],
)
def test_bad_settings_are_told(home: Path, text: str, why: str) -> None:
    (home / "board.toml").write_text(text)
    with pytest.raises(TargetError, match=why):
        wiring(home)


def test_settings_are_taken_from_a_shared_folder_too(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TargetError, match=r"it says how"):
        wiring(home)
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / f"{DEVICE}.toml").write_text("port = '/dev/ttyUSB7'")
    monkeypatch.setenv("EVERPIN_BOARDS", str(tmp_path / "boards"))
    assert wiring(home).port == "/dev/ttyUSB7"
    toml(home, port="/dev/ttyUSB0")
    assert wiring(home).port == "/dev/ttyUSB0", "the device's own comes first"


def test_a_region_is_its_sectors_and_back() -> None:
    region = bytearray(os.urandom(3 * 4096)) + b"\xff" * 4096 + os.urandom(4096)
    assert sorted(sectors_of(bytes(region))) == [0, 1, 2, 4]
    assert region_of(sectors_of(bytes(region)), len(region)) == region
