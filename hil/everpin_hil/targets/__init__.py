"""The targets that scenarios are played on: one file each, and this table."""

from .board import Board
from .core import Core
from .mcu import Mcu
from .pi import Pi
from .protocol import NoTarget, Target, TargetFailed
from .unix import Unix

TARGETS: dict[str, type[Target]] = {target.name: target for target in (Core, Unix, Mcu, Pi, Board)}

__all__ = ("TARGETS", "NoTarget", "Target", "TargetFailed")
