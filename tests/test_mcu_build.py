"""`everpin sim build mcu`: the same bits each time, nothing to do the second time, and words where it cannot be."""

import json
import os
from pathlib import Path

import pytest

import boards
from everpin.ports.cpython import cli
from everpin_sim import build_mcu, debian


@pytest.mark.slow
@pytest.mark.parametrize("board", build_mcu.BOARDS)
def test_a_firmware_is_made_for_each_board_and_the_second_build_has_nothing_to_do(
    capsys: pytest.CaptureFixture[str], board: str
) -> None:
    made = boards.firmware(board)
    assert made.elf.read_bytes()[:4] == b"\x7fELF"
    before = made.elf.stat().st_mtime_ns
    assert cli.main(["sim", "build", "mcu", "--board", board, "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert err == "", "nothing was asked for, unpacked or compiled"
    assert (said["firmware"], said["sha256"]) == (str(made.elf), made.sha256)
    assert made.elf.stat().st_mtime_ns == before
    assert said["bytes"] > 300_000


@pytest.mark.slow
def test_another_agent_is_another_firmware(tmp_path: Path) -> None:
    ours = boards.firmware()
    other = boards.broken(
        tmp_path, "core/limits.py", [("const(8192)\n# Nesting", "const(8000)\n# Nesting")]
    )
    theirs = boards.firmware(agent=other)
    assert theirs.sha256 != ours.sha256
    # And back: what was kept is not what was built last.
    assert boards.firmware().sha256 == ours.sha256


@pytest.mark.long
def test_equal_inputs_give_equal_bits_in_another_folder(tmp_path: Path) -> None:
    ours = boards.firmware()
    sources = tmp_path / "mcu" / "sources"
    sources.parent.mkdir()
    # Nothing is downloaded again; what is compiled is.
    os.symlink(build_mcu.cache_folder() / "mcu" / "sources", sources)
    again = build_mcu.build(cache=tmp_path)
    assert again.elf != ours.elf and again.elf.read_bytes() == ours.elf.read_bytes()


def test_elsewhere_than_on_debian_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release = tmp_path / "os-release"
    release.write_text('ID=other\nPRETTY_NAME="Other Linux 9"\n')
    monkeypatch.setattr(debian, "OS_RELEASE", release)
    assert cli.main(["sim", "build", "mcu"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Debian" in err and "Other Linux 9" in err


def test_what_is_lacking_is_named_with_the_command_that_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release = tmp_path / "os-release"
    release.write_text("ID=debian\n")
    monkeypatch.setattr(debian, "OS_RELEASE", release)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("EVERPIN_NO_APT", "1")
    assert cli.main(["sim", "build", "mcu"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "sudo apt-get install" in err
    assert "gcc-arm-none-eabi" in err and "qemu-system-arm" in err


def test_a_version_that_the_mirror_no_longer_has_is_never_replaced_in_silence() -> None:
    class Mirror(debian.Sources):
        def __init__(self, *there: str) -> None:
            self.there = there

        def versions(self, package: str) -> list[str]:
            return list(self.there)

    told: list[str] = []
    pins = (("micropython", "1.26.1+ds-1", "forky"), ("micropython", "1.25.0+ds-1", "trixie"))
    assert (
        build_mcu._choose(Mirror("1.26.1+ds-1", "1.25.0+ds-1"), pins, "", told.append)
        == "1.26.1+ds-1"
    )
    assert told == []
    assert (
        build_mcu._choose(Mirror("1.27.0-1", "1.25.0+ds-1"), pins, "", told.append)
        == "1.25.0+ds-1"
    )
    assert "1.26.1+ds-1" in told[0] and "1.25.0+ds-1" in told[0]
    with pytest.raises(debian.NotAvailable, match=r"1\.27\.0-1"):
        build_mcu._choose(Mirror("1.27.0-1"), pins, "", told.append)


@pytest.mark.parametrize(
    "argv",
    [["build"], ["build", "toaster"], ["build", "mcu", "--board", "z80"], ["build", "mcu", "--ram", "1000"], ["build", "mcu", "--agent", "/nonexistent"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_use_is_2_and_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert cli.main(["sim", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "everpin" in err and "Traceback" not in err


def test_a_cache_that_cannot_be_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release = tmp_path / "os-release"
    release.write_text("ID=debian\n")
    monkeypatch.setattr(debian, "OS_RELEASE", release)
    monkeypatch.setattr(build_mcu, "NEEDED", {})
    monkeypatch.setenv("EVERPIN_CACHE", str(release))
    assert cli.main(["sim", "build", "mcu"]) == 2
    err = capsys.readouterr().err
    assert str(release) in err and "EVERPIN_CACHE" in err


def test_what_was_not_used_for_longest_goes_from_the_cache(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        os.utime(tmp_path / str(number), (number, number))
    build_mcu.prune(tmp_path / "0", 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "3", "4"]
