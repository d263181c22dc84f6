"""The body of a `pins` document: hosts with their pins, trust anchors, endpoints, what is forbidden (DESIGN section 5)."""

from ..compat import const
from . import carrier, errors, limits
from .claims import array, body, digest, flag, name, text, uint
from .errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

USAGE_DANE_EE = const(3)  # RFC 6698 section 2.1.1

STATUS_ACTIVE = const(1)
STATUS_BACKUP = const(2)
STATUS_RETIRING = const(3)

UNLISTED_REFUSE = const(0)

_ROOT = const(1)
_SEQUENCE = const(2)
_HOSTS = const(3)
_ANCHORS = const(4)
_BROKERS = const(5)
_CARRIERS = const(6)
_UNLISTED = const(8)
_SOURCES = const(9)
_URGENT = const(-1)
_FORBIDDEN = const(-2)

_NAME = const(1)
_USAGE = const(2)
_PINS = const(3)
_SUBDOMAINS = const(4)
_NOW = const(-1)


class Host:
    """One host's entry: `name`, `usage`, `pins` ([(digest, status)]), `subdomains`, `now`, and `raw`, the map it came from."""

    def __init__(self, raw: "dict[int, Any]", where: str, pins: "list[tuple[bytes, int]]") -> None:
        self.raw = raw
        self.name = where
        self.usage: int = raw[_USAGE]
        self.pins = pins
        self.subdomains = flag(raw.get(_SUBDOMAINS))
        # Bases confirmed under a lower number than this end at once.
        self.now = _barrier(raw.get(_NOW))

    def same(self, other: "Host") -> bool:
        """Return whether both entries accept the same peers."""
        return self.usage == other.usage and self.digests() == other.digests()

    def digests(self) -> "list[bytes]":
        """Return the different pinned digests, sorted."""
        return sorted({pin for pin, _ in self.pins})

    def pinned(self, spki_digest: bytes) -> bool:
        """Return whether this entry pins a digest. Pins are public, so the comparison need not be constant in time."""
        for pin, _ in self.pins:
            if pin == spki_digest:
                return True
        return False


class Pins:
    """One `pins` document's body, checked: see `documents.cddl` for shapes."""

    def __init__(self, number: "tuple[int, int]", hosts: "list[Host]") -> None:
        self.number = number
        self.hosts = hosts
        self.anchors: "list[tuple[bytes, bytes]]" = []
        self.brokers: "list[tuple[str, int]]" = []
        self.carriers: "list[str]" = []
        self.forbidden: "list[bytes]" = []
        self.unlisted = UNLISTED_REFUSE
        self.sources: "list[str]" = []
        # Bases of every host that were confirmed under a lower number end at once.
        self.urgent = (0, 0)

    def host(self, where: str) -> "Host | None":
        """Return the entry that speaks for a host: the exact name, else the longest parent with includeSubdomains."""
        return match(self.hosts, where)


def canonical(where: str) -> str:
    """Return a host name as entries spell it: lower case, without the root's dot or an IPv6 literal's brackets."""
    where = where.lower()
    if where.startswith("[") and where.endswith("]"):
        where = where[1:-1]
    if where.endswith("."):
        where = where[:-1]
    return where


def is_address(where: str) -> bool:
    """Return whether a host is written as an IP address, which has no subdomains."""
    if ":" in where:
        return True
    labels = where.split(".")
    return all([label.isdigit() for label in labels])


def match(hosts: "list[Host]", where: str) -> "Host | None":
    """Return the entry of `hosts` for a host name, or None. Longest match wins (RFC 7469 section 2.3.3 generalised)."""
    where = canonical(where)
    best = None
    address = is_address(where)
    for host in hosts:
        if host.name == where:
            return host
        if host.subdomains and not address and where.endswith("." + host.name):
            if best is None or len(host.name) > len(best.name):
                best = host
    return best


