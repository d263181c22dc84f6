"""`everpin sim build pi`: the same bits each time, nothing to do the second time, and words where it cannot be."""

import json
import os
from pathlib import Path

import pytest

import pi_rig
from everpin.ports.cpython import cli
from everpin_sim import build_pi, debian, pi_userland


@pytest.mark.slow
def test_a_guest_is_made_and_the_second_build_has_nothing_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = pi_rig.guest()
    before = made.initramfs.stat().st_mtime_ns
    assert cli.main(["sim", "build", "pi", "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert err == "", "nothing was asked for, unpacked or compiled"
    assert (said["initramfs"], said["sha256"]) == (str(made.initramfs), made.sha256)
    assert made.initramfs.stat().st_mtime_ns == before
    assert said["packages"]["python3-cryptography"] and "linux-image" in str(said["packages"])


@pytest.mark.long
@pytest.mark.parametrize("machine", build_pi.MACHINES)
def test_equal_inputs_give_equal_bits_in_another_folder(tmp_path: Path, machine: str) -> None:
    ours = pi_rig.guest(machine)
    downloads = tmp_path / "pi" / "downloads"
    downloads.parent.mkdir()
    # Nothing is downloaded again; the guest compiles its Python again.
    os.symlink(build_pi.cache_folder() / "pi" / "downloads", downloads)
    again = build_pi.build(machine, cache=tmp_path)
    assert again.folder != ours.folder and again.sha256 == ours.sha256
    assert again.initramfs.read_bytes() == ours.initramfs.read_bytes()


def test_elsewhere_than_on_debian_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release = tmp_path / "os-release"
    release.write_text('ID=other\nPRETTY_NAME="Other Linux 9"\n')
    monkeypatch.setattr(debian, "OS_RELEASE", release)
    assert cli.main(["sim", "build", "pi"]) == 2
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
    assert cli.main(["sim", "build", "pi"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "sudo apt-get install" in err and "qemu-system-arm" in err


class _Mirror:
    """A mirror that has moved on."""

    def __init__(self, folder: Path, *_: object) -> None:
        self.folder = folder

    def update(self) -> None:
        pass

    def downloaded(self, package: str, version: str) -> Path | None:
        return None

    def versions(self, package: str) -> list[str]:
        if package == "libc6":
            return ["9.9-1"]
        if package.startswith("linux-image-"):
            return ["7.0-1"] if "7.0" in package or package.count("-") == 3 else []
        return [pi_userland.USERLAND[package]]

    def depends(self, package: str, version: str) -> list[str]:
        return ["linux-image-7.0-cloud-arm64"]

    def download(self, package: str, version: str) -> Path:
        return self.folder / f"{package}_{version}"


def test_a_version_that_the_mirror_no_longer_has_is_never_replaced_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pi_userland, "Packages", _Mirror)
    told: list[str] = []
    found = pi_userland.debs(tmp_path, "virt", told.append)
    assert found["libc6"][0] == "9.9-1" and found["linux-image-7.0-cloud-arm64"][0] == "7.0-1"
    assert found["libffi8"][0] == pi_userland.USERLAND["libffi8"]
    gone = [line for line in told if "no longer has" in line]
    assert len(gone) == 2 and any("libc6" in line and "9.9-1" in line for line in gone)


@pytest.mark.parametrize(
    "argv",
    [["pi", "--machine", "pi9"], ["pi", "--board", "an385"], ["mcu", "--machine", "virt"], ["pi", "--agent", "/nonexistent"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_use_is_2_and_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert cli.main(["sim", "build", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "everpin" in err and "Traceback" not in err
