"""The region file keeps NOR rules."""

import os

import tools
from everpin.core import errors
from everpin.ports.fileflash import FileFlash, create

_PATH = "test-region.img"


def _region():
    path = os.getenv("EVERPIN_TEST_DATA") + "/" + _PATH
    create(path, 8192)
    return path


def test_a_region_is_erased_reads_back_and_only_clears_bits():
    flash = FileFlash(_region(), 8192)
    assert flash.read(0, 16) == b"\xff" * 16
    flash.prog(100, b"\x0f\xf0")
    flash.sync()
    assert flash.read(99, 4) == b"\xff\x0f\xf0\xff"
    flash.prog(100, b"\x0e\xf0")
    tools.raises(errors.MisuseError, flash.prog, 100, b"\x0f\xf0")
    flash.erase(0, 4096)
    assert flash.read(100, 2) == b"\xff\xff"
    flash.close()


def test_bounds_and_sectors_are_kept():
    flash = FileFlash(_region(), 8192)
    tools.raises(errors.MisuseError, flash.read, 8190, 4)
    tools.raises(errors.MisuseError, flash.prog, -1, b"x")
    tools.raises(errors.MisuseError, flash.erase, 100, 4096)
    tools.raises(errors.MisuseError, flash.erase, 0, 100)
    flash.close()


def test_a_file_of_another_size_is_no_region():
    tools.raises(errors.FlashError, FileFlash, _region(), 4096)
