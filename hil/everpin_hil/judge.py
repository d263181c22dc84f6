"""The oracle: facts of a run against what its scenario expects. It speaks of trust: whom the device talks to, with which numbers.

Whatever a scenario expects, these hold in every one: nobody hostile is ever accepted; numbers never fall; what the device believes is
what its flash holds; it does not crash; it ends with a live session with its own broker and with the newest document.
"""

import datetime
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from .control import Control
from .scenario import seconds
from .tape import Tape, asked

Fact = dict[str, Any]


@dataclass
class Case:
    """What one scenario on one target with one seed came to."""

    scenario: str
    target: str
    seed: int
    kind: str
    promise: str
    title: str
    event: str = ""
    failures: list[str] = field(default_factory=list)
    phase: str = ""
    static_control: str = "none"
    control: dict[str, Any] = field(default_factory=dict)
    stranded: int = 0
    intruders: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    cut_off_s: int = 0
    outages: list[dict[str, Any]] = field(default_factory=list)
    came_back_by: str = ""
    simulated_s: int = 0
    heap: int | None = None
    trace: str = ""
    facts: list[Fact] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Return whether everything held."""
        return not self.failures

    @property
    def id(self) -> str:
        """Return what `everpin hil replay` takes."""
        return f"{self.scenario}@{self.target}#{self.seed}"

    def line(self) -> dict[str, Any]:
        """Return the case as a line of evidence."""
        return {
            "scenario": self.scenario,
            "target": self.target,
            "seed": self.seed,
            "ok": self.ok,
            "static_control": self.static_control,
            "id": self.id,
            "kind": self.kind,
            "promise": self.promise,
            "title": self.title,
            "event": self.event,
            "phase": self.phase,
            "verdict": "held" if self.ok else "failed",
            "failures": self.failures,
            "stranded": self.stranded,
            "intruders": self.intruders,
            "trust": self.state,
            "cut_off_s": self.cut_off_s,
            "outages": self.outages,
            "came_back_by": self.came_back_by,
            "control": self.control,
            "simulated_s": self.simulated_s,
            "heap": self.heap,
            "trace": self.trace,
        }


# Of a fact, what is no part of what happened: heap, index of the tape, seconds that the target took.
OF_THE_TARGET = ("heap", "s", "took")


def trace(facts: list[Fact]) -> str:
    """Return a digest of what happened; equal ones are the same run, whatever the target's heap."""
    plain = [{k: v for k, v in fact.items() if k not in OF_THE_TARGET} for fact in facts]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def divergence(one: list[Fact], other: list[Fact]) -> str:
    """Return the first fact in which two runs differ, "" when they are the same."""
    for at in range(max(len(one), len(other))):
        left, right = (
            {k: v for k, v in items[at].items() if k not in OF_THE_TARGET}
            if at < len(items)
            else None
            for items in (one, other)
        )
        if left != right:
            return f"fact {at}: {json.dumps(left)} here, {json.dumps(right)} on core"
    return ""


