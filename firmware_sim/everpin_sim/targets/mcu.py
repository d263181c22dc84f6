"""The agent on an emulated microcontroller: real firmware, littlefs or a raw partition on NOR flash, one TCP connection at a time."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from everpin.core.store import REGION_BYTES

from .. import build_mcu
from .bench import REPEATABLE
from .control import Layout, Part
from .machine import Machine
from .modem import Modem
from .protocol import Target, TargetError

MEDIUMS = ("files", "raw")


class Mcu(Target):
    """A board made from a device's folder as `everpin provision` writes it. `ports` are those of loopback that it reaches.

    `medium` is what its region lies on: "files", one for each sector on the littlefs, or "raw", a partition. `ram` is its RAM in
    bytes, 0 for what the firmware was built with. `seed` makes its random numbers repeatable, together with `icount`.
    """

    name = "mcu"

    def __init__(
        self,
        home: Path,
        firmware: build_mcu.Firmware,
        ports: Collection[int] = (),
        names: Mapping[str, str] | None = None,
        medium: str = "files",
        ram: int = 0,
        seed: bytes = b"",
        icount: str = "",
    ) -> None:
        super().__init__()
        self.firmware = firmware
        self.home = home
        self.icount = icount
        self.modem = Modem(ports, names)
        self._seed = seed
        self._medium = medium
        self._ram = ram
        self._clock: tuple[int, float] | None = (int(time.time()), time.monotonic())
        self._machine: Machine | None = None
        self.part = Part(home / "mcu.part", Layout(firmware.control))
        # A board that has booted was given its folder then.
        self._provisioned = not self.part.page.first_boot
        self.device_key = self._find_key()

    def _config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "device.json").read_text())
        return found

    def _find_key(self) -> bytes | None:
        name = self._config().get("device_key")
        path = self.home / name if name else None
        return path.read_bytes() if path is not None and path.exists() else None

    # ---- lives -------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Boot; the agent runs for ever. The first time, the device's folder is put on its flash before that."""
        self._off("power_on")
        if not self._provisioned:
            self._provision()
        self._boot("MODE_AGENT")

    def boot_to_prompt(self) -> Machine:
        """Boot to MicroPython's prompt instead of the agent; return the machine, for commands."""
        self._off("boot_to_prompt")
        if not self._provisioned:
            self._provision()
        machine = self._boot("MODE_PROMPT")
        machine.prompt()
        return machine

    def _boot(self, mode: str) -> Machine:
        page, layout = self.part.page, self.part.layout
        page.mode = layout[mode]
        page.medium = layout["MEDIUM_RAW" if self._medium == "raw" else "MEDIUM_FILES"]
        page.ram_bytes = self._ram
        page.has_key = self.device_key is not None
        self.part.set_bytes("device_key", self.device_key or b"")
        self.part.set_bytes("seed", self._seed or os.urandom(64))
        self._set_clock()
        self._machine = Machine(
            self.firmware,
            self.part.path,
            self.home / "mcu.log",
            self.feed,
            self.modem.attach(),
            self.icount,
        )
        return self._machine

    def _off(self, what: str) -> None:
        if self.alive:
            raise TargetError(f"{what}: the power is on")
        self.cut()

    @property
    def alive(self) -> bool:
        """Return whether it runs."""
        return self._machine is not None and self._machine.alive

    @property
    def machine(self) -> Machine:
        """Return the running machine."""
        if self._machine is None:
            raise TargetError("the power is off")
        return self._machine

    def cut(self) -> None:
        """The power is gone: what the flash has taken stays, nothing else."""
        machine, self._machine = self._machine, None
        if machine is not None:
            machine.kill()
        self.modem.detach()

    def cut_at_step(self, step: int, kind: str) -> None:
        """Let the power go in a step of the flash, counted from 1 at power-on; `kind` as control.h has it, "BEFORE" for one. 0: never."""
        self.part.page.cut_kind = self.part.layout["CUT_" + kind]
        self.part.page.cut_step = step

    def cut_at_phase(self, phase: str, times: int = 1, kind: int = 0) -> None:
        """Let the power go when the board reaches a phase of control.h for the `times`-th time; `kind` of record for flash steps."""
        self.part.page.cut_times = times
        self.part.page.cut_phase = self.part.layout["PHASE_" + phase] | kind

    def close(self) -> None:
        """End it and let go of its part."""
        self.cut()
        self.part.close()

    # ---- flash -------------------------------------------------------------------------------------------------------

    def _provision(self) -> None:
        """Put the device's folder on the part, as a programmer at the end of a production line would."""
        config, files = self._config(), {}
        image = (self.home / "flash.img").read_bytes()
        # The key lies in the board's own place for it, never on its flash.
        config.pop("device_key", None)
        config["flash"] = "sectors/"
        for name in ("client_cert", "client_key"):
            if isinstance(config.get(name), str):
                path = self.home / config[name]
                files[path.name] = path.read_bytes()
                config[name] = path.name
        files["device.json"] = json.dumps(config).encode()
        if self._medium == "raw":
            self.part.write(0, image.ljust(self.part.layout["RAW_BYTES"], b"\xff"))
        else:
            files["flash.img"] = image
        self.part.pass_files(files)
        self._provisioned = True
        self._at_prompt("import onboard; onboard.take()")

    def _at_prompt(self, code: str) -> None:
        held = self.icount
        self.icount = REPEATABLE
        try:
            machine = self._boot("MODE_PROMPT")
            machine.prompt()
            machine.run(code)
        finally:
            self.icount = held
            self.cut()

    def flash_in(self, image: bytes) -> None:
        """Put a region's image on the flash."""
        self._off("flash_in")
        (self.home / "flash.img").write_bytes(image)
        self._provision()

    def flash_out(self) -> bytes:
        """Return the region's image, read by the board itself in a copy of its part: this one is not touched."""
        self._off("flash_out")
        return self.snapshot()

    def snapshot(self) -> bytes:
        """Return the region's image as it is now, which with the power on is what a cut would leave."""
        if self._medium == "raw":
            return self.part.read(0, REGION_BYTES)
        with tempfile.TemporaryDirectory(prefix="everpin-mcu-") as scratch:
            for name in ("device.json", "mcu.part"):
                shutil.copy(self.home / name, scratch)
            other = Mcu(Path(scratch), self.firmware, seed=b"copy")
            other._provisioned = True
            other.part.page.cut_step = other.part.page.cut_phase = 0
            try:
                other._at_prompt(f"import onboard; onboard.give({REGION_BYTES})")
                return other.part.read(other.part.layout["WINDOW_OFFSET"], REGION_BYTES)
            finally:
                other.close()

    # ---- surroundings ------------------------------------------------------------------------------------------------

    def set_clock(self, unix: int | None) -> None:
        """Set the clock to Unix seconds, running on from there; None: it was never set."""
        self._clock = None if unix is None else (unix, time.monotonic())
        self._set_clock()

    def _set_clock(self) -> None:
        page = self.part.page
        page.clock_known = self._clock is not None
        if self._clock is not None:
            unix, since = self._clock
            # A board whose time is counted in instructions begins where it was set: the same in each run.
            now = unix if self.icount else unix + int(time.monotonic() - since)
            page.clock_low, page.clock_high = now & 0xFFFFFFFF, now >> 32 & 0xFFFFFFFF
        page.clock_set += 1

    def network(self, on: bool) -> None:
        """Plug the network in or out."""
        self.modem.switch(on)
