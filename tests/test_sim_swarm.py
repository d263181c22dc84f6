"""A swarm takes its update whatever its devices meet, the same for equal seeds; a broken agent strands or fools some of it."""

import json
from pathlib import Path
from typing import Any

import pytest

import boards
from everpin.ports.cpython import cli
from everpin_sim.broker import mosquitto_path
from everpin_sim.swarm.faults import FAULTS, WrongFaults, draw, shares

needs_mosquitto = pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")


def _swarm(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any]]:
    code = cli.main(["sim", "swarm", "--json", *argv])
    said = capsys.readouterr()
    assert said.out, said.err
    return code, json.loads(said.out)


def _all_have_it(code: int, said: dict[str, Any], devices: int) -> None:
    assert code == 0 and said["ok"] is True, said
    assert said["devices"] == devices
    assert [said[key] for key in ("accepted", "confirmed", "reported")] == [1.0, 1.0, 1.0], said
    assert (said["stranded"], said["fooled"]) == (0, 0)


@needs_mosquitto
def test_a_swarm_takes_its_update_through_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = _swarm(capsys, "--devices", "200", "--seed", "5")
    _all_have_it(code, said, 200)
    assert all(met for _, met in said["faults"].values()), said["faults"]
    assert said["lag_s"]["confirmed"]["max"] > 0


@needs_mosquitto
def test_equal_seeds_give_equal_outcomes_however_many_processes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [
        _swarm(capsys, "--devices", "60", "--seed", seed, "--processes", processes)[1]
        for seed, processes in (("8", "1"), ("8", "3"), ("9", "2"))
    ]
    one, same, other = ({k: v for k, v in said.items() if k != "seconds"} for said in found)
    assert one == same
    assert one["outcome"] != other["outcome"]


# name: (faults, file, what stands there, what stands there then, where it shows)
BROKEN = {
    "the pin check": (
        "intruder=1", "core/verdict.py", "return (_OK, []) if entry.pinned(pin) else (errors.PIN_MISMATCH, [])",
        "return (_OK, [])", "fooled",
    ),
    "the number check": ("replay=1", "core/accept.py", "if number < trust.marks.number:", "if False:", "fooled"),
    "the signature check": (
        "replay=1", "core/cose.py", "if crypto.verify(alg, key.raw, message.to_be_signed(protected, aad), signature):",
        "if True:", "fooled",
    ),
    "the handshake that confirms": (
        "none", "core/agent.py", "self._reconnect = online is not None and not self.trust.confirmed(online.name)",
        "pass", "stranded",
    ),
}  # fmt: skip


@needs_mosquitto
@pytest.mark.parametrize("name", BROKEN)
def test_a_swarm_without_a_check_is_status_1(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faults, file, check, without, where = BROKEN[name]
    agent = boards.broken(tmp_path, file, [(check, without)])
    code, said = _swarm(capsys, "--devices", "30", "--faults", faults, "--agent", str(agent))
    assert code == 1 and said["ok"] is False
    assert said[where] > 0, said


def test_one_faults_share_changes_nothing_of_anothers() -> None:
    everything = shares("all")
    less = {**everything, "cut": 0.0}
    for number in range(300):
        full, without = draw(1, number, everything, True), draw(1, number, less, True)
        assert [name for name in full.faults if name != "cut"] == without.faults
        assert (full.intruders, full.around) == (without.intruders, without.around)


def test_faults_are_named_with_their_shares() -> None:
    assert set(shares("none").values()) == {0.0}
    assert shares("cut=0.5,intruder")["cut"] == 0.5
    assert shares("intruder") == {n: FAULTS[n][1] if n == "intruder" else 0.0 for n in FAULTS}
    for wrong in ("rain", "cut=2", "cut=much", ""):
        with pytest.raises(WrongFaults):
            shares(wrong)


def test_wrong_use_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, said in (
        (["--devices", "0"], "one at least"),
        (["--devices", "5", "--faults", "rain"], "no fault"),
        (["--devices", "5", "--agent", "/nowhere"], "no copy of agent/"),
    ):
        assert cli.main(["sim", "swarm", *argv]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.long
@needs_mosquitto
def test_five_thousand_devices_take_one_push(capsys: pytest.CaptureFixture[str]) -> None:
    _all_have_it(*_swarm(capsys, "--devices", "5000", "--seed", "2"), 5000)


@pytest.mark.long
def test_the_embedded_broker_carries_a_small_swarm(capsys: pytest.CaptureFixture[str]) -> None:
    _all_have_it(
        *_swarm(capsys, "--devices", "40", "--faults", "replay,cut", "--broker", "amqtt"), 40
    )
