"""The bench: scenarios as data, judged by what a device trusts; what a broken agent does is caught, and what is said of it holds."""

import difflib
import json
import re
import shutil
import tarfile
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from everpin.ports.device import Device
from everpin_hil import (
    bench,
    claims,
    evidence,
    judge,
    mutants,
    page,
    releases,
    scenario,
    tape,
)
from everpin_hil.judge import Case
from everpin_hil.scenario import ScenarioError
from everpin_hil.targets import NoTarget, TargetFailed
from everpin_hil.targets.machines import Played, in_order
from everpin_sim import micropython
from hil_bench import AGENT, lines, mutant, said

# Every outage that has chain shapes and dates to replay.
OUTAGES = (
    "WINK BARC SMASH SYM66 SYM70 ADDT CTSIG LEX3R3 DSTX3 ATSDYN CTV2 VEDGE LESHORT LER10 CFLE ATSC2 ENTR CAST CTSCH BALT "
    "LECA DG1 GENY GTSR4 ADAF FUT"
)
# Quick ones of each kind, those that judge paths and cut the power among them.
SOME = [
    "dst-x3",
    "stolen-one-of-n",
    "forged-issuer",
    "cut-while-updating",
    "pins-nobody",
    "vedge-2023",
]


def one(text: str, seed: int = 7) -> Case:
    """Return the case of one scenario text on the core."""
    (case,) = bench.run([scenario.parse("made-up", text)], "core", seed, AGENT)
    return case


SMALL = """
title = "small"
promise = "live"
kind = "fault"
keys = ["alpha", "beta"]
[[document]]
name = "first"
number = [1, 1]
hosts = [{ name = "broker.example", pins = ["alpha", "beta"] }]
[[step]]
at = 2026-01-01T00:00:00Z
say = "the first day"
serve = { "broker.example" = "alpha" }
publish = ["first"]
expect.online = "alpha"
expect.number = [1, 1]
"""


@pytest.fixture(scope="module")
def all_on_core() -> list[Case]:
    chosen = [scenario.load(name) for name in scenario.names()]
    return bench.run(chosen, "core", 7, AGENT)


# ---- scenarios ---------------------------------------------------------------------------------------------------------


def test_every_outage_of_the_table_has_its_replay_beside_a_static_control() -> None:
    found: list[str] = []
    for name in scenario.names():
        said_ = scenario.load(name).said
        if said_["kind"] == "replay":
            assert "control" in said_ and said_["story"], name
            found += said_["event"].split()
    assert sorted(found) == sorted(OUTAGES.split())


def test_all_scenarios_hold_on_the_core(all_on_core: list[Case]) -> None:
    assert [f"{case.scenario}: {case.failures}" for case in all_on_core if not case.ok] == []
    assert len(all_on_core) == len(scenario.names()) > 55


def test_every_static_control_fails_and_every_other_case_has_none(all_on_core: list[Case]) -> None:
    for case in all_on_core:
        assert case.static_control == ("failed" if case.kind == "replay" else "none"), (
            case.scenario
        )


def test_how_long_a_device_was_cut_off_and_how_it_came_back_is_told(
    all_on_core: list[Case],
) -> None:
    by_name = {case.scenario: case for case in all_on_core}
    wink = by_name["wink-2015"]
    assert 3 * 3600 < wink.cut_off_s < 4 * 3600
    assert wink.came_back_by == "rescue: http://mirror.example/pins"
    assert by_name["captive-portal"].came_back_by.startswith("pins that it had")
    assert by_name["addtrust-2020"].cut_off_s == 0


