"""Plays a tape on a real board, its flash a folder of the board's own littlefs. Device dialect."""

import json
import os

from everpin.core.agent import Agent
from everpin.core.store import REGION_BYTES, SECTOR, Store
from everpin.ports import sectorfiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from everpin_hil.device import play_main
    from everpin_hil.device.fused import FusedFlash
else:
    import play_main
    from fused import FusedFlash

_WHERE = "/everpin-hil"


class _Marked:
    """The flash with a pin that is high during each step: what a power switch counts."""

    def __init__(self, inner: "sectorfiles.SectorFiles", pin: "Any") -> None:
        self._inner = inner
        self._pin = pin
        self.size = inner.size
        self.sector = inner.sector
        self.read = inner.read
        self.sync = inner.sync
        self.close = inner.close

    def prog(self, offset: int, data: bytes) -> None:
        self._pin(1)
        self._inner.prog(offset, data)
        self._pin(0)

    def erase(self, offset: int, length: int) -> None:
        self._pin(1)
        self._inner.erase(offset, length)
        self._pin(0)


def _flash(mark: "int | None") -> "Any":
    made = sectorfiles.SectorFiles(_WHERE, REGION_BYTES, SECTOR)
    if mark is None:
        return made
    import machine

    pin: "Any" = machine.Pin  # type: ignore[attr-defined]
    return _Marked(made, pin(mark, pin.OUT, value=0))


def look() -> None:
    """Say with which trust a device boots from what lies there."""
    agent = Agent(Store(_flash(None)), os.urandom)
    trust = agent.trust
    said = {"f": "boot", "number": list(trust.pins.number), "root": trust.root.version}
    print(json.dumps(said))


def play(folder: str, number: int, mark: "int | None" = None) -> None:
    """Play one tape; `mark` is the number of a pin."""
    try:
        for name in os.listdir(_WHERE):
            os.remove(_WHERE + "/" + name)
        os.rmdir(_WHERE)
    except OSError:
        pass  # there was none
    sectorfiles.create(_WHERE)
    play_main.play(folder, number, FusedFlash(lambda: _flash(mark)))
