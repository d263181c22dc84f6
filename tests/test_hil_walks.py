"""Endurance: random walks over decades, two counters that stay at zero, and the line about them in the README."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from everpin_hil import bench, endure, made_with, mutants, scenario, walks
from everpin_hil.scenario import seconds
from hil_bench import AGENT, lines, mutant, said

TOP = AGENT.parent


def test_walks_keep_both_counters_at_zero_and_a_log_is_gone_on_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    argv = ["endure", "--years", "90", "--seed", "7", "--log", str(tmp_path / "log"), "--json"]
    status, out, _ = said(capsys, *argv)
    (found,) = lines(out)
    assert status == 0 and found["years"] >= 90 and found["walks"] == 3
    assert (found["failed"], found["stranded"], found["intruders"]) == (0, 0, 0)
    before = (tmp_path / "log").read_text()
    assert said(capsys, *argv)[1] == out and (tmp_path / "log").read_text() == before


@pytest.mark.long
def test_a_walk_that_goes_wrong_becomes_a_short_scenario_that_fails_alike(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    argv = ["endure", "--years", "30", "--seed", "7", "--out", str(tmp_path)]
    with mutants.changed(mutant("keeps a forbidden pin"), AGENT) as copy:
        status, _, err = said(capsys, *argv, "--agent", str(copy))
        (short,) = tmp_path.glob("walk-7-*.toml")
        made = scenario.load(str(short))
        (case,) = bench.run([made], "core", 7, copy)
    assert status == 1 and str(short) in err
    assert len(made.said["step"]) <= 4 and endure.kind_of(case)
    (healthy,) = bench.run([made], "core", 7, AGENT)
    assert healthy.ok, healthy.failures


def test_who_robs_a_device_gives_it_the_time_that_its_mirror_may_take() -> None:
    device = walks.Walk(7, 0, 1).scenario.said["device"]
    every, look = device["timing"]["rescue_every_s"], seconds(device["look"])
    # Asked by interval, a quarter late (core/schedule.py); a cut in that look, and anywhere in the interval again; one look more.
    bound = math.ceil(1.25 * every / look) * look + math.ceil(every / look) * look + look
    robbed = [
        seconds(step["within"])
        for number in range(20)
        for step in walks.Walk(7, number, 30).scenario.said["step"]
        if "stolen" in step["say"]
    ]
    assert robbed and min(robbed) >= bound


@pytest.mark.long
def test_a_million_device_years_strand_nobody_and_let_nobody_in() -> None:
    # The log of `make walks`: what was walked with these very sources counts, and a run that was ended goes on.
    log = TOP / "build" / "hil" / "walks.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    found = endure.Endurance(11, 1_000_000, AGENT, log)
    found.run(os.cpu_count() or 1, lambda line: None)
    assert found.summary()["years"] >= 1_000_000
    assert found.found == []


def test_what_was_walked_with_other_sources_is_walked_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    argv = ["endure", "--years", "30", "--seed", "7", "--log", str(log), "--json"]
    assert said(capsys, *argv)[0] == 0
    (walked,) = endure.logged(log, made_with.walk(AGENT))
    with mutants.changed(mutant("keeps a forbidden pin"), AGENT) as copy:
        assert made_with.facts(copy) != made_with.facts(AGENT)
        assert list(endure.logged(log, made_with.walk(copy))) == []
    with log.open("a", encoding="utf-8") as file:
        file.write('\n{"seed": 7, "wal')
    log.write_text(log.read_text().replace(walked["made_with"], "0" * 64))
    assert said(capsys, *argv)[0] == 0
    (again,) = endure.logged(log, made_with.walk(AGENT))
    assert again == walked


def test_every_file_with_a_hand_in_a_walk_counts_as_its_source() -> None:
    script = """
import sys
from everpin_hil import endure
from everpin_hil.walks import Walk
ran = set()
sys.setprofile(lambda frame, event, arg: ran.add(frame.f_code.co_filename))
endure.play(Walk(7, 0, 3).scenario, 7)
sys.setprofile(None)
print(*ran, sep="\\n")
"""
    path = map(str, (AGENT, endure.PLAYER, endure.FLASH, TOP / "hil"))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    ran = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
    )
    counted = {item.resolve() for item in made_with.sources(AGENT)}
    found = {Path(name).resolve() for name in ran.stdout.splitlines() if Path(name).exists()}
    rooms = [TOP / name for name in ("agent", "fleet", "firmware_sim", "hil")]
    ours = {item for item in found if any(item.is_relative_to(room) for room in rooms)}
    assert {item.name for item in ours - counted} == {"endure.py"}, "its play() and no more"
    assert AGENT / "everpin" / "core" / "agent.py" in ours


def test_the_table_has_a_line_for_walks_of_which_none_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, facts = tmp_path / "log", tmp_path / "facts.json"
    kept = json.loads((TOP / "hil" / "claims.json").read_text("utf-8"))
    kept.pop("walks", None)
    facts.write_text(json.dumps(kept))
    argv = ["claims", "--walks", str(log), "--facts", str(facts)]
    assert said(capsys, *argv)[0] == 2, "no log"
    sources = made_with.walk(AGENT)
    walked = [
        {"seed": 7, "made_with": sources, "walk": number, "wrong": "", "years": 30.5}
        for number in range(100)
    ]

    def write(*without: int) -> None:
        left = (line for line in walked if line["walk"] not in without)
        log.write_text("".join("\n" + json.dumps(line) for line in left))

    write()
    status, table, _ = said(capsys, *argv)
    assert status == 0 and "| 3,050 / 0 / 0 | – | – | – |" in table
    without_walks = ["claims", "--facts", str(facts)]
    assert said(capsys, *without_walks)[:2] == (0, table), "what the facts say stays"
    write(40)
    status, _, err = said(capsys, *argv)
    assert status == 2 and "walk 40 of seed 7" in err
    walked[3]["wrong"], walked[5]["wrong"] = "stranded", "intruder"
    write()
    status, table, _ = said(capsys, *argv)
    assert status == 1 and "| 3,050 / 1 / 1 |" in table
    log.write_text(log.read_text().replace(sources, "0" * 64))
    status, _, err = said(capsys, *argv)
    assert status == 2 and "no walk of this agent" in err
    assert said(capsys, "claims")[0] == 2, "of nothing there is no table"
    for text in ("{", "[]", '{"targets": 1}'):
        facts.write_text(text)
        status, _, err = said(capsys, *argv)
        assert status == 2 and "not the facts of a table" in err and facts.read_text() == text
