"""What a device says: JSON lines as they come, each with the time of its arrival."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
Fits = Callable[[Event], bool]


class Events:
    """A growing list of events; `wait` sleeps until one fits. What is no JSON map, a traceback say, is in the log alone."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def feed(self, line: bytes) -> None:
        """Take a line of a console."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if isinstance(event, dict):
            event["at"] = time.monotonic()
            with self._changed:
                self.events.append(event)
                self._changed.notify_all()

    def mark(self) -> int:
        """Return a place in the events, to wait for what comes after it."""
        with self._changed:
            return len(self.events)

    def since(self, mark: int) -> list[Event]:
        """Return the events since a mark."""
        with self._changed:
            return self.events[mark:]

    def wait(self, fits: Fits, since: int = 0, timeout_s: float = 15.0) -> Event | None:
        """Return the first event since a mark that fits, None when none came in time."""
        until = time.monotonic() + timeout_s
        at = since
        with self._changed:
            while True:
                for event in self.events[at:]:
                    if fits(event):
                        return event
                at = len(self.events)
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return None


def is_event(name: str, **fields: Any) -> Fits:
    """Return a test for an event by name and fields."""

    def fits(event: Event) -> bool:
        return event.get("event") == name and all(
            event.get(key) == value for key, value in fields.items()
        )

    return fits


def tells(device: str, kind: str) -> Fits:
    """Return a test for a collected report of a device that has an event of a kind."""

    def fits(item: Event) -> bool:
        return item.get("device") == device and any(
            event["kind"] == kind for event in item.get("events", ())
        )

    return fits
