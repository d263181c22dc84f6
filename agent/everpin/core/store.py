"""The store: after a power cut at any flash operation, exactly the old or exactly the new trust state.

Root and pins lie in pairs of slots; a new document goes into the slot that is not in use. One commit record, written to two
rings in turn, names both by digest, and so switches them together; it also holds the base and what must never fall
(`trust.Marks`). While one copy of the commit is being written the other is whole. The factory record, without which there is no
device, lies there twice; `heal` writes again what is lacking of either.

Erases: one for a document of up to a sector less its header (4,052 bytes), and one at most for both copies of a commit of up to
half a sector (a dozen hosts with three pins), so two for an accepted document and one for a confirmation. Longer commits
enter sectors more often than that, for two copies of them are more than a sector; a power cut can cost one erase more.

    sectors   what
    0-4       factory record
    5, 6      secrets (two slots)
    7-12      root (two slots of three sectors)
    13-18     pins (two slots of three sectors)
    19-22     commit, first ring
    23-26     commit, second ring
    27-31     journal: reports and back-off (one ring)
    32-36     factory record, second copy
"""

from hashlib import sha256

from ..compat import const
from . import accept, errors, factory, record
from .errors import FlashError, PeerError
from .marks import Commit
from .record import Ring, Slot
from .trust import Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .record import Flash

    class Counter(Protocol):
        """A board's monotonic counter: it only ever rises. Each call may raise OSError."""

        def read(self) -> int: ...
        def raise_to(self, value: int) -> None: ...


SECTOR = const(4096)
REGION_BYTES = const(151552)

_FACTORY_AT = const(0)
_FACTORY_ROOM = const(20480)
_SECRETS_AT = const(20480)
_ROOT_AT = const(28672)
_PINS_AT = const(53248)
_SLOT_ROOM = const(12288)
_COMMIT_AT = const(77824)
_COMMIT_ROOM = const(16384)
_JOURNAL_AT = const(110592)
_JOURNAL_ROOM = const(20480)
_FACTORY_COPY_AT = const(131072)


