"""Reports and acks: what happened, kept until somebody who holds the report key has said that it arrived.

A peer that was refused, or accepted without a match, is told in the terms of RFC 7469 section 3 (documents.cddl says which is which).

COSE_Mac0 (RFC 9052 section 6) under the device's report key, bound to fleet and device by external_aad. An ack repeats the
report's nonce, so a replayed one says nothing; its time is never used (DESIGN section 6).
"""

from ..compat import const
from . import cbor, claims, cose, eat, errors, limits
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

# How often a kind has been accepted without a match since the device was provisioned, whatever became of its reports.
OPENED = (FAIL_OPEN, REPORT_ONLY, MANAGED, UNLISTED)
# What a peer without any key can make happen, as varied as it likes: these make room for others, and for each other.
_ANYBODYS = (PIN_FAILURE, REFUSED, RESCUE)

_KIND = const(1)
_COUNT = const(2)
_WHERE = const(3)
_CODE = const(4)
_NUMBER = const(5)  # of the document whose pins were known: RFC 7469's known-pins
_PIN = const(6)
_SINCE = const(7)
# The rest of RFC 7469 section 3. noted-hostname is the end of the hostname: where it begins there.
PORT = const(8)
NOTED = const(9)
SUBDOMAINS = const(10)
EXPIRES = const(11)
SERVED = const(12)
VALIDATED = const(13)

# Of the body: hosts by their place in the document whose number stands beside, so that the longest list takes 17 bytes.
UNCONFIRMED = const(9)
OPENED_SO_FAR = const(11)
NOW_EXPIRED = const(12)

_COUNT_MAX = const(0xFFFF)
_TOTAL_MAX = const(0xFFFFFFFF)
_FIXED_BYTES = const(87)  # the longest event (`Events`) without its host and chains
# Of each SPKI digest in a chain: enough to tell which of the certificates known to the fleet it is, and no pin.
PREFIX_BYTES = const(8)


def prefixes(digests: "list[bytes]") -> bytes:
    """Return a chain as an event carries it: the beginning of each digest, leaf first."""
    return b"".join([item[:PREFIX_BYTES] for item in digests])


