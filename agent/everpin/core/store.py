"""The store: after a power cut at any flash operation, exactly the old or exactly the new trust state.

Root and pins lie in pairs of slots; a new document goes into the slot that is not in use. One commit record, written to two
rings in turn, names both by digest, and so switches them together; it also holds the base and what must never fall
(`trust.Marks`). While one copy of the commit is being written the other is whole.

    sectors   what
    0-4       factory record
    5, 6      secrets (two slots)
    7-12      root (two slots of three sectors)
    13-18     pins (two slots of three sectors)
    19-22     commit, first ring
    23-26     commit, second ring
    27-31     journal: reports and back-off (one ring)
"""

from hashlib import sha256

from ..compat import const
from . import accept, errors, factory, record
from .errors import FlashError, PeerError
from .record import Ring, Slot
from .trust import Commit, Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .record import Flash

    class Counter(Protocol):
        """A board's monotonic counter: it only ever rises."""

        def read(self) -> int: ...
        def raise_to(self, value: int) -> None: ...


SECTOR = const(4096)
REGION_BYTES = const(131072)

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


class Store:
    """A device's flash region. `load` gives the trust state; `commit` makes a newer one current, whole or not at all.

    `foreign` is set when a newer release has written what this one cannot read: then nothing is ever written. `restored` is set
    when the board's `counter` says that there were more commits than the flash tells of: an older image was put back.
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
        self._journal = Ring(flash, _JOURNAL_AT, _JOURNAL_ROOM, record.JOURNAL)
        self.foreign = False
        self.restored = False
        made = self.factory()
        self.device = made.device
        self.fleet = made.fleet
        self._sequence = 0
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
        found = Slot(self._flash, _FACTORY_AT, _FACTORY_ROOM, record.FACTORY).load()
        if found is None:
            raise FlashError(errors.NOT_PROVISIONED)
        try:
            return factory.decode(found[1])
        except PeerError:
            raise FlashError(errors.NOT_PROVISIONED)

    def sealed_secrets(self) -> "list[bytes]":
        """Return the bodies of the secrets records that are whole, newest first; `factory.open_secrets` opens them."""
        found = []
        for at in (_SECRETS_AT, _SECRETS_AT + SECTOR):
            item = Slot(self._flash, at, SECTOR, record.SECRETS).load()
            if item is not None:
                found.append(item)
        found.sort(key=_sequence_of)
        return [item[1] for item in reversed(found)]

    def _newest_commit(self) -> "tuple[Commit | None, bool]":
        """Return the newest commit, and whether both rings hold that very one."""
        found = [ring.load() for ring in self._commits]
        best = None
        for item in found:
            if item is not None and (best is None or item[0] > best[0]):
                best = item
        if best is None:
            return None, True
        self._sequence = best[0]
        try:
            return Commit(best[1]), found[0] == found[1]
        except PeerError:
            # A whole record of another meaning: a newer release's. Left as it is (DESIGN section 7).
            self.foreign = True
            return None, True

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
        commit, _ = self._newest_commit()
        if commit is not None:
            self._count = commit.count
            trust = self._documents(trust, commit).restored(commit)
        self._root_in_use = trust.root_digest
        self._pins_in_use = trust.pins_digest
        if self._counter is not None and not self.foreign:
            self.restored = self._counter.read() > self._count
            if not self.restored:
                self._counter.raise_to(
                    self._count
                )  # the power may have gone between a commit and this
        return trust

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
        """Make a trust state current; raise `FlashError` (or the port's OSError), the old state then being current still.

        `document` is the verbatim root or pins document when it is a new one.
        """
        if self.foreign:
            raise FlashError(errors.FOREIGN)
        sequence = self._sequence + 1
        if document is not None:
            digest = sha256(document).digest()
            if digest == trust.root_digest:
                _unused(self._root, self._root_in_use).save(sequence, document)
            elif digest == trust.pins_digest:
                _unused(self._pins, self._pins_in_use).save(sequence, document)
        body = trust.encode(self._count + 1)
        for ring in self._commits:
            ring.save(sequence, body)
        self._sequence = sequence
        self._count += 1
        self._root_in_use = trust.root_digest
        self._pins_in_use = trust.pins_digest
        if self._counter is not None:
            self._counter.raise_to(self._count)

    def heal(self) -> bool:
        """Give a commit that one ring lacks to both again; return whether that was needed. Called once at start."""
        commit, both = self._newest_commit()
        if commit is None or both:
            return False
        newest = None
        for ring in self._commits:
            found = ring.load()
            if found is not None and found[0] == self._sequence:
                newest = found
        for ring in self._commits:
            if newest is not None and ring.load() != newest:
                ring.save(newest[0], newest[1])
        return True

    def save_secrets(self, sealed: bytes) -> None:
        """Write a sealed secrets record over the older of the two."""
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
        self._journal.save(self._journal.sequence + 1, body)


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


def provision(flash: "Flash", factory_body: bytes, sealed_secrets: bytes) -> None:
    """Write a fresh region: erased, then secrets, then the factory record, which makes it a device."""
    flash.erase(0, flash.size)
    Slot(flash, _SECRETS_AT, SECTOR, record.SECRETS).save(1, sealed_secrets)
    Slot(flash, _FACTORY_AT, _FACTORY_ROOM, record.FACTORY).save(1, factory_body)
