"""MicroPython on a board, by mpremote: copying files, a soft reset, and what the board says of itself."""

import datetime
import json
import re
import time
from pathlib import Path
from typing import Any

from ..errors import OperatorError
from . import tools
from .provisioning import DEVICE

# What mpremote says before a board has started, or when something else than MicroPython runs.
_NOT_YET = r"could not enter raw repl|failed to access|no device found|could not exclusively|Input/output error"
_TRIES = 4
_PAUSE_S = 1.0

# Runs on the board, behind a soft reset into the raw REPL, where main.py does not run.
_STATUS = """
import json, os, sys
def status():
    said = {'micropython': '.'.join([str(part) for part in sys.implementation[1][:3]])}
    try:
        os.stat('DEVICE/device.json')
    except OSError:
        said['provisioned'] = False
        return said
    said['provisioned'] = True
    try:
        from everpin import Device
    except ImportError:
        said['agent'] = False
        return said
    said['agent'] = True
    try:
        agent = Device('DEVICE').agent
    except Exception as error:
        said['error'] = type(error).__name__ + ' ' + str(error)
        return said
    said['device'] = agent.device
    said['number'] = list(agent.number)
    said['trust'] = agent.trust_digest().hex()
    said['secrets'] = agent.secrets is not None
    return said
print('everpin-status ' + json.dumps(status()))
""".replace("DEVICE", DEVICE)

_REMOVE = """
import os
def remove(path):
    try:
        folder = os.stat(path)[0] & 0x4000
    except OSError:
        return
    if folder:
        for name in os.listdir(path):
            remove(path + '/' + name)
        os.rmdir(path)
    else:
        os.remove(path)
for path in PATHS:
    remove(path)
"""


class Repl:
    """A board's MicroPython on one port."""

    def __init__(self, port: str, silent_s: float) -> None:
        self.port = port
        self._silent_s = silent_s

    def argv(self, *command: str) -> list[str]:
        """Return the command line of one mpremote command."""
        return tools.command("mpremote", "connect", self.port, *command)

    def _try(self, tell: tools.Tell, *command: str) -> tools.Said:
        try:
            return tools.run(self.argv(*command), self._silent_s, tell)
        except tools.Silent:
            # mpremote waits for ever where a board restarts while it enters the REPL; the board is up by now.
            return tools.run(self.argv(*command), self._silent_s, tell)

    def _run(self, tell: tools.Tell, *command: str) -> str:
        said = self._try(tell, *command)
        for _ in range(_TRIES - 1):
            # A board that was reset a moment ago is still starting.
            if said.status == 0 or not re.search(_NOT_YET, said.text, re.IGNORECASE):
                break
            time.sleep(_PAUSE_S)
            said = self._try(tell, *command)
        if said.status == 0:
            return said.text
        if re.search(_NOT_YET, said.text, re.IGNORECASE):
            raise OperatorError(
                "no MicroPython answers",
                self.port,
                "write one with --firmware; or another program holds the port",
            )
        raise OperatorError(f"mpremote {command[0]} failed: {said.last()}", self.port)

    def status(self, tell: tools.Tell) -> dict[str, Any]:
        """Return what the board says of itself and, where it has an agent, of its trust."""
        text = self._run(tell, "exec", _STATUS)
        found = re.search(r"^everpin-status (\{.*\})\r?$", text, re.MULTILINE)
        try:
            said = json.loads(found[1]) if found is not None else None
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise OperatorError("the board's answer is no status", self.port, "try again")
        return said

    def remove(self, paths: list[str], tell: tools.Tell) -> None:
        """Remove files and folders where they are there."""
        self._run(tell, "exec", _REMOVE.replace("PATHS", repr(paths)))

    def copy_command(self, folder: Path) -> list[str]:
        """Return the arguments that copy a folder's content to the board, main.py last: it runs with all that it needs."""
        names = sorted(path.name for path in folder.iterdir())
        first = [str(folder / name) for name in names if name != "main.py"]
        command = ["cp", "-r", *first, ":"] if first else []
        if "main.py" in names:
            command += ["+"] * bool(first) + ["cp", str(folder / "main.py"), ":"]
        return command

    def copy(self, folder: Path, tell: tools.Tell) -> None:
        """Copy a folder's content to the board."""
        self._run(tell, *self.copy_command(folder))

    def set_clock(self, now: datetime.datetime, tell: tools.Tell) -> None:
        """Set the board's clock, which it keeps over a reset and not without power (MicroPython, machine.RTC)."""
        fields = (now.year, now.month, now.day, 0, now.hour, now.minute, now.second, 0)
        self._run(tell, "exec", f"import machine; machine.RTC().datetime({fields})")

    def reset(self, tell: tools.Tell) -> None:
        """Start the board anew, with its main.py."""
        self._run(tell, "reset")
