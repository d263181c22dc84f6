"""The bench: tapes of scenarios, played on a target and judged; what other targets did is compared with the core."""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import judge, made_with, tape
from .judge import Case
from .scenario import Scenario
from .targets import TARGETS, Target, TargetFailed

Tell = Callable[[Case, float], None]


def _facts(
    player: Target, folders: list[Path], agent: Path
) -> Iterator[tuple[int, list[judge.Fact]]]:
    """Yield (index, facts) of each tape as it ends; a target that ends badly ends the tape that it was playing, and goes on."""
    todo = list(range(len(folders)))
    while todo:
        facts: list[judge.Fact] = []
        at = 0
        try:
            for fact in player.play([folders[item] for item in todo], agent):
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


class Log:
    """The facts of each case that was played, a line each: a run that was ended goes on behind the last.

    A line counts for the scenario, the agent and the player that it was made with, whatever their names.
    """

    def __init__(self, path: Path, agent: Path) -> None:
        self._path = path
        self._made_with = made_with.facts(agent)
        self._held: dict[str, list[judge.Fact]] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                try:
                    said = json.loads(line)
                    self._held[said["key"]] = said["facts"]
                except (ValueError, KeyError):
                    continue  # the line under way when the run was ended

    def _key(self, target: str, made: tape.Tape) -> str:
        # Of a tape, what it was made of: some signatures differ each time, and nothing that happens depends on them.
        said = [self._made_with, target, made.seed, made.scenario.name, made.scenario.said]
        text = json.dumps(said, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def find(self, target: str, made: tape.Tape) -> list[judge.Fact] | None:
        """Return the facts of a tape that was played to its end."""
        return self._held.get(self._key(target, made))

    def add(self, target: str, made: tape.Tape, facts: list[judge.Fact]) -> None:
        """Note what a tape came to, if that was its end."""
        if not facts or facts[-1]["f"] != "end":
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"key": self._key(target, made), "facts": facts}))


def run(
    scenarios: list[Scenario],
    target: str,
    seed: int,
    agent: Path,
    tell: Tell | None = None,
    log: Log | None = None,
    until_failure: bool = False,
    player: Target | None = None,
) -> list[Case]:
    """Return the cases of scenarios on a target; on any but the core, each with its divergence from the core as a failure.

    What `log` has is not played again; `player` plays instead of the target of that name. Raise `ScenarioError` or `NoTarget`.
    """
    with tempfile.TemporaryDirectory(prefix="everpin-hil-") as scratch:
        tapes = [tape.make(item, seed) for item in scenarios]
        folders = [tape.write(made, Path(scratch) / made.scenario.name) for made in tapes]
        reference: dict[int, list[judge.Fact]] = {}
        if target != "core":
            reference = dict(_facts(TARGETS["core"](), folders, agent))
        cases: dict[int, Case] = {}

        def add(number: int, facts: list[judge.Fact], took: float) -> None:
            case = judge.judge(tapes[number], target, facts)
            if number in reference:
                differs = judge.divergence(facts, reference[number])
                if differs:
                    case.failures.append(f"divergence: {differs}")
            cases[number] = case
            if tell is not None:
                tell(case, took)

        todo = []
        for number, made in enumerate(tapes):
            known = log.find(target, made) if log is not None else None
            if known is None:
                todo.append(number)
            else:
                add(number, known, known[-1].get("took", 0.0) if known else 0.0)
        player = player or TARGETS[target]()
        began = time.monotonic()
        for at, facts in _facts(player, [folders[number] for number in todo], agent):
            # A target that plays several at a time says itself how long each took.
            took = facts[-1].get("took") if facts else None
            if log is not None:
                log.add(target, tapes[todo[at]], facts)
            add(todo[at], facts, time.monotonic() - began if took is None else took)
            if until_failure and not cases[todo[at]].ok:
                break
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
