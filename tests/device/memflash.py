"""Flash in memory under NOR rules, with a power fuse: the semantics of the part, not of a file."""

from everpin.core.store import REGION_BYTES, SECTOR

_PAGE = 256


class PowerCut(Exception):
    """The supply went away; nothing after this happened."""


class MemFlash:
    """Sparse: a page takes memory once it was written. `fuse` is the number of steps (prog or erase) still allowed.

    `torn` says what the step that meets the cut has done: None nothing, 0.0 to 1.0 that part of its bytes, "after" all.
    """

    def __init__(self, size=REGION_BYTES, sector=SECTOR):
        self.size = size
        self.sector = sector
        self.pages = {}
        self.fuse = None
        self.torn = None
        self.steps = 0
        self.erases = 0
        self.deaf = False  # prog returns without having written: a silently dropped write

    def copy(self):
        new = MemFlash(self.size, self.sector)
        for number in self.pages:
            new.pages[number] = bytearray(self.pages[number])
        return new

    def image(self):
        """Return what is written, for comparison."""
        return {number: bytes(self.pages[number]) for number in self.pages}

    def read(self, offset, length):
        if offset < 0 or offset + length > self.size:
            raise OSError(22)
        out = bytearray(length)
        at = 0
        while at < length:
            number, inside = divmod(offset + at, _PAGE)
            count = min(length - at, _PAGE - inside)
            held = self.pages.get(number)
            out[at : at + count] = (
                b"\xff" * count if held is None else held[inside : inside + count]
            )
            at += count
        return bytes(out)

    def _part(self, length):
        """Return how many bytes of this step happen before the power goes, None when it stays on."""
        self.steps += 1
        if self.fuse is None:
            return None
        self.fuse -= 1
        if self.fuse >= 0:
            return None
        if self.torn is None:
            return 0
        return length if self.torn == "after" else int(length * self.torn)

    def prog(self, offset, data):
        part = self._part(len(data))
        if self.deaf:
            return
        for at in range(len(data) if part is None else part):
            number, inside = divmod(offset + at, _PAGE)
            if number not in self.pages:
                self.pages[number] = bytearray(b"\xff" * _PAGE)
            held = self.pages[number][inside]
            assert held & data[at] == data[at], "programming can only clear bits"
            self.pages[number][inside] = data[at]
        if part is not None:
            raise PowerCut

    def erase(self, offset, length):
        assert offset % self.sector == 0 and length % self.sector == 0
        self.erases += length // self.sector
        part = self._part(length)
        end = offset + length if part is None else offset + part
        for number in list(self.pages):
            start = number * _PAGE
            if offset <= start < end:
                for inside in range(min(_PAGE, end - start)):
                    self.pages[number][inside] = 0xFF
                if start + _PAGE <= end:
                    del self.pages[number]
        if part is not None:
            raise PowerCut

    def sync(self):
        pass

    def flip(self, offset):
        """Flip one bit of rot."""
        number, inside = divmod(offset, _PAGE)
        self.pages[number][inside] ^= 0x10
