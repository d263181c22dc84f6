"""The trust state: what is believed now, and how a document, a handshake or a boot changes it.

A `Trust` is a value: every change returns a new one, so a failed step leaves the old one whole. Overlap (DESIGN section 4)
is the difference between the newest entry of a host and its `base`, the last one that a completed handshake confirmed:

- both are accepted, minus everything forbidden, until the newest is confirmed and becomes the base;
- identical and factory entries are confirmed at once; `now`, urgent, and the first document under a changed rule end it at once;
- a new exact name starts from the entry that matched it before; a name that was not listed has no base;
- deleting a host deletes its base.
"""

from hashlib import sha256

from ..compat import const
from . import cbor, errors, limits
from .claims import array, text, uint
from .claims import digest as _digest
from .errors import PeerError
from .pins import Host, Pins, match, parse_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .root import Root

    Base = dict[str, tuple[Host, tuple[int, int]]]

# Keys of the commit body: frozen for ever, an older or newer agent reads them (documents.cddl).
_ROOT_VERSION = const(1)
_ROOT_DIGEST = const(2)
_NUMBER = const(3)
_PINS_DIGEST = const(4)
_BASE_DIGEST = const(5)
_FORBIDDEN = const(6)
_FLOOR = const(7)

# Earlier endpoints that are kept beside the newest and the factory's, each kind.
_EARLIER = const(8)


class Marks:
    """The numbers and digests that never fall, whatever the documents on flash are worth."""

    def __init__(
        self,
        root_version: int,
        root_digest: bytes,
        number: "tuple[int, int]",
        pins_digest: bytes,
        base_digest: bytes,
        forbidden: "list[bytes]",
        floor: int,
    ) -> None:
        self.root_version = root_version
        self.root_digest = root_digest
        self.number = number
        self.pins_digest = pins_digest
        self.base_digest = base_digest
        self.forbidden = forbidden
        self.floor = floor

    def encode(self) -> bytes:
        """Return the commit body."""
        return cbor.dumps(
            {
                _ROOT_VERSION: self.root_version,
                _ROOT_DIGEST: self.root_digest,
                _NUMBER: list(self.number),
                _PINS_DIGEST: self.pins_digest,
                _BASE_DIGEST: self.base_digest,
                _FORBIDDEN: self.forbidden,
                _FLOOR: self.floor,
            }
        )


def decode_marks(data: bytes) -> Marks:
    """Return the marks of a commit body that its record's digest vouches for; raise `PeerError` when it is none."""
    fields = cbor.loads(data)
    if not isinstance(fields, dict):
        raise PeerError(errors.STRUCTURE)
    r, s = array(fields.get(_NUMBER), 2, 2)
    found = [_digest(fields.get(key)) for key in (_ROOT_DIGEST, _PINS_DIGEST, _BASE_DIGEST)]
    forbidden = array(fields.get(_FORBIDDEN), 0, limits.MAX_FORBIDDEN)
    return Marks(
        uint(fields.get(_ROOT_VERSION), 1, 0xFFFFFFFF),
        found[0],
        (uint(r, 0, 0xFFFFFFFF), uint(s, 0, 0xFFFFFFFF)),
        found[1],
        found[2],
        forbidden,
        uint(fields.get(_FLOOR), 0, 0xFFFFFFFF),
    )


