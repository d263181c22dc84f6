"""A policy that only reads: it judges by one trust state or several, confirms nothing and writes nothing."""

from ...core import verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...core.host import Anchor
    from ...core.trust import Trust
    from ...core.verdict import Verdict


class ReadOnly:
    """Judges by the newest of `trusts` (oldest first), then by each before it; what the newest forbids is refused all the same.

    `clock` is Unix seconds by a source that the policy names, `managed` a factory record's inspection CAs. `found` is the last
    verdict.
    """

    generation = 1

    def __init__(
        self,
        trusts: "list[Trust]",
        clock: "int | None" = None,
        managed: "list[Anchor] | None" = None,
    ) -> None:
        self._trusts = trusts
        self._clock = clock
        self._managed = managed or []
        self.found: "Verdict | None" = None

    def platform(self, host: str) -> bool:
        """Return whether the newest entry for a host needs the runtime's own certificate check."""
        return verdict.platform_modes(self._trusts[-1], host)[0]

    def anchors(self) -> "list[Anchor]":
        """Return the trust anchors of all states."""
        found = list(self._managed)
        for trust in self._trusts:
            found += [item for item in trust.pins.anchors if item not in found]
        return found

    def verdict(
        self,
        host: str,
        chain: "list[bytes]",
        platform: "list[bytes] | None" = None,
        store: "Callable[[], list[Anchor]] | None" = None,
    ) -> "Verdict":
        """Return the verdict on a served chain."""
        newest = self._trusts[-1]
        evidence = verdict.Evidence(self._clock, platform, store, self._managed)
        found = verdict.decide(newest, host, chain, evidence)
        for trust in reversed(self._trusts[:-1]):
            if found.accepted or found.pin is None or newest.forbidden(found.pin):
                break
            found = verdict.decide(trust, host, chain, evidence)
        found.generation = self.generation
        self.found = found
        return found

    def completed(self, found: "Verdict") -> None:
        """Confirm nothing: this is no device."""