def test_the_same_seed_is_the_same_run_and_another_one_is_not() -> None:
    chosen = [scenario.load("cut-while-updating")]
    (first,), (again,), (other,) = (bench.run(chosen, "core", seed, AGENT) for seed in (7, 7, 8))
    assert first.trace == again.trace != other.trace


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('number = [1, 1]\nhosts', 'numbr = [1, 1]\nhosts'), "did you mean 'number'"),
        (("serve =", "serves ="), "did you mean 'serve'"),
        (('promise = "live"', 'promise = "nice"'), "promise: one of safe, live, whole"),
        (("at = 2026-01-01T00:00:00Z\n", ""), "the first step says when"),
        (("at = 2026-01-01T00:00:00Z", 'at = "today"'), "a time with a zone"),
        (("expect.number = [1, 1]\n", ""), "'expect.number' say"),
        (('publish = ["first"]', 'publish = ["second"]'), "no document or root 'second'"),
        (('"alpha" }', '"gamma" }'), "no chain 'gamma'"),
        (('[[step]]', 'hostile = ["gamma"]\n[[step]]'), "unknown key 'hostile'"),
        (('say = "the first day"', 'within = "soon"\nsay = "x"'), "'soon' is no time"),
    ],
)  # fmt: skip
def test_a_scenario_that_cannot_be_used_says_where_and_what_to_do(
    change: tuple[str, str], why: str
) -> None:
    assert change[0] in SMALL
    with pytest.raises(ScenarioError, match=re.escape(why)):
        tape.make(scenario.parse("made-up", SMALL.replace(*change)), 7)


# ---- the oracle --------------------------------------------------------------------------------------------------------


def test_a_scenario_whose_expectation_is_not_met_fails_with_what_was_there_instead() -> None:
    assert one(SMALL).ok
    case = one(SMALL.replace('expect.online = "alpha"', 'expect.online = "beta"'))
    assert case.failures == ["the first day: its session is with alpha, not beta"]
    assert case.phase == "the first day"
    case = one(SMALL.replace("expect.number = [1, 1]", "expect.number = [1, 2]"))
    assert case.failures == ["the first day: pins [1, 1] are in force, not [1, 2]"]


def test_a_device_that_ends_without_its_broker_is_stranded() -> None:
    case = one(SMALL.replace('{ "broker.example" = "alpha" }', '{ "broker.example" = "" }'))
    assert case.stranded == 1 and any("stranded" in why for why in case.failures)


def test_whoever_is_hostile_and_accepted_is_an_intruder() -> None:
    case = one(SMALL.replace("keys =", 'hostile = ["alpha"]\nkeys ='))
    assert case.intruders == 1 and not case.ok


def test_a_static_control_that_survives_is_a_failure_of_the_replay() -> None:
    text = (scenario.folder() / "dst-x3.toml").read_text("utf-8")
    case = one(text.replace('trusts = ["x3"]', 'trusts = ["x3", "x1"]'))
    assert case.static_control == "survived" and not case.ok
    early = one(text.replace("fails = 2021-09-30T14:01:16Z", "fails = 2022-09-30T14:01:16Z"))
    assert "before history did" in early.failures[-1]


def test_two_targets_that_differ_in_one_fact_diverge() -> None:
    facts: list[judge.Fact] = [{"t": 1, "f": "boot", "s": 0}, {"t": 2, "f": "end", "heap": None}]
    same = [{"t": 1, "f": "boot", "s": 4}, {"t": 2, "f": "end", "heap": 4096}]
    assert judge.divergence(facts, same) == "" and judge.trace(facts) == judge.trace(same)
    assert "fact 0" in judge.divergence(facts, [{"t": 3, "f": "boot"}, same[1]])
    assert "null on core" in judge.divergence(facts, facts[:1])


def test_a_target_that_diverges_from_the_core_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from everpin_hil import targets

    class Late(targets.Core):
        def play(self, folders: list[Path], agent: Path) -> Any:
            for fact in super().play(folders, agent):
                yield {**fact, "t": fact["t"] + (fact["f"] == "online")}

    monkeypatch.setitem(targets.TARGETS, "late", Late)
    (case,) = bench.run([scenario.parse("made-up", SMALL)], "late", 7, AGENT)
    assert [why for why in case.failures if why.startswith("divergence: fact ")]


def test_on_micropython_the_same_happens() -> None:
    try:
        micropython.find()
    except micropython.NoMicroPython as lacking:
        pytest.skip(str(lacking))
    cases = bench.run([scenario.load(name) for name in SOME], "unix", 7, AGENT)
    assert [f"{case.scenario}: {case.failures}" for case in cases if not case.ok] == []
    assert all(case.heap and case.heap > 10_000 for case in cases)


def machines(target: str, names: list[str], seed: int = 7, agent: Path = AGENT) -> list[Case]:
    """Return the cases on an emulated target; skip where it cannot be built."""
    try:
        return bench.run([scenario.load(name) for name in names], target, seed, agent)
    except NoTarget as lacking:
        pytest.skip(str(lacking))


