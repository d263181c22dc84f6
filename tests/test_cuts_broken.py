"""A store that is broken on purpose: the sweep finds it, and the id that it prints replays the case alone."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

import mpy
from everpin.ports.cpython import cli
from everpin_sim import sweep_report

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
    assert sum(report[count] for count in sweep_report.COUNTS) >= 1
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
