"""What tests of emulated boards share. Firmware: built once and kept, or the reason why not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from everpin.ports.cpython import cli
from everpin_sim import build_mcu, debian

# A commit that names a document which is not there yet.
TOO_EARLY = [
    (
        "        second.save(sequence, body, second is early)\n",
        "        second.save(sequence, body, second is early)\n        if document is not None:\n"
        "            _unused(self._pins, self._pins_in_use).save(sequence, document)\n",
    ),
    (
        "            elif digest == trust.pins_digest:\n"
        "                _unused(self._pins, self._pins_in_use).save(sequence, document)\n",
        "",
    ),
]


def firmware(board: str = "an385", agent: Path | None = None) -> build_mcu.Firmware:
    """Return a board's firmware with this agent or a copy; skip, saying why, where it cannot be made."""
    lacking = debian.lacking(build_mcu.NEEDED)
    if lacking:
        pytest.skip(f"lacking here: {', '.join(lacking)} (tools/setup.sh boards installs it)")
    try:
        return build_mcu.build(board, agent)
    except debian.NotAvailable as problem:
        pytest.skip(str(problem))


def broken(folder: Path, file: str, changes: list[tuple[str, str]]) -> Path:
    """Return a copy of agent/ in which a file of everpin/ reads differently."""
    agent = folder / "agent"
    ours = build_mcu.SOURCE.parent.parent / "agent"
    shutil.copytree(ours, agent, ignore=shutil.ignore_patterns("__pycache__"))
    where = agent / "everpin" / file
    text = where.read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{file} has changed: {old!r}"
        text = text.replace(old, new)
    where.write_text(text, "utf-8")
    return agent


def swept(
    capsys: pytest.CaptureFixture[str], target: str, *argv: str
) -> tuple[int, dict[str, Any]]:
    """Return the exit status and the report of a sweep."""
    code = cli.main(["sim", "cuts", "--target", target, "--json", *argv])
    out, _ = capsys.readouterr()
    return code, json.loads(out)


def told(
    capsys: pytest.CaptureFixture[str], target: str, *argv: str
) -> tuple[int, dict[str, Any]]:
    """Return the exit status of the story on a target, and what it found."""
    code = cli.main(["demo", "--target", target, "--json", *argv])
    return code, json.loads(capsys.readouterr().out)


def untrue(found: dict[str, Any]) -> list[Any]:
    """Return the lines of a story that did not hold."""
    return [row for run in found["runs"] for row in run["rows"] if not row["ok"]]


__all__ = ("TOO_EARLY", "broken", "firmware", "swept", "told", "untrue")
