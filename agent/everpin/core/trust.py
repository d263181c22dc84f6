"""The trust state: what is believed now, and how a document, a handshake or a boot changes it.

A `Trust` is a value: every change returns a new one, so a failed step leaves the old one whole. Overlap (DESIGN section 4)
is the difference between the newest entry of a host and its `base`, the last one that a completed handshake confirmed:

- both are accepted, minus everything forbidden, until the newest is confirmed and becomes the base;
- identical and factory entries are confirmed at once;
- a base that was confirmed under a lower number than a barrier ends at once: the document's `urgent`, the host's `now`, and the
  root that last changed the `pins` rule are such barriers, so that they hold for a device that slept through them as well;
- a new exact name starts from the entry that matched it before; a name that was not listed has no base;
- deleting a host deletes its base.
"""

from hashlib import sha256

from ..compat import const
from . import cbor, limits, marks, root
from .claims import array, text, uint
from .errors import STRUCTURE, PeerError
from .host import Host, canonical, match, parse_host, parse_number
from .marks import Commit, Marks
from .pins import Pins, keep_anchors, parse_anchors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host import Anchor
    from .root import Root

    Number = tuple[int, int]
    Base = dict[str, tuple[Host, Number]]

# Earlier endpoints that are kept beside the newest and the factory's, each kind.
_EARLIER = const(8)


