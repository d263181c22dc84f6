"""The emulated Raspberry Pi: Linux and CPython with the agent installed, the store on a partition of its card."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from everpin.core.store import REGION_BYTES
from everpin_sim import build_pi
from everpin_sim.targets.pi import Pi as Machine

from .machines import Played, built, files, in_order, programs, told
from .protocol import Target

_TAPE_S = 300.0


class Pi(Target):
    """Pis with that copy of the agent; each tape has one that has just booted, with a new card."""

    name = "pi"

    def play(self, folders: list[Path], agent: Path) -> Iterator[dict[str, Any]]:
        """Play on Pis; raise `NoTarget` where none can be built."""
        guest = built(build_pi.build, agent)
        player = programs()
        with tempfile.TemporaryDirectory(prefix="everpin-hil-pi-") as scratch:

            def one(number: int) -> Played:
                home = Path(scratch) / str(number)
                home.mkdir()
                (home / "device.json").write_text("{}")
                (home / "flash.img").write_bytes(b"\xff" * REGION_BYTES)
                with contextlib.closing(Machine(home, guest)) as machine:
                    mark = machine.mark()
                    machine.start((str(number),), "on_pi.py", player | files(folders[number]))
                    machine.wait(lambda event: event.get("f") == "end", mark, _TAPE_S)
                    # "at" is when a line came, which a console's listener adds.
                    said = [
                        {key: item[key] for key in item if key != "at"}
                        for item in machine.since(mark)
                    ]
                log = (home / "pi.log").read_text(errors="replace")
                return told(said, log[-2000:].strip() or "it said nothing")

            yield from in_order(len(folders), one)
