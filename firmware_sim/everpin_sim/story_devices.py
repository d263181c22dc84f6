"""The story's devices: processes of both interpreters, or what the target that was asked for puts in their place.

Two devices are MicroPython's, and become boards; the gateway is CPython's, and becomes an emulated Pi.
"""

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from .build_mcu import Firmware
from .build_pi import Guest
from .child import Child
from .micropython import find
from .targets.events import Event, Fits
from .targets.mcu import Mcu
from .targets.pi import Pi

TARGETS = ("unix", "mcu", "pi")
_HEAP = "512K"
# What the agent needs with its session and the story's documents, and room to spare (docs/mcu.md).
_RAM = 196608


class Running(Protocol):
    """Whatever says events."""

    def mark(self) -> int:
        """Return a place in its events."""

    def since(self, mark: int) -> list[Event]:
        """Return the events since a mark."""

    def wait(self, fits: Fits, since: int = 0, timeout_s: float = 15.0) -> Event | None:
        """Return the first event since a mark that fits, None when none came in time."""

    def stop(self) -> None:
        """End it."""


class Device(Running, Protocol):
    """What the story asks of a device."""

    def image(self) -> bytes:
        """Return its region as it is now, the power staying on."""


class _Process(Child):
    """A device that is a process, its region a file."""

    def __init__(self, command: list[str], env: dict[str, str], home: Path, log: Path) -> None:
        super().__init__(command, env, log)
        self._home = home

    def image(self) -> bytes:
        """Return its region."""
        return (self._home / "flash.img").read_bytes()


class _Board(Mcu):
    """A board that is on."""

    def stop(self) -> None:
        """Cut its power."""
        self.close()

    def image(self) -> bytes:
        """Return its region."""
        return self.snapshot()


class _Pi(Pi):
    """An emulated Pi that is on."""

    def stop(self) -> None:
        """Cut its power."""
        self.close()

    def image(self) -> bytes:
        """Return its region."""
        return self.snapshot()


class Devices:
    """Switches devices on. `firmware` is what a board has, `guest` what a Pi has; None leaves the devices to be processes.

    The `ports` of loopback are those that boards and Pis reach.
    """

    def __init__(self, agent: Path, firmware: Firmware | None, guest: Guest | None = None) -> None:
        self._agent = agent
        self._firmware = firmware
        self._guest = guest
        self._micropython = find() if firmware is None else ""

    def spawn(self, name: str, home: Path, log: Path, ports: Collection[int]) -> Device:
        """Return a device of the folder `home`, running; what it was before is on its flash."""
        if name != "gateway" and self._firmware is not None:
            board = _Board(home, self._firmware, ports, ram=_RAM)
            board.power_on()
            return board
        if name == "gateway" and self._guest is not None:
            pi = _Pi(home, self._guest, ports)
            pi.power_on()
            return pi
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(self._agent)}
        if name == "gateway":
            module = ["-m", "everpin.ports.cpython.cli", "agent", "run"]
            return _Process([sys.executable, *module, str(home), "--json"], env, home, log)
        env["MICROPYPATH"] = f"{self._agent}:.frozen"
        module = ["-X", f"heapsize={_HEAP}", "-m", "everpin.ports.micropython.main"]
        return _Process([self._micropython, *module, str(home)], env, home, log)
