"""The agent under CPython, in a process of its own: what runs on a Raspberry Pi, on this machine."""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from .process import Process
from .protocol import Target


class Core(Process):
    """A CPython process."""

    name = "core"

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """Return this Python, with the copy of the agent before any other."""
        return [sys.executable, "-B"], {"PYTHONPATH": str(self._agent)}


def open_device(home: Path, agent: Path, ports: Collection[int]) -> Target:
    """Return a device of a provisioned folder."""
    return Core(home, agent)
