"""A child process whose standard output is JSON lines, read as they come, each with the time of its arrival."""

import contextlib
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from .targets.events import Event, Events


class Child(Events):
    """A running process of ours; `events` grows, `wait` sleeps until one fits. Ends with `stop`, by its own process object."""

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        log: Path,
        hear: Callable[[bytes], None] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Start it; `hear` takes its lines, instead of this object's own list; with a pipe as `stdin`, `say` talks to it."""
        super().__init__()
        self._log_path = log
        self._hear = hear or self.feed
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            command, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=self._log
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - Popen was given a pipe
        for line in self._process.stdout:
            self._log.write(line)
            self._log.flush()
            self._hear(line)

    @property
    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def say(self, line: str) -> None:
        """Write a line to its standard input; one that has ended hears nothing."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()

    def latest(self, name: str) -> Event:
        """Return its latest event of a name, {} when there is none."""
        return next((e for e in reversed(self.since(0)) if e.get("event") == name), {})

    def tail(self) -> str:
        """Return the end of its log."""
        return self._log_path.read_text(errors="replace")[-600:]

    def kill(self) -> None:
        """End the process at once: SIGKILL."""
        self._process.kill()
        self.stop()

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


__all__ = ("Child", "Event")
