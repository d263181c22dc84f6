"""Shared by all tests: documents for the device tests, and skips named at the end."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SIM_DEVICE = HERE.parent / "firmware_sim" / "everpin_sim" / "device"
sys.path[:0] = [str(HERE), str(HERE / "device"), str(SIM_DEVICE)]


@pytest.fixture(scope="session", autouse=True)
def device_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the documents that device tests read, for both interpreters."""
    import device_data as maker

    folder = tmp_path_factory.mktemp("device-data")
    maker.make(str(folder))
    os.environ["EVERPIN_TEST_DATA"] = str(folder)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each skipped test with its reason: a skip is a hole that somebody should see."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(
            f"skipped: {report.nodeid}: {reason.removeprefix('Skipped: ')}"
        )
