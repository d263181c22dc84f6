"""A flash that fails in one write, for the device tests."""

FOR_GOOD = 1 << 28


class Faulty:
    """A flash whose n-th write (prog or erase) meets a fault: `act(flash, offset, data)` instead of it.

    Once, or with `stays` that and each of the `stays` writes after it; `heal` ends it.
    """

    def __init__(self, inner, nth, act, stays=0):
        self._inner = inner
        self._left = nth
        self._act = act
        self._stays = stays
        self.size = inner.size
        self.sector = inner.sector

    def read(self, offset, length):
        return self._inner.read(offset, length)

    def _met(self):
        self._left -= 1
        return -self._stays <= self._left <= 0

    def heal(self):
        self._left = 1 << 29

    def prog(self, offset, data):
        if self._met():
            self._act(self._inner, offset, data)
        else:
            self._inner.prog(offset, data)

    def erase(self, offset, length):
        if self._met():
            self._act(self._inner, offset, None)
        else:
            self._inner.erase(offset, length)

    def sync(self):
        self._inner.sync()


def no_space(inner, offset, data):
    raise OSError(28)


def dropped(inner, offset, data):
    pass


def one_bit_less(inner, offset, data):
    """Program all but one bit, or erase all but one."""
    if data is None:
        return
    wrong = bytearray(data)
    at = len(wrong) // 2
    while not wrong[at]:
        at += 1
    wrong[at] &= wrong[at] - 1
    inner.prog(offset, wrong)


class Worn:
    """A flash with one sector that has gone bad for good: its reads, progs or erases fail, or do nothing (`how`)."""

    HOW = ("read-error", "prog-error", "erase-error", "prog-nothing", "erase-nothing")

    def __init__(self, inner, sector, how):
        self._inner = inner
        self._bad = sector * inner.sector
        self._what, self._how = how.split("-")
        self.size = inner.size
        self.sector = inner.sector
        # What an erase has left there, a prog clears further: the part does not complain.
        inner.dropped = -1

    def _meets(self, what, offset, length):
        """Return whether a call does nothing there; raise where it fails."""
        if what != self._what or not offset - self.sector < self._bad < offset + length:
            return False
        if self._how == "error":
            raise OSError(5)
        return True

    def read(self, offset, length):
        self._meets("read", offset, length)
        return self._inner.read(offset, length)

    def prog(self, offset, data):
        if not self._meets("prog", offset, len(data)):
            self._inner.prog(offset, data)
            return
        for at in range(len(data)):
            if not self._bad <= offset + at < self._bad + self.sector:
                self._inner.prog(offset + at, data[at : at + 1])

    def erase(self, offset, length):
        for at in range(offset, offset + length, self.sector):
            if at != self._bad or not self._meets("erase", at, self.sector):
                self._inner.erase(at, self.sector)

    def sync(self):
        self._inner.sync()
