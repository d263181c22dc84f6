"""The Flash protocol over one of MicroPython's block devices: a raw partition such as `esp32.Partition` or `rp2.Flash`.

It takes the extended protocol, with offsets inside a block: there a write does not erase, as the store wants it.
"""

from ...compat import const
from ...core.errors import MisuseError
from ...core.store import SECTOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class BlockDevice(Protocol):
        """docs/library/os, "Block devices", of MicroPython: the extended interface."""

        def readblocks(
            self, block_num: int, buf: "bytearray | memoryview", offset: int
        ) -> object: ...
        def writeblocks(
            self, block_num: int, buf: "bytearray | memoryview", offset: int
        ) -> object: ...
        def ioctl(self, op: int, arg: int) -> "int | None": ...


_SYNC = const(3)
_BLOCK_COUNT = const(4)
_BLOCK_SIZE = const(5)
_ERASE = const(6)
_EIO = const(5)
_PAGE = const(256)


class BlockFlash:
    """A region as large as the device. RAM: a page, and what is read.

    Writes are padded to whole pages with 0xFF, which changes nothing on NOR flash: `rp2.Flash` writes pages of 256 bytes only.
    Where a byte takes one write between erases even so (encrypted partitions, flash with ECC), a page of 16 bytes is right:
    records begin at multiples of 16 and share no such piece. An encrypted partition that was erased reads as noise; the store
    passes over it, and enters a new sector with each commit.
    """

    def __init__(self, device: "BlockDevice", page: int = _PAGE) -> None:
        self._device = device
        self._page = bytearray(page)
        self._erased = b"\xff" * page
        self.sector = device.ioctl(_BLOCK_SIZE, 0) or 0
        self.size = (device.ioctl(_BLOCK_COUNT, 0) or 0) * self.sector
        # The store's places are multiples of its own sector: a part with larger ones would erase its neighbours.
        if self.sector <= 0 or SECTOR % self.sector or self.sector % page:
            raise MisuseError

    def _bounds(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise MisuseError

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`."""
        self._bounds(offset, length)
        found = bytearray(length)
        view = memoryview(found)
        at = 0
        while at < length:
            block, inside = divmod(offset + at, self.sector)
            count = min(length - at, self.sector - inside)
            _done(self._device.readblocks(block, view[at : at + count], inside))
            at += count
        return bytes(found)

    def prog(self, offset: int, data: bytes) -> None:
        """Clear bits, a page at a time."""
        self._bounds(offset, len(data))
        page = self._page
        at = 0
        while at < len(data):
            inside = (offset + at) % len(page)
            count = min(len(data) - at, len(page) - inside)
            page[:] = self._erased
            page[inside : inside + count] = data[at : at + count]
            block, start = divmod(offset + at - inside, self.sector)
            _done(self._device.writeblocks(block, page, start))
            at += count

    def erase(self, offset: int, length: int) -> None:
        """Set whole sectors to 0xFF."""
        self._bounds(offset, length)
        if offset % self.sector or length % self.sector:
            raise MisuseError
        for block in range(offset // self.sector, (offset + length) // self.sector):
            _done(self._device.ioctl(_ERASE, block))

    def sync(self) -> None:
        """Return when everything written is on the medium."""
        self._device.ioctl(_SYNC, 0)


def _done(result: object) -> None:
    """Raise OSError unless a block device's answer says that it did it: None or 0, else a negative errno."""
    if isinstance(result, int) and result != 0:
        raise OSError(-result if result < 0 else _EIO)
