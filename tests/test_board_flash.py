"""`everpin flash` with the real esptool and mpremote, on a port that leads to a stand-in of a board (tests/esp_standin.py)."""

import fcntl
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mpy
from board_ground import DEVICE, Boards
from esp_standin import FLASH_BYTES, Board
from everpin.ports.cpython import cli
from everpin.ports.device import Device
from everpin_fleet.board import littlefs_image, partitions, repl, serial_port
from everpin_fleet.board.boards import TABLE_OFFSET

SIZE = 2 << 20
PLACE = (0x200000, SIZE)
FIRMWARE_AT = 0x1000
Plug = Callable[..., Board]


def table(*parts: tuple[str, int, int, int]) -> bytes:
    """Return a binary partition table of (name, type, offset, size)."""
    return b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, 0, offset, size, name.encode(), 0)
        for name, kind, offset, size in parts
    )


DEFAULT = table(*((p.name, 0 if p.is_app else 1, p.offset, p.size) for p in partitions.from_file(None)))  # fmt: skip


def firmware(path: Path, parts: bytes = DEFAULT, chip_id: int = 0, size: int = 0x30000) -> Path:
    """Write what has a firmware's header and table, and no code."""
    data = bytearray(os.urandom(size))
    data[0] = 0xE9
    struct.pack_into("<H", data, 12, chip_id)
    at = TABLE_OFFSET - FIRMWARE_AT
    data[at : at + 0xC00] = parts.ljust(0xC00, b"\xff")
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a device's image, the same as files, one without an agent, and a firmware."""
    folder = tmp_path_factory.mktemp("flash")
    boards = Boards(folder)
    argv = boards.argv(folder / "lamp.bin", "--files", str(folder / "lamp.d"))
    assert cli.main(argv) == 0
    assert cli.main(boards.argv(folder / "bare.bin", "--agent", "none")) == 0
    firmware(folder / "firmware.bin")
    return folder


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    """Return what plugs a board in; MicroPython is skipped by name where there is none."""
    plugged: list[Board] = []

    def one(micropython: bool = True, **how: Any) -> Board:
        program, why = mpy.micropython()
        if micropython and program is None:
            pytest.skip(why)
        plugged.append(Board(tmp_path, program if micropython else None, PLACE, **how))
        return plugged[-1]

    yield one
    for board in plugged:
        board.close()


def holding(tmp_path: Path, made: Path, image: str = "lamp.bin") -> None:
    """Make the flash of a board that holds a firmware and a device."""
    flash = bytearray(b"\xff" * FLASH_BYTES)
    for at, name in ((FIRMWARE_AT, "firmware.bin"), (PLACE[0], image)):
        data = (made / name).read_bytes()
        flash[at : at + len(data)] = data
    # In place: the board may be on.
    with os.fdopen(os.open(tmp_path / "board.flash", os.O_RDWR | os.O_CREAT), "r+b") as file:
        file.write(flash)


def flash(board: Board | str, *argv: str) -> int:
    port = board if isinstance(board, str) else board.port
    return cli.main(["flash", "--port", port, "--timeout", "15", *argv])


def refused(capsys: pytest.CaptureFixture[str], board: Board | str, *argv: str) -> str:
    """Run what must be refused; return its last line."""
    capsys.readouterr()
    assert flash(board, *argv) == 1
    out, err = capsys.readouterr()
    last: str = err.splitlines()[-1]
    assert out == "" and last.startswith("everpin: ") and "Traceback" not in err, err
    return last


# ---- what it is for -------------------------------------------------------------------------------------------------


