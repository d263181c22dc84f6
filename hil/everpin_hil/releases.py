"""Flash of earlier releases, and of a later one: this agent goes on from the former and leaves the latter as it is.

`hil/releases/VERSION/` has devices as that release left them in the middle of a scenario: a tar file each, with the flash, the tape (the
documents and certificates that were signed then), and what the device was worth. Checked of each: this agent finds the same trust on
it, and lives on to where that release came to by itself. Then every commit on it is written as a later release might, whole but of another
format: this agent must write no byte, and still find its way by factory documents and rescue (DESIGN section 7).
"""

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everpin.core import record
from everpin.core.store import REGION_BYTES

from . import scenario, tape
from .judge import Fact
from .scenario import ScenarioError
from .targets import TARGETS, TargetFailed

FOLDER = scenario.beside("releases")
# Devices that differ in what lies on their flash: roots, forbidden keys, an overlap, reports that nobody has taken.
KEPT = ("dst-x3", "pins-nobody", "stolen-root-keys", "stolen-retired-key", "withheld-but-acked")
_SEED = 1
_SECTOR = 4096
_ALIGN = 16
_WORTH = ("number", "root", "floor", "unconfirmed", "forbidden", "digest")
_CAME_TO = ("number", "root", "online")

Tell = Callable[["Found"], None]


@dataclass(frozen=True)
class Found:
    """What one check of one device came to; `why` is "" when it held."""

    release: str
    device: str
    check: str
    why: str


def _play(target: str, agent: Path, folder: Path) -> list[Fact]:
    try:
        return list(TARGETS[target]().play([folder], agent))
    except TargetFailed as problem:
        return [{"f": "crash", "why": str(problem)}]


def _image(facts: list[Fact]) -> bytes:
    image = bytearray(b"\xff" * REGION_BYTES)
    for fact in facts:
        if fact["f"] == "sector":
            image[fact["n"] * _SECTOR : (fact["n"] + 1) * _SECTOR] = bytes.fromhex(fact["hex"])
    return bytes(image)


def _states(facts: list[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact["f"] == "state"]


def _write(folder: Path, said: dict[str, Any], **more: Any) -> Path:
    (folder / "tape.json").write_text(json.dumps(said | more), "utf-8")
    return folder


# ---- keeping -----------------------------------------------------------------------------------------------------------


def keep(version: str, agent: Path, into: Path = FOLDER) -> list[Path]:
    """Write devices as this agent leaves them, for the releases after it; raise `ScenarioError`."""
    made = []
    for name in KEPT:
        loaded = tape.make(scenario.load(name), _SEED)
        with tempfile.TemporaryDirectory(prefix="everpin-releases-") as scratch:
            folder = tape.write(loaded, Path(scratch) / "tape")
            whole = _play("core", agent, folder)
            first, *later = [state["number"] for state in _states(whole)]
            # Behind its first update, which is what an upgrade finds on most devices.
            begin = 2 + next(at for at, number in enumerate(later) if number != first)
            if begin >= len(loaded.said["steps"]):
                raise ScenarioError(f"{name}: nothing comes behind its first update")
            steps = loaded.said["steps"][:begin]
            half = _play("core", agent, _write(folder, loaded.said, steps=steps, image=True))
        for facts in (whole, half):
            if facts[-1]["f"] != "end":
                raise ScenarioError(f"{name}: it does not come to its end: {facts[-1]}")
        worth = {
            "from": begin,
            "worth": {key: _states(half)[-1][key] for key in _WORTH},
            "came_to": {key: _states(whole)[-1][key] for key in _CAME_TO},
        }
        files = {
            **{f"tape/{item}": data for item, data in loaded.files.items()},
            "tape/tape.json": json.dumps(loaded.said, indent=1).encode(),
            "worth.json": (json.dumps(worth, indent=1) + "\n").encode(),
            "flash.img": _image(half),
        }
        path = into / version / f"{name}.tar.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_packed(files))
        made.append(path)
    return made


def _packed(files: dict[str, bytes]) -> bytes:
    """Return a tar file whose bytes depend on nothing else."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, data in sorted(files.items()):
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    return out.getvalue()


# ---- checking ----------------------------------------------------------------------------------------------------------


def releases(folder: Path = FOLDER) -> list[Path]:
    """Return every device that is kept; raise `ScenarioError` where there is none."""
    found = sorted(folder.glob("*/*.tar.gz"))
    if not found:
        raise ScenarioError(f"{folder}: no release has left its devices there")
    return found


def of_a_later_release(image: bytes) -> bytes:
    """Return flash whose commits a later release has written: whole records, of a format and with a body that are not known."""
    out = bytearray(image)
    at = 0
    while at + record.HEADER_BYTES <= len(out):
        head = bytes(out[at : at + record.HEADER_BYTES])
        end = at + record.HEADER_BYTES + int.from_bytes(head[8:12], "big")
        if head[:2] != b"eP" or end > len(out):
            at += _ALIGN
            continue
        if head[3] == record.COMMIT:
            body = b"\xa1\x18\x63" + bytes(end - at - record.HEADER_BYTES - 3)
            made = head[:2] + bytes((head[2] + 1,)) + head[3:12]
            out[at:end] = made + hashlib.sha256(made + body).digest() + body
        at += _ALIGN
    if out == image:
        raise ScenarioError("this flash has no commit that could be another release's")
    return bytes(out)


def check(path: Path, target: str, agent: Path) -> Iterator[Found]:
    """Yield what becomes of one device on a target with that copy of the agent."""
    release, device = path.parent.name, path.name.partition(".")[0]
    with tempfile.TemporaryDirectory(prefix="everpin-releases-") as scratch:
        where = Path(scratch)
        with tarfile.open(path) as tar:
            tar.extractall(where, filter="data")
        worth = json.loads((where / "worth.json").read_text("utf-8"))
        folder = where / "tape"
        said = json.loads((folder / "tape.json").read_text("utf-8"))
        image = (where / "flash.img").read_bytes()
        held = {"held": "flash.img", "from": worth["from"], "image": True}
        for name, flash, judge in (
            ("upgrade", image, _upgraded),
            ("unwiped", of_a_later_release(image), _unwiped),
        ):
            (folder / "flash.img").write_bytes(flash)
            facts = _play(target, agent, _write(folder, said, **held))
            yield Found(release, device, name, _crashed(facts) or judge(facts, flash, worth))


def _crashed(facts: list[Fact]) -> str:
    crashed = [fact for fact in facts if fact["f"] == "crash"]
    if crashed:
        return f"it crashed: {crashed[0]['why']}"
    return "" if facts and facts[-1]["f"] == "end" else "it did not come to the end"


def _upgraded(facts: list[Fact], flash: bytes, worth: dict[str, Any]) -> str:
    first, last = _states(facts)[0], _states(facts)[-1]
    for said, wanted in ((first, worth["worth"]), (last, worth["came_to"])):
        for key, value in wanted.items():
            if said[key] != value:
                when = "on the flash" if said is first else "in the end"
                return f"{when}: {key} is {said[key]}, and was {value}"
    return ""


def _unwiped(facts: list[Fact], flash: bytes, worth: dict[str, Any]) -> str:
    if _image(facts) != flash:
        now = _image(facts)
        at = next(number for number in range(len(flash)) if now[number] != flash[number])
        return f"what the later release wrote was written over, in sector {at // _SECTOR}"
    online = _states(facts)[-1]["online"]
    if online != worth["came_to"]["online"]:
        return f"in the end its session is with {online}, not {worth['came_to']['online']}"
    return ""