class Trust:
    """What a device trusts: the root, the pins in force, their base, earlier endpoints, and the marks that never fall.

    `pins` may be older than `marks.number` when the newest record was lost: then the equal number is accepted again.
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
    ) -> None:
        """Make the first state, of a factory record: every entry is confirmed, the marks are its own."""
        self.fleet = fleet
        self.channel = channel
        self.root = root
        self.root_digest = root_digest
        self.pins = pins
        self.pins_digest = pins_digest
        self.base: "Base" = {}
        for host in pins.hosts:
            self.base[host.name] = (host, pins.number)
        self.earlier_brokers: "list[tuple[str, int]]" = []
        self.earlier_carriers: "list[str]" = []
        self.marks = self._marks_now(pins.forbidden, floor)

    # ---- reading -----------------------------------------------------------------------------------------------------

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

    def base_record(self) -> bytes:
        """Return the base and the earlier endpoints as they are kept on flash."""
        names = {}
        for name, (host, number) in self.base.items():
            names[name] = [host.raw, list(number)]
        brokers = [[where, port] for where, port in self.earlier_brokers]
        return cbor.dumps({1: names, 2: brokers, 3: self.earlier_carriers})

    # ---- changing: each returns a new Trust --------------------------------------------------------------------------

    def _copy(self, pins: Pins, pins_digest: bytes) -> "Trust":
        new = Trust(
            self.fleet,
            self.channel,
            self.root,
            self.root_digest,
            pins,
            pins_digest,
            self.marks.floor,
        )
        new.base = dict(self.base)
        new.earlier_brokers = self.earlier_brokers
        new.earlier_carriers = self.earlier_carriers
        new.marks = self.marks
        return new

    def _marks_now(self, forbidden: "list[bytes]", floor: int) -> Marks:
        base_digest = sha256(self.base_record()).digest()
        return Marks(
            self.root.version,
            self.root_digest,
            self.pins.number,
            self.pins_digest,
            base_digest,
            forbidden,
            floor,
        )

    def fallen_back(self, pins: Pins, pins_digest: bytes) -> "Trust":
        """Return the state at boot with the pins that could be read, all confirmed until a base record says otherwise."""
        return Trust(
            self.fleet,
            self.channel,
            self.root,
            self.root_digest,
            pins,
            pins_digest,
            self.marks.floor,
        )

    def replaced(self, pins: Pins, digest: bytes, iat: int) -> "Trust":
        """Return the state after a newer `pins` document came into force."""
        new = self._copy(pins, digest)
        new.base = {}
        for host in pins.hosts:
            base = self._base_for(host)
            # What ends overlap at once, and what never needed one.
            if base is not None and (pins.urgent or host.now or base[0].same(host)):
                base = (host, pins.number)
            if base is not None:
                new.base[host.name] = base
        new.earlier_brokers = _union(self.pins.brokers, self.earlier_brokers, pins.brokers)
        new.earlier_carriers = _union(self.pins.carriers, self.earlier_carriers, pins.carriers)
        # DESIGN section 6: the floor rises with the iat of accepted documents, and by nothing from the network.
        new.marks = new._marks_now(pins.forbidden, max(self.marks.floor, iat))
        return new

    def _base_for(self, host: Host) -> "tuple[Host, tuple[int, int]] | None":
        before = match(self.pins.hosts, host.name)
        if before is None:
            return None  # `unlisted` is never a base
        return self.base.get(before.name)

    def confirm(self, name: str) -> "Trust":
        """Return the state after a completed handshake matched a pin of that newest entry."""
        new = self._copy(self.pins, self.pins_digest)
        for host in self.pins.hosts:
            if host.name == name:
                new.base[name] = (host, self.pins.number)
        # A confirmed session was had by the newest list: earlier endpoints may go.
        new.earlier_brokers = []
        new.earlier_carriers = []
        return new._remarked()

    def delivered(self) -> "Trust":
        """Return the state after an endpoint of the newest list delivered a valid document: earlier ones may go."""
        new = self._copy(self.pins, self.pins_digest)
        new.earlier_brokers = []
        new.earlier_carriers = []
        return new._remarked()

    def _remarked(self) -> "Trust":
        # Everything else of the marks stays: they may be ahead of the documents on flash.
        old = self.marks
        self.marks = Marks(
            old.root_version,
            old.root_digest,
            old.number,
            old.pins_digest,
            sha256(self.base_record()).digest(),
            old.forbidden,
            old.floor,
        )
        return self

    def restored(self, base_record: "bytes | None", marks: Marks) -> "Trust":
        """Return the state at boot: these pins with a base record (or none that is readable) and the commit's marks."""
        new = self._copy(self.pins, self.pins_digest)
        new.marks = marks
        if base_record is not None:
            try:
                new._load_base(base_record)
            except PeerError:
                # Written by another release: the base of what it says is lost, the pins in force are not.
                new.base = {}
        return new

    def _load_base(self, data: bytes) -> None:
        fields = cbor.loads(data, 2 * limits.DOCUMENT_MAX_BYTES)
        if not isinstance(fields, dict) or not isinstance(fields.get(1), dict):
            raise PeerError(errors.STRUCTURE)
        base: "Base" = {}
        for name, item in fields[1].items():
            raw, number = array(item, 2, 2)
            r, s = array(number, 2, 2)
            base[text(name, limits.HOST_MAX_BYTES)] = (parse_host(raw), (r, s))
        brokers = [(where, port) for where, port in array(fields.get(2), 0, _EARLIER)]
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
