"""What a device has to tell: events until they are acknowledged, one report on the way at a time, and the ack it waits for."""

from . import report, topics
from .errors import MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .trust import Trust


class Reporter:
    """A device's reports under its report key; without one (lost, or another board's) events are noted and nothing is sent."""

    def __init__(
        self, random: "Callable[[int], bytes]", fleet: str, device: str, key: "bytes | None"
    ) -> None:
        self.events = report.Events()
        self._random = random
        self._fleet = fleet
        self._device = device
        self._key = key
        # A boot-random epoch with a rising counter: no report of an earlier life passes for a new one.
        self._epoch = random(8)
        self.counter = 0
        self._sent: "tuple[bytes, list[dict[int, Any]]] | None" = None
        # An ack was had since boot: who names a newer number is heard.
        self.fresh = False

    def waiting(self) -> bool:
        """Return whether there is something to send, and a key to send it under."""
        return self._key is not None and len(self.events) > 0

    def lost(self) -> None:
        """Forget the report on the way: its session ended."""
        self._sent = None

    def make(self, trust: "Trust") -> "tuple[str, bytes]":
        """Return (topic, report) of all events; its ack is the one that counts from now on."""
        if self._key is None:
            raise MisuseError
        events = self.events.copy()
        nonce = self._random(16)
        self.counter += 1
        self._sent = (nonce, events)
        data = report.make(
            self._key,
            self._fleet,
            self._device,
            self._epoch,
            self.counter,
            trust.pins.number,
            trust.root.version,
            events,
            nonce,
            self.fresh,
        )
        return topics.report(self._fleet, self._device), data

    def take_ack(self, payload: bytes) -> "tuple[int, int] | None":
        """Return the number that an authentic ack for the report on the way names, None when none is; raise a `PeerError`."""
        if self._key is None or self._sent is None:
            return None
        nonce, events = self._sent
        number = report.open_ack(self._key, self._fleet, self._device, payload, nonce)
        self._sent = None
        self.fresh = True
        self.events.forget(events)
        return number