def parse_host(value: object) -> Host:
    """Return one entry, its fields checked; the Rule of Two is `parse`'s, for it needs the forbidden set."""
    raw = body(value, (_NOW,))
    where = text(raw.get(_NAME), limits.HOST_MAX_BYTES)
    if where != canonical(where) or "/" in where or " " in where:
        raise PeerError(errors.STRUCTURE)
    if uint(raw.get(_USAGE), 0, 3) != USAGE_DANE_EE:
        raise PeerError(errors.UNSUPPORTED)
    pins = []
    for item in array(raw.get(_PINS), limits.HOST_MIN_PINS, limits.HOST_MAX_PINS):
        pin, status = array(item, 2, 2)
        pins.append((digest(pin), uint(status, STATUS_ACTIVE, STATUS_RETIRING)))
    return Host(raw, where, pins)


def _endpoints(fields: "dict[int, Any]", pins: Pins) -> None:
    listed = 0
    for item in array(fields.get(_BROKERS), 0, limits.MAX_BROKERS):
        where, port = array(item, 2, 2)
        broker = (text(where, limits.HOST_MAX_BYTES), uint(port, 1, 0xFFFF))
        pins.brokers.append(broker)
        if pins.host(broker[0]) is not None:
            listed += 1
    # Deadlock freedom: a document that cuts the device from its own update channel is refused.
    if not listed:
        raise PeerError(errors.NO_BROKER)
    for item in array(fields.get(_CARRIERS), 0, limits.MAX_CARRIERS):
        url = text(item, limits.CARRIER_MAX_BYTES)
        # A scheme of a later release is kept and passed over: it must not take the known carriers away.
        pins.carriers.append(url)
    if not any([carrier.known(url) for url in pins.carriers]):
        raise PeerError(errors.NO_RESCUE)


def parse(value: object) -> Pins:
    """Return a verified `pins` body; raise `structure`, `unsupported`, `rule-of-two`, `no-broker` or `no-rescue`."""
    number = number_of(value)
    fields = body(value, (_URGENT, _FORBIDDEN))
    hosts: "list[Host]" = []
    for item in array(fields.get(_HOSTS), 1, limits.PINS_MAX_HOSTS):
        host = parse_host(item)
        for other in hosts:
            if other.name == host.name:
                raise PeerError(errors.STRUCTURE)
        hosts.append(host)
    pins = Pins(number, hosts)
    for item in array(fields.get(_FORBIDDEN, []), 0, limits.MAX_FORBIDDEN):
        if digest(item) not in pins.forbidden:
            pins.forbidden.append(item)
    for host in hosts:
        # Rule of Two (RFC 7469 section 4.3): two different digests that are not forbidden.
        if (
            len([pin for pin in host.digests() if pin not in pins.forbidden])
            < limits.HOST_MIN_PINS
        ):
            raise PeerError(errors.RULE_OF_TWO)
    for item in array(fields.get(_ANCHORS, []), 0, limits.MAX_ANCHORS):
        subject, spki = array(item, 2, 2)
        if not isinstance(subject, bytes) or not isinstance(spki, bytes):
            raise PeerError(errors.STRUCTURE)
        pins.anchors.append((subject, spki))
    _endpoints(fields, pins)
    pins.unlisted = uint(fields.get(_UNLISTED, UNLISTED_REFUSE), 0, 1)
    for item in array(fields.get(_SOURCES, []), 0, limits.MAX_TIME_SOURCES):
        pins.sources.append(name(item))
    pins.urgent = _barrier(fields.get(_URGENT))
    for barrier in [pins.urgent] + [host.now for host in hosts]:
        if barrier > number:
            raise PeerError(errors.STRUCTURE)
    return pins


def _barrier(value: object) -> "tuple[int, int]":
    """Return a number (R, S) below which a base ends, (0, 0) when there is none (decision 0008)."""
    return (0, 0) if value is None else parse_number(value)


def parse_number(value: object) -> "tuple[int, int]":
    """Return a number as [R, S] says it."""
    r, s = array(value, 2, 2)
    return uint(r, 1, 0xFFFFFFFF), uint(s, 0, 0xFFFFFFFF)


def number_of(value: object) -> "tuple[int, int]":
    """Return the number (R, S) of a body, before anything else of it is looked at."""
    fields = body(value, (_URGENT, _FORBIDDEN))
    return uint(fields.get(_ROOT), 1, 0xFFFFFFFF), uint(fields.get(_SEQUENCE), 1, 0xFFFFFFFF)
