"""Endurance: walks on the core in process, two counters that stay zero, and a found case made short.

`python -m everpin_hil.endure` runs walks for `everpin hil endure` in a process of its own, so that `--agent DIR` is the only agent there.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import everpin_hil
import everpin_sim

from . import judge, made_with, tape
from .judge import Case
from .scenario import Scenario, ScenarioError
from .targets.protocol import FLASH, PLAYER, TargetFailed
from .walks import Walk

# Years of one walk.
WALK_YEARS = 30
# Walks of one process.
_SLICE = 20
# Found cases that a process makes short; further ones it writes as they are.
_SHRUNK = 2


def play(scenario: Scenario, seed: int) -> Case:
    """Return the case of a scenario played in this process, whose path has the player and an agent."""
    from . import in_process

    made = tape.make(scenario, seed)
    return judge.judge(made, "core", in_process.facts(made))


def kind_of(case: Case) -> str:
    """Return what is wrong with a case: "intruder", "stranded", "failed", or "" when nothing is."""
    if case.intruders:
        return "intruder"
    if case.stranded:
        return "stranded"
    return "" if case.ok else "failed"


def shrink(scenario: Scenario, seed: int, kind: str) -> Scenario:
    """Return a scenario with as few steps as still go wrong in the same way; the first and the last stay."""

    def still(steps: list[dict[str, Any]]) -> bool:
        made = Scenario(scenario.name, {**scenario.said, "step": steps})
        try:
            return kind_of(play(made, seed)) == kind
        except ScenarioError:
            return False

    steps = list(scenario.said["step"])
    size = max(1, (len(steps) - 2) // 2)
    while True:
        at, shorter = 1, False
        while at < len(steps) - 1:
            without = steps[:at] + steps[max(at + 1, min(at + size, len(steps) - 1)) :]
            if len(without) < len(steps) and still(without):
                steps, shorter = without, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    return _pruned(Scenario(scenario.name, {**scenario.said, "step": steps}))


def _pruned(scenario: Scenario) -> Scenario:
    """Return a scenario without the documents, roots and certificates that none of its steps needs."""
    said = scenario.said
    used = {said["document"][0]["name"]}
    keys = {
        name
        for step in said["step"]
        for name in (*step.get("serve", {}).values(), step.get("front"))
    }
    for step in said["step"]:
        used.update((*step.get("publish", ()), *step.get("send", ())))
        keys.update(step.get("expect", {}).get("refuses", ()))
    keys.update(said["hostile"])
    kept = {
        **said,
        "document": [item for item in said["document"] if item["name"] in used],
        "root": [item for item in said["root"] if item["name"] in used],
        "certificate": [item for item in said["certificate"] if item["name"] in keys],
        "chains": {name: chain for name, chain in said["chains"].items() if name in keys},
    }
    return Scenario(scenario.name, kept)


def to_toml(scenario: Scenario) -> str:
    """Return a scenario as a file."""
    import tomlkit

    said = {key: value for key, value in scenario.said.items() if value not in ([], {})}
    return tomlkit.dumps(said)


def main(argv: list[str]) -> int:
    """Run walks FIRST to LAST of a seed: `endure.py SEED FIRST LAST YEARS`; print a JSON line for each."""
    from . import in_process

    in_process.remember()
    seed, first, last, years = map(int, argv)
    shrunk = 0
    for number in range(first, last):
        scenario = Walk(seed, number, years).scenario
        case = play(scenario, seed)
        wrong = kind_of(case)
        line: dict[str, Any] = {"walk": number, "wrong": wrong}
        line |= {"years": round(case.simulated_s / 31557600, 1), "steps": len(case.steps)}
        if wrong:
            # A broken agent fails everywhere, and making short takes a minute each.
            shrunk += 1
            short = shrink(scenario, seed, wrong) if shrunk <= _SHRUNK else _pruned(scenario)
            line["why"] = play(short, seed).failures
            line["scenario"] = to_toml(short)
            line["short"] = len(short.said["step"])
        print(json.dumps(line), flush=True)
    return 0


def _slice(seed: int, first: int, last: int, agent: Path) -> Iterator[dict[str, Any]]:
    """Yield a line for each walk of a slice, from a process of its own; raise `TargetFailed` when that ends badly."""
    # Its packages are this process's own, wherever a virtual environment would look for them.
    tops = (Path(str(of.__file__)).resolve().parent.parent for of in (everpin_hil, everpin_sim))
    path = os.pathsep.join(map(str, (agent, PLAYER, FLASH, *tops)))
    how = map(str, (seed, first, last, WALK_YEARS))
    with subprocess.Popen(
        [sys.executable, "-B", "-m", "everpin_hil.endure", *how],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            for text in process.stdout or ():
                line: dict[str, Any] = json.loads(text)
                yield line
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise TargetFailed(f"the walks {first} to {last - 1} ended with {process.returncode}")


def logged(log: Path, made_with: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a log that are of walks with these sources (made_with.py)."""
    for text in log.read_text("utf-8").splitlines():
        # A run that was ended in the middle of a line has not done that walk.
        with contextlib.suppress(ValueError):
            line: dict[str, Any] = json.loads(text)
            if line.get("made_with") == made_with:
                yield line


def counters(lines: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return how many walks went wrong, and in which way: what must stay zero."""
    wrong = [line["wrong"] for line in lines if line["wrong"]]
    return {
        "failed": len(wrong),
        "stranded": wrong.count("stranded"),
        "intruders": wrong.count("intruder"),
    }


class Endurance:
    """Walks until `years` are lived through: counters, and a log that a later run with the same sources goes on from."""

    def __init__(self, seed: int, years: int, agent: Path, log: Path | None = None) -> None:
        self._seed, self._agent, self._log = seed, agent, log
        self._made_with = made_with.walk(agent)
        self._todo = set(range(-(-years // WALK_YEARS)))
        self.years = 0.0
        self.found: list[dict[str, Any]] = []
        self.walks = 0
        self._lock = threading.Lock()
        for line in logged(log, self._made_with) if log is not None and log.exists() else ():
            if line["seed"] == seed and line["walk"] in self._todo:
                self._count(line)

    def _count(self, line: dict[str, Any]) -> None:
        self._todo.discard(line["walk"])
        self.walks += 1
        self.years += line["years"]
        if line["wrong"]:
            self.found.append(line)

    def run(self, jobs: int, tell: Callable[[dict[str, Any]], None]) -> None:
        """Walk what is left; `tell` gets each line."""
        todo = sorted(self._todo)
        slices = [todo[at : at + _SLICE] for at in range(0, len(todo), _SLICE)]

        def one(numbers: list[int]) -> None:
            for line in _slice(self._seed, numbers[0], numbers[-1] + 1, self._agent):
                with self._lock:
                    if line["walk"] not in self._todo:
                        continue
                    self._count(line)
                    if self._log is not None:
                        with self._log.open("a", encoding="utf-8") as file:
                            of = {"seed": self._seed, "made_with": self._made_with}
                            # The newline comes first: a run that was ended may have left half a line.
                            file.write("\n" + json.dumps({**of, **line}))
                    tell(line)

        with ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(one, numbers) for numbers in slices]:
                done.result()

    def summary(self) -> dict[str, Any]:
        """Return the last line of a run."""
        return {"years": round(self.years), "walks": self.walks, **counters(self.found)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
