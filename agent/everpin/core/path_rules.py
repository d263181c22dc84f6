"""What usages 0, 1 and 2, and all that falls back to PKIX, ask of a verified path (DESIGN section 5; RFC 7671 sections 5.2 to 5.4).

    usage   path ends in                                      what is pinned           runtime's own check   names   dates
    0       a signed anchor, or one of the runtime's          a key on the path        passed                yes     yes
    1       the same                                          the leaf's key           passed                yes     yes
    2       a pinned key: a signed anchor, or a served CA     that one                 -                     yes     where said
    PKIX    as usage 0                                        nothing                  -                     yes     yes

Dates are judged by a clock that signed policy names, else not at all. A forbidden key ends the path that it is on.
"""

from hashlib import sha256

from . import chain as chains
from . import errors, host, names, x509

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .chain import Path
    from .host import Anchor, Host
    from .trust import Trust
    from .verdict import Evidence

    Found = tuple[int, list[bytes]]

# The furthest that any path came is what is told, and which it was: who gets as far as the pins has a path that is good but for them.
_ORDER = (errors.NO_PATH, errors.DATES, errors.FORBIDDEN, errors.PIN_MISMATCH, errors.SCT)


class Rules:
    """The rules for one served chain and one host. Nothing is parsed, and no signature checked, before it is asked for."""

    def __init__(
        self, trust: "Trust", where: str, served: "list[bytes]", evidence: "Evidence"
    ) -> None:
        self._trust = trust
        self._where = where
        self._raw = served
        self._evidence = evidence

    # ---- what may be asked: each returns (0 or why not, SPKI digests of the path it came furthest on) --------------------------------------

    def enforced(self, entry: "Host") -> "Found":
        """Judge by an entry of usage 0, 1 or 2."""
        if entry.usage == host.USAGE_DANE_TA:
            return self._judged(self._pinned_anchors(entry), entry, entry.dates)
        why, _ = self.platform()
        if why:
            return why, []
        return self._judged(self._store(), entry, True)

    def pkix(self, entry: "Host | None") -> "Found":
        """Judge by names, dates and a path to a signed anchor or one of the runtime's, without a pin.

        For a host without an entry, and where the entry's usage asks for it, the runtime's own check must have passed as well.
        """
        if entry is None or entry.usage <= host.USAGE_PKIX_EE:
            why, _ = self.platform()
            if why:
                return why, []
        return self._judged(self._store(), None, True)

    def managed(self) -> "Found":
        """Judge by names, dates and a path to an inspection CA of the factory record."""
        return self._judged(self._evidence.managed, None, True)

    def platform(self) -> "Found":
        """Return whether the runtime's own certificate check passed."""
        return (errors.PKIX, []) if self._evidence.platform is None else (0, [])

    # ---- anchors -------------------------------------------------------------------------------------------------------

    def _pinned_anchors(self, entry: "Host") -> "list[Anchor]":
        """Return signed anchors that are pinned, and served CA keys that are: a digest that was signed names a key as well as the key."""
        found = list(entry.anchors)
        for item in (chains.read(self._raw) or [])[1:]:
            known = (item.subject, item.spki)
            if (
                known not in found
                and item.may_issue()
                and entry.pinned(sha256(item.spki).digest())
            ):
                found.append(known)
        return found

    def _store(self) -> "list[Anchor]":
        """Return the signed anchors and the runtime's, without those that only a managed entry may use."""
        found = list(self._trust.pins.anchors)
        evidence = self._evidence
        if evidence.platform:
            root = x509.parsed(evidence.platform[-1])
            if root is not None:
                found.append((root.subject, root.spki))
        elif evidence.platform is None and evidence.store is not None:
            found += evidence.store()
        managed = [spki for _, spki in evidence.managed]
        return [item for item in found if item[1] not in managed]

    # ---- the rules -----------------------------------------------------------------------------------------------------

    def _judged(self, anchors: "list[Anchor]", entry: "Host | None", dates: bool) -> "Found":
        served = chains.read(self._raw)
        if served is None:
            return errors.NO_CERTIFICATE, []
        leaf = served[0]
        if not names.matches(leaf, self._where):
            return errors.WRONG_NAME, []
        if not leaf.for_servers():
            return errors.PURPOSE, []
        why = errors.NO_PATH
        furthest: "list[bytes]" = []
        for path in chains.Search(served, anchors).paths():
            not_this = self._path(path, entry, dates)
            if not not_this:
                return 0, path.digests()
            if _ORDER.index(not_this) > _ORDER.index(why):
                why = not_this
                furthest = path.digests()
        return why, furthest

    def _path(self, path: "Path", entry: "Host | None", dates: bool) -> int:
        clock = self._evidence.clock
        if dates and clock is not None and not path.valid_at(clock):
            return errors.DATES
        digests = path.digests()
        if any([self._trust.forbidden(item) for item in digests]):
            return errors.FORBIDDEN
        if entry is None:
            return 0
        if not _pinned(entry, digests):
            return errors.PIN_MISMATCH
        return self._logged(path, entry)

    def _logged(self, path: "Path", entry: "Host") -> int:
        pins = self._trust.pins
        # A list of logs that is stale, missing, or of unknown age closes no host (DESIGN section 5).
        if not entry.scts:
            return 0
        from . import sct

        clock = self._evidence.clock
        if clock is None or not sct.fresh(pins.logs_time, clock):
            return 0
        issuer = path.certificates[1].spki if len(path.certificates) > 1 else path.anchor[1]
        if sct.count(path.certificates[0], issuer, pins.logs, clock) < entry.scts:
            return errors.SCT
        return 0


def _pinned(entry: "Host", digests: "list[bytes]") -> bool:
    leaf = entry.pinned(digests[0])
    above = [item for item in digests[1:] if entry.pinned(item)]
    if entry.usage == host.USAGE_DANE_TA:
        found = entry.pinned(digests[-1])
    elif entry.usage == host.USAGE_PKIX_EE:
        found = leaf
    else:
        found = leaf or bool(above)
    # Both, where the policy says so: the leaf's key and one that issued it.
    return found and (not entry.both or (leaf and bool(above)))
