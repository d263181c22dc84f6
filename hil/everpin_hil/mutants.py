"""The bench is tested by breaking the product: checks are taken away in a copy of agent/, and a scenario must catch each."""

import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import bench, scenario
from .scenario import Scenario, ScenarioError

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Mutant:
    """One change of the agent: a text in a file, or (`patch`) a unified diff."""

    name: str
    file: str = ""
    text: str = ""
    without: str = ""
    by: str = ""
    every: bool = False
    patch: Path | None = None

    def apply(self, agent: Path) -> None:
        """Change a copy of agent/; raise `ScenarioError` where the change does not fit."""
        if self.patch is not None:
            self._patch(agent)
            return
        path = agent / "everpin" / self.file
        held = path.read_text("utf-8")
        times = held.count(self.text)
        if times == 0 or (times > 1 and not self.every):
            raise ScenarioError(
                f"mutants.toml: '{self.name}': its text stands {times} times in {self.file}, not once"
            )
        path.write_text(held.replace(self.text, self.without), "utf-8")

    def _patch(self, agent: Path) -> None:
        # A diff names files below the repository, or below agent/.
        env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(agent.parent.parent)}
        said = ""
        for where in (agent.parent, agent):
            done = subprocess.run(
                ["git", "apply", str(self.patch)],
                cwd=where,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            if not done.returncode:
                return
            told = done.stderr.strip().splitlines() or ["git apply failed"]
            said = said or told[0].removeprefix("error: ")
        raise ScenarioError(f"{self.patch}: it does not fit this agent: {said}")


@dataclass
class Found:
    """What became of a mutant: the scenario that caught it, and how; "" when none did."""

    mutant: Mutant
    by: str = ""
    why: str = ""
    tried: int = 0


def own() -> list[Mutant]:
    """Return the bench's own mutants."""
    said = tomllib.loads((_HERE / "mutants.toml").read_text("utf-8"))
    return [
        Mutant(m["name"], m["file"], m["text"], m["without"], m["by"], m.get("all", False))
        for m in said["mutant"]
    ]


@contextmanager
def changed(mutant: Mutant, agent: Path) -> Iterator[Path]:
    """Give a copy of agent/ with the change."""
    with tempfile.TemporaryDirectory(prefix="everpin-mutant-") as scratch:
        copy = Path(scratch) / "agent"
        shutil.copytree(agent, copy, ignore=shutil.ignore_patterns("__pycache__"))
        mutant.apply(copy)
        yield copy


def hunt(mutant: Mutant, agent: Path, target: str, seed: int) -> Found:
    """Return what catches a mutant: its own scenario first, then all others."""
    names = scenario.names()
    rest = [name for name in names if name != mutant.by]
    found = Found(mutant)
    with changed(mutant, agent) as copy:
        for group in ([mutant.by] if mutant.by else [], rest):
            chosen: list[Scenario] = [scenario.load(name) for name in group]
            for case in bench.run(chosen, target, seed, copy) if chosen else ():
                found.tried += 1
                if not any(fact["f"] == "boot" for fact in case.facts):
                    why = case.failures[0] if case.failures else "no fact came"
                    raise ScenarioError(f"{mutant.name}: the changed agent does not start: {why}")
                if not case.ok:
                    found.by, found.why = case.scenario, case.failures[0]
                    return found
    return found


def hunt_all(
    mutants: list[Mutant], agent: Path, target: str, seed: int, tell: Callable[[Found], None]
) -> list[Found]:
    """Return what catches each mutant; raise `ScenarioError` for a change that does not fit."""
    found = []
    for mutant in mutants:
        found.append(hunt(mutant, agent, target, seed))
        tell(found[-1])
    return found
