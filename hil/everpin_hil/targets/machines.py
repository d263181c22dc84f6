"""Tapes on machines of their own, some at a time: what emulated targets share."""

import concurrent.futures
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from everpin_sim.build_mcu import BuildFailed
from everpin_sim.debian import NotAvailable

from .protocol import FLASH, PLAYER, NoTarget, TargetFailed

_Built = TypeVar("_Built")


def built(build: Callable[..., _Built], agent: Path) -> _Built:
    """Return what a build makes with a copy of the agent, telling how far it is: the first takes minutes. Raise `NoTarget` or `TargetFailed`."""
    try:
        return build(agent=agent, tell=lambda text: print("everpin: " + text, file=sys.stderr))
    except NotAvailable as problem:
        raise NoTarget(str(problem)) from None
    except BuildFailed as problem:
        raise TargetFailed(str(problem)) from None


def programs() -> dict[str, bytes]:
    """Return the files of the player, by name."""
    found = (FLASH / "cutflash.py", *sorted(PLAYER.glob("*.py")))
    return {path.name: path.read_bytes() for path in found}


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a tape, by their name beside the player."""
    return {f"tape/{path.name}": path.read_bytes() for path in folder.iterdir()}


@dataclass
class Played:
    """What a machine said of one tape; `why` it did not come to the tape's end, "" when it did."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    why: str = ""


def told(said: list[dict[str, Any]], why: str) -> Played:
    """Return what was said; `why` is what is known where no end is among it."""
    facts = [item for item in said if "f" in item]
    return Played(facts, "" if facts and facts[-1]["f"] == "end" else why)


def in_order(count: int, play: Callable[[int], Played]) -> Iterator[dict[str, Any]]:
    """Yield the facts of tapes 0 to `count`, tape after tape, one being played on each processor; raise `TargetFailed` behind one that did not end."""

    def timed(number: int) -> Played:
        began = time.monotonic()
        made = play(number)
        if made.facts:
            made.facts[-1]["took"] = round(time.monotonic() - began, 3)
        return made

    pool = concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    try:
        for made in pool.map(timed, range(count)):
            yield from made.facts
            if made.why:
                raise TargetFailed(made.why)
    finally:
        # What waits must not begin any more when the caller has had enough.
        pool.shutdown(cancel_futures=True)