@pytest.mark.parametrize("target", ["mcu", "pi"])
def test_on_an_emulated_machine_the_same_happens(target: str) -> None:
    # What a board's floats of 24 bits do to waiting shows after years alone.
    names = [*SOME, "years-without-a-reboot"]
    cases = machines(target, names)
    assert [f"{case.scenario}: {case.failures}" for case in cases if not case.ok] == []
    assert [case.scenario for case in cases] == names
    assert all(case.facts[-1]["took"] > 0 for case in cases)


@pytest.mark.long
@pytest.mark.parametrize("target", ["mcu", "pi"])
def test_on_an_emulated_machine_all_scenarios_hold(target: str) -> None:
    cases = machines(target, scenario.names())
    assert [f"{case.scenario}: {case.failures}" for case in cases if not case.ok] == []


@pytest.mark.long
@pytest.mark.parametrize("target", ["mcu", "pi"])
def test_with_a_check_taken_away_an_emulated_machine_fails_too(target: str) -> None:
    with mutants.changed(mutant("keeps a forbidden pin"), AGENT) as copy:
        (case,) = machines(target, ["stolen-retired-key"], agent=copy)
    assert [why for why in case.failures if "refused alpha by pin-mismatch, not forbidden" in why]
    assert not any(why.startswith("divergence") for why in case.failures)


def test_a_tape_that_did_not_end_is_told_behind_those_before_it() -> None:
    def play(number: int) -> Played:
        facts = [{"f": "boot", "s": number}, {"f": "end", "s": number}]
        return Played(facts[: 2 - (number == 1)], "the machine went away" if number == 1 else "")

    found = []
    with pytest.raises(TargetFailed, match="went away"):
        for fact in in_order(3, play):
            found.append((fact["s"], fact["f"]))
    assert found == [(0, "boot"), (0, "end"), (1, "boot")]


@pytest.mark.long
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_on_micropython_all_scenarios_hold(seed: int) -> None:
    cases = bench.run([scenario.load(name) for name in scenario.names()], "unix", seed, AGENT)
    assert [f"{case.scenario}: {case.failures}" for case in cases if not case.ok] == []


@pytest.mark.long
def test_all_scenarios_hold_with_many_seeds() -> None:
    chosen = [scenario.load(name) for name in scenario.names()]
    for seed in range(20):
        cases = bench.run(chosen, "core", seed, AGENT)
        assert [f"{case.id}: {case.failures}" for case in cases if not case.ok] == []


# ---- the command -------------------------------------------------------------------------------------------------------


def test_run_prints_json_lines_and_a_summary_and_exits_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = said(
        capsys, "run", "--scenario", "pins-nobody", "--scenario", "dst-x3", "--seed", "7", "--json"
    )
    one_, two, last = lines(out)
    assert status == 0 and last == {"cases": 2, "failed": 0, "stranded": 0, "intruders": 0}
    assert (one_["scenario"], one_["target"], one_["ok"]) == ("pins-nobody", "core", True)
    assert (one_["static_control"], two["static_control"]) == ("none", "failed")
    assert one_["trust"]["number"] == [1, 4] and one_["id"] == "pins-nobody@core#7"
    assert "2/2" in err


def test_with_a_check_taken_away_in_a_copy_it_exits_1_and_says_how_to_see_it_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = tmp_path / "out"
    with mutants.changed(mutant("keeps a forbidden pin"), AGENT) as copy:
        argv = ["run", "--scenario", "stolen-retired-key", "--agent", str(copy)]
        status, out, _ = said(capsys, *argv, "--report", str(report))
        how = f"everpin hil replay 'stolen-retired-key@core#1' --agent {copy}\n"
        assert status == 1 and how in out
        assert how.strip() in (report / "frozen" / "README.txt").read_text()
        again, facts, told = said(
            capsys, "replay", "stolen-retired-key@core#1", "--agent", str(copy)
        )
        assert again == 1 and "online" in facts and "FAIL" in told
    failure = ElementTree.parse(report / "junit.xml").find(".//failure")  # noqa: S314 - our own
    assert failure is not None and "hil replay" in (failure.text or "")
    assert (report / "stolen-retired-key.core.facts.jsonl").exists()
    assert Device(str(report / "frozen"), writer=False).agent.trust_digest(), "kept unasked"
    assert said(capsys, "run", *argv[1:3], "--report", str(report))[0] == 0
    assert not (report / "frozen").exists(), "what an earlier run left is not this one's"
    (report / "frozen").mkdir()
    (report / "frozen" / "mine").touch()
    assert said(capsys, "run", *argv[1:3], "--report", str(report))[0] == 2
    assert (report / "frozen" / "mine").exists()


