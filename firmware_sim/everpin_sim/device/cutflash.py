"""Flash in memory under NOR rules, with a power fuse and faults: the semantics of the part, not of a file.

A step is one `prog`, or the `erase` of one sector; steps are counted from 0. What was written since the last `sync` lies in a
cache that a cut may lose, as on a disk. Device dialect: the same file runs on both interpreters and on a microcontroller.
"""

from hashlib import sha256

PAGE = 256
_CLEAN = b"\xff" * PAGE

# What the step that meets the cut has done: nothing, its first byte, half, all but the last byte, some bits of all bytes
# (seeded), all of it. An erase that is cut has erased a prefix, or some bits have risen everywhere.
PROG_KINDS = ("before", "first", "half", "last", "prog-random", "after")
ERASE_KINDS = ("before", "first", "erase-prefix", "last", "erase-random", "after")
# Where earlier steps still lie in the cache: all of it is lost, or this step comes to rest and those before it do not.
CACHE_KINDS = ("lost", "reorder")
# Faults of one step, or of every step from there to the end of the operation, the power staying on.
FAULT_KINDS = ("dropped", "enospc", "all-dropped", "all-enospc")


class PowerCut(Exception):
    """The supply went away; nothing after this happened."""


class NorError(Exception):
    """A write that this kind of flash cannot do: bits that would have to rise, part of a sector, bytes outside."""


