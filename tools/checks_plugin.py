"""pytest plugin of tools/test_checks.py: the copy of agent/ is what is tested, on both interpreters, and each outcome is told."""

import json
import os
from pathlib import Path

import pytest

_AGENT = Path(os.environ["EVERPIN_CHECKS_AGENT"])
_SAID = Path(os.environ["EVERPIN_CHECKS_SAID"])


def pytest_sessionstart() -> None:
    """Make sure of the copy: an editable install stands behind it."""
    import everpin
    import mpy

    if _AGENT not in Path(everpin.__file__).parents:
        raise pytest.UsageError(f"{everpin.__file__} is not of the copy")
    mpy.AGENT = _AGENT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let MicroPython run only the files that were asked for."""
    for item in items:
        module = getattr(item, "module", None)
        if getattr(module, "__name__", "") == "test_micropython":
            wanted = {
                f"{other.callspec.params['module']}.py"
                for other in items
                if other.module is module
            }  # type: ignore[attr-defined]
            module.FILES = [path for path in module.FILES if path.name in wanted]  # type: ignore[union-attr]
            return


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a line for each test: passed, failed, skipped, or error (in its set-up)."""
    outcome = report.outcome
    if report.when != "call":
        if outcome == "passed":
            return
        outcome = "skipped" if report.skipped else "error"  # type: ignore[assignment]
    with _SAID.open("a", encoding="utf-8") as file:
        file.write(json.dumps([report.nodeid, outcome]) + "\n")
