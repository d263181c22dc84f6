"""A board as a device: its lives, its flash, its surroundings; and the story told with boards."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import boards
from everpin.core.store import REGION_BYTES
from everpin.ports.cpython import cli
from everpin_sim import build_mcu, pki
from everpin_sim.targets.events import is_event
from everpin_sim.targets.mcu import MEDIUMS, Mcu
from everpin_sim.targets.protocol import TargetError
from test_demo import MUTANTS


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a device's folder; its broker is a port of loopback that nobody listens on."""
    folder = tmp_path_factory.mktemp("fleet")
    where = ("--fleet", str(folder / "acme"))
    pin = []
    for name in ("one", "two"):
        path = folder / name
        path.write_bytes(pki.key_pem(pki.new_key()))
        pin.append(("pin", *where, "add", "localhost", "--from", str(path)))
    for argv in (
        ("init", str(folder / "acme"), "--fleet", "acme", "--channel", "meters", "--broker", "localhost:9", "--rescue", "http://localhost:9"),
        ("key", *where, "new", "ops", "--no-passphrase"),
        *pin,
        ("sign", *where, "--yes"),
        ("provision", *where, "meter"),
    ):  # fmt: skip
        assert cli.main(list(argv)) == 0
    return folder / "acme" / "devices" / "meter"


@pytest.fixture(params=MEDIUMS)
def board(request: pytest.FixtureRequest, provisioned: Path, tmp_path: Path) -> Iterator[Mcu]:
    firmware = boards.firmware()
    for item in provisioned.iterdir():
        (tmp_path / item.name).write_bytes(item.read_bytes())
    with Mcu(tmp_path, firmware, ports=[9], medium=request.param) as made:
        yield made


def test_a_region_goes_in_and_comes_out_as_it_was(board: Mcu) -> None:
    image = (board.home / "flash.img").read_bytes()
    board.flash_in(image)
    assert board.flash_out() == image[:REGION_BYTES]
    # A copy was read: this board has not booted for it.
    boots = board.part.page.boots
    assert board.flash_out() == image[:REGION_BYTES] and board.part.page.boots == boots


def test_the_agent_lives_on_over_cuts_and_neither_key_nor_trust_is_lost(board: Mcu) -> None:
    board.power_on()
    first = board.wait(is_event("start"), timeout_s=30)
    assert first is not None and first["device"] == "meter"
    assert not [item for item in board.events if item["event"] == "secrets-sealed"]
    board.cut_at_phase("DIAL")
    mark = board.mark()
    board.reset()
    assert board.machine.ended() == board.part.layout["EXIT_POWER_CUT"]
    assert board.part.page.phase == board.part.layout["PHASE_DIAL"]
    board.cut_at_phase("BOOT", 0)
    board.power_on()
    again = board.wait(is_event("start"), mark, 30)
    assert again is not None and again["trust_digest"] == first["trust_digest"]
    key = board.device_key
    assert key is not None and key not in board.part.image()


def test_it_reaches_the_ports_that_it_was_given_and_only_while_its_network_is_on(
    board: Mcu,
) -> None:
    board.power_on()
    refused = board.wait(is_event("unreachable"), timeout_s=30)
    assert refused is not None and refused["error"] == "OSError 111"
    assert set(board.modem.log) == {("127.0.0.1", 9)}
    mark = board.mark()
    board.network(False)
    assert board.wait(lambda event: event.get("error") == "OSError -2", mark, 60) is not None


def test_it_is_off_for_what_needs_it_off(board: Mcu) -> None:
    with pytest.raises(TargetError, match="the power is off"):
        board.machine.prompt()
    board.power_on()
    for wrong in (board.power_on, board.flash_out, board.boot_to_prompt):
        with pytest.raises(TargetError, match="the power is on"):
            wrong()
    assert board.alive
    board.cut()
    assert not board.alive


def test_its_clock_is_set_while_it_runs(board: Mcu) -> None:
    machine = board.boot_to_prompt()
    code = "import time; print(time.time() + 946684800)"
    assert abs(int(machine.run(code)) - time.time()) < 60
    board.set_clock(2_145_916_800)
    assert 0 <= int(machine.run(code)) - 2_145_916_800 < 60
    board.set_clock(None)
    assert 0 <= int(machine.run(code)) - 946_684_800 < 600


# ---- the story ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_line_of_the_story_holds_with_boards(capsys: pytest.CaptureFixture[str]) -> None:
    boards.firmware()
    code, found = boards.told(capsys, "mcu", "--rescue", "mqtt")
    assert (boards.untrue(found), code, found["ok"]) == ([], 0, True)
    assert found["target"] == "mcu" and set(found["runs"][0]["downtime_s"]) == {"lamp", "gateway"}


@pytest.mark.slow
def test_the_story_fails_on_boards_without_the_pin_check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    boards.firmware()
    file, check, without = MUTANTS["the pin check"]
    agent = boards.broken(tmp_path, file, [(check, without)])
    code, found = boards.told(
        capsys, "mcu", "--rescue", "mqtt", "--agent", str(agent), "--fail-fast"
    )
    assert code == 1 and found["ok"] is False
    assert re.search("refuses the attacker", str(boards.untrue(found)))


def test_without_its_tools_the_story_says_what_is_lacking(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_mcu, "NEEDED", {"no-such-program": "no-such-package"})
    monkeypatch.setenv("EVERPIN_NO_APT", "1")
    assert cli.main(["demo", "--target", "mcu"]) != 0
    out, err = capsys.readouterr()
    assert "no-such-package" in err and "Traceback" not in out + err
