"""The emulated Raspberry Pi: Linux and CPython with the agent installed, the store on a partition of its card."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from everpin.core.store import REGION_BYTES
from everpin_sim import build_pi
from everpin_sim.build_mcu import BuildFailed
from everpin_sim.debian import NotAvailable
from everpin_sim.targets.pi import Pi as Machine

from .machines import Played, in_order, progress, told
from .protocol import FLASH, PLAYER, NoTarget, Target, TargetFailed

_PROGRAMS = (FLASH / "cutflash.py", *sorted(PLAYER.glob("*.py")))
_TAPE_S = 300.0


class Pi(Target):
    """Pis with that copy of the agent; each tape has one that has just booted, with a new card."""

    name = "pi"

    def play(self, folders: list[Path], agent: Path) -> Iterator[dict[str, Any]]:
        """Play on Pis; raise `NoTarget` where none can be built."""
        try:
            guest = build_pi.build(agent=agent, tell=progress)
        except NotAvailable as problem:
            raise NoTarget(str(problem)) from None
        except BuildFailed as problem:
            raise TargetFailed(str(problem)) from None
        programs = {path.name: path.read_bytes() for path in _PROGRAMS}
        with tempfile.TemporaryDirectory(prefix="everpin-hil-pi-") as scratch:

            def one(number: int) -> Played:
                home = Path(scratch) / str(number)
                home.mkdir()
                (home / "device.json").write_text("{}")
                (home / "flash.img").write_bytes(b"\xff" * REGION_BYTES)
                tape = {
                    f"tape/{path.name}": path.read_bytes() for path in folders[number].iterdir()
                }
                with contextlib.closing(Machine(home, guest)) as machine:
                    mark = machine.mark()
                    machine.start((str(number),), "on_pi.py", programs | tape)
                    machine.wait(lambda event: event.get("f") == "end", mark, _TAPE_S)
                    # "at" is when a line came, which a console's listener adds.
                    said = [
                        {key: item[key] for key in item if key != "at"}
                        for item in machine.since(mark)
                    ]
                log = (home / "pi.log").read_text(errors="replace")
                return told(said, log[-2000:].strip() or "it said nothing")

            yield from in_order(len(folders), one)
