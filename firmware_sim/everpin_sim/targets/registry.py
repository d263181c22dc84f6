"""Targets by name. A target is one file in this folder with `open_device(home, agent, ports) -> Target`: nothing else lists them.

`home` is a device's folder as `everpin provision` writes it, `agent` the folder of the agent that it runs, `ports` those of loopback
that it has to reach.
"""

import importlib
import pkgutil
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from .protocol import Target, TargetError


def _modules() -> dict[str, ModuleType]:
    folder = str(Path(__file__).resolve().parent)
    package = __name__.rpartition(".")[0]
    found = {}
    for item in pkgutil.iter_modules([folder]):
        if f"{package}.{item.name}" != __name__:
            module = importlib.import_module(f"{package}.{item.name}")
            if hasattr(module, "open_device"):
                found[item.name] = module
    return found


def names() -> list[str]:
    """Return the names of all targets."""
    return sorted(_modules())


def open_device(name: str, home: Path, agent: Path, ports: Collection[int]) -> Target:
    """Return a device on a target, its power off; raise `TargetError`."""
    module = _modules().get(name)
    if module is None:
        raise TargetError(f"{name}: no such target; there are {', '.join(names())}")
    made: Target = module.open_device(home, agent, ports)
    return made
