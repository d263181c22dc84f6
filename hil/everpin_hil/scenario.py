"""Scenarios as data: one TOML file each, checked before anything runs. hil/README.md says what each key means."""

import datetime
import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMISES = ("safe", "live", "whole")
KINDS = ("replay", "attack", "mistake", "fault", "walk")
BROKER = "broker.example:8883"
MIRROR = "http://mirror.example/pins"

_KEYS = {
    "": {
        "title", "promise", "kind", "event", "story", "device", "fleet", "keys", "certificate",
        "chains", "hostile", "document", "root", "control", "step",
    },
    "device": {"clock", "timing", "look", "reboots", "managed", "build"},
    "fleet": {"root", "pins", "commitment"},
    "certificate": {
        "name", "subject", "key", "by", "signed_with", "from", "until", "names", "ca", "for",
    },
    "document": {
        "name", "number", "signers", "hosts", "forbidden", "anchors", "brokers", "carriers", "unlisted",
        "sources", "urgent", "exp", "iat", "fleet", "channel", "broken", "extra", "html",
    },
    "document.hosts": {
        "name", "usage", "pins", "subdomains", "report_only", "expires", "follow", "closes", "dates",
        "both", "managed", "now",
    },
    "root": {"name", "version", "root", "pins", "signers", "commitment", "iat"},
    "control": {"how", "trusts", "host", "fails", "from", "why"},
    "step": {
        "at", "after", "say", "within", "serve", "network", "front", "front_mirror", "publish", "to",
        "released", "only", "send", "silent", "clock", "source", "store", "power", "cut", "reset",
        "collector", "deny", "expect",
    },
    "step.expect": {
        "online", "number", "root", "accepts", "refuses", "became", "via", "floor", "unconfirmed",
        "told", "cut_off", "forbidden",
    },
}  # fmt: skip
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}


class ScenarioError(Exception):
    """A scenario file that cannot be used: which file, where in it, and what to do."""


@dataclass
class Scenario:
    """A scenario's tables, checked, with its name (the file's)."""

    name: str
    said: dict[str, Any]

    @property
    def title(self) -> str:
        """Return what it is about, one line."""
        return str(self.said["title"])

    @property
    def promise(self) -> str:
        """Return which promise it tests."""
        return str(self.said["promise"])

    @property
    def kind(self) -> str:
        """Return what it is: a replay, an attack, a mistake, a fault."""
        return str(self.said["kind"])


def beside(name: str) -> Path:
    """Return a folder of the bench's data: beside this package in the sources, inside it in a wheel."""
    here = Path(__file__).resolve().parent
    inside = here / name
    return inside if inside.is_dir() else here.parent / name


def folder() -> Path:
    """Return where the scenarios are."""
    return beside("scenarios")


def names(where: Path | None = None) -> list[str]:
    """Return the names of all scenarios."""
    return sorted(path.stem for path in (where or folder()).glob("*.toml"))


def load(name: str, where: Path | None = None) -> Scenario:
    """Return a scenario by its name, or from a path that ends in .toml; raise `ScenarioError`."""
    path = Path(name) if name.endswith(".toml") else (where or folder()) / f"{name}.toml"
    try:
        text = path.read_text("utf-8")
    except OSError:
        near = difflib.get_close_matches(name, names(where), 1)
        hint = f"; did you mean '{near[0]}'?" if near else "; `everpin hil list` has them all"
        raise ScenarioError(f"no scenario '{name}'{hint}") from None
    try:
        return parse(path.stem, text)
    except ScenarioError as problem:
        raise ScenarioError(f"{path.name}: {problem}") from None


def parse(name: str, text: str) -> Scenario:
    """Return a scenario from its text."""
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"not TOML: {error}") from None
    _check("", said, _KEYS[""])
    _keys(said)
    for table in ("device", "fleet", "control"):
        _check(table, said.get(table, {}), _KEYS[table])
    for table in ("certificate", "document", "root", "step"):
        for number, item in enumerate(said.get(table, []), 1):
            _check(f"{table} {number}", item, _KEYS[table])
    for document in said.get("document", []):
        for item in document.get("hosts", []):
            _check(f"document {document.get('name')}: hosts", item, _KEYS["document.hosts"])
    for number, step in enumerate(said.get("step", []), 1):
        _check(f"step {number}: expect", step.get("expect", {}), _KEYS["step.expect"])
    _whole(said)
    return Scenario(name, said)


def _keys(said: dict[str, Any]) -> None:
    """Give each name of `keys` a self-signed certificate for the broker, and a chain of that alone."""
    for name in said.get("keys", []):
        made = {"name": name, "names": [BROKER.rpartition(":")[0]]}
        said.setdefault("certificate", []).append(made)
        said.setdefault("chains", {})[name] = [name]


def _check(where: str, table: Any, known: set[str]) -> None:
    if not isinstance(table, dict):
        raise ScenarioError(f"{where}: a table is wanted")
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), 1)
            hint = (
                f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(known))}"
            )
            raise ScenarioError(f"{where}: unknown key '{key}'{hint}".removeprefix(": "))


def _whole(said: dict[str, Any]) -> None:
    for key in ("title", "promise", "kind", "document", "chains", "step"):
        if not said.get(key):
            raise ScenarioError(f"'{key}' is lacking")
    if said["promise"] not in PROMISES:
        raise ScenarioError(f"promise: one of {', '.join(PROMISES)}")
    if said["kind"] not in KINDS:
        raise ScenarioError(f"kind: one of {', '.join(KINDS)}")
    steps = said["step"]
    if "at" not in steps[0]:
        raise ScenarioError("step 1: the first step says when ('at')")
    last = steps[-1].get("expect", {})
    if not last.get("online") or "number" not in last:
        raise ScenarioError(
            "the last step: 'expect.online' and 'expect.number' say with whom and with what the device ends"
        )
    for number, step in enumerate(steps, 1):
        if not step.get("say"):
            raise ScenarioError(f"step {number}: 'say' what happens")
        if "at" in step and not isinstance(step["at"], datetime.datetime):
            raise ScenarioError(
                f"step {number}: 'at' is a time with a zone, such as 2021-09-30T14:01:15Z"
            )
    chains = said["chains"]
    for name in said.get("hostile", []):
        if name not in chains:
            raise ScenarioError(f"hostile: there is no chain '{name}'")
    control = said.get("control")
    if control is not None and not {"how", "trusts", "fails"} <= set(control):
        raise ScenarioError("control: 'how', 'trusts' and 'fails' are wanted")


def seconds(text: str) -> int:
    """Return the seconds of "90s", "5m", "2h", "3d", "1w" or "10y"."""
    found = re.fullmatch(r"(\d+)([smhdwy])", text)
    if found is None:
        raise ScenarioError(f"'{text}' is no time; such are 90s, 5m, 2h, 3d, 1w, 10y")
    return int(found[1]) * _UNITS[found[2]]
