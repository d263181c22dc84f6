"""Weathers by name: what each does to a device, and what shows that the device has met it. weather.py lets devices live through them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import pki
from .bed import Bed
from .hostile import carrier
from .hostile.clocks import CLOCKS
from .hostile.network import FAULTS
from .hostile.tampers import TAMPERS


@dataclass(frozen=True)
class Weather:
    """`begin` lets it begin; `met` tells whether the device has met it; `through`: the update must come through all the same."""

    name: str
    what: str
    begin: Callable[[Bed], None]
    met: Callable[[Bed], bool]
    through: bool = False


# ---- a man in the middle ---------------------------------------------------------------------------------------------


def _impostor(bed: Bed) -> None:
    bed.middle.serve(bed.thief)
    bed.middle.cut()


def _forged(bed: Bed) -> None:
    bed.middle.serve(pki.Identity(bed.thief.certificate, bed.thief.key, bed.genuine_only.chain))
    bed.middle.cut()


def _refused(bed: Bed) -> bool:
    return bed.count("refused") >= 3 and len(bed.passed()) >= 3


# ---- a broker with the genuine key -----------------------------------------------------------------------------------


def _tampering(name: str) -> Callable[[Bed], None]:
    def begin(bed: Bed) -> None:
        bed.middle.tamper = lambda: TAMPERS[name](bed.old, bed.forged)
        bed.middle.cut()

    return begin


def _touched(bed: Bed) -> int:
    return sum(item.tamper.touched for item in bed.passed() if item.tamper is not None)


def _tampered(event: str, times: int, **fields: object) -> Callable[[Bed], bool]:
    return lambda bed: _touched(bed) >= 1 and bed.count(event, **fields) >= times


_LOST = ("lost", 1)
# name: (the event that shows it, how often), and whether the update comes through all the same.
_BROKERS: dict[str, tuple[tuple[str, int], dict[str, Any], bool]] = {
    "replay": (("document-refused", 1), {"error": "rollback"}, True),
    "reorder": (("document-refused", 1), {"error": "rollback"}, True),
    "duplicate": (("accepted", 1), {}, True),
    "truncate": (("document-refused", 1), {}, True),
    "withhold": (("rescue-end", 1), {}, True),
    "delete": (("rescue-end", 1), {}, True),
    "forge": (("document-refused", 2), {}, True),
    "flood": (("document-refused", 800), {}, False),
    "announce": (_LOST, {}, True),
    "oversized": (("document-refused", 3), {"error": "too-long"}, True),
    "rubbish": (_LOST, {}, True),
    "drip": (("rescue-end", 1), {}, True),
    "hang": (("rescue-end", 1), {}, True),
}


# ---- the network -----------------------------------------------------------------------------------------------------


def _fault(name: str) -> Callable[[Bed], None]:
    def begin(bed: Bed) -> None:
        bed.network.fault = name
        bed.cut = name not in ("half-open", "reset")
        if bed.cut:
            bed.middle.cut()  # what is live goes: the next connection meets it

    return begin


def _cut_off(bed: Bed) -> bool:
    """Tell whether a session ended by the fault itself, or a dial did: a session that was cut for the weather to begin is no sign."""
    signs = ("unreachable", "refused") if bed.cut else ("lost", "unreachable")
    return bed.network.met >= 1 and bed.count(*signs) >= 1


def _rough(bed: Bed) -> bool:
    return bed.network.met >= 10


_ROUGH = ("loss", "delay", "trickle")


# ---- the clock -------------------------------------------------------------------------------------------------------


def _clock(name: str) -> Callable[[Bed], None]:
    def begin(bed: Bed) -> None:
        bed.clock.drive(name)
        bed.middle.cut()  # no session of before: the verdict is asked under this clock

    return begin


def _told(bed: Bed) -> bool:
    return bed.clock.sets >= 1 and bed.count("connected") >= 1


# ---- mirrors ---------------------------------------------------------------------------------------------------------


def _mirror(act: carrier.Act) -> Callable[[Bed], None]:
    def begin(bed: Bed) -> None:
        bed.hostile = carrier.Carrier(act)
        bed.mirrors.switch(bed.hostile.port)
        bed.network.switch(None)

    return begin


def _stale(bed: Bed) -> None:
    """Serve old documents in the place of new ones."""
    bed.write_mirror(bed.old[0][1])
    bed.network.switch(None)


def _lying(bed: Bed) -> None:
    bed.write_mirror(bed.forged)
    bed.network.switch(None)


def _visited(times: int) -> Callable[[Bed], bool]:
    return lambda bed: bed.count("rescue-end") >= times


def _read(bed: Bed) -> bool:
    return bed.count("rescue-end") >= 1 and bed.count("document-refused") >= 1


def _table() -> dict[str, Weather]:
    found = [
        Weather("impostor", "a man in the middle with the host's name from the right CA", _impostor, _refused),
        Weather("forged", "his own leaf, with the genuine certificate beside it", _forged, _refused),
    ]  # fmt: skip
    for name, (event, fields, through) in _BROKERS.items():
        text = (TAMPERS[name].__doc__ or "").rstrip(".").lower()
        met = _tampered(*event, **fields)
        found.append(
            Weather("broker-" + name, "a broker: " + text, _tampering(name), met, through)
        )
    for name in FAULTS:
        met = _rough if name in _ROUGH else _cut_off
        found.append(
            Weather("net-" + name, "the network: " + name, _fault(name), met, name in _ROUGH)
        )
    for name, text in CLOCKS.items():
        found.append(Weather("clock-" + name, "the clock: " + text, _clock(name), _told, True))
    for name, act in carrier.MIRRORS.items():
        short = "mirror-" + name.replace("'s", "").replace(" ", "-").removeprefix("a-")
        found.append(Weather(short, "the only carrier: " + name, _mirror(act), _visited(2)))
    found += [
        Weather("mirror-stale", "the only carrier: old documents", _stale, _read),
        Weather("mirror-lying", "the only carrier: a stranger's documents", _lying, _read),
    ]
    return {item.name: item for item in found}


WEATHERS = _table()
