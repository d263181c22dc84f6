"""What the agent keeps about TLS peers between verdicts: whose turn it is, what has expired, which inspection CAs the factory knows.

And what it tells of them: who was refused, and who was accepted without a match.
"""

from . import limits, report, spki, verdict
from .errors import PeerError
from .host import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .host import Anchor
    from .report import Events
    from .trust import Trust
    from .verdict import Verdict

# The event for each way of accepting a peer without an enforced match.
_EVENTS = {
    verdict.REPORT_ONLY: report.REPORT_ONLY,
    verdict.TRUST_STORE: report.FAIL_OPEN,
    verdict.MANAGED: report.MANAGED,
    verdict.UNLISTED: report.UNLISTED,
}


class Peers:
    """Asks `verdict` with what the device brings."""

    def __init__(self, managed: "list[Anchor]", events: "Events") -> None:
        self._managed = managed
        self._events = events
        self.dialled: "tuple[str, int]" = ("", 0)  # the broker whose turn it is
        # Hosts whose next connection goes the second of two ways.
        self._second: "set[str]" = set()
        self.expired: "list[str]" = []

    def decide(
        self,
        trust: "Trust",
        where: str,
        chain: "list[bytes]",
        clock: "int | None",
        platform: "list[bytes] | None",
        store: "Callable[[], list[Anchor]] | None",
    ) -> "Verdict":
        """Return the verdict on a served chain."""
        evidence = verdict.Evidence(clock, platform, store, self._managed)
        found = verdict.decide(trust, where, chain, evidence)
        if found.why or found.mode != verdict.ENFORCED:
            found.served = report.prefixes([_digest(item) for item in chain[: limits.CHAIN_MAX]])
        return found

    def note(self, trust: "Trust", found: "Verdict", now: "int | None") -> bool:
        """Note who was refused, or accepted without an enforced match, as RFC 7469 section 3 tells it; return whether that is new."""
        number = trust.pins.number
        if found.accepted and found.mode == verdict.UNLISTED:
            # Counted, and not named: where an application goes that nobody pins is nobody's business.
            return self._events.note(report.UNLISTED, "", 0, number, None, now)
        more: "dict[int, Any]" = {}
        if found.host == canonical(self.dialled[0]):
            more[report.PORT] = self.dialled[1]
        entry = trust.pins.host(found.host)
        if entry is not None:
            more[report.NOTED] = len(found.host) - len(entry.name)
            if entry.subdomains:
                more[report.SUBDOMAINS] = True
            if entry.expires is not None:
                more[report.EXPIRES] = entry.expires
        if found.served:
            more[report.SERVED] = found.served
        if found.path:
            more[report.VALIDATED] = report.prefixes(found.path)
        kind = _EVENTS[found.mode] if found.accepted else report.PIN_FAILURE
        return self._events.note(kind, found.host, found.why, number, found.pin, now, more)

    def platform(self, trust: "Trust", where: str) -> bool:
        """Return whether the next connection to a host needs the runtime's own certificate check."""
        modes = verdict.platform_modes(trust, where)
        if len(modes) == 1:
            return modes[0]
        where = canonical(where)
        if where in self._second:
            self._second.discard(where)
            return modes[1]
        # Bounded by the hosts of a document but for names below a wildcard: those may forget whose turn it was.
        if len(self._second) >= 16:
            self._second.clear()
        self._second.add(where)
        return modes[0]

    def anchors(self, trust: "Trust") -> "list[Anchor]":
        """Return the anchors that the runtime's own check takes beside its store's."""
        return trust.pins.anchors + self._managed

    def aged(self, trust: "Trust", clock: "int | None") -> "list[str] | None":
        """Return the names that have expired since the last call, None when nothing changed."""
        found = trust.expired(clock)
        if found == self.expired:
            return None
        new = [name for name in found if name not in self.expired]
        self.expired = found
        return new


def _digest(certificate: bytes) -> bytes:
    try:
        return spki.pin(certificate)
    except PeerError:
        return bytes(report.PREFIX_BYTES)  # nothing that can be read
