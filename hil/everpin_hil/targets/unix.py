"""Real MicroPython: its unix port, the agent's sources as they are."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from everpin_sim import micropython

from .protocol import FLASH, PLAYER, NoTarget, Target, played

# What is played is what the sources do, not what they take: the figures of memory are everpin sim figures'.
_HEAP = "64M"


class Unix(Target):
    """MicroPython's unix port in a process of its own."""

    name = "unix"

    def play(self, folders: list[Path], agent: Path) -> Iterator[dict[str, Any]]:
        """Play under MicroPython; raise `NoTarget` without one."""
        try:
            program = micropython.find()
        except micropython.NoMicroPython as problem:
            raise NoTarget(str(problem)) from None
        env = {**os.environ, "MICROPYPATH": ":".join(map(str, (agent, PLAYER, FLASH, ".frozen")))}
        return played([program, "-X", f"heapsize={_HEAP}"], env, folders)
