"""`everpin flash`: firmware and a device's image, or its files, onto a board, and what the board says then.

Nothing is written before everything that can be known is: the files are read, the chip has said what it is, the partition is
where the image belongs, and no device that is provisioned would be lost.
"""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import files
from ..errors import OperatorError
from . import firmware as firmware_file
from . import littlefs_image, partitions, serial_port
from .boards import BLOCK, BOARDS, TABLE_BYTES, TABLE_OFFSET
from .esp import Esptool
from .provisioning import DEVICE
from .repl import Repl
from .tools import Tell

_FORCE = "--force writes over it; the state and the keys of that device are lost"
# Where mip, or an earlier image, puts the agent: a .py left there would be taken before a .mpy.
_AGENT = "lib/everpin"


@dataclass(frozen=True)
class Plan:
    """What the operator wants."""

    port: str
    board: str
    image: Path | None
    firmware: Path | None
    files: Path | None
    baud: int
    silent_s: float
    force: bool
    status: bool


@dataclass
class Done:
    """What was done: (step, seconds), and the board's own status."""

    steps: list[tuple[str, float]] = field(default_factory=list)
    offset: int | None = None
    status: dict[str, Any] | None = None


class Flasher:
    """Carries a plan out. `tell` shows a step's progress."""

    def __init__(self, plan: Plan, tell: Tell) -> None:
        """Read the files of the plan; raise `OperatorError` for one that no board could take."""
        self._plan = plan
        self._tell = tell
        self._done = Done()
        self._esp = Esptool(plan.port, BOARDS[plan.board], plan.baud, plan.silent_s)
        self._repl = Repl(plan.port, plan.silent_s)
        self._image_bytes = 0
        self._firmware: firmware_file.Firmware | None = None
        if plan.image is not None:
            image = files.read(plan.image)
            if f"{DEVICE}/device.json" not in littlefs_image.contents(image, str(plan.image)):
                raise OperatorError(
                    "there is no device in this image",
                    str(plan.image),
                    "everpin provision --board",
                )
            self._image_bytes = len(image)
        if plan.firmware is not None:
            self._firmware = firmware_file.load(plan.firmware, plan.board)
        if plan.files is not None and not (plan.files / DEVICE / "device.json").is_file():
            raise OperatorError(
                f"there is no {DEVICE}/device.json in this folder",
                str(plan.files),
                "everpin provision --board … --files DIR makes one",
            )

    def commands(self) -> list[str]:
        """Return what would be run, a command line each; nothing is touched."""
        plan, lines = self._plan, []
        if plan.image is not None or plan.firmware is not None:
            lines.append(self._esp.argv("flash-id"))
            lines.append(
                self._esp.argv("read-flash", hex(TABLE_OFFSET), hex(TABLE_BYTES), "TABLE")
            )
            lines.append(self._esp.argv("read-flash", "FILE-SYSTEM", hex(2 * BLOCK), "START"))
            writes: dict[int, Path] = {}
            if self._firmware is not None:
                writes[self._firmware.offset] = self._firmware.path
            arguments = self._esp.write_command(writes)
            if plan.image is not None:
                arguments += ["FILE-SYSTEM", str(plan.image)]
            lines.append(self._esp.argv(*arguments))
        if plan.files is not None:
            lines.append(self._repl.argv("exec", "STATUS"))
            lines.append(self._repl.argv(*self._repl.copy_command(plan.files)))
        if plan.status:
            lines.append(self._repl.argv("exec", "STATUS"))
            lines.append(self._repl.argv("reset"))
        return [shlex.join(line[2:]) for line in lines]

    @contextmanager
    def _step(self, name: str) -> Iterator[Tell]:
        began = time.monotonic()
        self._tell(f"{name} …")
        yield lambda text: self._tell(f"{name} … {text}")
        self._done.steps.append((name, round(time.monotonic() - began, 1)))

    def run(self) -> Done:
        """Do it; raise `OperatorError` where a step fails, and what comes after it is not done."""
        plan = self._plan
        serial_port.check(plan.port)
        if plan.image is not None or plan.firmware is not None:
            self._write(self._look())
        if plan.files is not None:
            self._copy(plan.files)
        if plan.status:
            with self._step("ask the board") as tell:
                status = self._repl.status(tell)
            with self._step("start it") as tell:
                self._repl.reset(tell)
            self._done.status = status
            self._judge(status)
        return self._done

    def _look(self) -> partitions.Partition:
        """Look at the chip; return where its file system is, or will be."""
        plan = self._plan
        with self._step("look at the chip") as tell:
            flash_bytes = self._esp.flash_bytes(tell)
            held = self._esp.read(TABLE_OFFSET, TABLE_BYTES, tell)
        try:
            old = partitions.file_system(
                partitions.from_binary(held, plan.port), flash_bytes, plan.port
            )
        except OperatorError:
            # No table, or none that MicroPython's own firmware could have: a firmware makes it new.
            if self._firmware is None:
                raise
            old = None
        place = old
        if self._firmware is not None:
            where = str(self._firmware.path)
            place = partitions.file_system(self._firmware.table, flash_bytes, where)
            if self._firmware.offset + self._firmware.size > place.offset:
                raise OperatorError(
                    f"it reaches beyond {place.offset:#x}, where the file system begins", where
                )
        if place is None:
            raise OperatorError("there is no partition table", plan.port, "give --firmware")
        if plan.image is not None and place.size != self._image_bytes:
            raise OperatorError(
                f"the image has {self._image_bytes} bytes, the board's file system {place.size} at {place.offset:#x}",
                str(plan.image),
                f"provision with --flash-size {flash_bytes >> 20}MB and the firmware's --partition-table",
            )
        if plan.image is not None or plan.files is not None or place != old:
            self._spare(old, place)
        return place

    def _spare(self, *places: partitions.Partition | None) -> None:
        """Refuse to write over a device that is provisioned."""
        if self._plan.force:
            return
        for place in dict.fromkeys(places):
            if place is None:
                continue
            with self._step("look for a device") as tell:
                start = self._esp.read(place.offset, 2 * BLOCK, tell)
            names = (
                littlefs_image.root_names(start) if littlefs_image.is_littlefs(start) else set()
            )
            if names is None:
                raise OperatorError(
                    "the board's file system is full of files, and may hold a device",
                    self._plan.port,
                    _FORCE,
                )
            if DEVICE in names:
                raise OperatorError("this board is provisioned", self._plan.port, _FORCE)

    def _write(self, place: partitions.Partition) -> None:
        writes: dict[int, Path] = {}
        if self._firmware is not None:
            writes[self._firmware.offset] = self._firmware.path
        if self._plan.image is not None:
            writes[place.offset] = self._plan.image
            self._done.offset = place.offset
        with self._step("write and compare") as tell:
            self._esp.write(writes, tell)

    def _copy(self, folder: Path) -> None:
        with self._step("look for a device") as tell:
            provisioned = self._repl.status(tell)["provisioned"]
        if provisioned and not self._plan.force:
            raise OperatorError("this board is provisioned", self._plan.port, _FORCE)
        with self._step("copy the files") as tell:
            # What an earlier device has left would be read as this one's.
            self._repl.remove([DEVICE] + [_AGENT] * (folder / _AGENT).is_dir(), tell)
            self._repl.copy(folder, tell)

    def _judge(self, status: dict[str, Any]) -> None:
        """Raise unless the board opens the device that was written to it."""
        port = self._plan.port
        if self._plan.image is None and self._plan.files is None:
            return
        if not status.get("provisioned"):
            raise OperatorError(
                "the board does not see what was written",
                port,
                "its firmware has its file system elsewhere; write MicroPython's with --firmware",
            )
        if not status.get("agent"):
            raise OperatorError(
                "the board has a device and no everpin",
                port,
                "freeze it into the firmware, provision with --agent mpy, or say --no-status where your program brings it",
            )
        if "error" in status:
            raise OperatorError(
                f"the board cannot open its device ({status['error']})",
                port,
                "provision it anew, with --force",
            )