class Events:
    """A bounded list of events; equal ones are one with a count. `dirty` tells whether it changed since it was saved.

    At most REPORT_MAX_EVENTS, and REPORT_MAX_BYTES of them. Bytes of the longest event's encoding, of which six fit:

        map 1, kind 2, count 4, where 3 + 253, code 3, number 12, pin 35, since 6,
        port 4, noted 3, subdomains 2, expires 6, served 3 + 64, validated 3 + 64      468

    With the longest names, and every host in its lists, the rest of a report takes 409: a report has 3,481 of DOCUMENT_MAX_BYTES'
    8,192, and a journal less.

    `opened` counts every fail-open by its kind; no ack takes anything away from it.
    """

    def __init__(self) -> None:
        self._items: "list[dict[int, Any]]" = []
        self.opened: "dict[int, int]" = {}
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
        more: "dict[int, Any] | None" = None,
    ) -> bool:
        """Note an event; return whether it is a new one. When the list is full the oldest of what anybody can cause goes, or the oldest.

        Equal is what has one kind, entry, error and document: a peer that shows another key each time makes no event of each.
        `more` is what else RFC 7469 asks for, kept of the first.
        """
        event: "dict[int, Any]" = dict(more or {})
        event[_KIND] = kind
        if where:
            if len(where.encode()) > limits.HOST_MAX_BYTES:
                where = where[: limits.HOST_MAX_BYTES // 4]  # of UTF-8's four bytes at most
                event.pop(NOTED, None)
            event[_WHERE] = where
        if code:
            event[_CODE] = code
        if number is not None:
            event[_NUMBER] = list(number)
        if pin is not None:
            event[_PIN] = pin
        if kind in OPENED:
            self.opened[kind] = min(self.opened.get(kind, 0) + 1, _TOTAL_MAX)
            self.dirty = True
        for known in self._items:
            if _same(known, event):
                # A count alone is not worth a flash write: an attacker could wear the flash out with it.
                known[_COUNT] = min(known[_COUNT] + 1, _COUNT_MAX)
                return False
        event[_COUNT] = 1
        if now is not None and 0 <= now <= claims.TIME_MAX:
            event[_SINCE] = now
        self._items.append(event)
        while (
            len(self._items) > limits.REPORT_MAX_EVENTS
            or sum([_size(item) for item in self._items]) > limits.REPORT_MAX_BYTES
        ):
            self._items.pop(self._least())
        self.dirty = True
        return True

    def _least(self) -> int:
        for at in range(len(self._items) - 1):
            if self._items[at][_KIND] in _ANYBODYS:
                return at
        return 0

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

    def restore(self, items: object, opened: object = None) -> None:
        """Take back what a journal held; anything else than events and counts is passed over."""
        try:
            self.opened = _opened(opened)
        except PeerError:
            pass
        if isinstance(items, list):
            for item in items[: limits.REPORT_MAX_EVENTS]:
                try:
                    self._items.append(_event(item))
                except PeerError:
                    pass  # of another release


def _size(event: "dict[int, Any]") -> int:
    """Return the bytes that an event's encoding has at most."""
    return (
        _FIXED_BYTES
        + len(event.get(_WHERE, "").encode())
        + len(event.get(SERVED, b""))
        + len(event.get(VALIDATED, b""))
    )


def _about(event: "dict[int, Any]") -> str:
    """Return the entry that an event is about, else its host."""
    return event.get(_WHERE, "")[event.get(NOTED, 0) :]  # type: ignore[no-any-return]


def _same(one: "dict[int, Any]", other: "dict[int, Any]") -> bool:
    for key in (_KIND, _CODE, _NUMBER):
        if one.get(key) != other.get(key):
            return False
    return _about(one) == _about(other)


def _event(value: object) -> "dict[int, Any]":
    """Return an event of one shape, as documents.cddl has it; raise `structure`."""
    event = claims.body(value, ())
    claims.uint(event.get(_KIND), 1, 23)
    claims.uint(event.get(_COUNT), 1, _COUNT_MAX)
    for key in event:
        item = event[key]
        if key == _WHERE:
            claims.text(item, limits.HOST_MAX_BYTES)
        elif key == _NUMBER:
            _number(item)
        elif key == _PIN:
            claims.digest(item)
        elif key in (_CODE, _SINCE, PORT, NOTED, EXPIRES):
            claims.uint(item, 0, claims.TIME_MAX)
        elif key == SUBDOMAINS:
            claims.flag(item)
        elif key in (SERVED, VALIDATED):
            count = len(item) // PREFIX_BYTES if isinstance(item, bytes) else 0
            claims.octets(item, PREFIX_BYTES * min(max(count, 1), limits.CHAIN_MAX))
    return event


def _opened(value: object) -> "dict[int, int]":
    if not isinstance(value, dict):
        raise PeerError(errors.STRUCTURE)
    return {kind: claims.uint(value[kind], 0, _TOTAL_MAX) for kind in OPENED if kind in value}


def make(
    key: bytes,
    fleet: str,
    device: str,
    bootseed: bytes,
    counter: int,
    number: "tuple[int, int]",
    root_version: int,
    events: "list[dict[int, Any]]",
    nonce: bytes,
    fresh: bool,
    more: "dict[int, Any] | None" = None,
    uptime: "int | None" = None,
) -> bytes:
    """Return a report: COSE_Mac0 bytes. `more` is what else the body says: `UNCONFIRMED`, `OPENED_SO_FAR`, `NOW_EXPIRED`."""
    said: "dict[int, Any]" = dict(more or {})
    said[1] = device
    said[3] = counter
    said[4] = list(number)
    said[5] = root_version
    said[6] = events
    said[8] = fresh
    found = eat.make(fleet, device, bootseed, nonce, uptime)
    found[claims.BODY] = said
    return cose.make_mac0(cose.REPORT, key, cose.external_aad(fleet, device), cbor.dumps(found))


def open_report(key: bytes, fleet: str, device: str, data: bytes) -> "dict[int, Any]":
    """Return what an authentic report of that device says; raise a `PeerError` for any other bytes.

    The body's fields, their shapes checked, and beside them the claims of its status by their own keys (eat.py).
    """
    found, said = _authentic(key, fleet, device, data, cose.REPORT)
    if said.get(1) != device:
        raise PeerError(errors.STRUCTURE)
    claims.uint(said.get(3), 0, 0xFFFFFFFF)
    _number(said.get(4))
    claims.uint(said.get(5), 1, 0xFFFFFFFF)
    for event in claims.array(said.get(6), 0, limits.REPORT_MAX_EVENTS):
        _event(event)
    if not isinstance(said.get(8), bool):
        raise PeerError(errors.STRUCTURE)
    for key_of in (UNCONFIRMED, NOW_EXPIRED):
        for at in claims.array(said.get(key_of, []), 0, limits.PINS_MAX_HOSTS):
            claims.uint(at, 0, limits.PINS_MAX_HOSTS - 1)
    said[OPENED_SO_FAR] = _opened(said.get(OPENED_SO_FAR, {}))
    said.update(eat.check(found))
    return said


def make_ack(
    key: bytes, fleet: str, device: str, nonce: bytes, number: "tuple[int, int]", now: int
) -> bytes:
    """Return an ack: the report's nonce, the newest (R, S) of the device's bucket, the collector's time."""
    payload = cbor.dumps({claims.ISS: fleet, claims.BODY: {1: nonce, 2: list(number), 3: now}})
    return cose.make_mac0(cose.ACK, key, cose.external_aad(fleet, device), payload)


def open_ack(key: bytes, fleet: str, device: str, data: bytes, nonce: bytes) -> "tuple[int, int]":
    """Return the number that an authentic ack for this nonce names; raise a `PeerError` (`bad-ack` for a replay)."""
    _, said = _authentic(key, fleet, device, data, cose.ACK)
    if said.get(1) != nonce:
        raise PeerError(errors.BAD_ACK)
    return _number(said.get(2))


def _authentic(
    key: bytes, fleet: str, device: str, data: bytes, typ: int
) -> "tuple[dict[Any, Any], dict[Any, Any]]":
    """Return (claims, body)."""
    payload = cose.mac0(data, typ, key, cose.external_aad(fleet, device))
    found = cose.claims(payload)
    return found, claims.body(found.get(claims.BODY), ())


def _number(value: object) -> "tuple[int, int]":
    r, s = claims.array(value, 2, 2)
    return claims.uint(r, 0, 0xFFFFFFFF), claims.uint(s, 0, 0xFFFFFFFF)
