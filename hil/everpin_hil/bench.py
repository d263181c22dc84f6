"""The bench: tapes of scenarios, played on a target and judged; what other targets did is compared with the core."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import judge, tape
from .judge import Case
from .scenario import Scenario
from .targets import TARGETS, TargetFailed

Tell = Callable[[Case, float], None]


def _facts(name: str, folders: list[Path], agent: Path) -> Iterator[tuple[int, list[judge.Fact]]]:
    """Yield (index, facts) of each tape as it ends; a target that ends badly ends the tape that it was playing, and goes on."""
    todo = list(range(len(folders)))
    while todo:
        facts: list[judge.Fact] = []
        at = 0
        try:
            for fact in TARGETS[name]().play([folders[item] for item in todo], agent):
                facts.append(fact)
                if fact["f"] == "end":
                    yield todo[at], facts
                    facts, at = [], at + 1
        except TargetFailed as problem:
            if at < len(todo):
                last = facts[-1]["t"] if facts else 0
                yield todo[at], [*facts, {"f": "crash", "t": last, "why": str(problem)}]
                at += 1
        else:
            if at < len(todo):
                yield todo[at], facts
                at += 1
        todo = todo[at:]


def run(
    scenarios: list[Scenario],
    target: str,
    seed: int,
    agent: Path,
    tell: Tell | None = None,
    folder: Path | None = None,
) -> list[Case]:
    """Return the cases of scenarios on a target; on any but the core, each with its divergence from the core as a failure.

    `folder` keeps the tapes. Raise `ScenarioError` or `NoTarget`.
    """
    with tempfile.TemporaryDirectory(prefix="everpin-hil-") as scratch:
        where = folder or Path(scratch)
        tapes = [tape.make(item, seed) for item in scenarios]
        folders = [tape.write(made, where / made.scenario.name) for made in tapes]
        reference: dict[int, list[judge.Fact]] = {}
        if target != "core":
            reference = dict(_facts("core", folders, agent))
        cases: dict[int, Case] = {}
        began = time.monotonic()
        for number, facts in _facts(target, folders, agent):
            case = judge.judge(tapes[number], target, facts)
            if number in reference:
                differs = judge.divergence(facts, reference[number])
                if differs:
                    case.failures.append(f"divergence: {differs}")
            cases[number] = case
            if tell is not None:
                # A target that plays several at a time says itself how long each took.
                took = facts[-1].get("took") if facts else None
                tell(case, time.monotonic() - began if took is None else took)
            began = time.monotonic()
        return [cases[number] for number in sorted(cases)]


def summary(cases: list[Case]) -> dict[str, Any]:
    """Return the last line of a run."""
    return {
        "cases": len(cases),
        "failed": sum(not case.ok for case in cases),
        "stranded": sum(case.stranded for case in cases),
        "intruders": sum(case.intruders for case in cases),
    }
