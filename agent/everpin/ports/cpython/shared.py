"""The trust of a device folder, read by a second process: `everpin tunnel` and `everpin agent status` beside the running agent.

One process writes a region, the one that holds its lock; any number may read it (DESIGN section 7). A reader never opens the
region for writing and takes no lock. It copies the region as a whole, twice: when both copies are equal, each byte is what it
was at the moment between them, for no record is ever written twice alike. Such a copy is what a power cut would have left at that
moment, so the store reads it as the old state or the new one, never as something between (DESIGN section 10).

What a reader finds out, it keeps to itself: it confirms no host and reports nothing.
"""

import errno
import os
import time

from ...core.errors import FLASH, FlashError, MisuseError
from ..clock import Clock
from ..device import ConfigError, Device, open_flash, read_config
from .config import ConfigFileError, chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ...core.host import Anchor
    from ...core.verdict import Verdict
    from .config import AgentConfig

    Opened = TypeVar("Opened")

# A file system's times have steps (a jiffy, two seconds on FAT): what was written so shortly before it was read may be written
# again without a newer time, so it is read once more.
_STEP_NS = 2_100_000_000
# A writer commits in three or four steps, each followed by an fsync; two equal copies come soon.
_TRIES = 64


class Copy:
    """A region's bytes at one moment, as the Flash protocol that reads and never writes."""

    def __init__(self, data: bytes, sector: int) -> None:
        self.size = len(data)
        self.sector = sector
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise MisuseError
        return self._data[offset : offset + length]

    def prog(self, offset: int, data: bytes) -> None:
        """Refuse: the region is another process's."""
        raise FlashError(FLASH)

    def erase(self, offset: int, length: int) -> None:
        """Refuse: the region is another process's."""
        raise FlashError(FLASH)

    def sync(self) -> None:
        """Do nothing: nothing was written."""


def copy_of(folder: str) -> Copy:
    """Return a device folder's region as it was at one moment; raise `ConfigError`, `FlashError` or OSError."""
    config = read_config(folder)
    held = b""
    for _ in range(_TRIES):
        try:
            flash = open_flash(folder, config, False)
            try:
                data = flash.read(0, flash.size)
            finally:
                flash.close()
        except FileNotFoundError:
            data = b""  # a sector's file that was replaced in this moment
        if data and data == held:
            return Copy(data, flash.sector)
        held = data
    raise OSError(errno.EAGAIN, "the region changes all the time; is it one agent that writes it?")


def reader(folder: str) -> Device:
    """Return an open device whose region is a copy: all that `Device` has, and nothing is ever written."""
    return Device(folder, False, None, copy_of(folder))


class SharedTrust:
    """A policy for TLS contexts that follows a device folder which another process keeps up to date.

    `refresh` looks whether the region has changed. A region that cannot be read leaves what was trusted last in force, and
    `problem` says what is wrong with it.
    """

    def __init__(self, folder: str) -> None:
        """Read a device folder; raise `ConfigError`, `FlashError` or OSError."""
        self._folder = folder
        self.problem = ""
        self.device = reader(folder)
        self._seen: tuple[int, ...] = ()
        self._settled = False
        self._clock = Clock(self.device.time_source)
        # What is added to the generation of the agent that reads, a new one for each change of the region.
        self._before = 0
        self._look()  # once more, now that what is wrong would have been said

    @property
    def generation(self) -> int:
        """Return a number that rises whenever what is trusted changes."""
        return self._before + self.device.agent.generation

    def _mark(self) -> "tuple[int, ...]":
        found = []
        for name in ("device.json", read_config(self._folder).get("flash") or "flash.img"):
            stat = os.stat(os.path.join(self._folder, str(name)))
            found += [stat.st_ino, stat.st_size, stat.st_mtime_ns]
        return tuple(found)

    def refresh(self) -> bool:
        """Look at the region and at the clock; return whether what is trusted has changed."""
        held = self.generation
        try:
            self._look()
            self.problem = ""
        except (ConfigError, FlashError, OSError) as error:
            self._settled = False
            self.problem = explain(error, self._folder)
        self.device.agent.tell(*self._clock.now())
        return self.generation != held

    def _look(self) -> None:
        mark = self._mark()
        if mark == self._seen and self._settled:
            return
        self._settled = time.time_ns() - max(mark) > _STEP_NS
        self._seen = mark
        held, old = self.generation, self.device.agent
        self.device = reader(self._folder)
        new = self.device.agent
        changed = new.trust_digest() != old.trust_digest()
        self._before = held - new.generation + (1 if changed else 0)

    def platform(self, host: str) -> bool:
        """Return whether the next connection to a host needs the machine's own certificate check."""
        self.refresh()
        return self.device.agent.platform(host)

    def anchors(self) -> "list[Anchor]":
        """Return the device's trust anchors."""
        return self.device.agent.anchors()

    def verdict(
        self,
        host: str,
        chain: "list[bytes]",
        platform: "list[bytes] | None" = None,
        store: "Callable[[], list[Anchor]] | None" = None,
    ) -> "Verdict":
        """Return the agent's verdict under what the region says now."""
        self.refresh()
        agent = self.device.agent
        found = agent.verdict(host, chain, platform, store)
        found.generation = self.generation
        agent.drain()
        return found

    def completed(self, verdict: "Verdict") -> None:
        """Do nothing: to confirm is the writer's."""


def explain(error: "Any", folder: str) -> str:
    """Return in one line why a device folder cannot be used, and what to do."""
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, FlashError):
        return f"{os.path.join(folder, 'flash.img')}: {error.name}; provision the device again"
    where = getattr(error, "filename", None) or folder
    return f"{where}: {getattr(error, 'strerror', None) or error}"


def opened(
    args: "argparse.Namespace", how: "Callable[[str], Opened]"
) -> "tuple[AgentConfig, Opened]":
    """Return the configuration that a command's arguments choose, and its device folder opened by `how`; raise `ConfigFileError`."""
    config = chosen(args)
    try:
        return config, how(config.device)
    except (ConfigError, FlashError, OSError) as error:
        raise ConfigFileError(explain(error, config.device)) from None
