"""A fleet whose devices are boards, and MicroPython on a board's flash file, for the tests of images and of flashing."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import mpy
from everpin.ports.cpython import cli
from everpin_sim import pki
from everpin_sim.fleet import secret_file

DEVICE = "lamp-3"
START = mpy.DEVICE_TESTS / "board_start.py"


class Boards:
    """A fleet with a signed document, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "acme"
        self.where = ("--fleet", str(self.folder))
        self.secret = str(secret_file(folder / "plant.pw", "watt"))
        init = ("init", str(self.folder), "--fleet", "acme", "--channel", "lamps")
        assert (
            cli.main([*init, "--broker", "localhost:1", "--rescue", "http://localhost:1/p"]) == 0
        )
        assert cli.main(["key", *self.where, "new", "ops", "--no-passphrase"]) == 0
        for name in ("one", "two"):
            self.pin(name)
        self.sign()

    def pin(self, name: str) -> None:
        """Pin a new key."""
        key = self.folder.parent / f"{name}.key"
        key.touch(mode=0o600)
        key.write_bytes(pki.key_pem(pki.new_key()))
        assert cli.main(["pin", *self.where, "add", "localhost", "--from", str(key)]) == 0

    def sign(self) -> None:
        """Sign the policy."""
        assert cli.main(["sign", *self.where, "--yes"]) == 0

    def argv(self, out: Path, *more: str) -> list[str]:
        """Return the arguments that provision a board with Wi-Fi."""
        wifi = ("--wifi-ssid", "Plant", "--wifi-password-file", self.secret)
        return [
            "provision",
            *self.where,
            DEVICE,
            "--board",
            "esp32",
            "--out",
            str(out),
            *wifi,
            *more,
        ]

    def image(self, out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
        """Make an image; return what was said of it."""
        capsys.readouterr()
        assert cli.main(self.argv(out, *more, "--json")) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found


def on_board(flash: Path, code: str, offset: int = 0, size: int = 0) -> list[str]:
    """Start MicroPython on a flash file, run a program there, and return the lines that it prints."""
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    done = subprocess.run(
        [program, "-X", "heapsize=2M", "-c", f"exec(open({str(START)!r}).read())\n{code}"],
        env=environment(flash, offset, size or flash.stat().st_size),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def environment(flash: Path, offset: int, size: int) -> dict[str, str]:
    """Return what board_start.py is told."""
    return {
        **os.environ,
        "MICROPYPATH": ".frozen",
        "EVERPIN_FLASH": str(flash),
        "EVERPIN_OFFSET": str(offset),
        "EVERPIN_BYTES": str(size),
    }
