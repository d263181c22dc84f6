"""A policy file as a device would have it: for `everpin check`, which judges by the agent alone."""

from pathlib import Path

from everpin.core.pins import Pins

from . import bodies, policy
from .errors import OperatorError


def pins(path: str) -> tuple[Pins | None, str]:
    """Return (what a device reads of a policy.toml or its folder, ""), or (None, why there is none)."""
    where = Path(path)
    try:
        found = policy.load(where / policy.FILE if where.is_dir() else where)
        return bodies.as_device_pins(bodies.pins_body(found, (1, 1))), ""
    except OperatorError as error:
        return None, str(error)
