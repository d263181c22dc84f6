"""One device, whatever it is: power, console, flash image, clock and network. The bench and the story know nothing else of it."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from .events import Events


class TargetError(Exception):
    """The target cannot do that: it lacks a tool, or the call comes when its power is on; the text says which."""


class Target(Events, ABC):
    """A device with the agent on it. Its console's events go on over reboots; it is off at first.

    The image of the flash region (everpin/core/store.py) goes in and out while the power is off.
    """

    name: str
    device_key: bytes | None = None

    @abstractmethod
    def power_on(self) -> None:
        """Let it boot; its agent runs for ever."""

    @abstractmethod
    def cut(self) -> None:
        """The power is gone at once; nothing if it was off."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Return whether it runs: not after a cut, nor when it has ended by itself."""

    @abstractmethod
    def flash_in(self, image: bytes) -> None:
        """Put a region's image on its flash."""

    @abstractmethod
    def flash_out(self) -> bytes:
        """Return the region's image."""

    @abstractmethod
    def set_clock(self, unix: int | None) -> None:
        """Set its clock to Unix seconds, running on from there; None: its clock was never set. At any time."""

    @abstractmethod
    def network(self, on: bool) -> None:
        """Plug its network in or out. Out: live connections break, and there are no new ones."""

    def reset(self) -> None:
        """Reboot."""
        self.cut()
        self.power_on()

    def close(self) -> None:
        """End it for good."""
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