class Store:
    """A device's flash region. `load` gives the trust state; `commit` makes a newer one current, whole or not at all.

    `foreign` is set when a newer release has written what this one cannot read: then nothing is ever written. `restored` is set
    when the board's `counter` says that there were more commits than the flash tells of: an older image was put back.
    `counter_failed` when the counter could not say, or be raised: then it guards nothing, and stops nothing.
    """

    def __init__(self, flash: "Flash", counter: "Counter | None" = None) -> None:
        self._flash = flash
        self._counter = counter
        self._root = self._pair(_ROOT_AT, record.ROOT)
        self._pins = self._pair(_PINS_AT, record.PINS)
        self._commits = (
            Ring(flash, _COMMIT_AT, _COMMIT_ROOM, record.COMMIT),
            Ring(flash, _COMMIT_AT + _COMMIT_ROOM, _COMMIT_ROOM, record.COMMIT, SECTOR // 2),
        )
        # The ring that does not hold the commit that is current, None when both do or there is none.
        self._lacking: "Ring | None" = None
        self._journal = Ring(flash, _JOURNAL_AT, _JOURNAL_ROOM, record.JOURNAL)
        self.foreign = False
        self.restored = False
        self.counter_failed = False
        made = self.factory()
        self.device = made.device
        self.fleet = made.fleet
        self._count = 0
        # Digests of the documents that the state in RAM rests on: their slots are never written to.
        self._root_in_use = b""
        self._pins_in_use = b""

    def _pair(self, at: int, kind: int) -> "tuple[Slot, Slot]":
        return Slot(self._flash, at, _SLOT_ROOM, kind), Slot(
            self._flash, at + _SLOT_ROOM, _SLOT_ROOM, kind
        )

    # ---- reading -----------------------------------------------------------------------------------------------------

    def factory(self) -> "factory.Factory":
        """Return the factory record, read anew: its documents are not kept in RAM. Raise `not-provisioned` without one."""
        for slot in _factory_slots(self._flash):
            found = slot.load()
            if found is not None:
                try:
                    return factory.decode(found[1])
                except PeerError:
                    pass  # of another release
        raise FlashError(errors.NOT_PROVISIONED)

    def document(self, digest: bytes) -> "bytes | None":
        """Return the verbatim root or pins document with that SHA-256, None when flash does not hold it any longer."""
        made = self.factory()
        found = [made.root, made.pins]
        for slot in self._root + self._pins:
            item = slot.load()
            if item is not None:
                found.append(item[1])
        for data in found:
            if sha256(data).digest() == digest:
                return data
        return None

    def sealed_secrets(self) -> "list[bytes]":
        """Return the bodies of the secrets records that are whole, newest first; `factory.open_secrets` opens them."""
        found = []
        for at in (_SECRETS_AT, _SECRETS_AT + SECTOR):
            item = Slot(self._flash, at, SECTOR, record.SECRETS).load()
            if item is not None:
                found.append(item)
        found.sort(key=_sequence_of)
        return [item[1] for item in reversed(found)]

    def _newest_commit(self) -> "Commit | None":
        """Return the newest commit, and take note of the ring that lacks it."""
        first, second = [ring.load() for ring in self._commits]
        self._lacking = None
        if first != second:
            newer = second is None or (first is not None and first[0] > second[0])
            self._lacking = self._commits[1 if newer else 0]
            first = first if newer else second
        if first is None:
            return None
        try:
            return Commit(first[1])
        except PeerError:
            # A whole record of another meaning: a newer release's. Left as it is (DESIGN section 7).
            self.foreign = True
            return None

    def first(self) -> Trust:
        """Return the trust state of the factory record; raise `not-provisioned` when even that cannot be trusted."""
        made = self.factory()
        try:
            return accept.first(made.fleet, made.channel, made.root, made.pins, made.build_time)
        except PeerError:
            raise FlashError(errors.NOT_PROVISIONED)

    def load(self) -> Trust:
        """Return the trust state on flash.

        A commit whose documents cannot be read falls back, newest first: the other slot, then the factory's. The marks stay.
        """
        trust = self.first()
        commit = self._newest_commit()
        if commit is not None:
            self._count = commit.count
            trust = self._documents(trust, commit).restored(commit)
        self._root_in_use = trust.root_digest
        self._pins_in_use = trust.pins_digest
        if not self.foreign:
            self._counted()  # the power may have gone between a commit and this
        return trust

    def _counted(self) -> None:
        """Let the board's counter follow the commits, or see that it is ahead of them."""
        if self._counter is None:
            return
        try:
            seen = self._counter.read()
            self.restored = seen > self._count
            if seen < self._count:
                self._counter.raise_to(self._count)
            self.counter_failed = False
        except (OSError, FlashError):
            # A device must not stand still because a second chip does (DESIGN section 8: never refusal).
            self.counter_failed = True

    def _documents(self, trust: Trust, commit: Commit) -> Trust:
        """Return the factory's trust with the documents of a commit, or what is left of them."""
        marks = commit.marks
        for data in _candidates(self._root, commit.root_now, trust.root_digest):
            try:
                found = accept.stored_root(data)
            except PeerError:
                continue  # written by a newer release: left unwiped
            # A record that was written but never committed is newer than the marks: not in force.
            if found.version <= marks.root_version:
                trust = trust.with_root(found, sha256(data).digest())
                break
        for data in _candidates(self._pins, commit.pins_now, trust.pins_digest):
            try:
                pins = accept.stored_pins(data)
            except PeerError:
                continue
            if pins.number <= marks.number:
                return trust.with_pins(pins, sha256(data).digest())
        return trust

    # ---- writing -----------------------------------------------------------------------------------------------------

    def commit(self, trust: Trust, document: "bytes | None" = None) -> None:
        """Make a trust state current. After a `FlashError` (or the port's OSError) one of the two is: `load` says which.

        `document` is the verbatim root or pins document when it is a new one. On `foreign` flash it is current in RAM alone: the
        device runs from the factory's documents and what it finds, anew after each boot (DESIGN section 7).
        """
        if self.foreign:
            return
        first, second = self._commits
        sequence = max(first.newest(), second.newest()) + 1
        if document is not None:
            digest = sha256(document).digest()
            if digest == trust.root_digest:
                _unused(self._root, self._root_in_use).save(sequence, document)
            elif digest == trust.pins_digest:
                _unused(self._pins, self._pins_in_use).save(sequence, document)
        body = trust.encode(self._count + 1)
        early = self._early(record.aligned(record.HEADER_BYTES + len(body)))
        if self._lacking is second:
            # The other ring holds the only copy of the state that is current: it stays until this one has the new one.
            first, second = second, first
        self._lacking = first
        first.save(sequence, body, first is early)
        # The new state is current from here on.
        self._lacking = second
        self._count += 1
        self._root_in_use = trust.root_digest
        self._pins_in_use = trust.pins_digest
        second.save(sequence, body, second is early)
        self._lacking = None
        self._counted()

    def _early(self, size: int) -> "Ring | None":
        """Return the ring that begins a sector before it must, so that no commit of up to half a sector makes both do it.

        After every commit one ring has at least half a sector left: it takes the next commit whatever the other must do.
        """
        half = self._flash.sector // 2
        one, other = self._commits
        left = (one.left(), other.left())
        if size > half or min(left) < size or max(left) - size >= half:
            return None
        return one if left[0] < left[1] else other

    def heal(self) -> bool:
        """Write again what has only one whole copy, the newest commit or the factory record; return whether that was needed."""
        if self.foreign:
            return False
        healed = False
        if self._lacking is not None:
            one, other = self._commits
            held = (other if self._lacking is one else one).load()
            if held is not None:
                self._lacking.save(held[0], held[1])
                healed = True
            self._lacking = None
        one_copy, other_copy = _factory_slots(self._flash)
        for slot, other_slot in ((one_copy, other_copy), (other_copy, one_copy)):
            if slot.load() is None:
                held = other_slot.load()
                if held is not None:
                    slot.save(held[0], held[1])
                    healed = True
        return healed

    def save_secrets(self, sealed: bytes) -> None:
        """Write a sealed secrets record over the older of the two."""
        if self.foreign:
            raise FlashError(errors.FOREIGN)
        slots = [
            Slot(self._flash, at, SECTOR, record.SECRETS)
            for at in (_SECRETS_AT, _SECRETS_AT + SECTOR)
        ]
        found = [slot.load() for slot in slots]
        held = [0 if item is None else item[0] for item in found]
        slots[1 if held[0] > held[1] else 0].save(max(held) + 1, sealed)

    # ---- the journal: reports and back-off, which may be lost --------------------------------------------------------

    def load_journal(self) -> bytes:
        """Return the newest journal body, b"" when there is none."""
        found = self._journal.load()
        return b"" if found is None else found[1]

    def save_journal(self, body: bytes) -> None:
        """Append a journal."""
        if self.foreign:
            raise FlashError(errors.FOREIGN)
        self._journal.save(self._journal.newest() + 1, body)


def _sequence_of(item: "tuple[int, bytes]") -> int:
    return item[0]


def _candidates(pair: "tuple[Slot, Slot]", wanted: bytes, factory_digest: bytes) -> "list[bytes]":
    """Return documents of a pair of slots: the one wanted, then what else there is; none when the factory's is wanted."""
    if wanted == factory_digest:
        return []
    found = [item for item in (slot.load() for slot in pair) if item is not None]
    found.sort(key=_sequence_of)
    documents: "list[bytes]" = []
    for item in found:
        # Oldest first, each before those that are there already: the newest comes first, the one wanted before it.
        documents.insert(0, item[1])
    for data in documents:
        if sha256(data).digest() == wanted:
            documents.remove(data)
            documents.insert(0, data)
            break
    return documents


def _unused(pair: "tuple[Slot, Slot]", used: bytes) -> Slot:
    """Return the slot that the current commit does not rest on."""
    found = pair[0].load()
    if found is not None and sha256(found[1]).digest() == used:
        return pair[1]
    return pair[0]


def _factory_slots(flash: "Flash") -> "list[Slot]":
    return [
        Slot(flash, at, _FACTORY_ROOM, record.FACTORY) for at in (_FACTORY_AT, _FACTORY_COPY_AT)
    ]


def provision(flash: "Flash", factory_body: bytes, sealed_secrets: bytes) -> None:
    """Write a fresh region: erased, then secrets, then the factory record, which makes it a device.

    A power cut leaves the old device whole, none, or the new one.
    """
    # Both copies first: none may outlive the numbers of its device.
    for at in (_FACTORY_COPY_AT, _FACTORY_AT):
        flash.erase(at, _FACTORY_ROOM)
        flash.sync()
    flash.erase(0, flash.size)
    Slot(flash, _SECRETS_AT, SECTOR, record.SECRETS).save(1, sealed_secrets)
    for slot in _factory_slots(flash):
        slot.save(1, factory_body)
