"""A real board on a serial port: written and read by esptool, its clock set by mpremote, its power and network by commands that are said.

`board.toml` says how it is reached: in the device's folder, or in the folder that EVERPIN_BOARDS names, as DEVICE.toml. The first time
the board gets MicroPython's file system anew, with the device and the agent; MicroPython itself must be on it (`everpin flash`).
"""

import contextlib
import datetime
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from everpin.core.store import REGION_BYTES

from .board_wiring import PORT_S, READ_S, Console, Wiring, wiring
from .protocol import Target, TargetError

if TYPE_CHECKING:
    from everpin_fleet.board.esp import Esptool
    from everpin_fleet.board.partitions import Partition
    from everpin_fleet.board.repl import Repl

_SWITCH_S = 30.0
# Until esptool has been loaded and pulls the reset line; it goes on for some seconds.
_ESPTOOL_STARTS_S = 1.5
_SECTORS = "sectors"
_SECTOR = 4096


def sectors_of(region: bytes) -> dict[int, bytes]:
    """Return the files of a region's sectors (everpin/ports/sectorfiles.py): an erased one has none."""
    pieces = {at // _SECTOR: region[at : at + _SECTOR] for at in range(0, len(region), _SECTOR)}
    return {number: piece for number, piece in pieces.items() if piece.strip(b"\xff")}


def region_of(sectors: dict[int, bytes], size: int) -> bytes:
    """Return a region from the files of its sectors."""
    pieces = [sectors.get(n, b"").ljust(_SECTOR, b"\xff") for n in range(size // _SECTOR)]
    return b"".join(pieces)


class Board(Target):
    """The device's board. Without `power_off` its power cannot be cut, and what needs it off refuses."""

    name = "board"

    def __init__(self, home: Path, agent: Path, at: Wiring) -> None:
        super().__init__()
        self.home = home
        self.at = at
        self._agent = agent
        self._on = False
        self._off_since = -at.off_s
        self._clock: tuple[int, float] | None = None
        self._console: Console | None = None
        key = json.loads((home / "device.json").read_text()).get("device_key")
        if isinstance(key, str) and (home / key).exists():
            self.device_key = (home / key).read_bytes()

    # ---- power -------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Switch it on; the first time, its file system is written before that."""
        self._off("power_on")
        given = self.home / "board.given"
        if not given.exists():
            self._provision()
            given.touch()
        self._on = True
        if self._clock is None and Path(self.at.port).exists():
            self._listen()  # before its first line
        self._switch("power_on")
        if self._clock is not None:
            self._set_clock()
        self._listen()

    def cut(self) -> None:
        """Switch it off."""
        if self._on and not self.at.power_off:
            raise TargetError(
                'cut: board.toml names no power_off; with a switchable hub it is ["uhubctl", "-a", "off", "-l", "1-1", "-p", "2"]'
            )
        if self._on:
            self._switch("power_off")
        self._on = False
        self._deafen()

    def close(self) -> None:
        """Let go of it; a board without a switch runs on."""
        if self.at.power_off:
            self.cut()
        self._on = False
        self._deafen()

    def reset(self) -> None:
        """Reboot: by its power, or where nothing switches that, by MicroPython's own reset."""
        if self.at.power_off:
            super().reset()
            return
        self._deafen()
        with self._plainly():
            self._repl().reset(lambda _: None)
        self._listen()

    @property
    def alive(self) -> bool:
        """Return whether its power is on. A program that has ended looks the same from here."""
        return self._on

    def _off(self, what: str) -> None:
        if self.alive:
            raise TargetError(f"{what}: the power is on")

    def _switch(self, what: str) -> None:
        command: tuple[str, ...] = getattr(self.at, what)
        if not command:
            return
        if what == "power_on":
            time.sleep(max(0.0, self._off_since + self.at.off_s - time.monotonic()))
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SWITCH_S, check=False
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise TargetError(f"{what}: {command[0]}: {problem}") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise TargetError(
                f"{what}: {command[0]} ended with {done.returncode}: {said[-1] if said else 'it said nothing'}"
            )
        if what == "power_off":
            self._off_since = time.monotonic()

    # ---- console -----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        if self._console is None:
            self._console = Console(self.at, self.home / "console.log", self.feed)

    def _deafen(self) -> None:
        console, self._console = self._console, None
        if console is not None:
            console.close()

    # ---- flash -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _plainly(self) -> Iterator[None]:
        """Tell an operator's error as a target's."""
        from everpin_fleet.errors import OperatorError

        try:
            yield
        except OperatorError as problem:
            raise TargetError(str(problem)) from None

    def _repl(self) -> "Repl":
        from everpin_fleet.board.repl import Repl

        return Repl(self.at.port, self.at.silent_s)

    @contextlib.contextmanager
    def _powering(self) -> Iterator[None]:
        """Let the power come while esptool asks already, so that nothing of the agent runs, and writes, before the boot loader does.

        A port in the chip itself is there only with its power: there the agent has a moment.
        """
        failed: list[TargetError] = []

        def late() -> None:
            time.sleep(_ESPTOOL_STARTS_S)
            try:
                self._switch("power_on")
            except TargetError as problem:
                failed.append(problem)

        if not Path(self.at.port).exists():
            self._switch("power_on")
            until = time.monotonic() + PORT_S
            while not Path(self.at.port).exists() and time.monotonic() < until:
                time.sleep(READ_S)
            yield
            return
        thread = threading.Thread(target=late)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            if failed:
                raise failed[0]

    @contextlib.contextmanager
    def _loader(self) -> "Iterator[tuple[Esptool, Partition]]":
        """Give the chip's boot loader, which it does not leave, and where the file system is; the board has its power for so long."""
        from everpin_fleet.board import partitions, serial_port
        from everpin_fleet.board.boards import BOARDS, TABLE_BYTES, TABLE_OFFSET
        from everpin_fleet.board.esp import Esptool

        kind = BOARDS.get(self.at.board)
        if kind is None:
            raise TargetError(f"{self.at.board}: no such board; there are {', '.join(BOARDS)}")
        try:
            with self._plainly():
                esp = Esptool(
                    self.at.port, kind, self.at.baud, self.at.silent_s, bool(self.at.power_off)
                )
                with self._powering():
                    size = esp.flash_bytes(lambda _: None)
                serial_port.check(self.at.port)
                held = esp.read(TABLE_OFFSET, TABLE_BYTES, lambda _: None)
                table = partitions.from_binary(held, self.at.port)
                yield esp, partitions.file_system(table, size, self.at.port)
        finally:
            self._switch("power_off")

    def _provision(self) -> None:
        from everpin_fleet.board import agent_files, littlefs_image, provisioning
        from everpin_fleet.board.boards import BOARDS

        config = json.loads((self.home / "device.json").read_text())
        device = {}
        for name in ("client_cert", "client_key", "device_key"):
            if isinstance(config.get(name), str):
                path = self.home / config[name]
                config[name] = path.name
                device[path.name] = path.read_bytes()
        region = (self.home / "flash.img").read_bytes()
        device |= {f"{_SECTORS}/{number}": data for number, data in sectors_of(region).items()}
        device["device.json"] = json.dumps(config | {"flash": f"{_SECTORS}/"}).encode()
        with self._loader() as (esp, place):
            code = agent_files.compiled(self._agent, BOARDS[self.at.board].march)
            groups = {
                "device": {f"{provisioning.DEVICE}/{name}": data for name, data in device.items()},
                "agent": {"lib/" + name: data for name, data in code.items()},
                "programs": {path.name: path.read_bytes() for path in provisioning.PROGRAMS},
            }
            image, _ = littlefs_image.build(groups, place.size, self.at.port)
            self._write(esp, place, image)

    @staticmethod
    def _write(esp: "Esptool", place: "Partition", image: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="everpin-board-") as folder:
            path = Path(folder) / "image"
            path.touch(0o600)  # it holds the device's key
            path.write_bytes(image)
            esp.write({place.offset: path}, lambda _: None)

    def flash_in(self, image: bytes) -> None:
        """Put a region's image on the flash: the file system is read, changed and written back."""
        from everpin_fleet.board import littlefs_image, provisioning

        self._off("flash_in")
        folder = f"{provisioning.DEVICE}/{_SECTORS}"
        with self._loader() as (esp, place):
            held = esp.read(place.offset, place.size, lambda _: None)
            made = littlefs_image.with_folder(
                held, folder, {str(n): data for n, data in sectors_of(image).items()}, self.at.port
            )
            self._write(esp, place, made)

    def flash_out(self) -> bytes:
        """Return the region's image, from the file system as the boot loader reads it."""
        from everpin_fleet.board import littlefs_image, provisioning

        self._off("flash_out")
        with self._loader() as (esp, place):
            held = esp.read(place.offset, place.size, lambda _: None)
            found = littlefs_image.folder(held, f"{provisioning.DEVICE}/{_SECTORS}", self.at.port)
        return region_of({int(n): data for n, data in found.items() if n.isdigit()}, REGION_BYTES)

    # ---- surroundings ------------------------------------------------------------------------------------------------

    def set_clock(self, unix: int | None) -> None:
        """Set its clock, now or when it is switched on next: at MicroPython's prompt, and the agent starts again behind that.

        None: it was never set, as it is after each power-on.
        """
        self._clock = None if unix is None else (unix, time.monotonic())
        if not self._on:
            return
        if unix is None:
            raise TargetError(
                "set_clock: a board forgets its clock when its power goes; cut it first"
            )
        self._deafen()
        self._set_clock()
        self._listen()

    def _set_clock(self) -> None:
        if self._clock is None:
            return
        unix, since = self._clock
        now = datetime.datetime.fromtimestamp(unix + int(time.monotonic() - since), datetime.UTC)
        with self._plainly():
            self._repl().set_clock(now, lambda _: None)
            self._repl().reset(lambda _: None)

    def network(self, on: bool) -> None:
        """Plug its network in or out, by the command that board.toml names."""
        what = "network_on" if on else "network_off"
        if not getattr(self.at, what):
            raise TargetError(
                f"{what}: board.toml names no command for it, one that switches the access point say"
            )
        self._switch(what)


def open_device(home: Path, agent: Path, ports: Collection[int]) -> Target:
    """Return the board of a provisioned folder; raise `TargetError`."""
    try:
        import littlefs  # noqa: F401
        import serial  # noqa: F401
    except ImportError:
        raise TargetError(
            "a board needs the extra `board`: pip install 'everpin[board]'"
        ) from None
    return Board(home, agent, wiring(home))
