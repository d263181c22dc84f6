"""The power fuse of cutflash.py before a flash that is there: what a step has done when it meets the cut, on a medium of its own.

Device dialect.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from everpin.core.record import Flash
    from everpin_sim.device.cutflash import NorError, PowerCut
else:
    from cutflash import NorError, PowerCut

# The kinds of cut that such a flash can meet, by how much of the step was done.
_SHARES = {"before": 0, "first": 0, "half": 1, "last": 2, "after": 2}


class FusedFlash:
    """A device's flash with a fuse; steps are those of `CutFlash`. `reopen` returns the medium as a device finds it at power-on.

    What was written lies on the medium at once: nothing waits in a cache that a cut loses.
    """

    def __init__(self, reopen: "Callable[[], Flash]") -> None:
        self._reopen = reopen
        self._inner = reopen()
        self.size = self._inner.size
        self.sector = self._inner.sector
        self.cut: "tuple[int, str] | None" = None
        self.steps = 0

    def restart(self) -> None:
        """The power comes back: steps are counted anew."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()
        self._inner = self._reopen()
        self.cut = None
        self.steps = 0

    def lose(self) -> None:
        """The power goes between two steps."""

    def copy(self) -> "FusedFlash":
        """Return the medium itself: whoever boots it next is the last to do so."""
        self.restart()
        return self

    # ---- the four calls ----------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes."""
        return self._inner.read(offset, length)

    def prog(self, offset: int, data: bytes) -> None:
        """Clear bits. One step."""
        kind = self._meets()
        done = self._share(kind, len(data))
        if done:
            self._inner.prog(offset, data[:done])
        self._end(kind)

    def erase(self, offset: int, length: int) -> None:
        """Set whole sectors to 0xFF. One step for each sector."""
        for at in range(offset, offset + length, self.sector):
            kind = self._meets()
            done = self._share(kind, self.sector)
            if done:
                left = self._inner.read(at + done, self.sector - done)
                self._inner.erase(at, self.sector)
                if left != b"\xff" * len(left):
                    self._inner.prog(at + done, left)
            self._end(kind)

    def sync(self) -> None:
        """What was written is on the medium."""
        self._inner.sync()

    # ---- steps -------------------------------------------------------------------------------------------------------

    def _meets(self) -> str:
        """Return the kind of cut that a step meets, "" for none."""
        if self.cut is None or self.cut[0] != self.steps:
            return ""
        if self.cut[1] not in _SHARES:
            raise NorError("no such cut on this flash: " + self.cut[1])
        return self.cut[1]

    @staticmethod
    def _share(kind: str, length: int) -> int:
        """Return how many bytes of a step are done."""
        if kind == "first":
            return 1
        if kind == "last":
            return length - 1
        return _SHARES.get(kind, 2) * length // 2

    def _end(self, kind: str) -> None:
        if kind:
            # The device is not there any more, but littlefs and kernel are: what has reached them is on the medium.
            self._inner.sync()
            raise PowerCut
        self.steps += 1
