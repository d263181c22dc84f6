"""Where the sources that devices run lie, and the command that runs them with an interpreter of this machine."""

import os
import sys
from pathlib import Path

from . import micropython

DEVICE = Path(__file__).resolve().parent / "device"

# MicroPython runs the sources as they are, with more memory than any board has: what is swept is what they do, not what they take.
_HEAP = "128M"


def agent_folder() -> Path:
    """Return the folder of the agent that this process would import."""
    import everpin

    return Path(str(everpin.__file__)).resolve().parent.parent


def command_of(target: str, agent: Path) -> tuple[list[str], dict[str, str]]:
    """Return (command, environment) of an interpreter that finds this agent: MicroPython for `unix`, CPython for any other."""
    env = {name: value for name, value in os.environ.items() if name != "MICROPYPATH"}
    if target == "unix":
        env["MICROPYPATH"] = f"{agent}:.frozen"
        return [micropython.find(), "-X", f"heapsize={_HEAP}"], env
    env["PYTHONPATH"] = str(agent)
    return [sys.executable, "-B"], env
