"""Power cuts on an emulated Pi: in what its kernel wrote to the card, and by SIGKILL; the verdicts are those of the same path in process."""

import struct
from pathlib import Path
from typing import Any

import pytest

import boards
import pi_rig
from everpin.core.store import REGION_BYTES
from everpin.ports.cpython import cli
from everpin_sim import cuts, sweep_report
from everpin_sim.targets.card import REGION_AT
from everpin_sim.targets.protocol import TargetError
from everpin_sim.targets.write_log import Cuts, writes


def _said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    return boards.swept(capsys, "pi", *argv)


@pytest.mark.slow
def test_every_write_of_an_update_is_torn_and_costs_no_trust(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pi_rig.guest()
    code, report = _said(capsys, "--path", "pins", "--ops", "1")
    assert (code, report["failed"], report["why"]) == (0, [], [])
    assert (report["target"], report["flash"], report["depth"]) == ("pi", "partition", 1)
    # Five kinds of cut for each write, one delivery that is repeated, and some cuts in a sync.
    assert report["steps"] >= 3 and report["cases"] > 5 * report["steps"] + 1


@pytest.mark.long
@pytest.mark.parametrize("path", cuts.PATHS)
def test_the_whole_of_each_path(capsys: pytest.CaptureFixture[str], path: str) -> None:
    pi_rig.guest()
    code, report = _said(capsys, "--path", path)
    assert (code, report["failed"], report["why"]) == (0, [], [])


@pytest.mark.slow
def test_a_store_that_is_broken_on_purpose_fails_on_the_pi_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pi_rig.guest()
    agent = str(boards.broken(tmp_path, "core/store.py", boards.TOO_EARLY))
    code, report = _said(capsys, "--path", "pins", "--agent", agent, "--fail-fast")
    assert code == 1 and sum(report[count] for count in sweep_report.COUNTS) >= 1
    case = report["failed"][0]
    code, again = _said(capsys, "--case", case, "--agent", agent)
    assert (code, again["failed"], again["why"]) == (1, [case], report["why"][:1])


@pytest.mark.long
def test_a_flash_that_leaves_all_to_the_kernel_loses_an_update_that_was_taken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pi_rig.guest()
    fsync = "            os.fsync(self._file.fileno())\n"
    agent = boards.broken(tmp_path, "ports/fileflash.py", [(fsync, "            pass\n")])
    code, report = _said(capsys, "--case", "pins/1/op0/ack", "--agent", str(agent))
    assert (code, report["failed"], report["lowered"]) == (1, ["pins/1/op0/ack"], 1)


@pytest.mark.parametrize(
    "argv",
    [["--path", "pins", "--depth", "2"], ["--path", "pins", "--flash", "littlefs"]],
    ids=" ".join,
)
def test_what_this_target_does_not_do_is_2(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert cli.main(["sim", "cuts", "--target", "pi", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and argv[-2] in err


# ---- the log of writes -----------------------------------------------------------------------------------------------


def _log(*entries: tuple[int, bytes, int]) -> bytes:
    """Return a log of (offset, data, flags), as the emulator writes it."""
    head = struct.pack("<QQQI", 0x6A736677736872, 1, len(entries), 512).ljust(512, b"\0")
    for offset, data, flags in entries:
        head += struct.pack("<QQQQ", offset // 512, len(data) // 512, flags, 0).ljust(512, b"\0")
        head += data
    return head


def test_a_cut_in_a_write_leaves_what_the_card_had_of_it(tmp_path: Path) -> None:
    one, two, three = (bytes([number]) * 4096 for number in (1, 2, 3))
    log = tmp_path / "log"
    at = REGION_AT
    log.write_bytes(_log((at, one, 0), (0, b"", 1), (at + 4096, two, 0), (at, three, 0)))
    found = writes(log)
    assert [(write.offset, write.pending) for write in found] == [(0, 0), (4096, 0), (0, 1)]
    clean = b"\xff" * REGION_BYTES
    made = Cuts(clean, found)
    assert [made.kinds(number)[-1] for number in range(3)] == ["after", "after", "reorder"]
    rest = clean[4096:]
    assert made.image(0, "first") == one[:512] + clean[512:]
    assert made.image(0, "half") == one[:2048] + clean[2048:]
    assert made.image(0, "last") == one[:3584] + clean[3584:]
    assert made.image(0, "torn")[2048 : 2048 + 170] == one[:170]
    assert made.image(0, "torn")[2048 + 170 :] == clean[2048 + 170 :]
    assert made.image(0, "after") == one + rest
    assert made.image(2, "after") == three + two + clean[8192:]
    assert made.image(2, "lost") == one + rest
    assert made.image(2, "reorder") == three + rest


def test_a_write_where_nothing_of_the_agents_is_does_not_go_unseen(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(_log((0, bytes(512), 0)))
    with pytest.raises(TargetError, match="outside of the region"):
        writes(log)
