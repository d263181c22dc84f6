"""A tape played in this very process, for walks: no file, no text between player and judge. The player is on the path (endure.py)."""

import traceback
from typing import TYPE_CHECKING, Any

from .judge import Fact
from .tape import Tape

if TYPE_CHECKING:
    from .device import play_main, world
else:
    import play_main
    import world


def remember() -> None:
    """Let this process compute twice nothing that is a pure function of values, and whose answer nobody changes: a factory's record and first
    state, a message's parts, a key's pin, a state's digest.
    """
    from functools import lru_cache

    from everpin.core import accept, cose, factory, spki
    from everpin.core.trust import Trust

    pure: tuple[tuple[Any, str], ...] = (
        (accept, "first"),
        (cose, "signed"),
        (factory, "decode"),
        (spki, "pin"),
    )
    for module, name in pure:
        setattr(module, name, lru_cache(256)(getattr(module, name)))
    really = Trust.digest

    def digest(trust: Any) -> bytes:
        found: bytes | None = getattr(trust, "_digest", None)
        if found is None:
            found = trust._digest = really(trust)
        return found

    setattr(Trust, "digest", digest)  # noqa: B010 - a method is not assigned to in so many words


def facts(tape: Tape) -> list[Fact]:
    """Return what happens, as a target would say it."""
    found: list[Fact] = []
    now: int = tape.said["start"]
    try:
        made = world.World(tape.said, tape.files.__getitem__, found.append, play_main.memory())
        for step in tape.said["steps"]:
            made.act(step)
            now = made.now
        held, kept = made.boot_again()
        found.append({"f": "flash", "t": now, "same": held == kept})
    except Exception as error:  # noqa: BLE001 - whatever the agent raises here, its device has crashed
        where = traceback.extract_tb(error.__traceback__)[-1]
        why = f"{error!r} at {where.name}:{where.lineno}"
        found.append({"f": "crash", "t": now, "why": why})
    end: dict[str, Any] = {"f": "end", "t": now, "heap": None}
    found.append(end)
    return found
