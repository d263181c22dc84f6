"""A child process whose standard output is JSON lines, read as they come, each with the time of its arrival."""

import subprocess
import threading
from pathlib import Path

from .targets.events import Event, Events


class Child(Events):
    """A running process of ours; `events` grows, `wait` sleeps until one fits. Ends with `stop`, by its own process object."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        super().__init__()
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
            self.feed(line)

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


__all__ = ("Child", "Event")
