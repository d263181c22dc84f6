"""The core in process: `everpin.core` under this Python, its flash in memory."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .protocol import FLASH, PLAYER, Target, played


class Core(Target):
    """A process of its own all the same, so that `--agent DIR` is the only agent there."""

    name = "core"

    def play(self, folders: list[Path], agent: Path) -> Iterator[dict[str, Any]]:
        """Play under CPython."""
        path = os.pathsep.join(map(str, (agent, PLAYER, FLASH)))
        env = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        return played([sys.executable, "-B"], env, folders)
