"""The targets that scenarios are played on: one file each, and this table."""

from .core import Core
from .mcu import Mcu
from .pi import Pi
from .protocol import NoTarget, Target, TargetFailed
from .unix import Unix

TARGETS: dict[str, type[Target]] = {"core": Core, "unix": Unix, "mcu": Mcu, "pi": Pi}

__all__ = ("TARGETS", "NoTarget", "Target", "TargetFailed")
