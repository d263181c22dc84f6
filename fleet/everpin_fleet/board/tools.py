"""Running esptool and mpremote: as programs, with progress, and an end when they fall silent."""

import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import OperatorError

Tell = Callable[[str], None]

# What is kept of a program's output, enough for its last words.
_KEPT_BYTES = 65536
_ENDING_S = 3.0
_PERCENT = re.compile(r"(\d{1,3})(?:\.\d+)?\s?%")


class Silent(OperatorError):
    """A program that said nothing for too long, and was stopped."""


@dataclass(frozen=True)
class Said:
    """How a program ended, and what it printed."""

    status: int
    text: str

    def last(self) -> str:
        """Return its last line, the one that says why it failed."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


def command(module: str, *argv: str) -> list[str]:
    """Return the command line of a program that comes as a Python package."""
    return [sys.executable, "-m", module, *argv]


def run(argv: list[str], silent_s: float, progress: Tell) -> Said:
    """Run a program to its end; stop it, and raise `Silent`, when it prints nothing for `silent_s` seconds."""
    # Plain lines, whole and at once.
    env = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "200",
    }
    process: subprocess.Popen[bytes] = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env
    )
    out = process.stdout
    if out is None:  # never: PIPE was asked for
        raise OSError("no pipe")
    kept = b""
    try:
        with selectors.DefaultSelector() as ready:
            ready.register(out, selectors.EVENT_READ)
            heard = time.monotonic()
            while True:
                if ready.select(max(0.0, heard + silent_s - time.monotonic())):
                    piece = os.read(out.fileno(), 4096)
                    if not piece:
                        break
                    heard = time.monotonic()
                    kept = (kept + piece)[-_KEPT_BYTES:]
                    found = _PERCENT.findall(piece.decode("utf-8", "replace"))
                    if found:
                        progress(f"{found[-1]} %")
                elif time.monotonic() >= heard + silent_s:
                    raise Silent(
                        f"{argv[2]} has said nothing for {silent_s:.0f} seconds and was stopped",
                        "",
                        "is the cable whole, and the board powered? --timeout gives it longer",
                    )
        return Said(process.wait(silent_s), kept.decode("utf-8", "replace"))
    except subprocess.TimeoutExpired:
        raise OperatorError(f"{argv[2]} does not end and was stopped") from None
    finally:
        out.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
