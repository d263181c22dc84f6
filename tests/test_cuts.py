"""Power cuts by exhaustion over every update path, on both interpreters; tests/test_cuts_broken.py shows that they find something."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from cutflash import CutFlash, NorError, PowerCut
from cuts import Sweep  # firmware_sim/everpin_sim/device
from lives import Path as UpdatePath
from lives import remember_signatures
from mediums import Memory
from oracle import Oracle

import mpy
from everpin.ports.cpython import cli
from everpin_sim import cuts, paths, sweep_report

# One region is one number here: sector by sector, what the store keeps where (core/store.py).
SLOTS = {7: "root", 10: "root", 13: "pins", 16: "pins", 27: "journal"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = tmp_path_factory.mktemp("paths")
    paths.write(made)
    remember_signatures(True)
    yield str(made)
    remember_signatures(False)


@pytest.fixture(scope="module")
def in_process(folder: str) -> dict[str, tuple[int, int]]:
    """(steps, cases) of each path that was swept in process."""
    return {}


def sweep(folder: str, path: str, depth: int = 1) -> tuple[int, int]:
    result = Sweep(UpdatePath(folder, path), Memory()).run(depth)
    assert result.failed == []
    assert result.wrong == {"bricked": 0, "lost": 0, "lowered": 0}
    return result.steps, result.cases


def unix() -> None:
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)


@pytest.mark.slow
@pytest.mark.parametrize("path", paths.PATHS)
def test_one_cut_fault_or_rotten_record_costs_no_device_its_trust(
    folder: str, in_process: dict[str, tuple[int, int]], path: str
) -> None:
    in_process[path] = sweep(folder, path)
    assert in_process[path][0] >= 10 and in_process[path][1] > 250


@pytest.mark.slow
@pytest.mark.parametrize("path", paths.PATHS)
def test_one_cut_under_micropython_and_both_interpreters_see_the_same_cases(
    folder: str, in_process: dict[str, tuple[int, int]], path: str
) -> None:
    unix()
    report = cuts.sweep(path, 1, "unix")
    assert (report["failed"], report["why"]) == ([], [])
    assert sweep_report.well(report)
    if path in in_process:  # not so where this test runs alone
        assert (report["steps"], report["cases"]) == in_process[path]


@pytest.mark.long
@pytest.mark.parametrize("path", paths.PATHS)
def test_a_second_cut_at_every_step_of_every_recovery(folder: str, path: str) -> None:
    _, cases = sweep(folder, path, 2)
    assert cases > 3000


@pytest.mark.long
@pytest.mark.parametrize("path", paths.PATHS)
def test_a_second_cut_under_micropython(path: str) -> None:
    unix()
    report = cuts.sweep(path, 2, "unix")
    assert report["failed"] == [] and sweep_report.well(report) and report["cases"] > 3000


@pytest.mark.slow
@pytest.mark.parametrize("path", paths.PATHS)
@pytest.mark.parametrize("seed", range(12))
def test_ten_cuts_in_a_row_each_in_the_recovery_from_the_one_before(
    folder: str, path: str, seed: int
) -> None:
    oracle = Oracle(UpdatePath(folder, path), Memory())
    mixed = random.Random(f"{path} {seed}")
    raw = oracle.origin.copy()
    step = mixed.randrange(oracle.uncut.steps)
    raw.cut = (step, mixed.choice(oracle.uncut.kinds(step)))
    with pytest.raises(PowerCut):
        oracle.live(raw)
    cuts = 1
    while cuts < 10:
        raw.restart()
        at = (oracle.floor, oracle.op)
        trial = raw.copy()
        oracle.recover(trial, *at, False)
        if not trial.steps:
            break  # nothing is written any more: it has recovered
        step = mixed.randrange(trial.steps)
        raw.cut = (step, mixed.choice(trial.kinds(step)))
        with pytest.raises(PowerCut):
            oracle.recover(raw, *at, False)
        cuts += 1
    raw.restart()
    assert oracle.verdict((raw, oracle.floor, oracle.op, False)) is None


# ---- what the sweep reaches -----------------------------------------------------------------------------------------


def test_the_paths_enter_every_part_of_the_region_by_erase_and_by_prog(folder: str) -> None:
    erased: dict[str, set[int]] = {}
    written: set[int] = set()
    for name in paths.PATHS:
        log = Oracle(UpdatePath(folder, name), Memory()).uncut.log or []
        erased[name] = {offset // 4096 for what, offset, _ in log if what == "erase"}
        written |= {offset // 4096 for what, offset, _ in log if what == "prog"}
    everywhere = set.union(*erased.values())
    assert set(SLOTS) <= everywhere & written, "both slots of root and pins, the journal"
    assert 14 in erased["first-boot"], "a document of two sectors"
    # In `pins` the rings are full before it begins: their first sectors are entered again.
    assert {19, 23} <= erased["pins"], "each ring of commits begins a new lap"


def test_every_state_of_a_path_is_another_and_reset_comes_back_to_where_it_began(
    folder: str,
) -> None:
    for name, count in (("pins", 4), ("root", 5), ("contingency", 4), ("first-boot", 3)):
        states = [state for state, _, _ in Oracle(UpdatePath(folder, name), Memory()).states]
        assert len(set(states)) == len(states) == count, name
    states = [state for state, _, _ in Oracle(UpdatePath(folder, "reset"), Memory()).states]
    assert len(states) == 5 and states[0] == states[4]


# ---- the emulated flash ---------------------------------------------------------------------------------------------


def cut(kind: str, step: int = 0) -> CutFlash:
    flash = CutFlash(8192)
    flash.prog(0, b"\x00" * 600)
    flash.sync()
    flash.cut = (step + 1, kind)
    flash.steps = 1
    return flash


@pytest.mark.parametrize(
    ("kind", "written"), [("before", 0), ("first", 1), ("half", 50), ("last", 99), ("after", 100)]
)
def test_a_torn_prog_has_written_so_much_and_no_more(kind: str, written: int) -> None:
    flash = cut(kind)
    with pytest.raises(PowerCut):
        flash.prog(700, b"\x00" * 100)
    assert flash.read(700, 100) == b"\x00" * written + b"\xff" * (100 - written)


@pytest.mark.parametrize(
    ("kind", "left"), [("before", 600), ("first", 599), ("erase-prefix", 0), ("after", 0)]
)
def test_a_torn_erase_has_erased_a_prefix(kind: str, left: int) -> None:
    flash = cut(kind)
    with pytest.raises(PowerCut):
        flash.erase(0, 4096)
    assert flash.read(0, 600) == b"\xff" * (600 - left) + b"\x00" * left


def test_random_tears_are_in_between_and_the_same_each_time() -> None:
    seen = set()
    for _ in range(2):
        prog, erase = cut("prog-random"), cut("erase-random")
        with pytest.raises(PowerCut):
            prog.prog(700, b"\x0f" * 100)
        with pytest.raises(PowerCut):
            erase.erase(0, 4096)
        torn, half = prog.read(700, 100), erase.read(0, 600)
        assert all(byte & 0x0F == 0x0F or byte | 0xF0 == byte for byte in torn)
        assert 0 < sum(torn.count(bytes([value])) for value in range(255)) <= 100
        assert 200 < 600 - half.count(0) <= 600 and half.count(255) < 300
        seen.add((torn, half))
    assert len(seen) == 1


def test_what_was_not_synced_may_be_lost_or_come_to_rest_out_of_order() -> None:
    for kind, kept in (("lost", (False, False)), ("reorder", (False, True))):
        flash = cut(kind, 1)
        flash.prog(700, b"\x01")
        with pytest.raises(PowerCut):
            flash.prog(800, b"\x02")
        assert (flash.read(700, 1) == b"\x01", flash.read(800, 1) == b"\x02") == kept


def test_the_flash_refuses_what_no_such_part_can_do() -> None:
    flash = CutFlash(8192)
    flash.prog(0, b"\x00")
    for wrong in (
        lambda: flash.prog(0, b"\x01"),
        lambda: flash.erase(100, 4096),
        lambda: flash.erase(0, 100),
        lambda: flash.prog(8192, b"\x00"),
        lambda: flash.read(8190, 3),
    ):
        with pytest.raises(NorError):
            wrong()


# ---- the command ----------------------------------------------------------------------------------------------------


def test_one_json_object_says_what_was_swept(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sim", "cuts", "--path", "first-boot", "--ops", "2", "--json"]) == 0
    out, _ = capsys.readouterr()
    report = json.loads(out)
    assert (report["path"], report["depth"], report["target"]) == ("first-boot", 1, "core")
    assert report["steps"] == 6 and report["cases"] > 100
    assert (report["bricked"], report["lost"], report["lowered"]) == (0, 0, 0)
    assert report["failed"] == [] and 0 < report["seconds"] < 60


def test_a_case_of_two_cuts_runs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sim", "cuts", "--case", "root/2/9/after/4/half", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cases"] == 1
    assert cli.main(["sim", "cuts", "--case", "root/2/9/after/4/half"]) == 0
    assert capsys.readouterr().out.startswith("root: 17 flash steps, 1 cases: 0 bricked")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["cuts"],
        ["cuts", "--path", "sideways"],
        ["cuts", "--path", "pins", "--depth", "3"],
        ["cuts", "--path", "pins", "--case", "pins/1/3/half"],
        ["cuts", "--case", "sideways/1/3/half"],
        ["cuts", "--case", "pins/1/3/sideways"],
        ["cuts", "--path", "pins", "--agent", "/nonexistent"],
        ["cuts", "--path", "pins", "--flash", "littlefs"],
        ["cuts", "--path", "pins", "--ops", "-1"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_2_and_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert cli.main(["sim", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "everpin" in err and "Traceback" not in err


def test_help_names_the_paths_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sim", "cuts", "--help"]) == 0
    out, _ = capsys.readouterr()
    for path in paths.PATHS:
        assert f"  {path} " in out
    assert "everpin sim cuts --path all --target unix" in out


def test_without_a_micropython_the_command_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERPIN_MICROPYTHON", "/nonexistent")
    assert cli.main(["sim", "cuts", "--path", "pins", "--target", "unix"]) == 2
    assert "MicroPython" in capsys.readouterr().err


def test_a_sweep_that_ends_badly_is_no_success(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    agent = tmp_path / "agent"
    (agent / "everpin" / "core").mkdir(parents=True)
    (agent / "everpin" / "__init__.py").touch()
    assert cli.main(["sim", "cuts", "--path", "pins", "--agent", str(agent), "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "ended before its time" in err