class _Judge:
    def __init__(self, tape: Tape, case: Case) -> None:
        self._tape = tape
        self._said = tape.scenario.said
        self._case = case
        self._hostile = set(self._said.get("hostile", []))
        self._phase = ""
        self._since: list[Fact] = []  # facts since the step began
        self._numbers: list[Any] = [0, [0, 0]]

    def run(self, facts: list[Fact]) -> None:
        case = self._case
        case.facts = facts
        case.trace = trace(facts)
        self._outages(facts)
        ended = False
        for fact in facts:
            self._since.append(fact)
            kind = fact["f"]
            if kind == "step":
                self._phase = fact["say"]
                self._since = []
            elif kind == "state":
                self._step(fact)
            elif kind in ("online", "asked") and fact["chain"] in self._hostile:
                if kind == "online" or fact["accepted"]:
                    case.intruders += 1
                    self._fail(f"accepted an intruder: {fact['chain']}")
            elif kind == "crash":
                self._fail(f"the device crashed: {fact['why']}")
            elif kind == "flash" and not fact["same"]:
                self._fail("the flash holds another state than the device believes")
            elif kind == "end":
                ended = True
                case.heap = fact["heap"]
        if facts:
            case.simulated_s = facts[-1]["t"] - facts[0]["t"]
        last = case.state
        if not ended:
            self._fail("the target ended before its tape did")
        if last.get("n") != len(self._tape.steps) - 1:
            self._fail("the tape was not played to its end")
        if not last.get("online") or last["online"] in self._hostile:
            case.stranded = 1
            self._fail("stranded: no session with its own broker at the end")

    def _fail(self, why: str) -> None:
        case = self._case
        if not case.failures:
            case.phase = self._phase
        case.failures.append(f"{self._phase}: {why}" if self._phase else why)

    # ---- one step ----------------------------------------------------------------------------------------------------

    def _step(self, state: Fact) -> None:
        number = state["n"]
        self._case.state = {
            key: state[key]
            for key in ("n", "online", "number", "root", "floor", "unconfirmed", "digest")
        }
        factory = any(
            fact["f"] == "reset" for fact in self._since
        )  # its documents are in force again; the marks are not
        held = [state["root"], state["number"]]
        if not factory and (held[0] < self._numbers[0] or held[1] < self._numbers[1]):
            self._fail(f"numbers fell from {self._numbers} to {held}")
        self._numbers = held
        expect = self._said["step"][number].get("expect", {})
        for key, wanted in expect.items():
            getattr(self, "_is_" + key)(wanted, state)

    def _is_online(self, wanted: Any, state: Fact) -> None:
        names = wanted if isinstance(wanted, list) else [wanted]
        have = state["online"] or False
        if have not in names:
            self._fail(f"its session is with {have or 'nobody'}, not {wanted or 'nobody'}")

    def _is_number(self, wanted: list[int], state: Fact) -> None:
        if state["number"] != wanted:
            self._fail(f"pins {state['number']} are in force, not {wanted}")

    def _is_root(self, wanted: int, state: Fact) -> None:
        if state["root"] != wanted:
            self._fail(f"root {state['root']} is in force, not {wanted}")

    def _is_floor(self, wanted: datetime.datetime, state: Fact) -> None:
        if state["floor"] > int(wanted.timestamp()):
            when = datetime.datetime.fromtimestamp(state["floor"], datetime.UTC)
            self._fail(f"the floor of time rose to {when:%Y-%m-%d}, beyond {wanted:%Y-%m-%d}")

    def _is_unconfirmed(self, wanted: list[str], state: Fact) -> None:
        if state["unconfirmed"] != wanted:
            self._fail(f"unconfirmed: {state['unconfirmed']}, not {wanted}")

    def _is_forbidden(self, wanted: int, state: Fact) -> None:
        if state["forbidden"] != wanted:
            self._fail(f"{state['forbidden']} keys are forbidden, not {wanted}")

    def _answer(self, item: str) -> Fact:
        host, chain = asked(item)
        for fact in reversed(self._since):
            if fact["f"] == "asked" and (fact["host"], fact["chain"]) == (host, chain):
                return fact
        return {"accepted": None, "why": "it was not asked", "mode": ""}

    def _is_accepts(self, wanted: list[str], _: Fact) -> None:
        for item in wanted:
            answer = self._answer(item)
            if not answer["accepted"]:
                self._fail(f"refused {item}: {answer['why']}")

    def _is_refuses(self, wanted: Any, _: Fact) -> None:
        for item in wanted:
            answer = self._answer(item)
            why = wanted[item] if isinstance(wanted, dict) else ""
            if answer["accepted"] is not False:
                self._fail(f"accepted {item}")
            elif why and answer["why"] != why:
                self._fail(f"refused {item} by {answer['why']}, not {why}")

    def _is_became(self, wanted: dict[str, str], _: Fact) -> None:
        for name, what in wanted.items():
            found = [
                f["became"]
                for f in self._since
                if f["f"].startswith("document ") and f["name"] == name
            ]
            if what not in found:
                self._fail(f"document {name} became {found or 'nothing'}, not {what}")

    def _is_via(self, wanted: str, _: Fact) -> None:
        found = [f["via"] for f in self._since if f.get("became") in ("accepted", "root")]
        if wanted not in found:
            self._fail(f"documents came by {found or 'nobody'}, not by {wanted}")

    def _is_told(self, wanted: list[str], _: Fact) -> None:
        found = {fact["f"] for fact in self._since}
        for fact in self._since:
            found.update(fact.get("events", []))
        for item in wanted:
            if item not in found:
                self._fail(f"'{item}' was not told")

    def _is_cut_off(self, wanted: str, state: Fact) -> None:
        began = self._since[0]["t"] if self._since else state["t"]
        worst = max(
            (
                o["seconds"]
                for o in self._case.outages
                if o["since"] < state["t"] and o["until"] > began
            ),
            default=0,
        )
        if worst > seconds(wanted):
            self._fail(f"it was cut off for {worst} s, more than {wanted}")

    # ---- how long it was cut off, and how it came back ------------------------------------------------------------------

    def _outages(self, facts: list[Fact]) -> None:
        since: int | None = None
        chain, document, off = "", "", False
        for fact in facts:
            kind = fact["f"]
            if kind == "online" and fact["chain"] not in self._hostile:
                if since is not None and fact["t"] > since:
                    by = document or (
                        "its peer came back"
                        if fact["chain"] == chain
                        else f"pins that it had ({fact['by'] or fact['mode']})"
                    )
                    self._case.outages.append(
                        {
                            "since": since,
                            "until": fact["t"],
                            "seconds": fact["t"] - since,
                            "by": by,
                        }
                    )
                since, document, chain = None, "", fact["chain"]
            elif kind in ("offline", "refused", "unreachable", "denied") and since is None:
                since = fact["t"]
            elif kind == "off":
                off, since = True, None
            elif kind == "boot" and off:
                off, since = False, fact["t"]
            elif fact.get("became") in ("accepted", "root") and since is not None:
                document = fact["via"] if fact["via"] == "pinned" else f"rescue: {fact['via']}"
        longest = max(self._case.outages, key=lambda item: item["seconds"], default=None)
        if longest is not None:
            self._case.cut_off_s = longest["seconds"]
            self._case.came_back_by = longest["by"]


