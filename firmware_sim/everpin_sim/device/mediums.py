"""What the store's flash lies on: the flash itself, a raw partition, or files on a littlefs. The cut is one of the medium's steps.

Device dialect; the littlefs is MicroPython's own.
"""

from everpin.core.store import REGION_BYTES, SECTOR
from everpin.ports import sectorfiles
from everpin.ports.micropython.blockflash import BlockFlash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from everpin.core.record import Flash
    from everpin_sim.device.cutflash import CutFlash, PowerCut
else:
    from cutflash import CutFlash, PowerCut

_EIO = 5
# A littlefs needs blocks for its directories beside those of the region's files.
_LITTLEFS_BYTES = 262144
_PAGE = 256


class CutBlocks:
    """MicroPython's extended block-device protocol over a part with a power fuse.

    A cut, and every call after it, is an error of the device: an exception would jump over the C code of a littlefs. `off` tells.
    """

    def __init__(self, raw: "CutFlash") -> None:
        self.raw = raw
        self.off = False

    def readblocks(self, block: int, buf: "Any", offset: int = 0) -> int:
        """Fill a buffer."""
        if self.off:
            return -_EIO
        buf[:] = self.raw.read(block * self.raw.sector + offset, len(buf))
        return 0

    def writeblocks(self, block: int, buf: "Any", offset: int) -> int:
        """Write a buffer inside a block, which is not erased before."""
        return self._do(self.raw.prog, block * self.raw.sector + offset, bytes(buf))

    def ioctl(self, op: int, arg: int) -> int:
        """Answer: 3 sync, 4 how many blocks, 5 their size, 6 erase one."""
        if op == 4:
            return self.raw.size // self.raw.sector
        if op == 5:
            return self.raw.sector
        if op == 6:
            return self._do(self.raw.erase, arg * self.raw.sector, self.raw.sector)
        if op == 3 and not self.off:
            self.raw.sync()
        return 0

    def _do(self, what: "Any", offset: int, how: "Any") -> int:
        if self.off:
            return -_EIO
        try:
            what(offset, how)
        except PowerCut:
            self.off = True
            return -_EIO
        except OSError as error:
            return -int(error.args[0])
        return 0


class Powered:
    """The store's flash over a device of blocks: whoever calls it when the power has gone is not there any more."""

    def __init__(self, inner: "Flash", blocks: "CutBlocks") -> None:
        self._inner = inner
        self._blocks = blocks
        self.size = inner.size
        self.sector = inner.sector

    def _call(self, what: "Any", *args: "Any") -> "Any":
        try:
            found = what(*args)
        except OSError:
            if self._blocks.off:
                raise PowerCut
            raise
        if self._blocks.off:
            raise PowerCut
        return found

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes."""
        return self._call(self._inner.read, offset, length)  # type: ignore[no-any-return]

    def prog(self, offset: int, data: bytes) -> None:
        """Clear bits."""
        self._call(self._inner.prog, offset, data)

    def erase(self, offset: int, length: int) -> None:
        """Set sectors to 0xFF."""
        self._call(self._inner.erase, offset, length)

    def sync(self) -> None:
        """What was written is on the medium."""
        self._call(self._inner.sync)


class Memory:
    """The flash itself, as the store sees it."""

    # Records lie on it as the store wrote them, so that a sweep finds them and lets them rot.
    rots = True

    def make(self) -> "CutFlash":
        """Return an erased part."""
        return CutFlash(REGION_BYTES, SECTOR)

    def open(self, raw: "CutFlash") -> "Flash":
        """Return the store's flash on a part whose power is on."""
        return raw

    def close(self) -> None:
        """The power is off."""

    def another(self) -> "Memory":
        """Return a medium of the same kind that can be open at the same time."""
        return self


class Partition(Memory):
    """A raw partition behind MicroPython's block-device protocol: a record is written page by page, each a step."""

    def make(self) -> "CutFlash":
        """Return an erased part that is written in whole pages."""
        raw = CutFlash(REGION_BYTES, SECTOR)
        raw.padded = True
        return raw

    def open(self, raw: "CutFlash") -> "Flash":
        """Return the store's flash on the partition."""
        blocks = CutBlocks(raw)
        return Powered(BlockFlash(blocks), blocks)


class Littlefs(Memory):
    """A file for each sector on MicroPython's littlefs; the steps are those of its block device."""

    rots = False

    def __init__(self, where: str = "/cuts") -> None:
        self._where = where
        self._flash: "sectorfiles.SectorFiles | None" = None

    def make(self) -> "CutFlash":
        """Return a part with an empty littlefs and the region's folder."""
        import vfs

        raw = CutFlash(_LITTLEFS_BYTES, SECTOR)
        # A littlefs takes its part's writes to come to rest in their order.
        raw.cached = False
        vfs.VfsLfs2.mkfs(CutBlocks(raw), readsize=_PAGE, progsize=_PAGE)
        vfs.mount(self._fs(CutBlocks(raw)), self._where)
        sectorfiles.create(self._where + "/flash")
        vfs.umount(self._where)
        return raw

    @staticmethod
    def _fs(blocks: "CutBlocks") -> "Any":
        import vfs

        # Pages as large as rp2's.
        return vfs.VfsLfs2(blocks, readsize=_PAGE, progsize=_PAGE)

    def open(self, raw: "CutFlash") -> "Flash":
        """Mount the littlefs and return the store's flash on it."""
        import vfs

        blocks = CutBlocks(raw)
        vfs.mount(self._fs(blocks), self._where)
        self._flash = sectorfiles.SectorFiles(self._where + "/flash", REGION_BYTES, SECTOR)
        return Powered(self._flash, blocks)

    def close(self) -> None:
        """Unmount; what is open was only read."""
        import vfs

        if self._flash is not None:
            self._flash.close()
            self._flash = None
            vfs.umount(self._where)

    def another(self) -> "Memory":
        """Return a second mount point."""
        return Littlefs(self._where + "-2")
