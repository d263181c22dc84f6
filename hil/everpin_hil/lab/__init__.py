"""The bench under labgrid: resources, drivers and a power switch with microsecond cuts. An environment names this module in `imports`.

labgrid's `target` fixture and `labgrid-client` do the rest: places, locks, other power switches (hil/environments, docs/bench.md).
"""

from .drivers import EverpinBoardDriver, EverpinMachineDriver, Player
from .rp2040 import RP2040Switch, RP2040SwitchDriver

__all__ = (
    "EverpinBoardDriver",
    "EverpinMachineDriver",
    "Player",
    "RP2040Switch",
    "RP2040SwitchDriver",
)
