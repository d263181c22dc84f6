"""Power cuts by exhaustion over every update path, on both interpreters; and that the sweep finds a store that is broken."""

import json
import random
import shlex
import shutil
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
from everpin_sim import cuts, paths

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
    assert cuts.well(report)
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
    assert report["failed"] == [] and cuts.well(report) and report["cases"] > 3000


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


# ---- a broken store is found ----------------------------------------------------------------------------------------

# name: (path, file in everpin/core, what stands there, what stands there then)
_SLOT_SYNC = """        self._flash.prog(self._offset + at, data)
        self._flash.sync()
        # Read back"""
_SECOND = "        second.save(sequence, body, second is early)\n"
_DOCUMENT = """        if document is not None:
            digest = sha256(document).digest()
            if digest == trust.root_digest:
                _unused(self._root, self._root_in_use).save(sequence, document)
            elif digest == trust.pins_digest:
                _unused(self._pins, self._pins_in_use).save(sequence, document)
"""
_RING_BACK = (
    "        if decode(self._flash, self._offset + at, self._room - at, self._kind)"
    " != (sequence, body):\n"
)
BROKEN = {
    "the commit is written before the document": (
        "pins",
        "store.py",
        [(_DOCUMENT, ""), (_SECOND, _SECOND + _DOCUMENT)],
    ),
    "the second ring is forgotten": ("pins", "store.py", [(_SECOND, "")]),
    "a document is not read back": (
        "pins",
        "record.py",
        [("        if self.load() != (sequence, body):\n", "        if False:\n")],
    ),
    "a commit is not read back": ("root", "record.py", [(_RING_BACK, "        if False:\n")]),
    "a commit is not synced": (
        "pins",
        "record.py",
        [
            (
                "        self._flash.sync()\n        if decode(",
                "        if decode(",
            )
        ],
    ),
    "what failed to be written is in force in RAM": (
        "pins",
        "agent.py",
        [
            (
                "            self.trust = self._store.load()\n            self._heal()\n",
                "            self.trust = trust\n            self._heal()\n",
            )
        ],
    ),
    "forbidden keys are not kept apart from their document": (
        "pins",
        "trust.py",
        [
            (
                "                pins.forbidden,\n                #",
                "                [],\n                #",
            )
        ],
    ),
    "a changed rule is forgotten": (
        "root",
        "trust.py",
        [("newer.version if changed else old.rule_since", "old.rule_since")],
    ),
    "the factory record is written once": (
        "first-boot",
        "store.py",
        [
            (
                "    for slot in _factory_slots(flash):\n",
                "    for slot in _factory_slots(flash)[:1]:\n",
            )
        ],
    ),
    "no record can be written at all": (
        "pins",
        "record.py",
        [("    digest = sha256(head)\n", "    raise ValueError\n")],
    ),
    "the slot in use is erased": (
        "pins",
        "store.py",
        [
            (
                "        return pair[1]\n    return pair[0]\n",
                "        return pair[0]\n    return pair[1]\n",
            )
        ],
    ),
    "a document is not synced before the commit": (
        "first-boot",
        "record.py",
        [(_SLOT_SYNC, _SLOT_SYNC.replace("        self._flash.sync()\n", ""))],
    ),
    "nothing is healed": (
        "contingency",
        "store.py",
        [("        healed = False\n        if self", "        return False\n        if self")],
    ),
    "a record's digest is not looked at": (
        "root",
        "record.py",
        [("    if digest.digest() != head[_PREFIX:HEADER_BYTES]:\n", "    if False:\n")],
    ),
    "a torn record is written over": (
        "root",
        "record.py",
        [("            if used:\n", "            if False:\n")],
    ),
    "a reset forgets the numbers": (
        "reset",
        "trust.py",
        [("factory._copy()._marked(self.marks)", "factory._copy()")],
    ),
    "a document that came twice is refused after a reset": (
        "reset",
        "accept.py",
        [("    if digest == trust.marks.pins_digest:\n", "    if False:\n")],
    ),
    "the factory record's second copy is not looked for": (
        "contingency",
        "store.py",
        [
            (
                "        for slot in _factory_slots(self._flash):\n",
                "        for slot in _factory_slots(self._flash)[:1]:\n",
            )
        ],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_store_that_is_broken_on_purpose_fails_the_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path, file, changes = BROKEN[name]
    agent = tmp_path / "agent"
    shutil.copytree(mpy.AGENT, agent, ignore=shutil.ignore_patterns("__pycache__", "mip"))
    where = agent / "everpin" / "core" / file
    text = where.read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{file} has changed: {old!r}"
        text = text.replace(old, new)
    where.write_text(text, "utf-8")
    command = ["sim", "cuts", "--agent", str(agent), "--json"]
    assert cli.main([*command, "--path", path, "--fail-fast"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert sum(report[count] for count in cuts.COUNTS) >= 1
    # The id replays it alone, with this agent; with ours nothing is wrong there.
    case = report["failed"][0]
    assert case.startswith(path + "/")
    assert cli.main([*command, "--case", case]) == 1
    again = json.loads(capsys.readouterr().out)
    assert (again["cases"], again["failed"], again["why"]) == (1, [case], report["why"][:1])
    # (2: it has no such case, for where this agent did not sync there is nothing to lose.)
    assert cli.main(["sim", "cuts", "--case", case]) in (0, 2)
    capsys.readouterr()
    # As text it says the whole command that runs it again.
    assert cli.main(["sim", "cuts", "--path", path, "--agent", str(agent), "--fail-fast"]) == 1
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("  again: everpin ")
    words = shlex.split(line.removeprefix("  again: everpin "))
    assert cli.main([*words, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == [case]


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
