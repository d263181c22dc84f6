"""A clock driver: what can be wrong with a device's time of day, by name, on any target that has `set_clock`."""

import threading
import time

from ..targets.protocol import Target
from .ntp import NtpServer, query

_DAY = 86400
# Unset clocks: a board's from 2000-01-01, a Pi's without RTC from 1970; the last second of 31-bit time.
_BOARD_EPOCH = 946_684_800
END_OF_31_BITS = 2_147_483_647

CLOCKS = {
    "unset": "no clock was ever set",
    "2000": "as a microcontroller's after a cold start",
    "1970": "as a machine's without RTC after a cold start",
    "2038": "beyond 31 bits",
    "jump": "twenty years ahead, then back, again and again",
    "drift": "runs a thousand times too fast",
    "backwards": "runs backwards, a day each second",
    "ntp": "set by a spoofed NTP server, ten years ahead, then ten years back",
}


class ClockDriver:
    """Drives one target's clock. `drive(name)` from now on; `right()` sets it to the host's time and lets it run."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.sets = 0

    def _set(self, unix: float | None) -> None:
        self.sets += 1
        self._target.set_clock(None if unix is None else int(unix))

    def drive(self, name: str) -> None:
        """Let the clock be wrong in the way of a name (CLOCKS); raise KeyError for another one."""
        self._end()
        fixed = {"unset": None, "2000": _BOARD_EPOCH, "1970": 0, "2038": END_OF_31_BITS + 1}
        if name in fixed:
            self._set(fixed[name])
            return
        moving = {
            "jump": self._jump,
            "drift": self._drift,
            "backwards": self._backwards,
            "ntp": self._ntp,
        }
        self._stop.clear()
        self._thread = threading.Thread(target=moving[name], daemon=True)
        self._thread.start()

    def right(self) -> None:
        """Set the clock right."""
        self._end()
        self._set(time.time())

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    close = _end

    def _jump(self) -> None:
        ahead = True
        while True:
            self._set(time.time() + (20 * 365 * _DAY if ahead else -20 * 365 * _DAY))
            ahead = not ahead
            if self._stop.wait(1.0):
                return

    def _drift(self) -> None:
        begun, unix = time.monotonic(), time.time()
        while not self._stop.wait(0.3):
            self._set(unix + 1000 * (time.monotonic() - begun))

    def _backwards(self) -> None:
        begun, unix = time.monotonic(), time.time()
        while not self._stop.wait(0.3):
            self._set(max(0.0, unix - _DAY * (time.monotonic() - begun)))

    def _ntp(self) -> None:
        span = 10 * 365 * _DAY
        server = NtpServer()
        try:
            while True:
                server.lie = lambda: time.time() + span
                self._set(query(server.port))
                if self._stop.wait(1.0):
                    return
                server.lie = lambda: time.time() - span
                self._set(query(server.port))
                if self._stop.wait(1.0):
                    return
        finally:
            server.close()
