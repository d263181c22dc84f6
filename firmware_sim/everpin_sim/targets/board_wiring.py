"""How a real board is reached: `board.toml`, which says its port and switches, and its console on that port."""

import contextlib
import os
import threading
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .protocol import TargetError

PORT_S = 10.0
READ_S = 0.1
_LINE_MAX = 4096


@dataclass(frozen=True)
class Wiring:
    """What `board.toml` says. Commands are lists of arguments, run without a shell; an empty one: there is none.

    `mark_pin` is a pin that the bench raises during each step of the flash, -1: none; a power switch counts by it (hil/rp2040).
    `off_s` is how long the power stays off at least: what a board's capacitors hold would carry it over less.
    """

    port: str
    board: str = "esp32"
    baud: int = 460800
    console_baud: int = 115200
    silent_s: float = 30.0
    off_s: float = 1.0
    power_on: tuple[str, ...] = ()
    power_off: tuple[str, ...] = ()
    network_on: tuple[str, ...] = ()
    network_off: tuple[str, ...] = ()
    mark_pin: int = -1


def wiring(home: Path) -> Wiring:
    """Return how a device's board is reached; raise `TargetError`."""
    path = home / "board.toml"
    shared = os.environ.get("EVERPIN_BOARDS")
    if not path.exists() and shared:
        path = Path(shared) / f"{home.name}.toml"
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise TargetError(
            f"{path}: {problem.strerror}; it says how the board is reached: port, power_on, power_off (docs/esp32.md)"
        ) from None
    except ValueError as problem:
        raise TargetError(f"{path}: {problem}") from None
    made: dict[str, Any] = {}
    for field in fields(Wiring):
        value = said.pop(field.name, None)
        if value is None:
            continue
        if field.type == tuple[str, ...]:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise TargetError(f"{path}: {field.name} is a list of a command's arguments")
            value = tuple(value)
        elif type(value) is not field.type and not (field.type is float and type(value) is int):
            raise TargetError(f"{path}: {field.name} is not {value!r}")
        made[field.name] = value
    if said:
        raise TargetError(f"{path}: {', '.join(sorted(said))}: no such setting")
    if "port" not in made:
        raise TargetError(f"{path}: it says no port, such as /dev/ttyUSB0")
    return Wiring(**made)


class Console:
    """Reads lines from a port until it is closed."""

    def __init__(self, at: Wiring, log: Path, hear: Callable[[bytes], None]) -> None:
        import serial

        self._port = serial.serial_for_url(at.port, do_not_open=True)
        self._port.baudrate = at.console_baud
        self._port.timeout = READ_S
        # On boards these lines are reset and boot: opening the port shall do neither.
        self._port.dtr = self._port.rts = False
        until = time.monotonic() + PORT_S
        while True:
            try:
                self._port.open()
                break
            except serial.SerialException as problem:
                # A port in the chip itself appears when the chip has its power.
                if time.monotonic() > until:
                    raise TargetError(f"{at.port}: {problem}") from None
                time.sleep(READ_S)
        self._log, self._hear = log, hear
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        import serial

        held = b""
        with self._log.open("ab") as log, contextlib.suppress(serial.SerialException):
            while not self._stop.is_set():
                piece = self._port.read(max(1, self._port.in_waiting))
                log.write(piece)
                log.flush()
                *lines, held = (held + piece).split(b"\n")
                # What never ends its line is noise, of a baud rate that is another or of power that goes.
                held = held[-_LINE_MAX:]
                for line in lines:
                    self._hear(line.strip())

    def close(self) -> None:
        """Stop, and leave the port to others."""
        self._stop.set()
        self._thread.join()
        self._port.close()
