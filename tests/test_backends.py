"""Where the store's flash can lie: power cuts on a block device and on a real littlefs, and a disk's folder of sectors."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from cutflash import CutFlash
from cuts import Sweep
from lives import Path as UpdatePath
from lives import remember_signatures
from mediums import CutBlocks, Partition

import mpy
from documents import DEVICE_KEY, Fleet
from everpin.core.store import REGION_BYTES, provision
from everpin.ports.cpython import cli
from everpin.ports.device import ConfigError, Device
from everpin.ports.fileflash import FileFlash, create
from everpin.ports.sectorfiles import SectorFiles, copy_from
from everpin_sim import cuts, paths, sweep_report


def micropython() -> str:
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    return program


# ---- power cuts -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_cuts_at_every_page_of_a_block_device_cost_no_device_its_trust(tmp_path: Path) -> None:
    paths.write(tmp_path)
    remember_signatures(True)
    try:
        result = Sweep(UpdatePath(str(tmp_path), "pins", 3), Partition()).run(1)
    finally:
        remember_signatures(False)
    assert result.failed == []
    # A record is written page by page here: more steps than on the flash itself.
    assert result.steps > 20 and result.cases > 400


@pytest.mark.slow
def test_cuts_at_every_step_of_a_littlefs_cost_no_device_its_trust() -> None:
    micropython()
    # One update; the long tests take every path to its end.
    report = cuts.sweep("pins", 1, "unix", flash="littlefs", ops=1)
    assert report["failed"] == [] and sweep_report.well(report)
    assert report["steps"] > 10 and report["cases"] > 80


@pytest.mark.long
@pytest.mark.parametrize("path", paths.PATHS)
def test_cuts_on_a_littlefs_over_every_path(path: str) -> None:
    micropython()
    report = cuts.sweep(path, 1, "unix", flash="littlefs")
    assert report["failed"] == [] and sweep_report.well(report)


@pytest.mark.long
@pytest.mark.parametrize("path", paths.PATHS)
def test_cuts_on_a_block_device_over_every_path_under_micropython(path: str) -> None:
    micropython()
    report = cuts.sweep(path, 1, "unix", flash="partition")
    assert report["failed"] == [] and sweep_report.well(report)


LITTLEFS = mpy.functions(mpy.DEVICE_TESTS / "littlefs_checks.py")


@pytest.fixture(scope="module")
def littlefs(device_data: Path) -> dict[str, str]:
    """Return {function: error} of tests/device/littlefs_checks.py, which holds whole filesystems in memory."""
    done = subprocess.run(
        [micropython(), "-X", "heapsize=32M", "-c", "import run_file"],
        env={
            **os.environ,
            "MICROPYPATH": f"{mpy.AGENT}:{mpy.DEVICE_TESTS}:{mpy.SIM_DEVICE}:.frozen",
            "EVERPIN_TEST_DATA": str(device_data),
            "EVERPIN_TEST_FILE": "littlefs_checks",
        },
        cwd=device_data,
        capture_output=True,
        text=True,
        timeout=120,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert any("done" in row for row in rows), done.stdout + done.stderr
    return {row["test"]: row["error"] for row in rows if "test" in row}


@pytest.mark.parametrize("name", LITTLEFS)
def test_on_micropythons_littlefs(littlefs: dict[str, str], name: str) -> None:
    assert littlefs[name] == ""


# ---- a folder of sectors on a disk ----------------------------------------------------------------------------------


def test_a_write_that_is_interrupted_on_a_disk_leaves_the_sector_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash = SectorFiles(str(tmp_path), 8192)
    flash.prog(0, b"\x01" * 100)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    for where in ("fsync", "rename"):
        with monkeypatch.context() as patched:
            patched.setattr(os, where, cut)
            with pytest.raises(KeyboardInterrupt):
                flash.prog(100, b"\x02" * 100)
        flash.close()
        flash = SectorFiles(str(tmp_path), 8192)
        assert flash.read(0, 200) == b"\x01" * 100 + b"\xff" * 100
    flash.prog(100, b"\x02" * 100)
    assert flash.read(0, 200) == b"\x01" * 100 + b"\x02" * 100


def test_a_write_on_a_disk_is_on_the_medium_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("fsync", "rename", "remove"):
        real = getattr(os, name)

        def noted(*args: object, name: str = name, real: object = real) -> None:
            calls.append(name)
            real(*args)  # type: ignore[operator]

        monkeypatch.setattr(os, name, noted)
    flash = SectorFiles(str(tmp_path), 8192)
    flash.prog(0, b"x")
    flash.sync()
    assert calls == ["fsync", "rename", "fsync"], "the file, its name, the folder"
    flash.erase(0, 4096)
    flash.sync()
    assert calls[3:] == ["remove", "fsync"]


def test_one_writer_and_many_readers(tmp_path: Path) -> None:
    writer = SectorFiles(str(tmp_path), 8192)
    with pytest.raises(OSError, match="another agent holds"):
        SectorFiles(str(tmp_path), 8192)
    SectorFiles(str(tmp_path), 8192, writer=False).close()
    writer.close()
    SectorFiles(str(tmp_path), 8192).close()


# ---- a device's folder says which it is -----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A device's folder with its key, and its region in a file and in a folder of sectors."""
    fleet = Fleet()
    create(str(tmp_path / "flash.img"), REGION_BYTES)
    flash = FileFlash(str(tmp_path / "flash.img"), REGION_BYTES)
    provision(flash, fleet.factory(), fleet.sealed_secrets())
    copy_from(flash, str(tmp_path / "sectors"))
    flash.close()
    (tmp_path / "device.key").write_bytes(DEVICE_KEY)
    return tmp_path


