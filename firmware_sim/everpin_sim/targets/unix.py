"""The agent under MicroPython's unix port, in a process of its own with a small heap."""

from collections.abc import Collection, Mapping
from pathlib import Path

from ..micropython import NoMicroPython, find
from .process import Process
from .protocol import Target, TargetError

# Sources are compiled into the heap, and objects are twice a board's size; the rest is about what an ESP32 has.
HEAP_BYTES = 640 * 1024


class Unix(Process):
    """A MicroPython process."""

    name = "unix"

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """Return MicroPython, with the copy of the agent before any other."""
        try:
            program = find()
        except NoMicroPython as lacking:
            raise TargetError(str(lacking)) from None
        return [program, "-X", f"heapsize={HEAP_BYTES}"], {"MICROPYPATH": f"{self._agent}:.frozen"}


def open_device(home: Path, agent: Path, ports: Collection[int]) -> Target:
    """Return a device of a provisioned folder."""
    return Unix(home, agent)
