"""What emulated boards and Pis have in common: a device's folder, a machine that is on or off, a time of day that runs on."""

import json
import time
from pathlib import Path
from typing import Any, Generic, TypeVar

from .emulator import Emulator
from .protocol import Target, TargetError

_Machine = TypeVar("_Machine", bound=Emulator)


class Emulated(Target, Generic[_Machine]):
    """A target in an emulator, made from a device's folder as `everpin provision` writes it; it is off at first."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        # What the clock was set to, and when; None: it was never set.
        self._clock: tuple[int, float] | None = (int(time.time()), time.monotonic())
        self._machine: _Machine | None = None
        name = self._config().get("device_key")
        path = home / name if name else None
        if path is not None and path.exists():
            self.device_key = path.read_bytes()

    def _config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "device.json").read_text())
        return found

    def _off(self, what: str) -> None:
        if self.alive:
            raise TargetError(f"{what}: the power is on")
        self.cut()

    @property
    def alive(self) -> bool:
        """Return whether it runs."""
        return self._machine is not None and self._machine.alive

    @property
    def machine(self) -> _Machine:
        """Return the running machine."""
        if self._machine is None:
            raise TargetError("the power is off")
        return self._machine

    def cut(self) -> None:
        """The power is gone: what the flash has taken stays, nothing else."""
        machine, self._machine = self._machine, None
        if machine is not None:
            machine.kill()