class Trust:
    """What a device trusts: the root, the pins in force, their base, earlier endpoints, and the marks that never fall.

    Root and pins may be older than the marks, after a reset or when the newest records were lost: then an equal number with an
    equal digest is accepted again.
    """

    def __init__(
        self,
        fleet: str,
        channel: str,
        root: "Root",
        root_digest: bytes,
        pins: Pins,
        pins_digest: bytes,
        floor: int,
        build_time: int,
    ) -> None:
        """Make the first state, of a factory record: every entry is confirmed, the marks are its own."""
        self.fleet = fleet
        self.channel = channel
        self.build_time = build_time
        self.root = root
        self.root_digest = root_digest
        self.pins = pins
        self.pins_digest = pins_digest
        self.base: "Base" = {}
        for host in pins.hosts:
            self.base[host.name] = (host, pins.number)
        self.earlier_brokers: "list[tuple[str, int]]" = []
        self.earlier_carriers: "list[str]" = []
        # A factory root is the first that this device knows, so its rule has never changed.
        self.marks = Marks(
            root.version, root_digest, pins.number, pins_digest, pins.forbidden, floor, 1
        )

    # ---- reading -----------------------------------------------------------------------------------------------------

    def behind(self) -> bool:
        """Return whether the root in force is older than the newest ever accepted, which was lost on flash or put aside."""
        return self.root.version < self.marks.root_version

    def forbidden(self, spki_digest: bytes) -> bool:
        """Return whether a key is forbidden: by the commit record, so that falling back to older pins revives nothing."""
        return spki_digest in self.marks.forbidden

    def entry(self, where: str) -> "tuple[Host | None, Host | None]":
        """Return (newest, base) for a host; base is None where nothing is confirmed or nothing differs."""
        newest = self.pins.host(where)
        if newest is None:
            return None, None
        confirmed = self.base.get(newest.name)
        if confirmed is None or confirmed[0].same(newest):
            return newest, None
        return newest, confirmed[0]

    def confirmed(self, name: str) -> bool:
        """Return whether the newest entry of that name is confirmed."""
        found = self.base.get(name)
        newest = match(self.pins.hosts, name)
        return found is not None and newest is not None and found[0].same(newest)

    def unconfirmed(self) -> "list[str]":
        """Return the names whose newest entry still waits for a completed handshake."""
        return [host.name for host in self.pins.hosts if not self.confirmed(host.name)]

    def brokers(self) -> "list[tuple[str, int]]":
        """Return the brokers to dial: those in force, then earlier ones."""
        return self.pins.brokers + [
            item for item in self.earlier_brokers if item not in self.pins.brokers
        ]

    def carriers(self, burnt_in: "list[str]") -> "list[str]":
        """Return the rescue carriers to ask: in force, earlier ones and the factory's together (DESIGN section 7, Rescue)."""
        found = list(self.pins.carriers)
        for url in self.earlier_carriers + burnt_in:
            if url not in found:
                found.append(url)
        return found

    def is_update(self, where: str) -> bool:
        """Return whether a host is one of the update channel's, for which nothing relaxes anything (DESIGN section 5)."""
        where = canonical(where)
        return any([canonical(broker) == where for broker, _ in self.brokers()])

    def expired(self, clock: "int | None") -> "list[str]":
        """Return the names whose newest entry has expired, by a clock that signed policy trusts."""
        return [host.name for host in self.pins.hosts if host.expired(clock)]

    def _base_anchors(self) -> "list[Anchor]":
        """Return the anchors that a base rests on and the pins in force do not carry, bounded in bytes."""
        found: "list[Anchor]" = []
        room = limits.BASE_ANCHORS_MAX_BYTES
        for host, _ in self.base.values():
            for item in host.anchors:
                size = len(item[0]) + len(item[1])
                if item not in self.pins.anchors and item not in found and size <= room:
                    room -= size
                    found.append(item)
        return found

    def encode(self, count: int = 0) -> bytes:
        """Return the commit body; `count` is how many commits there were."""
        fields = self.marks.fields()
        fields[marks.COUNT] = count
        if self.root_digest != self.marks.root_digest:
            fields[marks.ROOT_NOW] = self.root_digest
        if self.pins_digest != self.marks.pins_digest:
            fields[marks.PINS_NOW] = self.pins_digest
        names = {}
        for name, (host, number) in self.base.items():
            names[name] = [host.raw, list(number)]
        brokers = [[where, port] for where, port in self.earlier_brokers]
        base: "dict[int, Any]" = {1: names, 2: brokers, 3: self.earlier_carriers}
        anchors = self._base_anchors()
        if anchors:
            base[4] = [list(item) for item in anchors]
        fields[marks.BASE] = cbor.dumps(base)
        return cbor.dumps(fields)

    def digest(self) -> bytes:
        """Return SHA-256 of the commit body: equal digests are the same trust state, byte for byte."""
        return sha256(self.encode()).digest()

    # ---- changing: each returns a new Trust --------------------------------------------------------------------------

    def _copy(self) -> "Trust":
        new = Trust(
            self.fleet,
            self.channel,
            self.root,
            self.root_digest,
            self.pins,
            self.pins_digest,
            self.marks.floor,
            self.build_time,
        )
        new.base = self.base
        new.earlier_brokers = self.earlier_brokers
        new.earlier_carriers = self.earlier_carriers
        new.marks = self.marks
        return new

    def _marked(self, found: Marks) -> "Trust":
        self.marks = found
        return self

    def rooted(self, newer: "Root", digest: bytes, iat: int) -> "Trust":
        """Return the state after the next root, or a contingency root, came into force; pins in force stay."""
        new = self.with_root(newer, digest)
        old = self.marks
        # A root that changed the rule, and was lost since, is not there to be compared.
        changed = old.rule_since > self.root.version or not root.same_rule(
            self.root.rules[root.ROLE_PINS], newer.rules[root.ROLE_PINS]
        )
        return new._marked(
            Marks(
                newer.version,
                digest,
                old.number,
                old.pins_digest,
                old.forbidden,
                # DESIGN section 6: a root resets the floor, so that no mistaken iat of a pins document lasts.
                max(self.build_time, iat),
                newer.version if changed else old.rule_since,
            )
        )

    def with_root(self, found: "Root", digest: bytes) -> "Trust":
        """Return the state with another root in force, the marks as they are."""
        new = self._copy()
        new.root = found
        new.root_digest = digest
        return new

    def with_pins(self, found: Pins, digest: bytes) -> "Trust":
        """Return the state with other pins in force, the marks as they are, all confirmed until a base says otherwise."""
        new = self._copy()
        new.pins = found
        new.pins_digest = digest
        new.base = {}
        for host in found.hosts:
            new.base[host.name] = (host, found.number)
        return new

    def replaced(self, pins: Pins, digest: bytes, iat: int) -> "Trust":
        """Return the state after a newer `pins` document came into force."""
        new = self._copy()
        new.pins = pins
        new.pins_digest = digest
        new.base = {}
        old = self.marks
        for host in pins.hosts:
            base = self._base_for(host)
            barrier = max(pins.urgent, host.now, (old.rule_since, 0))
            if base is not None and (base[1] < barrier or base[0].same(host)):
                base = (host, pins.number)
            if base is not None:
                new.base[host.name] = base
        new.earlier_brokers = _union(self.pins.brokers, self.earlier_brokers, pins.brokers)
        new.earlier_carriers = _union(self.pins.carriers, self.earlier_carriers, pins.carriers)
        return new._marked(
            Marks(
                old.root_version,
                old.root_digest,
                pins.number,
                digest,
                pins.forbidden,
                # DESIGN section 6: the floor rises with the iat of accepted documents, and by nothing from the network.
                max(old.floor, iat),
                old.rule_since,
            )
        )

    def _base_for(self, host: Host) -> "tuple[Host, Number] | None":
        found = self.base.get(host.name)
        if found is None:
            before = match(self.pins.hosts, host.name)
            if before is not None:  # `unlisted` is never a base
                found = self.base.get(before.name)
        return found

    def confirm(self, name: str, where: str) -> "Trust":
        """Return the state after a completed handshake with the peer `where` matched a pin of the newest entry `name`."""
        new = self._copy()
        new.base = dict(self.base)
        for host in self.pins.hosts:
            if host.name == name:
                new.base[name] = (host, self.pins.number)
        # A session with a broker of the newest list: earlier brokers may go. Carriers go by a carrier's delivery alone.
        for broker, _ in self.pins.brokers:
            if canonical(broker) == canonical(where):
                new.earlier_brokers = []
        return new

    def delivered(self) -> "Trust":
        """Return the state after a carrier of the newest list delivered a valid document: earlier ones may go."""
        new = self._copy()
        new.earlier_carriers = []
        return new

    def reset(self, factory: "Trust") -> "Trust":
        """Return the state after a factory reset: its documents are in force again, the marks never fall."""
        new = factory._copy()._marked(self.marks)
        # Where this device found its documents until now: the factory's endpoints may be long gone.
        new.earlier_brokers = _union(self.pins.brokers, self.earlier_brokers, factory.pins.brokers)
        new.earlier_carriers = _union(
            self.pins.carriers, self.earlier_carriers, factory.pins.carriers
        )
        return new

    def restored(self, commit: Commit) -> "Trust":
        """Return the state at boot: the documents that could be read, with a commit's marks and base."""
        new = self._copy()
        new.marks = commit.marks
        if commit.base is not None:
            try:
                new._load_base(commit.base)
            except PeerError:
                # Written by another release: the base of what it says is lost, the pins in force are not.
                new.base = {}
        return new

    def _load_base(self, data: object) -> None:
        if not isinstance(data, bytes):
            raise PeerError(STRUCTURE)
        fields = cbor.loads(data, 2 * limits.DOCUMENT_MAX_BYTES)
        if not isinstance(fields, dict) or not isinstance(fields.get(1), dict):
            raise PeerError(STRUCTURE)
        anchors = self.pins.anchors + parse_anchors(fields.get(4, []), limits.CBOR_MAX_ITEMS)
        base: "Base" = {}
        for name, item in fields[1].items():
            raw, number = array(item, 2, 2)
            host = parse_host(raw)
            keep_anchors(host, anchors)
            base[text(name, limits.HOST_MAX_BYTES)] = (host, parse_number(number))
        brokers = []
        for item in array(fields.get(2), 0, _EARLIER):
            where, port = array(item, 2, 2)
            brokers.append((text(where, limits.HOST_MAX_BYTES), uint(port, 1, 0xFFFF)))
        carriers = [
            text(url, limits.CARRIER_MAX_BYTES) for url in array(fields.get(3), 0, _EARLIER)
        ]
        self.base = base
        self.earlier_brokers = brokers
        self.earlier_carriers = carriers


def _union(first: "list", second: "list", without: "list") -> "list":  # type: ignore[type-arg]
    found = []
    for item in first + second:
        if item not in found and item not in without:
            found.append(item)
    return found[:_EARLIER]
