"""The README's table of what held, made from the evidence of the last full run on each target."""

import json
from pathlib import Path
from typing import Any

from . import endure, made_with, scenario
from .scenario import ScenarioError

BEGIN, END = "<!-- claims: make claims -->", "<!-- end of claims -->"
_PROMISES = {
    "safe": "**Safe**: no byte to a peer that the policy does not accept",
    "live": "**Live**: back whenever one carrier of bytes can be reached",
    "whole": "**Whole**: after a cut the old state or the new one",
}
_SUMS = ("failed", "stranded", "intruders")


def collect(folders: list[Path]) -> dict[str, Any]:
    """Return the facts of the table from the reports of full runs; raise `ScenarioError` for what is no full run."""
    targets: dict[str, Any] = {}
    seeds: set[int] = set()
    names = scenario.names()
    for folder in folders:
        try:
            text = (folder / "cases.jsonl").read_text("utf-8")
        except OSError as problem:
            raise ScenarioError(f"{folder}: no report of a run ({problem.strerror})") from None
        *cases, last = (json.loads(line) for line in text.splitlines())
        found = [case["scenario"] for case in cases]
        if sorted(found) != sorted(names):
            raise ScenarioError(
                f"{folder}: {len(found)} cases of {len(names)} scenarios; a full run has one of each"
            )
        seeds.update(case["seed"] for case in cases)
        held: dict[str, int] = dict.fromkeys(_PROMISES, 0)
        for case in cases:
            held[case["promise"]] += case["ok"]
        controls = sum(case["static_control"] == "failed" for case in cases)
        row = {"held": held, "controls": controls}
        targets[cases[0]["target"]] = row | {key: last[key] for key in _SUMS}
    if len(seeds) != 1:
        raise ScenarioError(f"runs of one seed, not of {sorted(seeds)}")
    of: dict[str, int] = dict.fromkeys(_PROMISES, 0)
    replays = 0
    for name in names:
        loaded = scenario.load(name)
        of[loaded.promise] += 1
        replays += loaded.kind == "replay"
    return {
        "seed": seeds.pop(),
        "scenarios": names,
        "of": of,
        "replays": replays,
        "targets": targets,
    }


def walked(log: Path, agent: Path) -> dict[str, Any]:
    """Return what the walks of a log came to that this agent was sent on; raise `ScenarioError` where one is missing or there is none."""
    sources = made_with.walk(agent)
    try:
        lines = {(line["seed"], line["walk"]): line for line in endure.logged(log, sources)}
    except OSError as problem:
        raise ScenarioError(f"{log}: no log of walks ({problem.strerror})") from None
    if not lines:
        raise ScenarioError(f"{log}: no walk of this agent in it; everpin hil endure --log {log}")
    seeds = sorted({seed for seed, _ in lines})
    for seed in seeds:
        last = max(number for of, number in lines if of == seed)
        missing = [number for number in range(last) if (seed, number) not in lines]
        if missing:
            raise ScenarioError(f"{log}: walk {missing[0]} of seed {seed} is not in it")
    return {
        "seeds": seeds,
        "walks": len(lines),
        "years": int(sum(line["years"] for line in lines.values())),
        "made_with": sources,
        **endure.counters(lines.values()),
    }


def kept(path: Path) -> dict[str, Any]:
    """Return the facts of an earlier table, none where there is no such file; raise `ScenarioError` for a file of something else."""
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        render(found)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ScenarioError(f"{path}: not the facts of a table; name another --facts") from None
    return found


def render(said: dict[str, Any]) -> str:
    """Return the table, in Markdown."""
    targets = said["targets"]
    rows = [
        ["what held in the last full run", *(f"`{name}`" for name in targets)],
        ["---"] * (len(targets) + 1),
    ]
    for promise, text in _PROMISES.items():
        of = said["of"][promise]
        rows.append([text, *(f"{row['held'][promise]} of {of}" for row in targets.values())])
    replays = said["replays"]
    rows.append(
        [
            "devices of the day that failed in the same real outage, beside it",
            *(f"{row['controls']} of {replays}" for row in targets.values()),
        ]
    )
    rows.append(
        [
            "stranded for ever / intruders accepted",
            *(f"{row['stranded']} / {row['intruders']}" for row in targets.values()),
        ]
    )
    walks = said.get("walks")
    if walks:
        text = f"{walks['years']:,} / {walks['stranded']} / {walks['intruders']}"
        rows.append(
            [
                "random walks over decades: device-years / stranded for ever / intruders",
                *(text if name == "core" else "–" for name in targets),
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def put(text: str, table: str) -> str:
    """Return a page with the table between its marks; raise `ScenarioError` for one without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ScenarioError(f"the page has no line {BEGIN} with a line {END} behind it")
    return f"{before}{begin}\n\n{table}\n{end}{after}"
