"""The policy of a program beside the agent's own: it reads what the agent has written, and writes nothing.

One process writes a device's region (`everpin agent run`, or whoever has a `Device`); any number of others read it.
"""

import os
import threading
import time

from ...core import verdict
from ...core.errors import FlashError
from ...core.store import Store
from ..device import ConfigError, open_flash, read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...core.trust import Trust
    from ...core.verdict import Verdict

# A file system's times have steps (a jiffy, two seconds on FAT): what was written so shortly before it was read may be written
# again without a newer time.
_STEP_NS = 2_100_000_000
_TRIES = 5  # reads take about a millisecond, commits many


class Reader:
    """A device folder's trust as its agent keeps it, newer documents and forbidden keys as soon as they are committed.

    It is asked from any thread. It confirms nothing and reports nothing: that is the agent's. While the region cannot be read, it
    goes on with what it read last; at the start it raises `ConfigError`, `FlashError` or OSError.
    """

    threads = True

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._config = read_config(folder)
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] = ()
        self._generation = 0
        open_flash(folder, self._config, False).close()  # says best what is wrong with it
        self._trust = self._read()

    def _read(self) -> "Trust":
        """Return what the region says. What it is stamped with is looked at first, so that a later write is seen."""
        for _ in range(_TRIES):
            stamp = self._stamped()
            flash = open_flash(self._folder, self._config, False)
            try:
                trust = Store(flash).load()
            finally:
                flash.close()
            # Two commits under a slow reader could take a document away from under it.
            if self._stamped() == stamp:
                break
        self._stamp = stamp if time.time_ns() - max(stamp) > _STEP_NS else ()
        self._generation += 1
        return trust

    def _stamped(self) -> "tuple[int, ...]":
        where = os.path.join(self._folder, self._config.get("flash") or "flash.img")
        files = [where]
        if os.path.isdir(where):
            files += [item.path for item in os.scandir(where)]
        return tuple(os.stat(file).st_mtime_ns for file in files)

    def _newest(self) -> "Trust":
        """Return the trust in force; the lock is held."""
        try:
            if self._stamp and self._stamped() == self._stamp:
                return self._trust
            before = self._generation
            found = self._read()
        except (ConfigError, FlashError, OSError):
            return self._trust
        if found.digest() == self._trust.digest():
            self._generation = before
        self._trust = found
        return found

    @property
    def generation(self) -> int:
        """Rises with what the agent commits: connections that are up are judged anew."""
        with self._lock:
            self._newest()
            return self._generation

    def verdict(self, host: str, chain: "list[bytes]") -> "Verdict":
        """Return the verdict on a served chain, as the agent would give it."""
        with self._lock:
            found = verdict.decide(self._newest(), host, chain)
            found.generation = self._generation
            return found

    def completed(self, found: "Verdict") -> None:
        """Nothing: a program beside the agent confirms nothing."""
