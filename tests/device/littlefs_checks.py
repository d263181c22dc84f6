"""What holds on MicroPython's own littlefs; tests/test_backends.py runs it, for CPython has none."""

import os

import vfs
from cutflash import CutFlash
from mediums import CutBlocks

import making
import tools
from everpin.core.store import REGION_BYTES, Store
from everpin.ports import sectorfiles
from everpin.ports.sectorfiles import SectorFiles


def _mount(raw, where):
    vfs.mount(vfs.VfsLfs2(CutBlocks(raw)), where)


def _device(where, blocks=48):
    """Return a part with a littlefs that holds a device's region, mounted."""
    raw = CutFlash(blocks * 4096)
    raw.log = None
    vfs.VfsLfs2.mkfs(CutBlocks(raw))
    _mount(raw, where)
    sectorfiles.copy_from(making.flash(), where + "/sectors")
    return raw


def _agent(where):
    return making.agent(SectorFiles(where + "/sectors", REGION_BYTES))


def _fill(where):
    """Write a file until there is no space left; return its name."""
    name = where + "/filler"
    try:
        with open(name, "wb") as file:
            while True:
                file.write(b"x" * 512)
                file.flush()
    except OSError as error:
        assert error.args[0] == 28
    return name


def test_a_full_littlefs_keeps_the_old_state_and_takes_the_update_when_there_is_space():
    raw = _device("/full")
    assert making.give(_agent("/full"), "pins-2.cbor") == "accepted"
    agent = _agent("/full")
    old = agent.trust.encode()
    filler = _fill("/full")
    became = making.give(agent, "pins-5.cbor")
    assert became == "flash", became
    assert agent.trust.encode() == old and agent.number == (1, 2)
    vfs.umount("/full")
    _mount(raw, "/full")
    assert _agent("/full").trust.encode() == old
    os.remove(filler)
    agent = _agent("/full")
    assert making.give(agent, "pins-5.cbor") == "accepted"
    assert (
        Store(SectorFiles("/full/sectors", REGION_BYTES)).load().encode() == agent.trust.encode()
    )
    vfs.umount("/full")


def test_the_files_are_small_and_survive_a_mount():
    raw = _device("/small")
    agent = _agent("/small")
    for name in ("pins-2.cbor", "pins-5.cbor"):
        assert making.give(agent, name) == "accepted"
    vfs.umount("/small")
    _mount(raw, "/small")
    assert _agent("/small").number == (1, 5)
    sizes = [os.stat("/small/sectors/" + name)[6] for name in os.listdir("/small/sectors")]
    assert len(sizes) < 12 and max(sizes) <= 4096
    # The factory's copies, two commits in each ring, secrets and documents: no more than there is in them.
    assert sum(sizes) < 8000, sizes
    vfs.umount("/small")


def test_one_large_file_is_copied_behind_each_write_and_small_ones_are_not():
    """Why there is a file for each sector: what littlefs erases for one document."""
    erases = []
    for large in (True, False):
        raw = _device("/cost", 160)
        if large:
            from everpin.ports import fileflash

            fileflash.create("/cost/flash.img", REGION_BYTES)
            flash = fileflash.FileFlash("/cost/flash.img", REGION_BYTES)
            source = making.flash()
            for at in range(0, REGION_BYTES, 4096):
                flash.prog(at, source.read(at, 4096))
            flash.sync()
        else:
            flash = SectorFiles("/cost/sectors", REGION_BYTES)
        agent = making.agent(flash)
        before = raw.erases
        assert making.give(agent, "pins-2.cbor") == "accepted"
        erases.append(raw.erases - before)
        flash.close()
        vfs.umount("/cost")
    assert erases[1] < 10 and erases[0] > 5 * erases[1], erases


def test_a_cut_between_two_files_leaves_one_of_them():
    raw = _device("/cut")
    flash = SectorFiles("/cut/sectors", REGION_BYTES)
    flash.prog(65536, b"\x01" * 100)
    vfs.umount("/cut")
    seen = set()
    for step in range(12):
        copy = raw.copy()
        copy.cut = (step, "half")
        _mount(copy, "/cut")
        flash = SectorFiles("/cut/sectors", REGION_BYTES)
        try:
            flash.prog(65636, b"\x02" * 100)
        except OSError as error:
            assert error.args[0] == 5, "the power has gone"
        flash.close()
        vfs.umount("/cut")
        copy.restart()
        _mount(copy, "/cut")
        found = SectorFiles("/cut/sectors", REGION_BYTES).read(65536, 200)
        assert found[:100] == b"\x01" * 100
        assert found[100:] in (b"\xff" * 100, b"\x02" * 100), step
        seen.add(found[100:])
        vfs.umount("/cut")
    assert len(seen) == 2
    tools.raises(OSError, os.stat, "/cut")