def test_a_new_board_gets_firmware_and_device_says_so_and_starts_its_main(
    made: Path, plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    board = plug()
    size = (made / "firmware.bin").stat().st_size
    argv = ("--firmware", str(made / "firmware.bin"), "--image", str(made / "lamp.bin"))
    capsys.readouterr()
    assert flash(board, *argv, "--json") == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert board.writes == [(FIRMWARE_AT, size), PLACE] and said["offset"] == PLACE[0]
    here = Device(str(made / "lamp.d" / "device"), writer=False)
    assert said["status"] == {
        "micropython": said["status"]["micropython"],
        "provisioned": True,
        "agent": True,
        "device": DEVICE,
        "number": [1, 1],
        "trust": here.agent.trust_digest().hex(),
        "secrets": True,
    }
    assert [step["step"] for step in said["steps"]] == err.replace(" …", "").splitlines()
    assert board.wait(b"wifi Plant") and board.wait(b'"event": "start"')
    # The same for people, on a board that runs its main.py by now.
    assert flash(board, *argv, "--force") == 0
    assert f"{DEVICE} with document 1-1, its secrets open" in capsys.readouterr().out


def test_files_go_to_a_board_that_has_micropython(
    made: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = {"device/sectors/7": b"old", "lib/everpin/core/pins.py": b"old", "own.txt": b"mine"}
    image, _ = littlefs_image.build({"stale": stale}, SIZE, "here")
    (tmp_path / "board.flash").write_bytes(b"\xff" * PLACE[0] + image)
    board = plug()
    argv = ("--files", str(made / "lamp.d"), "--json")
    assert flash(board, *argv) == 0, capsys.readouterr().err
    status = json.loads(capsys.readouterr().out)["status"]
    assert status["device"] == DEVICE and status["secrets"] and board.writes == []
    assert board.wait(b"wifi Plant"), "the board was reset, and runs main.py"
    assert "this board is provisioned" in refused(capsys, board, *argv)
    assert flash(board, *argv, "--force") == 0
    board.wait(b"wifi Plant")
    found = littlefs_image.contents(board.flash.read_bytes()[PLACE[0] :], "here")
    given = {p.relative_to(made / "lamp.d").as_posix(): p.stat().st_size for p in (made / "lamp.d").rglob("*") if p.is_file()}  # fmt: skip
    del found["own.txt"]
    assert found.keys() == given.keys(), "nothing of what was there before, and the owner's file"


def test_a_new_firmware_leaves_the_device_as_it_is(
    made: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holding(tmp_path, made)
    board = plug(micropython=False)
    newer = firmware(tmp_path / "newer.bin")
    assert flash(board, "--firmware", str(newer)) == 0
    assert board.writes == [(FIRMWARE_AT, newer.stat().st_size)]
    after = (tmp_path / "board.flash").read_bytes()
    assert after[PLACE[0] :] == (made / "lamp.bin").read_bytes()
    # One that has its file system elsewhere would lose it.
    moved = firmware(tmp_path / "moved.bin", table(("app", 0, 0x10000, 0x100000)))
    assert "this board is provisioned" in refused(capsys, board, "--firmware", str(moved))
    assert flash(board, "--firmware", str(moved), "--force") == 0


# ---- what it refuses ------------------------------------------------------------------------------------------------


def test_a_provisioned_board_is_not_written_over_without_force(
    made: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holding(tmp_path, made)
    board = plug(micropython=False)
    argv = ("--image", str(made / "lamp.bin"), "--no-status")
    assert "this board is provisioned; --force" in refused(capsys, board, *argv)
    many, _ = littlefs_image.build({"": {f"{n:0200}": b"" for n in range(60)}}, SIZE, "here")
    for start, says in ((many, "may hold a device"), (b"\xff" * SIZE, "")):
        (tmp_path / "many.bin").write_bytes(start)
        holding(tmp_path, made, str(tmp_path / "many.bin"))
        if says:
            assert says in refused(capsys, board, *argv)
            assert board.writes == []
        else:
            assert flash(board, *argv) == 0 and board.writes == [PLACE]


def test_another_chip_is_refused_before_anything_is_written(
    made: Path, plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    board = plug(micropython=False, chip="esp32s3")
    said = refused(capsys, board, "--image", str(made / "lamp.bin"))
    assert "This chip is ESP32-S3, not ESP32; name the board with --board" in said
    assert board.writes == []


def test_flash_that_does_not_hold_what_is_written_is_named(
    made: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holding(tmp_path, made)
    board = plug(micropython=False, worn=True)
    said = refused(capsys, board, "--image", str(made / "lamp.bin"), "--force")
    assert "the flash does not hold what was written to it" in said


def test_an_image_for_another_flash_size_is_refused(
    made: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, _ = littlefs_image.build({"device": {"device/device.json": b"{}"}}, 3 << 20, "here")
    (tmp_path / "big.bin").write_bytes(image)
    holding(tmp_path, made)
    board = plug(micropython=False)
    said = refused(capsys, board, "--image", str(tmp_path / "big.bin"), "--force")
    assert f"the image has {3 << 20} bytes, the board's file system {SIZE} at 0x200000" in said
    long = firmware(tmp_path / "long.bin", size=PLACE[0])
    said = refused(capsys, board, "--firmware", str(long), "--force")
    assert "reaches beyond 0x200000" in said and board.writes == []


def test_a_board_without_a_table_wants_a_firmware(
    made: Path, plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    board = plug(micropython=False)
    said = refused(capsys, board, "--image", str(made / "lamp.bin"))
    assert "there is no partition table; write a firmware first" in said


def test_a_board_that_cannot_open_what_it_got_is_a_failure(
    made: Path, plug: Plug, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holding(tmp_path, made)
    board = plug()
    argv = ("--image", str(made / "bare.bin"), "--force")
    assert "the board has a device and no everpin" in refused(capsys, board, *argv)
    assert flash(board, *argv, "--no-status") == 0
    broken = tmp_path / "broken.d"
    shutil.copytree(made / "lamp.d", broken)
    for path in (broken / "device" / "sectors").iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    said = refused(capsys, board, "--files", str(broken), "--force")
    assert "the board cannot open its device" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "this is no firmware"),
        (b"\x7fELF" + bytes(100), "this is no firmware"),
        (b"\xe9" + bytes(11) + b"\x09" + bytes(100), "is for esp32s3, the board is esp32"),
        (b"\xe9" + bytes(11) + b"\x63" + bytes(100), "is for chip 99, the board is esp32"),
        (b"\xe9" + bytes(40000), "an application alone"),
    ],
)
def test_a_file_that_is_no_firmware_of_the_board_is_refused_before_the_port_is_touched(
    content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "firmware.bin").write_bytes(content)
    assert says in refused(capsys, "nowhere", "--firmware", str(tmp_path / "firmware.bin"))


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "nothing to write"),
        (["--image", "a", "--files", "b"], "name --image or --files"),
        (["--image", "nowhere.bin"], "nowhere.bin: No such file"),
        (["--image", "empty.bin"], "no image of a littlefs"),
        (["--image", "other.bin"], "there is no device in this image"),
        (["--files", "."], "no device/device.json in this folder"),
        (["--image", "other.bin", "--baud", "0"], "above 0"),
    ],
)
def test_wrong_files_are_one_line(
    argv: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.bin").write_bytes(b"")
    image, _ = littlefs_image.build({"other": {"a": b"b"}}, SIZE, "here")
    (tmp_path / "other.bin").write_bytes(image)
    assert says in refused(capsys, "nowhere", *argv)


# ---- the port -------------------------------------------------------------------------------------------------------


def test_a_port_that_is_not_there_or_is_none_is_named(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("--image", str(made / "lamp.bin"))
    monkeypatch.setattr(serial_port, "found", lambda: ["/dev/ttyACM7"])
    said = refused(capsys, str(tmp_path / "ttyUSB9"), *argv)
    assert "no such port" in said and "ports here: /dev/ttyACM7" in said
    assert "this is no serial port" in refused(capsys, str(made / "lamp.bin"), *argv)


def test_a_port_of_others_is_named_with_its_group(
    made: Path, plug: Plug, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = plug(micropython=False)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may do everything
    said = refused(capsys, board, "--image", str(made / "lamp.bin"))
    assert "this user may not use the port; no root is needed" in said and "usermod -aG" in said


def test_a_port_that_another_program_holds_is_named(
    made: Path, plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    board = plug(micropython=False)
    other = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    said = refused(capsys, board, "--image", str(made / "lamp.bin"))
    os.close(other)
    assert "another program holds the port; close it" in said


@pytest.mark.slow
def test_a_chip_that_does_not_answer_is_named_with_what_to_do(
    made: Path, plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    board = plug(micropython=False, deaf=True)
    said = refused(capsys, board, "--image", str(made / "lamp.bin"))
    assert "the chip's boot loader does not answer; hold BOOT" in said


def test_a_tool_that_falls_silent_is_stopped(
    made: Path, plug: Plug, capsys: pytest.CaptureFixture[str]
) -> None:
    board = plug(micropython=False, deaf=True)
    said = refused(capsys, board, "--files", str(made / "lamp.d"), "--timeout", "1")
    assert "mpremote has said nothing for 1 seconds and was stopped" in said


def test_a_dry_run_touches_no_port(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    argv = ("--image", str(made / "lamp.bin"), "--firmware", str(made / "firmware.bin"))
    assert flash("nowhere", *argv, "--dry-run", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dry_run"] and len(said["commands"]) == 6
    assert all("nowhere" in line for line in said["commands"])
    assert (
        f"write-flash 0x1000 {made}/firmware.bin FILE-SYSTEM {made}/lamp.bin"
        in said["commands"][3]
    )
    assert flash("nowhere", "--files", str(made / "lamp.d"), "--dry-run") == 0
    out = capsys.readouterr().out
    assert out.index("device") < out.index(f"+ cp {made}/lamp.d/main.py :"), "main.py comes last"


# ---- Espressif's QEMU -----------------------------------------------------------------------------------------------


def test_espressifs_qemu_starts_micropython_from_the_image(made: Path, tmp_path: Path) -> None:
    qemu, real = shutil.which("qemu-system-xtensa"), os.environ.get("EVERPIN_ESP32_FIRMWARE")
    machines = (
        subprocess.run([qemu, "-machine", "help"], capture_output=True, text=True).stdout
        if qemu
        else ""
    )
    if qemu is None or "esp32" not in machines:
        pytest.skip("no qemu-system-xtensa with the machine esp32 on PATH (Espressif's QEMU)")
    if not real:
        pytest.skip("EVERPIN_ESP32_FIRMWARE names no MicroPython firmware for ESP32")
    flash_file = bytearray(b"\xff" * FLASH_BYTES)
    for at, path in ((FIRMWARE_AT, Path(real)), (PLACE[0], made / "lamp.bin")):
        data = path.read_bytes()
        flash_file[at : at + len(data)] = data
    (tmp_path / "flash.bin").write_bytes(flash_file)
    command = [qemu, "-machine", "esp32", "-display", "none", "-monitor", "none", "-serial", "pty", "-drive", f"file={tmp_path}/flash.bin,if=mtd,format=raw"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as machine:  # fmt: skip
        try:
            assert machine.stdout is not None
            line = machine.stdout.readline()
            port = line.split("redirected to ")[1].split()[0]
            status = repl.Repl(port, 60).status(lambda _: None)
        finally:
            machine.kill()
    assert status["device"] == DEVICE and status["secrets"]
