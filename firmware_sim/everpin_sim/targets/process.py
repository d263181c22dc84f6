"""A device that is a process of this machine: its flash a file, its clock and network a driver's to change (device/run_agent.py)."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from ..child import Child
from .protocol import Target, TargetError

RUN_AGENT = Path(__file__).resolve().parent.parent / "device" / "run_agent.py"


class Process(Target):
    """A device folder as `everpin provision` writes it, its region in `flash.img`. The console goes to `log` as well."""

    name = "process"

    def __init__(self, home: Path, agent: Path, log: Path | None = None) -> None:
        super().__init__()
        self.home = home
        self._agent = agent
        self._log = log or home / "console.log"
        self._control = home / "control.json"
        self._clock: list[float] | None = [time.time(), time.time()]
        self._network = True
        self._child: Child | None = None

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """Return the command that runs a script with this target's interpreter, and its environment."""
        raise NotImplementedError

    def _say(self) -> None:
        """Write the control file, whole or not at all."""
        new = self._control.with_suffix(".new")
        new.write_text(json.dumps({"clock": self._clock, "network": self._network}))
        new.replace(self._control)

    def power_on(self) -> None:
        """Start the process."""
        self._off("power_on")
        self._say()
        command, env = self.command()
        self._child = Child(
            [*command, str(RUN_AGENT), str(self.home), str(self._control)],
            {**os.environ, "PYTHONUNBUFFERED": "1", **env},
            self._log,
            self.feed,
        )

    def _off(self, what: str) -> None:
        if self.alive:
            raise TargetError(f"{what}: the power is on")
        self.cut()

    @property
    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._child is not None and self._child.alive

    @property
    def pid(self) -> int:
        """Return the running process's id."""
        if self._child is None:
            raise TargetError("the power is off")
        return self._child.pid

    def cut(self) -> None:
        """Kill the process: nothing of it runs any more, what it has written stays."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def flash_in(self, image: bytes) -> None:
        """Put a region's image into the file."""
        self._off("flash_in")
        (self.home / "flash.img").write_bytes(image)

    def flash_out(self) -> bytes:
        """Return the file."""
        self._off("flash_out")
        return (self.home / "flash.img").read_bytes()

    def set_clock(self, unix: int | None) -> None:
        """Set the clock."""
        self._clock = None if unix is None else [float(unix), time.time()]
        self._say()

    def network(self, on: bool) -> None:
        """Plug the network in or out."""
        self._network = on
        self._say()