class CutFlash:
    """A region of `size` bytes. Sparse and cheap to copy: pages are immutable, and there are only those that are not erased.

    `cut` is (step, kind) or None; `dropped` and `full` are the steps that are silently ignored, and that raise ENOSPC: these, or
    with `stays` all from there on. `log` has one line for each step: (what, offset, whether earlier steps lay in the cache); None keeps none.
    """

    def __init__(self, size: int, sector: int = 4096) -> None:
        self.size = size
        self.sector = sector
        self.padded = False  # written in whole pages: 0xFF over what is written is no mistake
        self.cached = True  # False: what was written lies on the medium at once, as on a bare part
        self.pages: "dict[int, bytes]" = {}
        self.cut: "tuple[int, str] | None" = None
        self.dropped: "int | None" = None
        self.full: "int | None" = None
        self.stays = False
        self.log: "list[tuple[str, int, bool]] | None" = []
        self.restart()

    def restart(self) -> None:
        """The power comes back, faults are over: steps are counted anew, the cache is empty."""
        self.cut = None
        self.dropped = None
        self.full = None
        self.stays = False
        self.steps = 0
        self.erases = 0
        if self.log is not None:
            self.log = []
        self._durable = dict(self.pages)
        self._pending = False

    def lose(self) -> None:
        """The power goes between two steps: what lies in the cache is lost."""
        self.pages = dict(self._durable)

    def copy(self) -> "CutFlash":
        """Return the same content in another part, without faults."""
        new = CutFlash(self.size, self.sector)
        new.padded = self.padded
        new.cached = self.cached
        new.pages = dict(self.pages)
        if self.log is None:
            new.log = None
        new.restart()
        return new

    def kinds(self, step: int) -> "tuple[str, ...]":
        """Return the kinds of cut that a step of the log can meet."""
        what, _, cached = (self.log or [])[step]
        found = PROG_KINDS if what == "prog" else ERASE_KINDS
        return found + CACHE_KINDS if cached else found

    # ---- the four calls ----------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes, those of the cache included."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise NorError("read outside")
        pages = self.pages
        number, inside = divmod(offset, PAGE)
        if inside + length <= PAGE:
            return pages.get(number, _CLEAN)[inside : inside + length]
        out = bytearray(length)
        at = 0
        while at < length:
            count = min(length - at, PAGE - inside)
            out[at : at + count] = pages.get(number, _CLEAN)[inside : inside + count]
            at += count
            number += 1
            inside = 0
        return bytes(out)

    def prog(self, offset: int, data: bytes) -> None:
        """Clear bits. One step."""
        if offset < 0 or offset + len(data) > self.size:
            raise NorError("prog outside")
        kind = self._begin("prog", offset)
        if kind in ("", "after"):
            self._put(offset, data, len(data))
        elif kind == "reorder":
            self._put(offset, data, len(data), True)
        elif kind == "prog-random":
            self._put(offset, _mixed(data, b"\xff" * len(data), self.steps), len(data))
        elif kind in ("first", "half", "last"):
            self._put(offset, data, _part(kind, len(data)))
        self._end(kind)

    def erase(self, offset: int, length: int) -> None:
        """Set whole sectors to 0xFF. One step for each sector."""
        if offset % self.sector or length % self.sector or offset + length > self.size:
            raise NorError("erase of part of a sector")
        for at in range(offset, offset + length, self.sector):
            self.erases += 1
            kind = self._begin("erase", at)
            if kind in ("", "after", "reorder"):
                self._clean(at, self.sector)
            elif kind == "erase-random":
                self._half_clean(at)
            elif kind in ("first", "erase-prefix", "last"):
                self._clean(at, _part(kind, self.sector))
            self._end(kind)

    def sync(self) -> None:
        """What was written is on the medium."""
        self._durable = dict(self.pages)
        self._pending = False

    # ---- steps -------------------------------------------------------------------------------------------------------

    def _begin(self, what: str, offset: int) -> str:
        """Return "" for a step that is whole, "dropped", or the kind of cut that it meets; raise ENOSPC."""
        step = self.steps
        if self.log is not None:
            self.log.append((what, offset, self._pending))
        if self.cut is not None and step == self.cut[0]:
            if self.cut[1] in CACHE_KINDS:
                self.pages = dict(self._durable)
            return self.cut[1]
        if self._meets(self.full):
            self.steps += 1
            raise OSError(28)  # ENOSPC
        return "dropped" if self._meets(self.dropped) else ""

    def _meets(self, fault: "int | None") -> bool:
        return fault is not None and (
            self.steps == fault or (self.stays and self.steps > fault >= 0)
        )

    def _end(self, kind: str) -> None:
        if kind not in ("", "dropped"):
            raise PowerCut
        self.steps += 1
        self._pending = self.cached

    def _put(self, offset: int, data: bytes, length: int, over: bool = False) -> None:
        """Program `length` bytes of `data`; `over` as a disk would, whose earlier write of these bytes was lost."""
        at = 0
        while at < length:
            number, inside = divmod(offset + at, PAGE)
            count = min(length - at, PAGE - inside)
            held = self.pages.get(number, _CLEAN)
            part = data[at : at + count]
            if not over and held[inside : inside + count] != b"\xff" * count:
                part = self._cleared(held[inside : inside + count], part)
            self.pages[number] = held[:inside] + part + held[inside + count :]
            at += count

    def _cleared(self, held: bytes, data: bytes) -> bytes:
        out = bytearray(len(data))
        for at in range(len(data)):
            out[at] = held[at] & data[at]
            if out[at] != data[at] and self.dropped is None and not self._idle(data[at]):
                # After a dropped erase this is what the part does; else whoever wrote this relies on another kind of flash.
                raise NorError("programming can only clear bits")
        return bytes(out)

    def _idle(self, byte: int) -> bool:
        return self.padded and byte == 0xFF

    def _clean(self, offset: int, length: int) -> None:
        end = offset + length
        for number in range(offset // PAGE, (end + PAGE - 1) // PAGE):
            if number in self.pages:
                start = number * PAGE
                if start + PAGE <= end:
                    del self.pages[number]
                else:
                    self.pages[number] = (
                        b"\xff" * (end - start) + self.pages[number][end - start :]
                    )

    def _half_clean(self, offset: int) -> None:
        for number in range(offset // PAGE, (offset + self.sector) // PAGE):
            if number in self.pages:
                self.pages[number] = _mixed(self.pages[number], _CLEAN, self.steps + number)

    # ---- looking and rotting -----------------------------------------------------------------------------------------

    def flip(self, offset: int, bit: int = 0x10) -> None:
        """Flip one bit of rot."""
        number, inside = divmod(offset, PAGE)
        held = self.pages.get(number, _CLEAN)
        self.pages[number] = held[:inside] + bytes((held[inside] ^ bit,)) + held[inside + 1 :]
        self.sync()

    def image(self) -> bytes:
        """Return SHA-256 of the content: equal for equal content."""
        digest = sha256()
        for number in sorted(self.pages):
            if self.pages[number] != _CLEAN:
                digest.update(number.to_bytes(4, "big"))
                digest.update(self.pages[number])
        return digest.digest()


def _part(kind: str, length: int) -> int:
    """Return how many bytes of a torn step were done."""
    if kind == "first":
        return 1
    return length - 1 if kind == "last" else length // 2


def _mixed(low: bytes, high: bytes, seed: int) -> bytes:
    """Return bytes whose bits are of one or the other, by a seeded generator (xorshift)."""
    state = (seed * 2654435761 + 1) & 0xFFFFFFFF or 1
    out = bytearray(len(low))
    for at in range(len(low)):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        mask = state & 0xFF
        out[at] = (low[at] & mask) | (high[at] & ~mask & 0xFF)
    return bytes(out)
