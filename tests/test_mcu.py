"""The agent on an emulated microcontroller: what it does there, what it costs, and that the board is one."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import boards
from everpin.ports.cpython import cli
from everpin_sim import build_mcu, mcu_figures
from everpin_sim.targets.bench import Bench
from everpin_sim.targets.protocol import TargetError
from test_demo import MUTANTS

DOCS = Path(__file__).resolve().parent.parent / "docs" / "mcu.md"


def _figures(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    code = cli.main(["sim", "figures", "--target", "mcu", "--json", *argv])
    out, _ = capsys.readouterr()
    return code, json.loads(out)


# ---- the agent ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("board", build_mcu.BOARDS)
def test_it_does_tls_with_the_verdict_inside_and_accepts_documents_of_three_algorithms(
    capsys: pytest.CaptureFixture[str], board: str
) -> None:
    boards.firmware(board)
    code, found = _figures(capsys, "--board", board)
    assert (code, found["ok"], found["wrong"], found["trace"]) == (0, True, [], "")
    for name in mcu_figures.COUNTS:
        assert 10_000 < found[name] < 1_000_000_000, name
        assert 0 < found["heap"][name] <= found["heap_peak"]
    assert 20_000 < found["heap_peak"] < 131_072
    assert 50_000 < found["frozen_bytes"] < found["firmware_bytes"]


# What is wrong then, for each check that test_demo.py takes away.
WRONG = {
    "the pin check": {
        "handshake: a thief is refused",
        "handshake: the thief got no byte",
        "pin check: another key",
    },
    "the signature check": {
        f"{name}: a forged document is refused" for name in ("ed25519", "esp256", "lms_w4")
    },
    "the number check": {"an older document is refused"},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if name == "the number check" else ())
        for name in MUTANTS
    ],
)
def test_without_a_check_the_same_command_exits_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    boards.firmware()
    file, text, without = MUTANTS[name]
    agent = boards.broken(tmp_path, file, [(text, without)])
    code, found = _figures(capsys, "--agent", str(agent))
    assert code == 1 and found["ok"] is False
    assert WRONG[name] <= set(found["wrong"]), found


@pytest.mark.long
def test_the_least_ram_is_what_the_page_says(tmp_path: Path) -> None:
    firmware = boards.firmware()
    said = re.search(r"least RAM [^|]*\| *([0-9,]+) bytes", DOCS.read_text())
    assert said is not None
    least = int(said[1].replace(",", ""))
    # The heap's layout moves with each change of the agent: a tenth more is enough, a tenth less is not.
    assert mcu_figures.is_enough(firmware, tmp_path, least * 11 // 10 & -1024)
    assert not mcu_figures.is_enough(firmware, tmp_path, least * 9 // 10 & -1024)


@pytest.mark.parametrize(
    "argv",
    [["figures"], ["figures", "--target", "toaster"], ["figures", "--target", "mcu", "--ram", "1"], ["figures", "--target", "mcu", "--agent", "/nonexistent"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_use_is_2(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert cli.main(["sim", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "everpin" in err and "Traceback" not in err


# ---- the board ------------------------------------------------------------------------------------------------------


@pytest.fixture
def bench() -> Iterator[Bench]:
    firmware = boards.firmware()
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(firmware, Path(folder))
        yield made
        made.close()


def _run(bench: Bench, code: str, **how: Any) -> Any:
    """Return what code on the board prints as JSON."""
    life = bench.life("import json, board\n" + code, **how)
    assert life.trace == "", life.trace
    return life.said[-1]["said"]


_SAY = "print('\\n' + json.dumps({'said': %s}))"
_PART = "part = board.Flash(0, board.RAW_BYTES)\n"


def test_random_numbers_are_the_benchs_and_another_boot_has_others(bench: Bench) -> None:
    code = "import os\n" + _SAY % "os.urandom(40).hex()"
    first, second = _run(bench, code), _run(bench, code)
    assert first != second and first[:64] != second[:64]
    bench.part.page.boots = 0
    assert _run(bench, code) == first, "the same seed and number of boots"
    bench.part.page.boots = 0
    bench.part.set_bytes("seed", b"another")
    assert _run(bench, code) != first


def test_the_clock_is_the_benchs_or_was_never_set(bench: Bench) -> None:
    code = "import time\n" + _SAY % "[time.time(), time.gmtime(0)[0]]"
    now, epoch = _run(bench, code)
    assert epoch == 2000 and 0 <= now < 60
    bench.set_clock(946684800 + 1_000_000_000)
    assert 0 <= _run(bench, code)[0] - 1_000_000_000 < 60


def test_programming_only_clears_bits_and_a_mistake_is_counted(bench: Bench) -> None:
    code = _PART + "part.ioctl(6, 3)\nbuf = bytearray(4)\n"
    code += "part.writeblocks(3, b'\\xf0\\xf0\\xff\\xff', 8)\npart.readblocks(3, buf, 8)\n"
    assert _run(bench, code + _SAY % "buf.hex()") == "f0f0ffff"
    assert bench.part.page.bad_progs == 0
    code = _PART + "part.writeblocks(3, b'\\x0f\\xff\\xff\\x00', 8)\nbuf = bytearray(4)\n"
    code += "part.readblocks(3, buf, 8)\n"
    assert _run(bench, code + _SAY % "buf.hex()") == "00f0ff00"
    assert bench.part.page.bad_progs == 1
    assert (bench.part.page.wear[3], bench.part.page.wear[4]) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "held"),
    [("BEFORE", b"\xff" * 8), ("FIRST", b"\0" + b"\xff" * 7), ("HALF", b"\0" * 4 + b"\xff" * 4), ("LAST", b"\0" * 7 + b"\xff"), ("AFTER", b"\0" * 8)],
)  # fmt: skip
def test_the_fuse_lets_so_much_of_a_step_happen_and_no_more(
    bench: Bench, kind: str, held: bytes
) -> None:
    _run(bench, _SAY % "0")  # its littlefs is made
    code = _PART + "part.writeblocks(0, bytes(4), 0)\npart.writeblocks(0, bytes(8), 16)\n"
    life = bench.life("import board\n" + code, cut=(2, bench.part.layout["CUT_" + kind]))
    assert life.ended == bench.part.layout["EXIT_POWER_CUT"]
    assert bench.part.read(0, 4) == bytes(4) and bench.part.read(16, 8) == held
    assert bench.part.page.cut_erase == 0


def test_a_cut_erase_has_erased_a_part_of_the_block(bench: Bench) -> None:
    _run(bench, _SAY % "0")
    bench.part.write(0, bytes(8192))
    life = bench.life(
        "import board\n" + _PART + "part.ioctl(6, 0)\n", cut=(1, bench.part.layout["CUT_HALF"])
    )
    assert life.ended == bench.part.layout["EXIT_POWER_CUT"]
    assert bench.part.read(0, 8192) == b"\xff" * 2048 + bytes(6144)
    assert bench.part.page.cut_erase == 1


def test_the_power_goes_when_a_phase_comes_for_the_nth_time(bench: Bench) -> None:
    code = "import json, board\nfor n in range(5):\n    print('\\n' + json.dumps({'n': n}))\n    board.phase(board.PHASE_DIAL)\n"
    life = bench.life(code, phase=("DIAL", 3))
    assert life.ended == bench.part.layout["EXIT_POWER_CUT"] and life.last("n") == 2


def test_the_heap_ends_where_the_ram_does(bench: Bench) -> None:
    code = "import gc\ngc.collect()\n" + _SAY % "gc.mem_free() + gc.mem_alloc()"
    whole = _run(bench, code)
    bench.part.page.ram_bytes = 65536
    assert 0.96 < (whole - _run(bench, code)) / (build_mcu.RAM_BYTES - 65536) < 1


def test_a_littlefs_that_is_lost_is_said_and_not_made_anew(bench: Bench) -> None:
    _run(bench, "open('/kept', 'w').close()\n" + _SAY % "0")
    raw = bench.part.layout["RAW_BYTES"]
    image = bytearray(bench.part.image())
    image[raw : raw + 8192] = b"\x5a" * 8192
    life = bench.life("1", bytes(image))
    assert bench.part.page.lost_files == 1 and life.ended is None
    assert bench.part.image() == bytes(image), "what is left of it stays as it is"


def test_a_fault_of_the_processor_ends_the_board(bench: Bench) -> None:
    life = bench.life("import machine\nmachine.mem32[0xF0000000] = 1")
    assert life.ended == bench.part.layout["EXIT_FAULT"]


def test_without_an_emulator_it_says_how_to_have_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="apt-get install qemu-system-arm"):
        bench.boot()
