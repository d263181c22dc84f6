"""Verdicts on TLS peers: whether a served chain may be talked to, and why (DESIGN section 5).

A verdict is a value that callers and reports share. It never raises for what a peer served.
"""

from ..compat import const
from . import errors, spki
from .pins import USAGE_DANE_EE, canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .trust import Trust

NEWEST = "newest"
BASE = "base"

_OK = const(0)


class Verdict:
    """What was decided: `accepted`, `why` (0 or an error code), `host`, `entry` (the name in the policy), `usage`,
    `pin` (the leaf's SPKI digest, None when unreadable), `by` ("newest", "base" or ""), `generation` of the policy.
    """

    def __init__(
        self,
        why: int,
        host: str,
        entry: str = "",
        usage: int = 0,
        pin: "bytes | None" = None,
        by: str = "",
    ) -> None:
        self.accepted = why == _OK
        self.why = why
        self.host = host
        self.entry = entry
        self.usage = usage
        self.pin = pin
        self.by = by
        self.generation = 0

    @property
    def name(self) -> str:
        """Return the name of the error, "ok" for an accepted peer."""
        return errors.name_of(self.why)


def decide(trust: "Trust", host: str, chain: "list[bytes]") -> Verdict:
    """Return the verdict on a served chain (DER, leaf first) for a host.

    Usage 3 (RFC 7671 section 5.1): the leaf's key is pinned; names and dates are not looked at, for nothing here expires.
    The handshake itself proves that the peer holds that key, so no path is needed.
    """
    where = canonical(host)
    pin = None
    if chain:
        try:
            pin = spki.pin(chain[0])
        except errors.PeerError:
            pass
    newest, base = trust.entry(where)
    if newest is None:
        return Verdict(errors.UNLISTED, where, "", 0, pin)
    if pin is None:
        return Verdict(errors.NO_CERTIFICATE, where, newest.name, newest.usage)
    # Forbidden beats allowed, base included.
    if trust.forbidden(pin):
        return Verdict(errors.FORBIDDEN, where, newest.name, newest.usage, pin)
    for entry, by in ((newest, NEWEST), (base, BASE)):
        if entry is not None and entry.usage == USAGE_DANE_EE and entry.pinned(pin):
            return Verdict(_OK, where, newest.name, entry.usage, pin, by)
    return Verdict(errors.PIN_MISMATCH, where, newest.name, newest.usage, pin)
