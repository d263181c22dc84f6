"""A child process whose standard output is JSON lines, read as they come, each with the time of its arrival."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Child:
    """A running process of ours; `events` grows, `wait` sleeps until one fits. Ends with `stop`, by its own process object."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - Popen was given a pipe
        for line in self._process.stdout:
            self._log.write(line)
            self._log.flush()
            try:
                event = json.loads(line)
            except ValueError:
                continue  # a traceback's line; it is in the log
            if isinstance(event, dict):
                event["at"] = time.monotonic()
                with self._changed:
                    self.events.append(event)
                    self._changed.notify_all()

    def mark(self) -> int:
        """Return a place in the events, to wait for what comes after it."""
        with self._changed:
            return len(self.events)

    def wait(
        self, fits: Callable[[Event], bool], since: int = 0, timeout_s: float = 15.0
    ) -> Event | None:
        """Return the first event since a mark that fits, None when none came in time."""
        until = time.monotonic() + timeout_s
        at = since
        with self._changed:
            while True:
                while at < len(self.events):
                    if fits(self.events[at]):
                        return self.events[at]
                    at += 1
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return None

    def since(self, mark: int) -> list[Event]:
        """Return the events since a mark."""
        with self._changed:
            return self.events[mark:]

    @property
    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the process: SIGTERM, then SIGKILL."""
        if self.alive:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(timeout_s)
        self._log.close()
