"""What the bench asks of a target: play tapes with a copy of the agent, and say the facts as they come."""

import json
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import everpin_sim

# What runs inside the device's interpreter: the player here, the flash with its power fuse in the simulator.
PLAYER = Path(__file__).resolve().parent.parent / "device"
FLASH = Path(everpin_sim.__file__).resolve().parent / "device"


class NoTarget(Exception):
    """The target lacks something here; the text says what, and what to do."""


class TargetFailed(Exception):
    """The target ended badly; the text is what it said."""


class Target(ABC):
    """Plays tapes (everpin_hil/tape.py). `name` is what `--target` calls it."""

    name: str

    @abstractmethod
    def play(self, folders: list[Path], agent: Path) -> Iterator[dict[str, Any]]:
        """Yield facts, each with "s", the index of its folder, the last of each tape being "end"."""


def played(
    command: list[str], env: dict[str, str], folders: list[Path]
) -> Iterator[dict[str, Any]]:
    """Yield what the player says in a process of its own; raise `TargetFailed`."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [*command, str(PLAYER / "play_main.py"), *map(str, folders)],
            env=env,
            cwd=folders[0],  # nothing of the current folder is found by name
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                fact: dict[str, Any] = json.loads(line)
                yield fact
        except BaseException:
            process.kill()
            raise
        process.wait()
        errors.seek(0)
        noise = errors.read().strip()
    if process.returncode:
        raise TargetFailed(noise[-2000:] or f"it ended with {process.returncode}")
