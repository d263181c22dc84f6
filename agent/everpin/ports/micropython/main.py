"""The runner on MicroPython: `micropython -m everpin.ports.micropython.main DEVICE-FOLDER`, or `main(device)` from a board's main.py.

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
    from collections.abc import Callable
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


def main(
    device: "str | Device",
    once_s: "float | None" = None,
    feed: "Callable[[], None] | None" = None,
) -> "dict[str, Any] | None":
    """Run the agent of a device (or its folder) for ever, or once within `once_s` seconds (for boards that sleep deeply).

    `feed` is called in every step: a watchdog's `feed`, or the application's own work. A step may take as long as a dial or a visit
    to a rescue carrier, half a minute.
    """
    opened = Device(device) if isinstance(device, str) else device
    runner = Runner(opened.agent, MicroPythonPort(opened), _print, feed)
    if once_s is not None:
        return runner.run_once(once_s)
    runner.run()
    return None


if __name__ == "__main__":
    main(sys.argv[1])
