"""The agent of a device folder under a driver's hand: `run_agent.py DEVICE-FOLDER CONTROL-FILE`. Device dialect, both interpreters.

The agent is as it is; what stands between it and the world looks into the control file, JSON: {"clock": [Unix seconds, host's
time when that was so] or null for a clock that was never set, "network": whether there is one}. Prints events as JSON lines, and
now and then the heap's use where the interpreter tells it.
"""

import gc
import json
import sys
import time

import everpin.ports.clock as clock_module
import everpin.ports.dial as dial_module
from everpin.ports.link import Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ENETUNREACH = 101
_MICROPYTHON = sys.implementation.name == "micropython"
_TELL_EVERY_S = 1.0
_LOOK_EVERY_S = 0.1


class _World:
    """What the control file says."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._next = 0.0
        self._said: "dict[str, Any]" = {}

    def said(self) -> "dict[str, Any]":
        if time.time() >= self._next or self._next > time.time() + 1:
            self._next = time.time() + _LOOK_EVERY_S
            try:
                with open(self._path) as file:
                    self._said = json.load(file)
            except (OSError, ValueError):
                pass  # it is being written
        return self._said

    def now(self) -> "int | None":
        held = self.said().get("clock", [0, 0])
        return None if held is None else int(held[0] + time.time() - held[1])

    def check(self) -> None:
        if not self.said().get("network", True):
            raise OSError(_ENETUNREACH)


def _place(world: _World) -> None:
    """Put the world between the agent's ports and the interpreter's."""
    dial, receive, send = dial_module.dial, Link.receive, Link.send

    def dial_there(host: str, port: int, timeout_s: float) -> "Any":
        world.check()
        return dial(host, port, timeout_s)

    def receive_there(self: Link, wait_s: float) -> "bytes | None":
        world.check()
        found = receive(self, wait_s)
        world.check()
        return found

    def send_there(self: Link, data: bytes) -> None:
        world.check()
        send(self, data)

    def now_there(self: "Any") -> "tuple[int | None, str]":
        return world.now(), self._source

    dial_module.dial = dial_there
    Link.receive = receive_there  # type: ignore[method-assign]
    Link.send = send_there  # type: ignore[method-assign]
    clock_module.Clock.now = now_there  # type: ignore[method-assign]


class _Meter:
    """Tells the heap's use."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self) -> None:
        if _MICROPYTHON and time.time() >= self._next:
            self._next = time.time() + _TELL_EVERY_S
            gc.collect()
            print(json.dumps({"event": "heap", "bytes": gc.mem_alloc()}))  # type: ignore[attr-defined]


def main(folder: str, control: str) -> None:
    """Run for ever."""
    world = _World(control)
    _place(world)
    # After that: these take what they import as it is now.
    from everpin.ports.device import Device
    from everpin.ports.runner import Runner

    device = Device(folder)
    port: "Any" = None
    if _MICROPYTHON:
        from everpin.ports.micropython.main import MicroPythonPort

        port = MicroPythonPort(device)
    else:
        from everpin.ports.cpython.runner import CPythonPort

        port = CPythonPort(device)

    def say(event: "dict[str, Any]") -> None:
        line = json.dumps(event)
        print(line) if _MICROPYTHON else print(line, flush=True)

    Runner(device.agent, port, say, _Meter()).run()


main(sys.argv[1], sys.argv[2])
