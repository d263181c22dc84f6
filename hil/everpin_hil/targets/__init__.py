"""The targets that scenarios are played on: one file each, and this table."""

from .core import Core
from .protocol import NoTarget, Target, TargetFailed
from .unix import Unix

TARGETS: dict[str, type[Target]] = {"core": Core, "unix": Unix}

__all__ = ("TARGETS", "NoTarget", "Target", "TargetFailed")
