"""A flash that fails in one write, for the device tests."""


class Faulty:
    """A flash whose n-th write (prog or erase) meets a fault, once: `act(flash, offset, data)` instead of it."""

    def __init__(self, inner, nth, act):
        self._inner = inner
        self._left = nth
        self._act = act
        self.size = inner.size
        self.sector = inner.sector

    def read(self, offset, length):
        return self._inner.read(offset, length)

    def _met(self):
        self._left -= 1
        return self._left == 0

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
