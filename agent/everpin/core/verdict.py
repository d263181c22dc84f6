"""Verdicts on TLS peers: whether a served chain may be talked to, and why (DESIGN section 5).

A verdict is a value that callers and reports share. It never raises for what a peer served. Here stand the order of what is
asked and everything that relaxes an entry; what usages 0 to 2 ask of a path is `path_rules`.
"""

from ..compat import const
from . import errors, host, spki
from .pins import UNLISTED_PKIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .host import Anchor, Host
    from .path_rules import Rules
    from .trust import Trust

NEWEST = "newest"
BASE = "base"

# How a peer was accepted. Only an enforced match confirms an entry; every other way is counted and reported.
ENFORCED = "enforced"
REPORT_ONLY = "report-only"
TRUST_STORE = "trust-store"
MANAGED = "managed"
UNLISTED = "unlisted"

_OK = const(0)


class Verdict:
    """What was decided: `accepted`, `why` (0 or an error code), `host`, `entry` (the name in the policy), `usage`,
    `pin` (the leaf's SPKI digest, None when unreadable), `by` ("newest", "base" or ""), `mode` ("enforced", or how it was accepted
    without a match), `path` (SPKI digests of the verified path, leaf first; of a refused peer the one that came furthest, [] where
    none was asked for), `generation` of the policy; `served` (RFC 7469: beginnings of the SPKI digests, of what is reported).

    `why` of a peer accepted by `report-only` is what would have refused it.
    """

    def __init__(
        self,
        why: int,
        where: str,
        entry: str = "",
        usage: int = 0,
        pin: "bytes | None" = None,
        by: str = "",
        mode: str = ENFORCED,
        path: "list[bytes] | None" = None,
    ) -> None:
        self.accepted = why == _OK or mode != ENFORCED
        self.why = why
        self.host = where
        self.entry = entry
        self.usage = usage
        self.pin = pin
        self.by = by
        self.mode = mode
        self.path = path or []
        self.served = b""
        self.generation = 0

    @property
    def name(self) -> str:
        """Return the name of the error, "ok" for an accepted peer."""
        return errors.name_of(self.why)


class Evidence:
    """What else a verdict may rest on.

    `clock` is Unix seconds by a source that signed policy names; None: no date is judged, nothing expires. `platform` is the path
    that the runtime's own certificate check accepted for this host, DER, its root last; empty on a runtime that has no check
    beside ours; None when it was not asked or did not pass. `store` gives the anchors of the runtime's trust store. `managed` are
    the factory record's inspection CAs.
    """

    def __init__(
        self,
        clock: "int | None" = None,
        platform: "list[bytes] | None" = None,
        store: "Callable[[], list[Anchor]] | None" = None,
        managed: "list[Anchor] | None" = None,
    ) -> None:
        self.clock = clock
        self.platform = platform
        self.store = store
        self.managed = managed or []


def decide(
    trust: "Trust", where: str, chain: "list[bytes]", evidence: "Evidence | None" = None
) -> Verdict:
    """Return the verdict on a served chain (DER, leaf first) for a host."""
    evidence = evidence or Evidence()
    where = host.canonical(where)
    pin = None
    if chain:
        try:
            pin = spki.pin(chain[0])
        except errors.PeerError:
            pass
    newest, base = trust.entry(where)
    update = trust.is_update(where)
    rules = _Lazily(trust, where, chain, evidence)
    if newest is None:
        if update or trust.pins.unlisted != UNLISTED_PKIX:
            return Verdict(errors.UNLISTED, where, "", 0, pin)
        if pin is None:
            return Verdict(errors.NO_CERTIFICATE, where)
        why, path = rules().pkix(None)
        mode = ENFORCED if why else UNLISTED
        return Verdict(why, where, "", host.USAGE_PKIX_TA, pin, "", mode, path)
    if pin is None:
        return Verdict(errors.NO_CERTIFICATE, where, newest.name, newest.usage)
    # Forbidden beats allowed, base included. On a path it is `path_rules` that says so.
    if trust.forbidden(pin):
        return Verdict(errors.FORBIDDEN, where, newest.name, newest.usage, pin)
    why, furthest = _OK, None
    for entry, by in ((newest, NEWEST), (base, BASE)):
        if entry is None:
            continue
        not_this, path = _match(entry, pin, evidence.clock, rules)
        if not not_this:
            return Verdict(_OK, where, newest.name, entry.usage, pin, by, ENFORCED, path)
        if furthest is None:
            why, furthest = not_this, path  # what the newest entry says
        if why == errors.CLOSED:
            # The newest entry closes the host: for its base too, and for all that would stand in.
            return Verdict(why, where, newest.name, newest.usage, pin)
    # Nothing that relaxes an entry is ever for the update channel.
    if not update:
        for mode in _relaxed(newest, evidence.clock):
            not_this, path = rules().managed() if mode == MANAGED else rules().pkix(newest)
            if not not_this:
                told = why if mode == REPORT_ONLY else _OK
                return Verdict(told, where, newest.name, newest.usage, pin, "", mode, path)
    return Verdict(why, where, newest.name, newest.usage, pin, "", ENFORCED, furthest)


class _Lazily:
    """Calls give the rules for paths. A board whose hosts all have usage 3 never loads their code."""

    def __init__(self, *args: "Any") -> None:
        self._args = args
        self._made: "Rules | None" = None

    def __call__(self) -> "Rules":
        if self._made is None:
            from .path_rules import Rules

            self._made = Rules(*self._args)
        return self._made


def _relaxed(entry: "Host", clock: "int | None") -> "list[str]":
    """Return the ways in which an entry accepts a peer that none of its pins matches."""
    found = []
    if entry.follow == host.FOLLOW_TRUST_STORE and entry.expired(clock):
        found.append(TRUST_STORE)
    if entry.report_only:
        found.append(REPORT_ONLY)
    if entry.managed:
        found.append(MANAGED)
    return found


def _match(
    entry: "Host", pin: bytes, clock: "int | None", rules: _Lazily
) -> "tuple[int, list[bytes]]":
    """Return (0 or why not, path) of an enforced match of one entry."""
    if entry.follow == host.FOLLOW_CLOSED and entry.expired(clock):
        return errors.CLOSED, []
    if entry.usage == host.USAGE_DANE_EE:
        # RFC 7671 section 5.1: names and dates are not looked at, for nothing here expires. The handshake itself proves that
        # the peer holds the leaf's key, so no path is needed.
        return (_OK, []) if entry.pinned(pin) else (errors.PIN_MISMATCH, [])
    return rules().enforced(entry)


def platform_modes(trust: "Trust", where: str) -> "list[bool]":
    """Return the ways to connect to a host in which an entry could accept it: with the runtime's own check (True), or without.

    Two where the newest entry and its base differ in that: callers take turns, for the runtime's check ends a handshake that it
    refuses.
    """
    where = host.canonical(where)
    newest, base = trust.entry(where)
    if newest is None:
        return [trust.pins.unlisted == UNLISTED_PKIX and not trust.is_update(where)]
    found = [newest.usage <= host.USAGE_PKIX_EE]
    if base is not None and (base.usage <= host.USAGE_PKIX_EE) != found[0]:
        found.append(not found[0])
    return found
