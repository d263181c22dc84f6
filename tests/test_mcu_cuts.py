"""Power cuts on an emulated microcontroller, by its flash's own fuse: the verdicts are those of the same path in process."""

from pathlib import Path
from typing import Any

import pytest

import boards
import mpy
from everpin.ports.cpython import cli
from everpin_sim import board_cuts, cuts, sweep_report


def _said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    return boards.swept(capsys, "mcu", *argv)


@pytest.mark.slow
def test_every_step_of_an_update_on_the_littlefs_is_cut_and_costs_no_trust(
    capsys: pytest.CaptureFixture[str],
) -> None:
    boards.firmware()
    code, report = _said(capsys, "--path", "pins", "--ops", "1")
    assert (code, report["failed"], report["why"]) == (0, [], [])
    assert (report["target"], report["flash"], report["depth"]) == ("mcu", "littlefs", 1)
    # Six kinds of cut at each step, and one delivery that is repeated.
    assert report["steps"] > 10 and report["cases"] == 6 * report["steps"] + 1


@pytest.mark.long
@pytest.mark.parametrize("flash", ["littlefs", "partition"])
def test_the_whole_pins_update(capsys: pytest.CaptureFixture[str], flash: str) -> None:
    boards.firmware()
    code, report = _said(capsys, "--path", "pins", "--flash", flash)
    assert (code, report["failed"], report["why"]) == (0, [], [])
    assert report["cases"] == 6 * report["steps"] + 4


@pytest.mark.slow
@pytest.mark.parametrize("flash", ["littlefs", "partition"])
def test_the_board_takes_the_same_steps_as_micropython_in_a_process(
    capsys: pytest.CaptureFixture[str], flash: str
) -> None:
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    boards.firmware()
    case = "pins/1/3/half"
    code, report = _said(capsys, "--case", case, "--flash", flash)
    assert code == 0 and report["cases"] == 1
    assert report["steps"] == cuts.sweep("pins", 1, "unix", flash=flash, case=case)["steps"]


@pytest.mark.slow
def test_a_store_that_is_broken_on_purpose_fails_on_the_board_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    boards.firmware()
    agent = str(boards.broken(tmp_path, "core/store.py", boards.TOO_EARLY))
    code, report = _said(capsys, "--path", "pins", "--agent", agent, "--fail-fast")
    assert code == 1 and sum(report[count] for count in sweep_report.COUNTS) >= 1
    case = report["failed"][0]
    code, again = _said(capsys, "--case", case, "--agent", agent)
    assert (code, again["failed"], again["why"]) == (1, [case], report["why"][:1])
    code, ours = _said(capsys, "--case", case)
    assert (code, ours["cases"]) == (0, 1)


@pytest.mark.slow
def test_a_state_that_is_not_the_one_in_process_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    boards.firmware()
    really = board_cuts.expected

    def other(*args: Any) -> dict[str, Any]:
        said = really(*args)
        state, *rest = said["states"][1]
        said["states"][1] = [state[:-2] + ("00" if state[-2:] != "00" else "01"), *rest]
        return said

    monkeypatch.setattr(board_cuts, "expected", other)
    code, report = _said(capsys, "--path", "pins", "--ops", "1")
    assert (code, report["failed"], report["lost"]) == (1, ["pins/uncut"], 1)


@pytest.mark.parametrize(
    "argv",
    [["--path", "pins", "--depth", "2"], ["--path", "pins", "--flash", "memory"]],
    ids=" ".join,
)
def test_what_this_target_does_not_do_is_2(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert cli.main(["sim", "cuts", "--target", "mcu", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and argv[-2] in err


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["pins/1/999/half", "pins/1/3/sideways", "pins/1/op9/ack", "pins/2/3/half/4/half"]
)
def test_a_case_that_there_is_not_is_2(capsys: pytest.CaptureFixture[str], case: str) -> None:
    boards.firmware()
    assert cli.main(["sim", "cuts", "--target", "mcu", "--case", case]) == 2
    assert case in capsys.readouterr().err
