# mypy: disable-error-code="attr-defined"
# `time` has ticks here.
"""The runner on MicroPython: `micropython -m everpin.ports.micropython.main DEVICE-FOLDER`, or `main(folder)` from a board's main.py.

Prints one JSON line for each event.
"""

import json
import sys
import time

from ..device import Device
from ..link import Link
from ..runner import Runner
from ..session import Session
from . import tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.agent import Agent

_CONNECT_TIMEOUT_S = 15.0
# MicroPython boards count from 2000-01-01; the unix port counts from 1970. Times of everpin are Unix seconds.
_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
# A board's clock that was never set stands within its first years.
_UNSET_BEFORE = 1700000000


class MicroPythonPort:
    """Sockets, time and sleep of this board, for one device folder."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._cert = _read(device.client_cert)
        self._key = _read(device.client_key)
        self._ticks = time.ticks_ms()
        self._uptime_ms = 0

    def open(self, agent: "Agent", host: str, port: int) -> Session:
        """Return a session that is up; raise OSError (a refusal carries `verdict`) or a `PeerError`."""
        sock = tls.connect(agent, host, port, _CONNECT_TIMEOUT_S, self._cert, self._key)
        return Session(Link(sock), agent, self.uptime)

    def now(self) -> "tuple[int | None, str]":
        at = int(time.time()) + _EPOCH
        return (None, "") if at < _UNSET_BEFORE else (at, self._device.time_source)

    def uptime(self) -> float:
        # ticks_ms wraps; the runner asks often enough for each difference to be small.
        ticks = time.ticks_ms()
        self._uptime_ms += time.ticks_diff(ticks, self._ticks)
        self._ticks = ticks
        return self._uptime_ms / 1000

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep_ms(int(seconds * 1000))


def _read(path: "str | None") -> "bytes | None":
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def _print(event: "dict[str, Any]") -> None:
    print(json.dumps(event))


def main(folder: str, once_s: "float | None" = None) -> "dict[str, Any] | None":
    """Run the agent of a device folder for ever, or once within `once_s` seconds (for boards that sleep deeply)."""
    device = Device(folder)
    runner = Runner(device.agent, MicroPythonPort(device), _print)
    if once_s is not None:
        return runner.run_once(once_s)
    runner.run()
    return None


if __name__ == "__main__":
    main(sys.argv[1])