def _control(tape: Tape, case: Case) -> None:
    """Let the static control meet the same servers at the same times."""
    said = tape.scenario.said.get("control")
    if said is None:
        return
    control = Control(said, tape)
    fails = int(said["fails"].timestamp())
    began: int | None = None
    why = ""
    samples: list[list[Any]] = []
    for step, table in zip(tape.steps, tape.scenario.said["step"], strict=True):
        control.meets(table)
        for at in (step["at"], step["until"]):
            refusal = control.refusal(datetime.datetime.fromtimestamp(at, datetime.UTC))
            samples.append([at, refusal])
            if refusal and at < fails:
                case.failures.append(f"the static control failed before history did: {refusal}")
                return
            if refusal and began is None:
                began, why = at, refusal
    case.static_control = "survived" if began is None else "failed"
    case.control = {"how": said["how"], "trusts": said["trusts"], "why": why, "since": began}
    case.control["samples"] = samples
    if began is None:
        case.failures.append("the static control survived what history's did not")
    elif said.get("why") and said["why"] not in why:
        case.failures.append(f"the static control failed by '{why}', not by '{said['why']}'")


def judge(tape: Tape, target: str, facts: list[Fact]) -> Case:
    """Return the case that the facts of a run come to."""
    scenario = tape.scenario
    case = Case(
        scenario.name,
        target,
        tape.seed,
        scenario.kind,
        scenario.promise,
        scenario.title,
        scenario.said.get("event", ""),
        steps=tape.steps,
    )
    _Judge(tape, case).run(facts)
    _control(tape, case)
    return case
