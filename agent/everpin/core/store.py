"""The store: after a power cut at any flash operation, exactly the old or exactly the new trust state.

Documents lie in pairs of slots; a new one goes into the slot that is not in use. One commit record, written to two logs in
turn, names root, pins and base by digest, and so switches them together; it also holds what must never fall (`trust.Marks`).
While one copy of the commit is being written the other is whole.

    sectors   what
    0-4       factory record
    5, 6      secrets (two slots)
    7-12      root (two slots of three sectors)
    13-18     pins
    19-24     base
    25, 26    commit (two logs)
    27, 28    journal: reports and back-off (two logs)
    29-31     free
"""

from hashlib import sha256

from ..compat import const
from . import accept, errors, factory, record
from .errors import FlashError, PeerError
from .record import Log, Slot
from .trust import Marks, Trust, decode_marks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .record import Flash

SECTOR = const(4096)
REGION_BYTES = const(131072)

_FACTORY_AT = const(0)
_FACTORY_ROOM = const(20480)
_SECRETS_AT = const(20480)
_SLOT_ROOM = const(12288)
_PINS_AT = const(53248)
_BASE_AT = const(77824)
_COMMIT_AT = const(102400)
_JOURNAL_AT = const(110592)


class Store:
    """A device's flash region. `load` gives the trust state; `commit` makes a newer one current, whole or not at all."""

    def __init__(self, flash: "Flash") -> None:
        self._flash = flash
        self._pins = self._pair(_PINS_AT, record.PINS)
        self._base = self._pair(_BASE_AT, record.BASE)
        self._commits = self._logs(_COMMIT_AT, record.COMMIT)
        self._journals = self._logs(_JOURNAL_AT, record.JOURNAL)
        found = Slot(flash, _FACTORY_AT, _FACTORY_ROOM, record.FACTORY).load()
        if found is None:
            raise FlashError(errors.NOT_PROVISIONED)
        try:
            self.factory = factory.decode(found[1])
        except PeerError:
            raise FlashError(errors.NOT_PROVISIONED)
        self._sequence = 0
        # Digests of the records that the state in RAM rests on: their slots are never written to.
        self._pins_in_use = b""
        self._base_in_use = b""

    def _pair(self, at: int, kind: int) -> "tuple[Slot, Slot]":
        return Slot(self._flash, at, _SLOT_ROOM, kind), Slot(
            self._flash, at + _SLOT_ROOM, _SLOT_ROOM, kind
        )

    def _logs(self, at: int, kind: int) -> "tuple[Log, Log]":
        return Log(self._flash, at, SECTOR, kind), Log(self._flash, at + SECTOR, SECTOR, kind)

    # ---- reading -----------------------------------------------------------------------------------------------------

    def secrets(self) -> "factory.Secrets | None":
        """Return the secrets, or None when they are lost: the agent goes on without identity."""
        for at in (_SECRETS_AT, _SECRETS_AT + SECTOR):
            found = Slot(self._flash, at, SECTOR, record.SECRETS).load()
            if found is not None:
                try:
                    return factory.decode_secrets(found[1])
                except PeerError:
                    pass
        return None

    def _marks(self) -> "tuple[Marks | None, bool]":
        """Return the newest commit's marks, and whether both logs hold that very commit."""
        best = None
        found = [log.load() for log in self._commits]
        for item in found:
            if item is not None and (best is None or item[0] > best[0]):
                best = item
        if best is None:
            return None, True
        self._sequence = best[0]
        try:
            marks = decode_marks(best[1])
        except PeerError:
            return None, True  # a whole record of another meaning: left as it is
        return marks, found[0] == found[1]

    def load(self) -> Trust:
        """Return the trust state on flash; raise `not-provisioned` when even the factory record cannot be trusted.

        A commit whose documents cannot be read falls back, newest first: the other slot, then the factory's. The marks stay.
        """
        made = self.factory
        try:
            trust = accept.first(made.fleet, made.channel, made.root, made.pins, made.build_time)
        except PeerError:
            raise FlashError(errors.NOT_PROVISIONED)
        marks, _ = self._marks()
        if marks is None:
            return trust
        if marks.pins_digest != trust.pins_digest:
            trust = self._with_pins(trust, marks)
        self._pins_in_use = trust.pins_digest
        self._base_in_use = marks.base_digest
        return trust.restored(_by_digest(self._base, marks.base_digest), marks)

    def _with_pins(self, trust: Trust, marks: Marks) -> Trust:
        wanted = _by_digest(self._pins, marks.pins_digest)
        candidates = [] if wanted is None else [wanted]
        rest = [found for found in (slot.load() for slot in self._pins) if found is not None]
        rest.sort(key=_sequence_of)
        while rest:
            candidates.append(rest.pop()[1])
        for data in candidates:
            try:
                pins = accept.stored_pins(data)
            except PeerError:
                continue  # written by a newer agent: left unwiped
            # A record that was written but never committed is newer than the marks: not in force.
            if pins.number <= marks.number:
                return trust.fallen_back(pins, sha256(data).digest())
        return trust

    # ---- writing -----------------------------------------------------------------------------------------------------

    def commit(self, trust: Trust, pins_document: "bytes | None" = None) -> None:
        """Make a trust state current; raise `FlashError` (or the port's OSError), the old state then being current still.

        `pins_document` is the verbatim document when it is a new one.
        """
        sequence = self._sequence + 1
        if pins_document is not None:
            _unused(self._pins, self._pins_in_use).save(sequence, pins_document)
        if self._base_in_use != trust.marks.base_digest:
            _unused(self._base, self._base_in_use).save(sequence, trust.base_record())
        body = trust.marks.encode()
        for log in self._commits:
            log.save(sequence, body)
        self._sequence = sequence
        self._pins_in_use = trust.pins_digest
        self._base_in_use = trust.marks.base_digest

    def heal(self) -> bool:
        """Give a commit that one log lacks to both again; return whether that was needed. Called once at start."""
        marks, both = self._marks()
        if marks is None or both:
            return False
        body = marks.encode()
        for log in self._commits:
            if log.load() != (self._sequence, body):
                log.save(self._sequence, body)
        return True

    # ---- the journal: reports and back-off, which may be lost --------------------------------------------------------

    def load_journal(self) -> bytes:
        """Return the newest journal body, b"" when there is none."""
        best = self._newest_journal()
        return b"" if best is None else best[1]

    def save_journal(self, body: bytes) -> None:
        """Write a journal: to the log that has room, so that an erase never touches the newest one."""
        best = self._newest_journal()
        sequence = 1 if best is None else best[0] + 1
        first, second = self._journals
        holder = first if best is not None and first.load() == best else second
        target = holder if holder.fits(body) else (second if holder is first else first)
        target.save(sequence, body)

    def _newest_journal(self) -> "tuple[int, bytes] | None":
        found = [item for item in (log.load() for log in self._journals) if item is not None]
        if not found:
            return None
        found.sort(key=_sequence_of)
        return found[-1]


def _sequence_of(item: "tuple[int, bytes]") -> int:
    return item[0]


def _by_digest(pair: "tuple[Slot, Slot]", digest: bytes) -> "bytes | None":
    for slot in pair:
        found = slot.load()
        if found is not None and sha256(found[1]).digest() == digest:
            return found[1]
    return None


def _unused(pair: "tuple[Slot, Slot]", used: bytes) -> Slot:
    """Return the slot that the current commit does not rest on."""
    found = pair[0].load()
    if found is not None and sha256(found[1]).digest() == used:
        return pair[1]
    return pair[0]


def provision(flash: "Flash", factory_body: bytes, secrets_body: bytes) -> None:
    """Write a fresh region: erased, then secrets, then the factory record, which makes it a device."""
    flash.erase(0, flash.size)
    Slot(flash, _SECRETS_AT, SECTOR, record.SECRETS).save(1, secrets_body)
    Slot(flash, _FACTORY_AT, _FACTORY_ROOM, record.FACTORY).save(1, factory_body)
