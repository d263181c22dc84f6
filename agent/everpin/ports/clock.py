"""Clocks of both interpreters: the time of day with its source, and monotonic seconds."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# MicroPython boards count from 2000-01-01, its unix port and CPython from 1970. Times of everpin are Unix seconds.
_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0
# In so many milliseconds a float of 24 bits counts each.
_EXACT_MS = 1 << 23
_ticks_ms: "Any" = getattr(time, "ticks_ms", None)


class Clock:
    """`source` names where the time of day comes from, "" for nowhere that a policy could trust."""

    def __init__(self, source: str = "") -> None:
        self._source = source
        self._ticks = _ticks_ms() if _ticks_ms is not None else 0
        self._uptime_ms = 0

    def now(self) -> "tuple[int | None, str]":
        """Return (Unix seconds, source). A clock that was never set stands below the floor: the agent takes it for none."""
        return int(time.time()) + _EPOCH, self._source

    def uptime(self) -> float:
        """Return monotonic seconds; asked at least every few days, for MicroPython's ticks wrap.

        After two hours of counting ticks they are whole ones, as an integer: a board's floats have 24 bits, which after two years
        tell no seconds apart.
        """
        if _ticks_ms is None:
            return time.monotonic()
        ticks = _ticks_ms()
        self._uptime_ms += time.ticks_diff(ticks, self._ticks)  # type: ignore[attr-defined]
        self._ticks = ticks
        return self._uptime_ms / 1000 if self._uptime_ms < _EXACT_MS else self._uptime_ms // 1000


def sleep(seconds: float) -> None:
    """Sleep; not at all for a time that is over."""
    if seconds > 0:
        time.sleep(seconds)