def configure(folder: Path, **fields: object) -> str:
    (folder / "device.json").write_text(json.dumps({"device_key": "device.key", **fields}))
    return str(folder)


@pytest.mark.parametrize(
    ("named", "kind"),
    [({}, FileFlash), ({"flash": "flash.img"}, FileFlash), ({"flash": "sectors/"}, SectorFiles)],
    ids=["none", "file", "folder"],
)
def test_the_configuration_names_a_file_or_a_folder(
    folder: Path, named: dict[str, str], kind: type
) -> None:
    for _ in range(2):
        device = Device(configure(folder, **named))
        assert isinstance(device.flash, kind)
        assert device.agent.secrets is not None
        topic = device.agent.topics()[2]
        assert device.agent.receive(topic, Fleet().pins(2)) in ("accepted", "known")
        with pytest.raises(OSError, match="another agent holds"):
            Device(str(folder))
        device.close()
    assert Device(str(folder), writer=False).agent.number == (1, 2)


def test_a_partition_and_a_counter_come_from_the_application(folder: Path) -> None:
    class Counter:
        value = 0

        def read(self) -> int:
            return self.value

        def raise_to(self, value: int) -> None:
            assert value >= self.value
            self.value = value

    raw = CutFlash(REGION_BYTES)
    raw.padded = True
    fleet = Fleet()
    provision(raw, fleet.factory(), fleet.sealed_secrets())
    before = raw.copy()
    counter = Counter()
    device = Device(configure(folder), flash=CutBlocks(raw), counter=counter)
    assert device.agent.receive(device.agent.topics()[2], fleet.pins(2)) == "accepted"
    assert counter.value == 1 and not device.store.restored
    device.close()  # it stays the application's
    again = Device(str(folder), flash=CutBlocks(raw), counter=counter)
    assert again.agent.number == (1, 2) and not again.store.restored
    # An older image beside a counter that has seen more.
    assert Device(str(folder), flash=before, counter=counter).store.restored


@pytest.mark.parametrize("how", ["lost", "another board's"])
def test_losing_the_device_key_loses_secrets_and_reports_and_no_trust(
    folder: Path, how: str
) -> None:
    where, fleet = configure(folder), Fleet()
    device = Device(where)
    for document in (fleet.pins(2), fleet.pins(3)):
        assert device.agent.receive(device.agent.topics()[2], document) == "accepted"
    device.close()
    before = device.agent.trust_digest()
    key = folder / "device.key"
    key.unlink() if how == "lost" else key.write_bytes(bytes(32))
    device = Device(where)
    assert device.agent.trust_digest() == before and device.agent.secrets is None
    assert ("secrets-sealed" in [event["event"] for event in device.agent.drain()]) == (
        how != "lost"
    )
    assert device.agent.receive(device.agent.topics()[2], fleet.pins(2)) == "rollback"
    assert device.agent.receive(device.agent.topics()[2], fleet.pins(4)) == "accepted"
    assert device.agent.poll(None, "", 0.0)[0] == "pinned"
    assert (device.agent.outbox() == []) == (how == "lost"), "no report without its key"
    device.close()
    assert Device(where, writer=False).agent.number == (1, 4)


def test_verify_judges_by_the_region_that_the_configuration_names(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = Fleet()
    documents = {"2": fleet.pins(2), "root": fleet.root(2), "1": fleet.pins(1)}
    for name, data in documents.items():
        (tmp_path / name).write_bytes(data)
    (folder / "flash.img").unlink()
    where = configure(folder, flash="sectors/")
    device = Device(where)  # a reader beside the one writer
    names = [str(tmp_path / name) for name in documents]
    assert cli.main(["verify", *names, "--trust", where, "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"file": names[0], "accepted": True, "error": None, "number": [1, 2]},
        {"file": names[1], "accepted": True, "error": None, "number": 2},
        {"file": names[2], "accepted": False, "error": "rollback", "number": None},
    ]
    assert device.agent.number == (1, 1), "it judges and changes nothing"
    device.close()
    assert cli.main(["check", "localhost:1", "--device", where]) == 1
    assert "localhost:1: no TLS answer" in capsys.readouterr().err


def test_a_partition_that_is_too_small_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"a device needs {REGION_BYTES}"):
        Device(configure(folder), flash=CutBlocks(CutFlash(REGION_BYTES - 4096)))


def test_what_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no flash image at .*/elsewhere/"):
        Device(configure(folder, flash="elsewhere/"))
