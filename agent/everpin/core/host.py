"""One host's entry in a `pins` document: its pins, the rule that they are judged by, and what may relax it (DESIGN section 5)."""

from ..compat import const
from . import errors, limits
from .claims import TIME_MAX, array, body, digest, flag, text, uint
from .errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # Subject name and SubjectPublicKeyInfo, DER.
    Anchor = tuple[bytes, bytes]

# RFC 6698 section 2.1.1, by the names of RFC 7218.
USAGE_PKIX_TA = const(0)
USAGE_PKIX_EE = const(1)
USAGE_DANE_TA = const(2)
USAGE_DANE_EE = const(3)

STATUS_ACTIVE = const(1)
STATUS_BACKUP = const(2)
STATUS_RETIRING = const(3)

# What follows when an entry has expired. Closing tightens, so it has a negative key; an agent that does not know it refuses.
FOLLOW_TRUST_STORE = const(1)
FOLLOW_CLOSED = const(2)
FOLLOW_KEEP = const(3)

_NAME = const(1)
_USAGE = const(2)
_PINS = const(3)
_SUBDOMAINS = const(4)
_REPORT_ONLY = const(5)
_EXPIRES = const(6)
_MANAGED = const(7)
_NOW = const(-1)
_CLOSES = const(-2)
_DATES = const(-3)
_BOTH = const(-4)
_SCTS = const(-5)
_TIGHTENING = (_NOW, _CLOSES, _DATES, _BOTH, _SCTS)
_FLAGS = {
    _SUBDOMAINS: "subdomains",
    _REPORT_ONLY: "report_only",
    _MANAGED: "managed",
    _DATES: "dates",
    _BOTH: "both",
}


class Host:
    """One host's entry. `pins` is [(digest, status)]; `raw` the map that it came from; times are Unix seconds.

    `report_only`: a pin that does not match is told, and refuses nothing on an otherwise validated path. `managed`: an inspection CA of
    the factory record may stand in. `expires`, `follow`: when its pins end, and what then. `dates`: usage 2 judges validity. `both`:
    leaf and an issuer above it must both be pinned. `scts`: how many signed certificate timestamps usages 0 and 1 ask for.
    """

    # What most entries do not say stands here once, not in each of them: a board's RAM is small.
    subdomains = False
    report_only = False
    managed = False
    expires: "int | None" = None
    follow = FOLLOW_KEEP
    # Bases confirmed under a lower number than this end at once.
    now = (0, 0)
    dates = False
    both = False
    scts = 0
    # The signed anchors that it pins: usage 2 takes no others, and a base needs them when its document is gone.
    anchors: "list[Anchor]" = []

    def __init__(self, raw: "dict[int, Any]", where: str, pins: "list[tuple[bytes, int]]") -> None:
        """Read the fields beside name and pins; raise `structure` or `unsupported`."""
        self.raw = raw
        self.name = where
        self.usage = uint(raw.get(_USAGE), USAGE_PKIX_TA, USAGE_DANE_EE)
        self.pins = pins
        for key, field in _FLAGS.items():
            if flag(raw.get(key)):
                setattr(self, field, True)
        if _EXPIRES in raw:
            when, follow = array(raw[_EXPIRES], 2, 2)
            self.expires = uint(when, 0, TIME_MAX)
            self.follow = uint(follow, FOLLOW_TRUST_STORE, FOLLOW_KEEP)
            if self.follow == FOLLOW_CLOSED or _CLOSES in raw:
                raise PeerError(errors.STRUCTURE)
        elif _CLOSES in raw:
            self.expires = uint(raw[_CLOSES], 0, TIME_MAX)
            self.follow = FOLLOW_CLOSED
        if _NOW in raw:
            self.now = parse_number(raw[_NOW])
        if _SCTS in raw:
            self.scts = uint(raw[_SCTS], 1, limits.MAX_SCTS)
        # Nothing that a verdict would not do may be said: usage 3 has no path, usage 2 no public logs.
        if self.usage == USAGE_DANE_EE and (self.dates or self.both):
            raise PeerError(errors.STRUCTURE)
        if self.scts and self.usage > USAGE_PKIX_EE:
            raise PeerError(errors.STRUCTURE)

    def same(self, other: "Host") -> bool:
        """Return whether both entries accept the same peers while neither has expired."""
        return self._rule() == other._rule() and self.digests() == other.digests()

    def _rule(self) -> "tuple[Any, ...]":
        return self.usage, self.dates, self.both, self.scts

    def digests(self) -> "list[bytes]":
        """Return the different pinned digests, sorted."""
        return sorted({pin for pin, _ in self.pins})

    def pinned(self, spki_digest: bytes) -> bool:
        """Return whether this entry pins a digest. Pins are public, so the comparison need not be constant in time."""
        for pin, _ in self.pins:
            if pin == spki_digest:
                return True
        return False

    def expired(self, clock: "int | None") -> bool:
        """Return whether its pins have ended, by a clock that signed policy trusts; without one nothing ends."""
        return self.expires is not None and clock is not None and clock >= self.expires


def parse_host(value: object) -> Host:
    """Return one entry, its fields checked; the Rule of Two is the document's, for it needs the forbidden set."""
    raw = body(value, _TIGHTENING)
    where = text(raw.get(_NAME), limits.HOST_MAX_BYTES)
    if where != canonical(where) or "/" in where or " " in where:
        raise PeerError(errors.STRUCTURE)
    pins = []
    for item in array(raw.get(_PINS), limits.HOST_MIN_PINS, limits.HOST_MAX_PINS):
        pin, status = array(item, 2, 2)
        pins.append((digest(pin), uint(status, STATUS_ACTIVE, STATUS_RETIRING)))
    return Host(raw, where, pins)


# ---- names ----------------------------------------------------------------------------------------------------------


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


# ---- numbers --------------------------------------------------------------------------------------------------------


def barrier(value: object) -> "tuple[int, int]":
    """Return a number (R, S) below which a base ends, (0, 0) when there is none (decision 0008)."""
    return (0, 0) if value is None else parse_number(value)


def parse_number(value: object) -> "tuple[int, int]":
    """Return a number as [R, S] says it."""
    r, s = array(value, 2, 2)
    return uint(r, 1, 0xFFFFFFFF), uint(s, 0, 0xFFFFFFFF)
