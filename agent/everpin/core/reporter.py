"""What a device has to tell: events until they are acknowledged, one report on the way at a time, and the ack it waits for."""

from . import eat, report, topics
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
        self.bootseed = random(eat.SEED_BYTES)
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

    def make(
        self, trust: "Trust", expired: "list[str]", uptime: "int | None"
    ) -> "tuple[str, bytes]":
        """Return (topic, report) of all events and the state; its ack is the one that counts from now on."""
        if self._key is None:
            raise MisuseError
        events = self.events.copy()
        nonce = self._random(eat.NONCE_BYTES)
        self.counter += 1
        self._sent = (nonce, events)
        data = report.make(
            self._key,
            self._fleet,
            self._device,
            self.bootseed,
            self.counter,
            trust.pins.number,
            trust.root.version,
            events,
            nonce,
            self.fresh,
            self._state(trust, expired),
            uptime,
        )
        return topics.report(self._fleet, self._device), data

    def _state(self, trust: "Trust", expired: "list[str]") -> "dict[int, Any]":
        """Return what of the trust state is no number: left out where it is empty."""
        names = [host.name for host in trust.pins.hosts]
        found: "dict[int, Any]" = {}
        for key, listed in (
            (report.UNCONFIRMED, trust.unconfirmed()),
            (report.NOW_EXPIRED, expired),
        ):
            if listed:
                found[key] = [at for at in range(len(names)) if names[at] in listed]
        if self.events.opened:
            found[report.OPENED_SO_FAR] = dict(self.events.opened)
        return found

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
