"""Plays tapes one after the other: `play_main.py FOLDER...`; prints facts as JSON lines, each with the index of its folder.

The last fact of a tape is "end", with the heap that it took where the interpreter can say. Device dialect: CPython, MicroPython or a
board runs it, with the agent on its path.
"""

import gc
import json
import os
import sys
from binascii import hexlify

from everpin.core.store import REGION_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from everpin_hil.device import world
    from everpin_hil.device.fused import FusedFlash
    from everpin_sim.device.cutflash import CutFlash
else:
    import world
    from cutflash import CutFlash


class _Files:
    """The files of a tape's folder, each read once."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._held: "dict[str, bytes]" = {}

    def __call__(self, name: str) -> bytes:
        if name not in self._held:
            where = self._folder + "/" + name
            with open(where, "rb") as file:
                self._held[name] = file.read(os.stat(where)[6])
        return self._held[name]


def memory() -> "CutFlash":
    """Return erased flash in memory."""
    made = CutFlash(REGION_BYTES)
    made.log = None
    return made


def _fill(flash: "CutFlash | FusedFlash", path: str) -> None:
    """Put an image on erased flash."""
    with open(path, "rb") as file:
        for at in range(0, flash.size, flash.sector):
            data = file.read(flash.sector)
            if data != b"\xff" * flash.sector:
                flash.prog(at, data)
    flash.sync()


def _image(flash: "CutFlash | FusedFlash", tell: "world.Tell") -> None:
    """Tell what lies on the flash, sector by sector; an erased one is not told."""
    for at in range(0, flash.size, flash.sector):
        data = flash.read(at, flash.sector)
        if data != b"\xff" * flash.sector:
            tell({"f": "sector", "n": at // flash.sector, "hex": hexlify(data).decode()})


def play(folder: str, number: int, flash: "CutFlash | FusedFlash") -> None:
    """Play one tape on erased flash."""

    def tell(fact: "dict[str, Any]") -> None:
        fact["s"] = number
        print(json.dumps(fact))

    with open(folder + "/tape.json") as file:
        tape = json.load(file)
    now = tape["start"]
    try:
        if tape.get("held"):
            _fill(flash, folder + "/" + tape["held"])
        made = world.World(tape, _Files(folder), tell, flash)
        begin = tape.get("from", 0)
        for step in tape["steps"][:begin]:
            made.skip(step)
        if begin:
            # Another release has lived through these.
            now = made.now
            made.act(
                {
                    "at": now,
                    "until": now,
                    "n": -1,
                    "say": "boots",
                    "do": [["power", True]],
                    "ask": [],
                }
            )
        for step in tape["steps"][begin:]:
            made.act(step)
            now = made.now
        if not tape.get("image"):
            held, kept = made.boot_again()
            tell({"f": "flash", "t": now, "same": held == kept})
    except Exception as error:  # noqa: BLE001 - whatever the agent raises here, its device has crashed
        tell({"f": "crash", "t": now, "why": repr(error)})
        if hasattr(sys, "print_exception"):
            sys.print_exception(error, sys.stderr)
        else:
            import traceback

            traceback.print_exc()
    if tape.get("image"):
        _image(flash, tell)
    gc.collect()
    heap = gc.mem_alloc() if hasattr(gc, "mem_alloc") else None
    tell({"f": "end", "t": now, "heap": heap})


if __name__ == "__main__":
    for _number, _folder in enumerate(sys.argv[1:]):
        play(_folder, _number, memory())
