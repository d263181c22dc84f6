"""The story for real, and the proof that it proves: with a check removed from a copy of agent/, the same command exits 1."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mpy
from everpin_sim.broker import mosquitto_path

AGENT = Path(__file__).resolve().parent.parent / "agent"

# (file, the check, what stands there without it): each text stands once in its file.
MUTANTS = {
    "the pin check": (
        "core/verdict.py",
        "return (_OK, []) if entry.pinned(pin) else (errors.PIN_MISMATCH, [])",
        "return (_OK, [])",
    ),
    "the signature check": (
        "core/cose.py",
        "if crypto.verify(alg, key.raw, message.to_be_signed(protected, aad), signature):",
        "if True:",
    ),
    "the number check": ("core/accept.py", "if number < trust.marks.number:", "if False:"),
}


@pytest.fixture(autouse=True)
def _needs_micropython() -> None:
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)


def _demo(*args: str) -> tuple[int, dict[str, Any], str]:
    command = [sys.executable, "-m", "everpin.ports.cpython.cli", "demo", "--json", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    return done.returncode, json.loads(done.stdout), done.stderr


def _untrue(found: dict[str, Any]) -> list[str]:
    return [
        f"{row['device']}: {row['what']}: {row['verdict']}"
        for run in found["runs"]
        for row in run["rows"]
        if not row["ok"]
    ]


def test_every_line_of_the_story_holds_by_both_ways_of_rescue() -> None:
    code, found, said = _demo("--lifetime", "20")
    assert _untrue(found) == [], said
    assert code == 0 and found["ok"] is True
    assert [run["rescue"] for run in found["runs"]] == ["mqtt", "http"]
    steps = {row["step"] for run in found["runs"] for row in run["rows"]}
    assert steps == {1, 2, 3, 4, 5}
    assert set(found["runs"][0]["downtime_s"]) == {"lamp", "gateway"}


@pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
def test_the_story_holds_with_mosquitto() -> None:
    code, found, said = _demo("--broker", "mosquitto", "--rescue", "mqtt", "--lifetime", "20")
    assert _untrue(found) == [], said
    assert code == 0


@pytest.mark.parametrize("name", MUTANTS)
def test_the_demo_fails_without(name: str, tmp_path: Path) -> None:
    where, check, without = MUTANTS[name]
    copy = tmp_path / "agent"
    shutil.copytree(AGENT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / "everpin" / where
    text = path.read_text()
    assert text.count(check) == 1
    path.write_text(text.replace(check, without))
    code, found, said = _demo(
        "--agent", str(copy), "--rescue", "mqtt", "--lifetime", "20", "--fail-fast"
    )
    assert code == 1 and found["ok"] is False, said
    assert _untrue(found), said
