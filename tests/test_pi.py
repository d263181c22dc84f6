"""The agent on an emulated Pi: Linux, CPython and the installed command, over a real broker, its card and its surroundings."""

import os
import stat as stat_module
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import boards
import pi_rig
from everpin.core.store import REGION_BYTES
from everpin.ports.device import open_flash
from everpin.ports.fileflash import FileFlash
from everpin_sim import pki
from everpin_sim.targets.events import Event, is_event
from everpin_sim.targets.pi import Pi
from everpin_sim.targets.protocol import TargetError
from test_demo import MUTANTS

# A program for the place of the agent: what its machine has.
_LOOK = """
import json, os, random, ssl, time
print(json.dumps({
    "random": [os.urandom(8).hex(), random.randbytes(8).hex(), ssl.RAND_bytes(8).hex()],
    "time": time.time(),
}), flush=True)
"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[pi_rig.Rig]:
    made = pi_rig.Rig(tmp_path)
    made.start()
    yield made
    made.close()


@pytest.fixture
def pi(rig: pi_rig.Rig) -> Iterator[Pi]:
    with Pi(rig.home, pi_rig.guest(), rig.ports) as made:
        yield made


def _must(pi: Pi, fits: Callable[[Event], bool], mark: int = 0, timeout_s: float = 60) -> Event:
    event = pi.wait(fits, mark, timeout_s)
    assert event is not None, pi.since(mark)
    return event


def _look(pi: Pi) -> dict[str, Any]:
    mark = pi.mark()
    pi.start((), "look.py", {"look.py": _LOOK.encode()})
    found = _must(pi, lambda event: "random" in event, mark)
    pi.cut()
    return found


@pytest.mark.slow
def test_it_takes_an_update_over_a_pinned_session_and_keeps_it_over_a_power_cut(
    rig: pi_rig.Rig, pi: Pi
) -> None:
    pi.power_on()
    assert _must(pi, is_event("connected"))["number"] == [1, 1]
    assert ("gateway", "gateway") in rig.broker.clients()
    rig.publish()
    taken = _must(pi, is_event("accepted"))
    # At once: what the device says that it has, it has.
    pi.cut()
    assert taken["number"] == [1, 2]
    mark = pi.mark()
    pi.power_on()
    start = _must(pi, is_event("start"), mark)
    assert not pi.wait(is_event("ready"), 0, 0), "it went on from a snapshot, and did not boot"
    assert (start["number"], start["trust_digest"]) == ([1, 2], taken["trust_digest"])
    _must(pi, is_event("connected"), mark)
    # A broker whose key nobody pinned gets no further than its certificate.
    stranger = pki.leaf(rig.issuer, "broker")
    mark, known = pi.mark(), len(rig.broker.clients())
    rig.broker.restart(stranger)
    _must(pi, is_event("refused"), mark)
    assert len(rig.broker.clients()) == known


@pytest.mark.long
def test_without_its_pin_check_it_talks_to_a_stranger(rig: pi_rig.Rig, tmp_path: Path) -> None:
    file, check, without = MUTANTS["the pin check"]
    agent = boards.broken(tmp_path, file, [(check, without)])
    rig.broker.restart(pki.leaf(rig.issuer, "broker"))
    with Pi(rig.home, pi_rig.guest(agent=agent), rig.ports) as pi:
        pi.power_on()
        assert (
            _must(pi, lambda event: event["event"] in ("connected", "refused"))["event"]
            == "connected"
        )


@pytest.mark.slow
def test_its_network_is_what_it_was_given_and_only_while_it_is_plugged_in(
    rig: pi_rig.Rig, pi: Pi
) -> None:
    pi.power_on()
    _must(pi, is_event("connected"))
    mark = pi.mark()
    pi.network(False)
    _must(pi, is_event("lost"), mark)
    mark = pi.mark()
    pi.network(True)
    _must(pi, is_event("connected"), mark)
    pi.cut()
    mark = pi.mark()
    with Pi(rig.home, pi.guest) as other:  # no port at all
        other.power_on()
        _must(other, is_event("unreachable"))
        assert not other.wait(is_event("connected"), 0, 0.1)


@pytest.mark.slow
def test_two_lives_from_one_snapshot_share_neither_randomness_nor_time(pi: Pi) -> None:
    pi.set_clock(2_145_916_800)
    one = _look(pi)
    pi.set_clock(None)
    two = _look(pi)
    assert not set(one["random"]) & set(two["random"])
    assert len(set(one["random"])) == 3
    assert 0 <= one["time"] - 2_145_916_800 < 60
    # A Pi has no clock of its own: it wakes in 1970.
    assert 0 <= two["time"] < 3600


@pytest.mark.slow
def test_a_region_goes_in_and_comes_out_as_it_was_and_the_power_is_off_for_it(pi: Pi) -> None:
    image = (pi.home / "flash.img").read_bytes()
    pi.flash_in(image)
    assert pi.flash_out() == image and len(image) == REGION_BYTES
    with pytest.raises(TargetError, match="the power is off"):
        _ = pi.machine
    pi.power_on()
    for wrong in (pi.power_on, pi.flash_out):
        with pytest.raises(TargetError, match="the power is on"):
            wrong()
    assert pi.alive
    pi.cut()
    assert not pi.alive


@pytest.mark.long
@pytest.mark.parametrize("machine", ["virt", "raspi3b"])
def test_it_boots_from_power_on_on_both_machines(rig: pi_rig.Rig, machine: str) -> None:
    with Pi(rig.home, pi_rig.guest(machine), rig.ports, cold=True) as pi:
        pi.set_clock(None)
        pi.power_on()
        _must(pi, is_event("connected"), timeout_s=120)
        rig.publish()
        taken = _must(pi, is_event("accepted"))
        pi.cut()
        mark = pi.mark()
        pi.power_on()
        start = _must(pi, is_event("start"), mark, 120)
        assert start["trust_digest"] == taken["trust_digest"]
        # The one of a snapshot was said before these lives.
        assert len([event for event in pi.events if event["event"] == "ready"]) == 2


def test_a_partition_is_opened_as_a_file_although_its_mode_has_a_folders_bit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "region").write_bytes(b"\xff" * REGION_BYTES)
    (tmp_path / "device.json").write_text('{"flash": "region"}')
    really = os.stat

    def stat(path: str, *args: Any, **kwargs: Any) -> os.stat_result:
        found = really(path, *args, **kwargs)
        if not str(path).endswith("/region"):
            return found
        return os.stat_result((stat_module.S_IFBLK | 0o600, *found[1:]))

    monkeypatch.setattr(os, "stat", stat)
    flash = open_flash(str(tmp_path), {"flash": "region"}, False)
    assert isinstance(flash, FileFlash)
    flash.close()


# ---- the story -------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_every_line_of_the_story_holds_with_a_pi(capsys: pytest.CaptureFixture[str]) -> None:
    pi_rig.guest()
    code, found = boards.told(capsys, "pi", "--rescue", "http")
    assert (boards.untrue(found), code, found["ok"]) == ([], 0, True)
    assert found["target"] == "pi"


@pytest.mark.long
def test_the_story_fails_on_a_pi_without_the_pin_check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pi_rig.guest()
    file, check, without = MUTANTS["the pin check"]
    agent = boards.broken(tmp_path, file, [(check, without)])
    code, found = boards.told(capsys, "pi", "--rescue", "mqtt", "--agent", str(agent))
    assert code == 1 and found["ok"] is False
    assert "gateway" in {row["device"] for row in boards.untrue(found)}
