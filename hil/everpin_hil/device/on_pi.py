"""Plays a tape on the emulated Pi, its flash a partition of its card."""

import os
import sys
from typing import TYPE_CHECKING

from everpin.core.store import REGION_BYTES
from everpin.ports.fileflash import FileFlash

if TYPE_CHECKING:
    from everpin_hil.device import play_main
    from everpin_hil.device.fused import FusedFlash
else:
    import play_main
    from fused import FusedFlash

_REGION = "/dev/region"

with open(_REGION, "r+b") as _file:
    _file.write(b"\xff" * REGION_BYTES)
    os.fsync(_file.fileno())
play_main.play(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "tape"),
    int(sys.argv[1]),
    FusedFlash(lambda: FileFlash(_REGION, REGION_BYTES)),
)
sys.stdout.flush()
