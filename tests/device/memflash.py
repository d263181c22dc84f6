"""Flash in memory for the device tests: the sweep's own (firmware_sim/everpin_sim/device), as large as a device's region."""

from cutflash import CutFlash, PowerCut

from everpin.core.store import REGION_BYTES, SECTOR


class MemFlash(CutFlash):
    """A device's region, erased; no log of steps, which would fill a small heap."""

    def __init__(self, size=REGION_BYTES, sector=SECTOR):
        super().__init__(size, sector)
        self.log = None
        self.deaf = False  # every prog is silently dropped

    def copy(self):
        """Return the same content in another part, without faults."""
        new = MemFlash(self.size, self.sector)
        new.pages = dict(self.pages)
        new.restart()
        return new

    def prog(self, offset, data):
        """Clear bits, unless deaf."""
        if self.deaf:
            self.steps += 1
        else:
            super().prog(offset, data)


__all__ = ("MemFlash", "PowerCut")
