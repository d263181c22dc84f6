"""The flash protocol over a block device: pages, bounds, errors, and a store on it."""

from cutflash import CutFlash
from mediums import CutBlocks

import making
import tools
from everpin.core import errors
from everpin.core.store import REGION_BYTES, Store, provision
from everpin.ports.micropython.blockflash import BlockFlash


def _device(size=REGION_BYTES, sector=4096):
    raw = CutFlash(size, sector)
    raw.log = None
    raw.padded = True
    return raw, CutBlocks(raw)


def test_bytes_are_written_and_read_across_pages_and_blocks():
    raw, device = _device(16384)
    flash = BlockFlash(device)
    assert (flash.size, flash.sector) == (16384, 4096)
    data = bytes([number & 0x7F for number in range(600)])
    flash.prog(4000, data)
    assert flash.read(4000, 600) == data
    assert flash.read(3990, 10) == b"\xff" * 10 and flash.read(4600, 10) == b"\xff" * 10
    assert raw.read(4000, 600) == data
    flash.erase(4096, 4096)
    assert flash.read(4090, 12) == data[90:96] + b"\xff" * 6


def test_every_write_is_a_whole_page_and_leaves_its_neighbours_as_they_are():
    class Pages(CutBlocks):
        """Takes whole pages only, as rp2's flash does."""

        def writeblocks(self, block, buf, offset):
            assert len(buf) == 256 and offset % 256 == 0
            return CutBlocks.writeblocks(self, block, buf, offset)

    raw, _ = _device(8192)
    flash = BlockFlash(Pages(raw))
    flash.prog(100, b"\x11" * 50)
    flash.prog(150, b"\x22" * 150)
    flash.prog(90, b"\x33" * 10)
    assert flash.read(90, 210) == b"\x33" * 10 + b"\x11" * 50 + b"\x22" * 150


def test_pieces_of_16_bytes_are_written_once_where_a_part_has_ecc():
    seen = []

    class Ecc(CutBlocks):
        def writeblocks(self, block, buf, offset):
            at = block * self.raw.sector + offset
            assert at not in seen, "a second write between erases"
            seen.append(at)
            return CutBlocks.writeblocks(self, block, buf, offset)

        def ioctl(self, op, arg):
            if op == 6:
                start = arg * self.raw.sector
                seen[:] = [at for at in seen if not start <= at < start + self.raw.sector]
            return CutBlocks.ioctl(self, op, arg)

    raw, _ = _device()
    flash = BlockFlash(Ecc(raw), 16)
    provision(flash, tools.data("factory.cbor"), b"sealed")
    agent = making.Agent(Store(flash), making.Random())
    for name in ("pins-2.cbor", "pins-3-nobody.cbor"):
        assert making.give(agent, name) == "accepted"
    assert Store(flash).load().pins.number == (1, 3)


def test_bounds_and_sectors_are_kept():
    flash = BlockFlash(_device(8192)[1])
    tools.raises(errors.MisuseError, flash.read, 8190, 4)
    tools.raises(errors.MisuseError, flash.prog, -1, b"x")
    tools.raises(errors.MisuseError, flash.erase, 100, 4096)
    tools.raises(errors.MisuseError, flash.erase, 0, 100)
    tools.raises(errors.MisuseError, flash.erase, 4096, 8192)


def test_a_part_with_larger_sectors_than_the_store_has_is_refused():
    tools.raises(errors.MisuseError, BlockFlash, _device(65536, 16384)[1])
    tools.raises(errors.MisuseError, BlockFlash, _device(8192)[1], 8192)


def test_smaller_sectors_are_as_good():
    _, device = _device(REGION_BYTES, 512)
    flash = BlockFlash(device)
    provision(flash, tools.data("factory.cbor"), b"sealed")
    agent = making.Agent(Store(flash), making.Random())
    for name in ("pins-2.cbor", "pins-5.cbor"):
        assert making.give(agent, name) == "accepted"
    assert Store(flash).load().pins.number == (1, 5)


def test_an_error_of_the_device_is_an_oserror():
    raw, device = _device(8192)
    flash = BlockFlash(device)
    raw.full = raw.steps
    assert tools.raises(OSError, flash.prog, 0, b"x").args[0] == 28
    device.off = True
    for call in (
        lambda: flash.read(0, 1),
        lambda: flash.prog(0, b"x"),
        lambda: flash.erase(0, 4096),
    ):
        assert tools.raises(OSError, call).args[0] == 5


def test_sync_reaches_the_device():
    raw, device = _device(8192)
    flash = BlockFlash(device)
    flash.prog(0, b"x")
    flash.sync()
    raw.cut = (raw.steps, "lost")
    tools.raises(OSError, flash.prog, 300, b"y")
    assert raw.read(0, 1) == b"x"
