"""A board on the bench: its flash set to any image before each life, one command at its prompt, and the lines that it says then."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..build_mcu import Firmware
from .control import Layout, Part
from .machine import Machine
from .modem import Modem
from .protocol import TargetError

# The emulator's clock counts instructions, and jumps over waits: what a board computes is then the same each time. For a board
# without network: its time-outs would be over before the host has delivered a byte.
REPEATABLE = "shift=3,sleep=off"
# The clock counts instructions, one each nanosecond, and keeps pace with the host's while the board waits.
COUNTED = "shift=0,sleep=on"
SHIFTS = {REPEATABLE: 3, COUNTED: 0}
TICK_NS = 40

_SEED = b"everpin's bench"
_LIFE_S = 300.0


@dataclass
class Life:
    """What one life said: `said` are its JSON lines; `ended` is the emulator's exit code when it went away by itself, `trace` a traceback."""

    said: list[dict[str, Any]] = field(default_factory=list)
    ended: int | None = None
    trace: str = ""

    def last(self, key: str) -> Any:
        """Return the latest value of a key, None when it was never said."""
        found = [line[key] for line in self.said if key in line]
        return found[-1] if found else None


class Bench:
    """One board without a device's folder. Its parts are files in `folder`; `medium` is "files" or "raw", as for `Mcu`."""

    def __init__(
        self,
        firmware: Firmware,
        folder: Path,
        medium: str = "files",
        ram: int = 0,
        icount: str = REPEATABLE,
        modem: Modem | None = None,
    ) -> None:
        self.firmware = firmware
        self._log = folder / "bench.log"
        self._icount = icount
        self._modem = modem
        self._said: list[dict[str, Any]] = []
        self.part = Part(folder / "bench.part", Layout(firmware.control))
        page, layout = self.part.page, self.part.layout
        page.mode = layout["MODE_PROMPT"]
        page.medium = layout["MEDIUM_RAW" if medium == "raw" else "MEDIUM_FILES"]
        page.ram_bytes = ram
        self.part.set_bytes("seed", _SEED)

    def set_clock(self, unix: int) -> None:
        """Set the board's clock, at any time."""
        page = self.part.page
        page.clock_low, page.clock_high = unix & 0xFFFFFFFF, unix >> 32
        page.clock_known = 1
        page.clock_set += 1

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if isinstance(said, dict):
            self._said.append(said)

    def boot(self) -> Machine:
        """Boot to the prompt; return the machine, which the caller kills."""
        line = None if self._modem is None else self._modem.attach()
        machine = Machine(self.firmware, self.part.path, self._log, self._hear, line, self._icount)
        try:
            machine.prompt()
        except TargetError:
            machine.kill()
            raise
        return machine

    def say(self, machine: Machine, code: str) -> Life:
        """Run a command at the prompt; return what it says until it is done, or until the power is gone."""
        self._said = []
        life = Life()
        try:
            machine.run(code, _LIFE_S)
        except TargetError as problem:
            if machine.closed:
                life.ended = machine.ended()
            life.trace = str(problem)
        life.said = self._said
        return life

    def life(
        self,
        code: str,
        image: bytes | None = None,
        cut: tuple[int, int] | None = None,
        phase: tuple[str, int] | None = None,
    ) -> Life:
        """Return one life from power-on: with `image` as its flash, cut in `cut` (step from 1, kind) or when `phase` comes the n-th time."""
        page, layout = self.part.page, self.part.layout
        if image is not None:
            self.part.write(0, image)
            page.first_boot = 0  # another board has made its littlefs
        page.cut_step, page.cut_kind = cut or (0, 0)
        page.cut_phase = layout["PHASE_" + phase[0]] if phase is not None else 0
        page.cut_times = phase[1] if phase is not None else 0
        machine = self.boot()
        try:
            return self.say(machine, code)
        finally:
            machine.kill()

    def renew(self) -> None:
        """Put another board in its place, whose flash is erased and has no littlefs yet."""
        self.part.write(0, b"\xff" * self.part.layout["FLASH_BYTES"])
        self.part.page.first_boot = 1

    def pass_files(self, files: Mapping[str, bytes]) -> None:
        """Put files into the board's window."""
        self.part.pass_files(files)

    def close(self) -> None:
        """Let go of the part."""
        self.part.close()