def test_a_run_that_was_ended_goes_on_and_plays_again_what_another_agent_did(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from everpin_hil import targets

    played: list[str] = []

    class Seen(targets.Core):
        def play(self, folders: list[Path], agent: Path) -> Any:
            played.extend(folder.name for folder in folders)
            return super().play(folders, agent)

    monkeypatch.setitem(targets.TARGETS, "core", Seen)
    chosen = [item for name in SOME for item in ("--scenario", name)]
    assert said(capsys, "run", *chosen[:4], "--report", str(tmp_path))[0] == 0
    with (tmp_path / "facts.jsonl").open("a") as file:
        file.write('\n{"key": "half a li')
    status, whole, _ = said(capsys, "run", *chosen, "--report", str(tmp_path), "--resume")
    assert status == 0 and played == SOME
    assert said(capsys, "run", *chosen)[1].splitlines()[:-1] == whole.splitlines()[:-1]
    assert len(lines((tmp_path / "cases.jsonl").read_text("utf-8"))) == len(SOME) + 1
    played.clear()
    with mutants.changed(mutant("keeps a forbidden pin"), AGENT) as copy:
        argv = ["run", *chosen[:2], "--report", str(tmp_path), "--resume", "--agent", str(copy)]
        assert said(capsys, *argv)[0] == 0
    assert played == SOME[:1], "what another agent did says nothing of this one"
    assert said(capsys, "run", "--resume")[0] == 2


def test_the_first_failure_freezes_the_device_as_it_stood(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    into = tmp_path / "frozen"
    names = ["dst-x3", "stolen-retired-key", "vedge-2023"]
    chosen = [item for name in names for item in ("--scenario", name)]
    with mutants.changed(mutant("keeps a forbidden pin"), AGENT) as copy:
        argv = ["run", *chosen, "--freeze", str(into), "--agent", str(copy), "--json"]
        status, out, err = said(capsys, *argv)
    *cases, last = lines(out)
    assert status == 1 and [case["scenario"] for case in cases] == names[:2] and str(into) in err
    assert last["cases"] == 2
    facts = lines((into / "facts.jsonl").read_text("utf-8"))
    states = [fact for fact in facts if fact["f"] == "state"]
    assert [f["say"] for f in facts if f["f"] == "step"][-1] == cases[1]["phase"]
    device = Device(str(into), writer=False)
    assert device.agent.trust_digest().hex() == states[-1]["digest"]
    device.close()
    assert said(capsys, *argv)[0] == 2, "what was kept is never written over"


def test_the_evidence_is_a_line_for_each_case_a_suite_and_a_page_without_assets(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    argv = [item for name in SOME for item in ("--scenario", name)]
    assert said(capsys, "run", *argv, "--report", str(tmp_path))[0] == 0
    found = lines((tmp_path / "cases.jsonl").read_text("utf-8"))
    assert [line["scenario"] for line in found[:-1]] == SOME and found[-1]["cases"] == len(SOME)
    for line in found[:-1]:
        assert {"seed", "phase", "verdict", "trust", "simulated_s", "seconds", "heap"} <= set(line)
    suite = ElementTree.parse(tmp_path / "junit.xml").find("testsuite")  # noqa: S314 - our own
    assert suite is not None and suite.get("tests") == str(len(SOME))
    html = (tmp_path / "report.html").read_text("utf-8")
    assert html.count("<article") == len(SOME) == html.count("<svg")
    assert not re.search(r"(src|href)=|url\(|@import|<script", html)


def test_stretches_of_a_device_s_life_are_what_its_facts_say() -> None:
    facts: list[judge.Fact] = [
        {"t": 0, "f": "boot"},
        {"t": 10, "f": "online", "chain": "a", "by": "newest", "mode": "enforced"},
        {"t": 20, "f": "online", "chain": "a", "by": "newest", "mode": "enforced"},
        {"t": 30, "f": "refused", "chain": "b", "why": "pin-mismatch"},
        {"t": 40, "f": "online", "chain": "b", "by": "base", "mode": "enforced"},
        {"t": 50, "f": "off"},
        {"t": 60, "f": "boot"},
        {"t": 70, "f": "end"},
    ]
    assert page.stretches(facts) == [
        (10, 30, "good", "a"),
        (30, 40, "cut", ""),
        (40, 50, "base", "b"),
        (50, 60, "off", ""),
        (60, 70, "cut", ""),
    ]


def test_list_has_every_scenario_with_its_promise(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(capsys, "list", "--json")
    found = lines(out)
    assert status == 0 and [line["scenario"] for line in found] == scenario.names()
    assert {line["promise"] for line in found} == {"safe", "live", "whole"}
    assert said(capsys, "list")[1].count("\n") == len(found)


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["run", "--scenario", "dst-x4"], "did you mean 'dst-x3'?"),
        (["run", "--agent", "nowhere"], "no copy of agent/"),
        (["replay", "dst-x3"], "is no case"),
        (["mutants", "--only", "no such"], "no mutant has"),
        (["mutants", "--patch", "no-such.diff"], "no such file"),
        (["endure", "--years", "0"], "at least 1"),
    ],
)
def test_wrong_use_exits_2_with_one_line(
    capsys: pytest.CaptureFixture[str], argv: list[str], why: str
) -> None:
    status, out, err = said(capsys, *argv)
    assert (status, out) == (2, "") and why in err and err.count("\n") == 1


# ---- releases ----------------------------------------------------------------------------------------------------------


def test_this_agent_goes_on_from_every_release_and_leaves_a_later_one_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = said(capsys, "releases", "--json")
    *found, last = lines(out)
    assert status == 0 and last == {"cases": len(found), "failed": 0}
    assert {item["device"] for item in found} == set(releases.KEPT)
    version = tomllib.loads((AGENT.parent / "pyproject.toml").read_text("utf-8"))
    assert version["project"]["version"] in {item["release"] for item in found}, (
        "hil releases --keep"
    )
    assert said(capsys, "releases", "--keep", "0.1.0")[0] == 2, "what is kept never changes"


@pytest.mark.parametrize(
    ("file", "text", "without", "check"),
    [
        ("core/store.py", "        if self.foreign:\n            return\n        first", "        first", "unwiped"),
        ("core/store.py", "            return\n        first", "            raise FlashError(errors.FOREIGN)\n        first", "unwiped"),
        ("core/store.py", "trust = self._documents(trust, commit).restored(commit)", "trust = self._documents(trust, commit)", "upgrade"),
    ],
)  # fmt: skip
def test_an_agent_that_loses_or_wipes_another_release_s_state_is_caught(
    tmp_path: Path, file: str, text: str, without: str, check: str
) -> None:
    copy = tmp_path / "agent"
    shutil.copytree(AGENT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    held = (copy / "everpin" / file).read_text("utf-8")
    assert held.count(text) == 1
    (copy / "everpin" / file).write_text(held.replace(text, without), "utf-8")
    (path,) = [path for path in releases.releases() if path.name == "stolen-retired-key.tar.gz"]
    found = list(releases.check(path, "core", copy))
    assert {item.check for item in found if item.why} == {check}


def test_devices_that_are_kept_depend_on_the_agent_alone(tmp_path: Path) -> None:
    for path in releases.keep("9.9.9", AGENT, tmp_path):
        with tarfile.open(path) as tar:
            assert {"flash.img", "worth.json", "tape/tape.json"} <= set(tar.getnames())
        for found in releases.check(path, "core", AGENT):
            assert found.why == ""


@pytest.mark.long
@pytest.mark.parametrize("target", ["unix", "mcu", "pi"])
def test_releases_are_gone_on_from_on_every_target(target: str) -> None:
    for path in releases.releases():
        assert [item.why for item in releases.check(path, target, AGENT)] == ["", ""]


# ---- mutants -----------------------------------------------------------------------------------------------------------


def test_each_mutant_fits_the_agent_and_names_a_scenario(tmp_path: Path) -> None:
    every = mutants.own()
    assert len(every) >= 20 and len({item.name for item in every}) == len(every)
    for item in every:
        assert item.by in scenario.names()
        with mutants.changed(item, AGENT) as copy:
            text = (copy / "everpin" / item.file).read_text("utf-8")
            assert text != (AGENT / "everpin" / item.file).read_text("utf-8")
            compile(text, item.file, "exec")


def test_a_mutant_is_caught_by_the_scenario_that_it_names() -> None:
    for name in ("skips the threshold", "forgets the sync", "trusts an ack's date"):
        found = mutants.hunt(mutant(name), AGENT, "core", 7)
        assert (found.by, found.tried) == (found.mutant.by, 1)


@pytest.mark.long
def test_every_mutant_is_caught_by_the_scenario_that_it_names() -> None:
    for item in mutants.own():
        found = mutants.hunt(item, AGENT, "core", 7)
        assert (found.by, found.tried) == (item.by, 1), item.name


def _diff(tmp_path: Path, old: str, new: str) -> Path:
    name = "agent/everpin/core/report.py"
    held = (AGENT.parent / name).read_text("utf-8").splitlines(keepends=True)
    held[0] = old + "\n"
    changed = [new + "\n", *held[1:]]
    path = tmp_path / "change.diff"
    path.write_text("".join(difflib.unified_diff(held, changed, f"a/{name}", f"b/{name}")))
    return path


FIRST = (AGENT / "everpin/core/report.py").read_text("utf-8").splitlines()[0]


@pytest.mark.slow
def test_a_patch_that_nothing_catches_is_a_failure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    patch = _diff(tmp_path, FIRST, FIRST.replace("Reports", "Reports,"))
    status, out, _ = said(capsys, "mutants", "--patch", str(patch), "--json")
    line, last = lines(out)
    assert status == 1 and last == {"mutants": 1, "caught": 0, "missed": 1}
    assert (line["caught"], line["tried"]) == (False, len(scenario.names()))


def test_a_patch_that_does_not_fit_or_does_not_start_is_wrong_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, _, err = said(capsys, "mutants", "--patch", str(_diff(tmp_path, "never", "ever")))
    assert status == 2 and "does not fit this agent" in err
    status, _, err = said(capsys, "mutants", "--patch", str(_diff(tmp_path, FIRST, "(")))
    assert status == 2 and "does not start" in err


# ---- claims -----------------------------------------------------------------------------------------------------------


def test_the_readme_has_the_table_of_a_full_run_of_all_scenarios() -> None:
    found = json.loads((AGENT.parent / "hil" / "claims.json").read_text("utf-8"))
    assert found["scenarios"] == scenario.names(), "make claims"
    assert list(found["targets"]) == ["core", "unix", "mcu", "pi"]
    assert found["walks"]["years"] >= 1_000_000 and not found["walks"]["failed"], "make walks"
    readme = (AGENT.parent / "README.md").read_text("utf-8")
    assert claims.put(readme, claims.render(found)) == readme, "make claims"


def test_claims_are_made_of_full_runs_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, all_on_core: list[Case]
) -> None:
    summary = bench.summary(all_on_core)
    evidence.write(tmp_path / "core", all_on_core, summary, {})
    page_ = tmp_path / "page.md"
    page_.write_text(f"before\n{claims.BEGIN}\nof last year\n{claims.END}\nafter\n")
    status, out, _ = said(capsys, "claims", str(tmp_path / "core"), "--write", str(page_))
    assert status == 0 and out in page_.read_text() and "last year" not in page_.read_text()
    assert "0 / 0" in out
    evidence.write(tmp_path / "part", all_on_core[1:], summary, {})
    status, _, err = said(capsys, "claims", str(tmp_path / "part"))
    assert status == 2 and "a full run has one of each" in err
    assert said(capsys, "claims", str(tmp_path / "none"))[0] == 2
    all_on_core[0].failures.append("made up")
    try:
        evidence.write(tmp_path / "bad", all_on_core, bench.summary(all_on_core), {})
    finally:
        all_on_core[0].failures.pop()
    assert said(capsys, "claims", str(tmp_path / "bad"))[0] == 1


def test_no_scenario_and_no_release_is_left_out_of_the_wheel() -> None:
    said_ = tomllib.loads((AGENT.parent / "pyproject.toml").read_text("utf-8"))
    into = said_["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert into == {f"hil/{name}": f"everpin_hil/{name}" for name in ("scenarios", "releases")}
    assert shutil.which("git") and scenario.folder().name == "scenarios"
