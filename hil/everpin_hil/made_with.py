"""What a kept result was made with: a log counts only for the very sources it came from, and every other line of it is played again."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import everpin_sim

from .targets.protocol import FLASH, PLAYER

_HERE = Path(__file__).parent
# What a scenario's facts depend on, beside the agent.
_PLAYED = (PLAYER, FLASH)
# What a walk and its verdict depend on beside that.
_WALKED = (
    *(_HERE / name for name in ("control.py", "in_process.py", "judge.py", "papers.py", "pki.py")),
    *(_HERE / name for name in ("scenario.py", "tape.py", "walks.py")),
    Path(everpin_sim.__file__).parent / "documents.py",
)


def _files(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yield (name, file): by its place below what was named, for the same sources elsewhere are the same."""
    for path in paths:
        for item in sorted(path.rglob("*.py")) if path.is_dir() else (path,):
            yield item.relative_to(path.parent).as_posix(), item


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    found = hashlib.sha256()
    for name, item in files:
        text = item.read_bytes()
        found.update(f"{name} {len(text)}\n".encode() + text)
    return found.hexdigest()


def _of_a_walk(agent: Path) -> Iterator[tuple[str, Path]]:
    return _files((agent / "everpin", *_PLAYED, *_WALKED))


def facts(agent: Path) -> str:
    """Return the digest of what plays a tape in this copy of the agent: facts of another are of no use."""
    return _digest(_files((agent / "everpin", *_PLAYED)))


def sources(agent: Path) -> list[Path]:
    """Return the files that make, play and judge a walk in this copy of the agent."""
    return [item for _, item in _of_a_walk(agent)]


def walk(agent: Path) -> str:
    """Return the digest of `sources`."""
    return _digest(_of_a_walk(agent))
