"""The body of a `pins` document: hosts with their pins, trust anchors, endpoints, what is forbidden (DESIGN section 5)."""

from hashlib import sha256

from ..compat import const
from . import carrier, errors, limits
from .claims import TIME_MAX, array, body, digest, name, text, uint
from .errors import PeerError
from .host import USAGE_DANE_TA, Host, barrier, match, parse_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Anchor

UNLISTED_REFUSE = const(0)
UNLISTED_PKIX = const(1)

_ROOT = const(1)
_SEQUENCE = const(2)
_HOSTS = const(3)
_ANCHORS = const(4)
_BROKERS = const(5)
_CARRIERS = const(6)
_UNLISTED = const(8)
_SOURCES = const(9)
_LOGS = const(10)
_URGENT = const(-1)
_FORBIDDEN = const(-2)


class Pins:
    """One `pins` document's body, checked: see `documents.cddl` for shapes."""

    def __init__(self, number: "tuple[int, int]", hosts: "list[Host]") -> None:
        self.number = number
        self.hosts = hosts
        self.anchors: "list[Anchor]" = []
        self.brokers: "list[tuple[str, int]]" = []
        self.carriers: "list[str]" = []
        self.forbidden: "list[bytes]" = []
        self.unlisted = UNLISTED_REFUSE
        self.sources: "list[str]" = []
        # Certificate Transparency logs by their id, SPKI each, and when that list was made; None without one.
        self.logs: "dict[bytes, bytes]" = {}
        self.logs_time: "int | None" = None
        # Bases of every host that were confirmed under a lower number end at once.
        self.urgent = (0, 0)

    def host(self, where: str) -> "Host | None":
        """Return the entry that speaks for a host: the exact name, else the longest parent with includeSubdomains."""
        return match(self.hosts, where)


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


def parse_anchors(value: object, most: int) -> "list[Anchor]":
    """Return trust anchors, subject name and SPKI each; raise `structure`."""
    found = []
    for item in array(value, 0, most):
        subject, spki = array(item, 2, 2)
        if not isinstance(subject, bytes) or not isinstance(spki, bytes):
            raise PeerError(errors.STRUCTURE)
        found.append((subject, spki))
    return found


def keep_anchors(host: Host, anchors: "list[Anchor]") -> None:
    """Let an entry of usage 2 keep those of some anchors that it pins."""
    if host.usage == USAGE_DANE_TA:
        host.anchors = [item for item in anchors if host.pinned(sha256(item[1]).digest())]


def _logs(value: object, pins: Pins) -> None:
    if value is None:
        return
    when, listed = array(value, 2, 2)
    pins.logs_time = uint(when, 0, TIME_MAX)
    for spki in array(listed, 1, limits.MAX_LOGS):
        if not isinstance(spki, bytes) or not 1 <= len(spki) <= limits.SPKI_MAX_BYTES:
            raise PeerError(errors.STRUCTURE)
        # RFC 6962 section 3.2: a log's id is SHA-256 of its key.
        pins.logs[sha256(spki).digest()] = spki


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
    pins.anchors = parse_anchors(fields.get(_ANCHORS, []), limits.MAX_ANCHORS)
    for host in hosts:
        keep_anchors(host, pins.anchors)
    _endpoints(fields, pins)
    _logs(fields.get(_LOGS), pins)
    pins.unlisted = uint(fields.get(_UNLISTED, UNLISTED_REFUSE), UNLISTED_REFUSE, UNLISTED_PKIX)
    for item in array(fields.get(_SOURCES, []), 0, limits.MAX_TIME_SOURCES):
        pins.sources.append(name(item))
    pins.urgent = barrier(fields.get(_URGENT))
    for end in [pins.urgent] + [host.now for host in hosts]:
        if end > number:
            raise PeerError(errors.STRUCTURE)
    return pins


def number_of(value: object) -> "tuple[int, int]":
    """Return the number (R, S) of a body, before anything else of it is looked at."""
    fields = body(value, (_URGENT, _FORBIDDEN))
    return uint(fields.get(_ROOT), 1, 0xFFFFFFFF), uint(fields.get(_SEQUENCE), 1, 0xFFFFFFFF)
