"""The first failure, kept for inspection: the tape up to it, what happened, and the device as it was, its flash out of the target."""

import json
import shlex
import shutil
from pathlib import Path

from everpin.core.store import REGION_BYTES
from everpin_sim.sources import agent_folder

from . import papers, tape
from .judge import Case, Fact
from .scenario import Scenario, ScenarioError
from .targets import TARGETS, TargetFailed

_SECTOR = 4096
_README = """\
{id}: {why}

in the step: {phase}

    everpin agent status --device {folder}     what it trusts, by its flash as the failure left it
    {replay}     the whole case again, fact by fact

facts.jsonl has what happened up to there, tape/ what was played: documents, certificates, tape.json.
"""


def replay(case: Case, agent: Path) -> str:
    """Return the command that plays a case again, with the same copy of the agent."""
    copy = "" if agent == agent_folder() else f" --agent {shlex.quote(str(agent))}"
    return f"everpin hil replay {shlex.quote(case.id)}{copy}"


def discard(folder: Path) -> None:
    """Remove what an earlier run froze there; raise `ScenarioError` for a folder that no run made."""
    if not folder.exists():
        return
    if not (folder / "facts.jsonl").is_file():
        raise ScenarioError(f"{folder}: is in the way, and no device that a run has frozen")
    shutil.rmtree(folder)


def freeze(case: Case, scenario: Scenario, agent: Path, folder: Path) -> None:
    """Play a case once more up to the step of its failure, and keep the device as it stands then in `folder`.

    A tape and a target are the same each time, so it is the same device.
    """
    made = tape.make(scenario, case.seed)
    steps = made.said["steps"]
    last = [at for at, step in enumerate(steps, 1) if step["say"] == case.phase]
    made.said["steps"] = steps[: last[0]] if last else steps
    made.said["image"] = True
    where = tape.write(made, folder / "tape").resolve()
    facts: list[Fact] = []
    try:
        facts.extend(TARGETS[case.target]().play([where], agent.resolve()))
    except TargetFailed as problem:
        facts.append({"f": "crash", "why": str(problem)})
    image = bytearray(b"\xff" * REGION_BYTES)
    for fact in facts:
        if fact["f"] == "sector":
            image[fact["n"] * _SECTOR : (fact["n"] + 1) * _SECTOR] = bytes.fromhex(fact["hex"])
    key = folder / "device.key"
    key.touch(0o600)
    key.write_bytes(papers.DEVICE_KEY)
    (folder / "flash.img").write_bytes(image)
    config = {"flash": "flash.img", "device_key": key.name}
    (folder / "device.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    kept = (json.dumps(fact) + "\n" for fact in facts if fact["f"] != "sector")
    (folder / "facts.jsonl").write_text("".join(kept), "utf-8")
    said = _README.format(
        id=case.id,
        why=case.failures[0],
        phase=case.phase or "(all of it)",
        folder=folder,
        replay=replay(case, agent),
    )
    (folder / "README.txt").write_text(said, "utf-8")
