"""A scenario and a seed made into a tape: a folder of documents and certificates, and `tape.json`, which every target plays alike."""

import datetime
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import papers
from .pki import Pki, leads
from .scenario import BROKER, MIRROR, Scenario, ScenarioError, seconds

_CUTS = ("before", "first", "last", "after")
_CUT_OPS = 14  # flash operations of an update, about
_WITHIN = "2h"
_HOST = BROKER.rpartition(":")[0]
# What a device of the bench waits; the rest is core/schedule.py's.
_TIMING: dict[str, float] = {}


@dataclass
class Tape:
    """A tape: what is played (`said`) with its files, and what the judge wants of the scenario."""

    scenario: Scenario
    seed: int
    said: dict[str, Any]
    files: dict[str, bytes]
    steps: list[dict[str, Any]]
    chains: dict[str, list[bytes]]
    certificates: dict[str, bytes]


def asked(item: str) -> tuple[str, str]:
    """Return (host, chain) of "host chain" or of "chain", which is the broker's."""
    host, _, chain = item.rpartition(" ")
    return (host or _HOST, chain)


class _Maker:
    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.said = scenario.said
        self.name = scenario.name
        self.random = random.Random(f"{scenario.name}/{seed}")
        self.seed = seed
        self.store: dict[str, bytes] = {}
        self.times = self._times()
        start, end = (
            datetime.datetime.fromtimestamp(at, datetime.UTC)
            for at in (self.times[0][0], self.times[-1][1])
        )
        self.pki = Pki(seed, start, end)
        self.fleet = papers.DEFAULT_FLEET | self.said.get("fleet", {})
        self.papers = {
            item["name"]: item for item in [*self.said["document"], *self.said.get("root", [])]
        }
        self.files: dict[str, str] = {}

    def _times(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for number, step in enumerate(self.said["step"], 1):
            before = found[-1][1] if found else 0
            at = int(step["at"].timestamp()) if "at" in step else before
            at += seconds(step.get("after", "0s"))
            if at < before:
                raise ScenarioError(
                    f"{self.name}.toml: step {number} comes before the end of the last"
                )
            found.append((at, at + seconds(step.get("within", _WITHIN))))
        return found

    def put(self, name: str, data: bytes) -> str:
        self.store[name] = data
        return name

    def make(self) -> dict[str, Any]:
        start = self.times[0][0]
        device = self.said.get("device", {})
        build = int(device["build"].timestamp()) if "build" in device else start - 86400 * 60
        for said in self.said.get("certificate", []):
            self.pki.add(said)
            self.put(f"{said['name']}.der", self.pki.certificates[said["name"]])
        first_root = papers.root({"version": 1, **self.fleet}, self.fleet, build)
        for at, said in enumerate(self.papers.values()):
            # What is issued later says so; a day before the step that publishes it is never in its future.
            iat = self._issued(said["name"], build + at + 1)
            if "version" in said:
                made = papers.root(said, self.fleet, iat)
            else:
                made = papers.pins(said, self.pki, self._rules(said), iat)
            self.files[said["name"]] = self.put(f"{said['name']}.cbor", made)
        first = self.store[self.files[self.said["document"][0]["name"]]]
        managed = [self.pki.anchor(name) for name in device.get("managed", [])]
        self.put("factory.cbor", papers.factory(first_root, first, build, managed))
        steps = [self._step(number, said) for number, said in enumerate(self.said["step"])]
        return {
            "name": self.name,
            "seed": str(self.seed),
            "start": start,
            "source": device.get("clock", "ntp"),
            "timing": _TIMING | device.get("timing", {}),
            "device_key": papers.DEVICE_KEY.hex(),
            "factory": "factory.cbor",
            "chains": {n: [f"{c}.der" for c in c_] for n, c_ in self.said["chains"].items()},
            "documents": self.files,
            "reboots_s": seconds(device.get("reboots", "0s")),
            "look_s": seconds(device.get("look", "1h")),
            "steps": steps,
        }

    def _rules(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return the rules that the root which a document requires has."""
        rules = dict(self.fleet)
        for item in self.said.get("root", []):
            if item["version"] <= said["number"][0]:
                rules |= {key: item[key] for key in ("root", "pins") if key in item}
        return rules

    def _issued(self, name: str, default: int) -> int:
        said = self.papers[name].get("iat")
        if said is not None:
            return int(said.timestamp())
        for (at, _), step in zip(self.times, self.said["step"], strict=True):
            if name in step.get("publish", []) and at > self.times[0][0]:
                return at - 3600
        return default

    def _topics(self, names: list[str], released: bool | str) -> list[list[str]]:
        """Return [topic, file] of documents: on the device's topics; with `released` also on all devices', or "only" there."""
        found = []
        for name in names:
            if name not in self.files:
                raise ScenarioError(f"{self.name}.toml: there is no document or root '{name}'")
            said = self.papers[name]
            if released != "only":
                found.append([papers.topic(said, False), self.files[name]])
            if released and "version" not in said:
                found.append([papers.topic(said, True), self.files[name]])
        return found

    def _step(self, number: int, said: dict[str, Any]) -> dict[str, Any]:
        at, until = self.times[number]
        if number == 0:
            said = {"collector": "honest", **said}
        expect = said.get("expect", {})
        ask = [asked(item) for key in ("accepts", "refuses") for item in expect.get(key, [])]
        for _, chain in ask:
            if chain not in self.said["chains"]:
                raise ScenarioError(f"{self.name}.toml: step {number + 1}: no chain '{chain}'")
        return {
            "n": number,
            "at": at,
            "until": until,
            "say": said["say"],
            "do": self._actions(said, at),
            "ask": ask,
        }

    def _actions(self, said: dict[str, Any], at: int) -> list[list[Any]]:
        """Return what a step does, in the order in which it is done."""
        do: list[list[Any]] = []
        if "clock" in said or "source" in said:
            do.append(
                ["clock", self._ahead(said.get("clock", "right"), at), said.get("source", "ntp")]
            )
        if "store" in said:
            do.append(["store", [self._store(name) for name in said["store"]]])
        if "collector" in said:
            do.append(["collector", _collector(said["collector"])])
        if "network" in said:
            do.append(["network", said["network"]])
        if "cut" in said:
            do.append(["cut", *self._cut(said["cut"])])
        if "deny" in said:
            do.append(["deny", said["deny"]])
        if "silent" in said:
            do.append(["silent", BROKER, said["silent"]])
        if "front" in said or "front_mirror" in said:
            do.append(["front", said.get("front", ""), said.get("front_mirror", "")])
        if "publish" in said:
            found = self._topics(said["publish"], said.get("released", False))
            for where in said.get("to", [BROKER, MIRROR]):
                do.append(["retain", where, found, said.get("only", False)])
        for name, chain in said.get("serve", {}).items():
            where = name if ":" in name else f"{name}:8883"
            if chain and chain not in self.said["chains"]:
                raise ScenarioError(f"{self.name}.toml: there is no chain '{chain}'")
            do.append(["serve", where, chain])
        if "send" in said:
            for topic, file in self._topics(said["send"], False):
                do.append(["send", BROKER, topic, [file]])
        if said.get("reset"):
            do.append(["reset"])
        if "power" in said:
            do.append(["power", said["power"]])
        return do

    def _store(self, name: str) -> list[Any]:
        """Return a root of the runtime's trust store: [its file, the chains that lead to it]."""
        held = self.pki.certificates
        chains = self.said["chains"].items()
        found = [c for c, items in chains if leads([held[item] for item in items], held[name])]
        return [f"{name}.der", found]

    def _cut(self, said: Any) -> list[Any]:
        if said == "seed":
            return [self.random.randrange(_CUT_OPS), self.random.choice(_CUTS)]
        return [said["ops"], said["kind"]]

    def _ahead(self, said: Any, at: int) -> int | None:
        if said == "unset":
            return None
        return 0 if said == "right" else int(said.timestamp()) - at


def _collector(said: Any) -> dict[str, Any] | None:
    if said == "off":
        return None
    if said == "honest":
        return {"number": None, "time": None}
    when = said.get("time")
    return {"number": said.get("number"), "time": int(when.timestamp()) if when else None}


def make(scenario: Scenario, seed: int) -> Tape:
    """Make the tape of a scenario; raise `ScenarioError`."""
    maker = _Maker(scenario, seed)
    try:
        said = maker.make()
    except KeyError as lacking:
        raise ScenarioError(f"{scenario.name}.toml: nothing has the name {lacking}") from None
    held = maker.pki.certificates
    chains = {
        name: [held[item] for item in items] for name, items in scenario.said["chains"].items()
    }
    return Tape(scenario, seed, said, maker.store, said["steps"], chains, held)


def write(tape: Tape, folder: Path) -> Path:
    """Write a tape into a folder, as targets play it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in tape.files.items():
        (folder / name).write_bytes(data)
    (folder / "tape.json").write_text(json.dumps(tape.said, indent=1))
    return folder
