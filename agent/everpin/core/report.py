"""Reports and acks: what happened, kept until somebody who holds the report key has said that it arrived.

COSE_Mac0 (RFC 9052 section 6) under the device's report key, bound to fleet and device by external_aad. An ack repeats the
report's nonce, so a replayed one says nothing; its time is never used (DESIGN section 6).
"""

from ..compat import const
from . import cbor, claims, cose, errors, limits
from .errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Kinds of events (RFC 7469 section 3 speaks of pin failures only).
PIN_FAILURE = const(1)
ACCEPTED = const(2)
REFUSED = const(3)
CONFIRMED = const(4)
OVERLAP = const(5)  # connected by the base: no pin of the newest entry is this peer's
RESCUE = const(6)
ROOT = const(7)
EXPIRED = const(8)  # a host's pins have ended, by a clock that signed policy trusts
# Accepted without an enforced match: PKIX after expiry, a pin that did not match, an inspection CA, a host that is not listed.
FAIL_OPEN = const(9)
REPORT_ONLY = const(10)
MANAGED = const(11)
UNLISTED = const(12)
KINDS = {
    1: "pin-failure",
    2: "accepted",
    3: "refused",
    4: "confirmed",
    5: "overlap",
    6: "rescue",
    7: "root",
    8: "expired",
    9: "fail-open",
    10: "report-only",
    11: "managed",
    12: "unlisted",
}

_KIND = const(1)
_COUNT = const(2)
_WHERE = const(3)
_CODE = const(4)
_NUMBER = const(5)
_PIN = const(6)
_SINCE = const(7)

_COUNT_MAX = const(0xFFFF)


class Events:
    """A bounded list of events; equal ones are one with a count. `dirty` tells whether it changed since it was saved."""

    def __init__(self) -> None:
        self._items: "list[dict[int, Any]]" = []
        self.dirty = False

    def __len__(self) -> int:
        return len(self._items)

    def note(
        self,
        kind: int,
        where: str = "",
        code: int = 0,
        number: "tuple[int, int] | None" = None,
        pin: "bytes | None" = None,
        now: "int | None" = None,
    ) -> bool:
        """Note an event; return whether it is a new one. The oldest goes when the list is full."""
        event: "dict[int, Any]" = {_KIND: kind}
        if where:
            event[_WHERE] = where[: limits.HOST_MAX_BYTES]
        if code:
            event[_CODE] = code
        if number is not None:
            event[_NUMBER] = list(number)
        if pin is not None:
            event[_PIN] = pin
        for known in self._items:
            if _same(known, event):
                # A count alone is not worth a flash write: an attacker could wear the flash out with it.
                known[_COUNT] = min(known[_COUNT] + 1, _COUNT_MAX)
                return False
        event[_COUNT] = 1
        if now is not None and 0 <= now <= claims.TIME_MAX:
            event[_SINCE] = now
        if len(self._items) >= limits.REPORT_MAX_EVENTS:
            self._items.pop(0)
        self._items.append(event)
        self.dirty = True
        return True

    def forget(self, sent: "list[dict[int, Any]]") -> None:
        """Drop the events that a report carried and an ack confirmed."""
        before = len(self._items)
        self._items = [
            item for item in self._items if not any([_same(item, other) for other in sent])
        ]
        self.dirty = self.dirty or len(self._items) != before

    def copy(self) -> "list[dict[int, Any]]":
        """Return the events as a report carries them."""
        return [dict(item) for item in self._items]

    def restore(self, items: object) -> None:
        """Take back events that a journal held; anything else than events is passed over."""
        if isinstance(items, list):
            self._items = [
                item
                for item in items
                if isinstance(item, dict) and _KIND in item and _COUNT in item
            ]


def _same(one: "dict[int, Any]", other: "dict[int, Any]") -> bool:
    for key in (_KIND, _WHERE, _CODE, _NUMBER, _PIN):
        if one.get(key) != other.get(key):
            return False
    return True


def make(
    key: bytes,
    fleet: str,
    device: str,
    epoch: bytes,
    counter: int,
    number: "tuple[int, int]",
    root_version: int,
    events: "list[dict[int, Any]]",
    nonce: bytes,
    fresh: bool,
) -> bytes:
    """Return a report: COSE_Mac0 bytes."""
    said = {
        1: device,
        2: epoch,
        3: counter,
        4: list(number),
        5: root_version,
        6: events,
        7: nonce,
        8: fresh,
    }
    payload = cbor.dumps({claims.ISS: fleet, claims.BODY: said})
    return cose.make_mac0(cose.REPORT, key, cose.external_aad(fleet, device), payload)


def open_report(key: bytes, fleet: str, device: str, data: bytes) -> "dict[int, Any]":
    """Return the body of an authentic report of that device, its shape checked; raise a `PeerError` for any other bytes."""
    said = _authentic(key, fleet, device, data, cose.REPORT)
    if said.get(1) != device:
        raise PeerError(errors.STRUCTURE)
    for label, length in ((2, 8), (7, 16)):
        value = said.get(label)
        if not isinstance(value, bytes) or len(value) != length:
            raise PeerError(errors.STRUCTURE)
    claims.uint(said.get(3), 0, 0xFFFFFFFF)
    _number(said.get(4))
    claims.uint(said.get(5), 1, 0xFFFFFFFF)
    for event in claims.array(said.get(6), 0, limits.REPORT_MAX_EVENTS):
        if not isinstance(event, dict):
            raise PeerError(errors.STRUCTURE)
        claims.uint(event.get(_KIND), 1, 23)
        claims.uint(event.get(_COUNT), 1, _COUNT_MAX)
    return said


def make_ack(
    key: bytes, fleet: str, device: str, nonce: bytes, number: "tuple[int, int]", now: int
) -> bytes:
    """Return an ack: the report's nonce, the newest (R, S) of the device's bucket, the collector's time."""
    payload = cbor.dumps({claims.ISS: fleet, claims.BODY: {1: nonce, 2: list(number), 3: now}})
    return cose.make_mac0(cose.ACK, key, cose.external_aad(fleet, device), payload)


def open_ack(key: bytes, fleet: str, device: str, data: bytes, nonce: bytes) -> "tuple[int, int]":
    """Return the number that an authentic ack for this nonce names; raise a `PeerError` (`bad-ack` for a replay)."""
    said = _authentic(key, fleet, device, data, cose.ACK)
    if said.get(1) != nonce:
        raise PeerError(errors.BAD_ACK)
    return _number(said.get(2))


def _authentic(key: bytes, fleet: str, device: str, data: bytes, typ: int) -> "dict[Any, Any]":
    payload = cose.mac0(data, typ, key, cose.external_aad(fleet, device))
    return claims.body(cose.claims(payload).get(claims.BODY), ())


def _number(value: object) -> "tuple[int, int]":
    r, s = claims.array(value, 2, 2)
    return claims.uint(r, 0, 0xFFFFFFFF), claims.uint(s, 0, 0xFFFFFFFF)
