"""What the agent keeps about TLS peers between verdicts: whose turn it is, what has expired, which inspection CAs the factory knows."""

from . import report, verdict
from .host import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .host import Anchor
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

    def __init__(self, managed: "list[Anchor]") -> None:
        self._managed = managed
        # Hosts whose next connection goes the second of two ways.
        self._second: "set[str]" = set()
        self._expired: "list[str]" = []

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
        return verdict.decide(trust, where, chain, evidence)

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
        if found == self._expired:
            return None
        new = [name for name in found if name not in self._expired]
        self._expired = found
        return new


def event_of(found: "Verdict") -> int:
    """Return the kind of event that a peer accepted without an enforced match is reported as."""
    return _EVENTS[found.mode]
