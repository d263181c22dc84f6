"""`everpin agent install`: what it writes, what it never overwrites, and what systemd says of the unit."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from everpin.ports.cpython import cli, config

EVERPIN = str(Path(sys.executable).parent / "everpin")
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
UNIT = "etc/systemd/system/everpin-agent.service"
TOML = "etc/everpin/agent.toml"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    folder = tmp_path / "rootfs"
    folder.mkdir()
    return folder


def install(*argv: str) -> int:
    return cli.main(["agent", "install", *argv])


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_writes_a_unit_and_a_configuration_for_everybody_to_read(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    umask = os.umask(0o077)
    try:
        assert install("--root", str(image)) == 0
    finally:
        os.umask(umask)
    assert set(tree(image)) == {TOML, UNIT, "etc/sysusers.d/everpin.conf"}
    for name in tree(image):
        assert stat.S_IMODE((image / name).stat().st_mode) == 0o644, name
    said = tomllib.loads((image / TOML).read_text())
    assert said["device"] == "/var/lib/everpin"
    assert config.load(str(image / TOML)).state_file == "/run/everpin/agent.json"
    unit = (image / UNIT).read_text()
    command = "ExecStart=/usr/bin/everpin agent run --config /etc/everpin/agent.toml"
    assert command in unit.splitlines()
    out = capsys.readouterr().out
    assert f"next: systemctl --root={image} enable everpin-agent.service" in out
    assert "everpin provision" in out


def test_the_unit_starts_what_the_command_line_takes(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("--root", str(image))
    (line,) = re.findall(r"^ExecStart=\S+ (.*)$", (image / UNIT).read_text(), re.MULTILINE)
    seen = []
    monkeypatch.setattr("everpin.ports.cpython.runner.main", lambda args: seen.append(args) or 0)
    assert cli.main(line.split()) == 0
    assert seen[0].config == "/etc/everpin/agent.toml" and seen[0].device is None


def test_a_dry_run_shows_all_and_writes_nothing(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install("--root", str(image), "--dry-run") == 0
    out = capsys.readouterr().out
    assert tree(image) == {}
    assert f"==> {image}/{UNIT}" in out and "ProtectSystem=strict" in out and "json = true" in out


def test_what_is_there_and_differs_is_left_alone_as_a_whole_without_force(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install("--root", str(image))
    capsys.readouterr()
    assert install("--root", str(image)) == 0, "the same again is no overwriting"
    assert capsys.readouterr().out.count("as it was") == 3
    (image / UNIT).write_text("mine\n")
    before = tree(image)
    assert install("--root", str(image), "--device", "/var/lib/other") == 1
    err = capsys.readouterr().err
    assert tree(image) == before
    assert err.count("\n") == 1 and "--force" in err and TOML in err and UNIT in err
    assert install("--root", str(image), "--device", "/var/lib/other", "--force") == 0
    assert "StateDirectory=other" in (image / UNIT).read_text()
    assert not list(image.rglob("*.new"))


def test_a_link_in_the_image_does_not_lead_out_of_it(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (image / "etc").symlink_to(outside)
    assert install("--root", str(image)) == 1
    assert "leads out of" in capsys.readouterr().err
    assert tree(outside) == {}


def test_a_device_elsewhere_is_the_one_place_that_may_be_written(image: Path) -> None:
    install("--root", str(image), "--device", "/data/pins", "--run-as", "gateway")
    lines = (image / UNIT).read_text().splitlines()
    assert {"ReadWritePaths=/data/pins", "ProtectSystem=strict", "User=gateway"} <= set(lines)
    assert not any(line.startswith("StateDirectory") for line in lines)
    assert not (image / "etc/sysusers.d").exists(), "a user of one's own is not made"


def test_a_program_or_device_in_a_home_stays_within_reach(image: Path) -> None:
    home = "/ho" + "me/pi/everpin"
    for argv in (["--program", home], ["--device", home]):
        install("--root", str(image), "--force", *argv)
        assert "ProtectHome=read-only" in (image / UNIT).read_text()


def test_for_oneself_it_needs_no_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert install("--user", "--program", "/usr/bin/everpin") == 0
    unit = (tmp_path / ".config/systemd/user/everpin-agent.service").read_text()
    assert "User=" not in unit and "WantedBy=default.target" in unit
    said = tomllib.loads((tmp_path / ".config/everpin/agent.toml").read_text())
    assert said["device"] == f"{tmp_path}/.local/share/everpin"
    assert "systemctl --user enable" in capsys.readouterr().out
    # And who asks for its status finds that file.
    assert cli.main(["agent", "status"]) == 1
    assert f"{tmp_path}/.local/share/everpin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        (["--root", "nowhere"], 1, "--root nowhere: no such folder"),
        (["--device", "relative"], 2, "--device relative: say an absolute path"),
        (["--device", "/a b"], 2, "--device /a b"),
        (["--device", "/x\nExecStart=/bin/sh"], 2, "--device"),
        (["--device", "/var/lib/../../etc"], 2, "--device"),
        (["--program", "/usr/bin/ev%n"], 2, "--program"),
        (["--run-as", "Ro ot"], 2, "--run-as Ro ot: say a user's name"),
        (["--user", "--root", "/"], 2, "--user is for this machine"),
    ],
)
def test_what_cannot_be_installed_says_why(
    argv: list[str], status: int, says: str, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if "--root" in argv else ["--root", str(image)]
    assert install(*argv, *where) == status
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("everpin: ") and says in err
    assert tree(image) == {}


def test_without_permission_it_says_what_to_do(
    image: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: str, *unused: object, **also: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    # These tests may run as root, whom no mode keeps out.
    monkeypatch.setattr(os, "makedirs", denied)
    assert install("--root", str(image)) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "permission denied; run it as root" in err and "--user" in err


@needs_systemd
@pytest.mark.parametrize("device", ["/var/lib/everpin", "/data/pins"])
def test_systemd_takes_the_unit_and_calls_it_hardened(device: str, image: Path) -> None:
    install("--root", str(image), "--program", EVERPIN, "--device", device)
    unit = str(image / UNIT)
    done = subprocess.run([ANALYZE, "verify", unit], capture_output=True, text=True)
    # What it says of other units of this machine is not ours.
    said = [line for line in done.stderr.splitlines() if "everpin-agent" in line]
    assert said == [] and done.returncode == 0, done.stderr
    command = [ANALYZE, "security", "--offline=true", "--threshold=20", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:]


@needs_systemd
def test_systemd_takes_the_user_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    install("--user", "--program", EVERPIN)
    unit = str(tmp_path / ".config/systemd/user/everpin-agent.service")
    done = subprocess.run([ANALYZE, "verify", unit], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "everpin-agent" in line] == []


@needs_systemd
def test_systemd_takes_the_units_that_the_tunnels_page_shows(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "tunnel.md").read_text()
    blocks = re.findall(r"^```ini\n# (\S+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in blocks] == ["everpin-tunnel.socket", "everpin-tunnel.service"]
    for name, text in blocks:
        (tmp_path / name).write_text(text.replace("/usr/bin/everpin", EVERPIN))
    command = [ANALYZE, "verify", *(str(tmp_path / name) for name, _ in blocks)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "everpin-tunnel" in line] == []
    line = re.search(r"^ExecStart=\S+ (.*)$", blocks[1][1], re.MULTILINE)
    assert line is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("everpin.ports.cpython.tunnel_command.main", lambda args: 0)
        assert cli.main(line[1].split()) == 0
