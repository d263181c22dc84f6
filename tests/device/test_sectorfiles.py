"""The flash protocol over a folder of sectors."""

import os

import making
import tools
from everpin.core import errors
from everpin.core.store import REGION_BYTES, Store
from everpin.ports import sectorfiles
from everpin.ports.sectorfiles import SectorFiles

_count = [0]


def _folder():
    _count[0] += 1
    path = os.getenv("EVERPIN_TEST_DATA") + "/sectors-" + str(_count[0])
    try:
        os.stat(path)
    except OSError:
        sectorfiles.create(path)
    for name in os.listdir(path):
        os.remove(path + "/" + name)
    return path


def test_a_region_is_erased_reads_back_and_only_clears_bits():
    flash = SectorFiles(_folder(), 16384)
    assert flash.read(0, 16) == b"\xff" * 16
    flash.prog(100, b"\x0f\xf0")
    flash.sync()
    assert flash.read(99, 4) == b"\xff\x0f\xf0\xff"
    flash.prog(100, b"\x0e\xf0")
    tools.raises(errors.MisuseError, flash.prog, 100, b"\x0f\xf0")
    flash.prog(40, b"\x55")
    flash.prog(300, b"\x66")
    assert flash.read(40, 1) + flash.read(100, 2) + flash.read(300, 2) == b"\x55\x0e\xf0\x66\xff"
    flash.erase(0, 4096)
    assert flash.read(0, 4096) == b"\xff" * 4096
    flash.close()


def test_a_sector_is_a_file_as_long_as_what_was_written():
    path = _folder()
    flash = SectorFiles(path, 16384)
    flash.prog(4000, b"\x01" * 300)
    names = [name for name in os.listdir(path) if name.isdigit()]
    assert sorted(names) == ["0", "1"]
    assert (os.stat(path + "/0")[6], os.stat(path + "/1")[6]) == (4096, 204)
    assert flash.read(3990, 320) == b"\xff" * 10 + b"\x01" * 300 + b"\xff" * 10
    flash.erase(0, 8192)
    assert [name for name in os.listdir(path) if name.isdigit()] == []
    flash.close()


def test_what_was_written_is_there_when_it_is_opened_again():
    path = _folder()
    flash = SectorFiles(path, 16384)
    flash.prog(8192, b"here")
    flash.close()
    with open(path + "/part", "wb") as file:
        file.write(b"what a power cut left")
    again = SectorFiles(path, 16384)
    assert again.read(8192, 5) == b"here\xff"
    again.close()


def test_bounds_and_sectors_are_kept():
    flash = SectorFiles(_folder(), 8192)
    tools.raises(errors.MisuseError, flash.read, 8190, 4)
    tools.raises(errors.MisuseError, flash.prog, -1, b"x")
    tools.raises(errors.MisuseError, flash.erase, 100, 4096)
    tools.raises(errors.MisuseError, flash.erase, 0, 100)
    flash.close()


def test_a_folder_of_a_larger_region_is_no_region():
    path = _folder()
    with open(path + "/2", "wb") as file:
        file.write(b"x")
    tools.raises(errors.FlashError, SectorFiles, path, 8192)


def test_a_device_lives_on_in_the_folder_made_from_its_image():
    source = making.flash()
    making.give(making.agent(source), "pins-2.cbor")
    path = _folder() + "-copied"
    try:
        os.stat(path)
    except OSError:
        sectorfiles.copy_from(source, path)
    flash = SectorFiles(path, REGION_BYTES)
    agent = making.agent(flash)
    assert agent.number >= (1, 2) and agent.secrets.user == "meter-1"
    making.give(agent, "pins-5.cbor")
    making.shake(agent, "cert-b.der")
    agent.save()
    flash.close()
    flash = SectorFiles(path, REGION_BYTES)
    assert Store(flash).load().encode() == agent.trust.encode() and agent.number == (1, 5)
    flash.close()
