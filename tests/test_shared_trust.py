"""A second process reads a device's trust while the first one writes it: the old state or the new one, and numbers never fall."""

import threading
from pathlib import Path
from typing import Any

import pytest

import device_folders
from device_folders import Writer, document, spare
from documents import Fleet
from everpin.core.errors import FlashError
from everpin.core.store import Store
from everpin.ports import device as ports_device
from everpin.ports.cpython import shared
from everpin.ports.cpython.shared import SharedTrust, copy_of, reader
from everpin.ports.sectorfiles import copy_from


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def folder(tmp_path: Path, fleet: Fleet) -> Path:
    return device_folders.make(
        tmp_path / "device", fleet, document(fleet, 1, "localhost", spare(1), spare(2))
    )


def test_a_reader_has_all_that_the_device_has_and_writes_nothing(folder: Path) -> None:
    image = (folder / "flash.img").read_bytes()
    found = reader(str(folder))
    assert found.agent.number == (1, 1) and found.agent.secrets is not None
    assert found.agent.secrets.user == "meter-1"
    for change in (lambda: found.flash.prog(0, b"\0"), lambda: found.flash.erase(0, 4096)):
        with pytest.raises(FlashError):
            change()
    assert (folder / "flash.img").read_bytes() == image


def test_a_newer_document_is_seen_and_a_journal_changes_nothing(
    folder: Path, fleet: Fleet
) -> None:
    writer = Writer(folder)
    trust = SharedTrust(str(folder))
    assert not trust.refresh() and trust.generation == 1
    assert writer.take(document(fleet, 2, "localhost", spare(3), spare(4))) == "accepted"
    assert trust.refresh() and trust.generation == 2
    assert trust.device.agent.number == (1, 2)
    writer.agent.save()
    assert not trust.refresh() and trust.generation == 2
    writer.close()


def test_a_copy_that_was_torn_by_the_writer_is_taken_again(
    folder: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer commits twice in the middle of a copy: its first half is of before, its second of after."""
    real = ports_device.open_flash
    writer = Writer(folder)
    torn = []

    class Torn:
        def __init__(self, *args: Any) -> None:
            self._flash = real(*args)
            self.size, self.sector = self._flash.size, self._flash.sector
            self.close = self._flash.close

        def read(self, offset: int, length: int) -> bytes:
            if torn:
                return self._flash.read(offset, length)
            torn.append(self._flash.read(offset, 77824))  # up to the commits
            for s in (2, 3):
                writer.take(document(fleet, s, "localhost", spare(9), spare(s)))
            return torn[0] + real(str(folder), {}, False).read(77824, length - 77824)

    monkeypatch.setattr(shared, "open_flash", Torn)
    found = reader(str(folder))
    assert torn and found.agent.number == (1, 3)
    # What the torn copy alone would have said: the newest commit, and the factory's pins.
    half = torn[0] + copy_of(str(folder)).read(77824, found.flash.size - 77824)
    assert Store(shared.Copy(half, 4096)).load().pins.number == (1, 1)
    writer.close()


@pytest.mark.parametrize("medium", ["file", "sectors"])
def test_numbers_never_fall_for_a_reader_beside_a_busy_writer(
    medium: str, folder: Path, fleet: Fleet
) -> None:
    if medium == "sectors":
        copy_from(copy_of(str(folder)), str(folder / "sectors"))
        (folder / "device.json").write_text('{"flash": "sectors"}')
    writer = Writer(folder)
    over = threading.Event()
    documents = [document(fleet, s, "localhost", spare(s), spare(s + 1)) for s in range(2, 42)]

    def write() -> None:
        for data in documents:
            assert writer.take(data) == "accepted"
        over.set()

    thread = threading.Thread(target=write)
    trust = SharedTrust(str(folder))
    thread.start()
    seen = [trust.device.agent.number]
    while not over.is_set():
        trust.refresh()
        seen.append(trust.device.agent.number)
    thread.join()
    trust.refresh()
    seen.append(trust.device.agent.number)
    assert seen == sorted(seen) and seen[-1] == (1, 41)
    assert trust.problem == ""
    assert trust.device.agent.trust_digest() == writer.agent.trust_digest()
    writer.close()
