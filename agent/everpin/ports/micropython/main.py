"""The runner on MicroPython: `micropython -m everpin.ports.micropython.main DEVICE-FOLDER`, or `main(folder)` from a board's main.py.

Prints one JSON line for each event.
"""

import json
import sys

from ..clock import Clock, sleep
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


class MicroPythonPort:
    """Sockets, time and sleep of this board, for one device folder."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._cert = tls.load(device.client_cert)
        self._key = tls.load(device.client_key)
        clock = Clock(device.time_source)
        self.now = clock.now
        self.uptime = clock.uptime
        self.sleep = sleep

    def open(self, agent: "Agent", host: str, port: int) -> Session:
        """Return a session that is up; raise OSError (a refusal carries `verdict`) or a `PeerError`."""
        sock = tls.connect(agent, host, port, _CONNECT_TIMEOUT_S, self._cert, self._key)
        return Session(Link(sock), agent, self.uptime)


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
