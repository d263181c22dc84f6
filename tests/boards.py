"""Firmware for tests of emulated boards: built once and kept, or the reason why not."""

import shutil
from pathlib import Path

import pytest

from everpin_sim import build_mcu, debian


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


__all__ = ("broken", "firmware")
