"""Random walks: years of a device's life by a seed, each a scenario like any other, so that one that fails is a file that replays.

A fleet rotates keys and roots, forbids, makes mistakes; the device sleeps, loses its network, its power and its clock, is reset, meets
thieves, replays and hostile mirrors. Whatever happened: when the world is right again the device ends with its own broker and the newest
document, and nobody hostile was ever talked to.
"""

import datetime
import random
from typing import Any

from .scenario import BROKER, Scenario

_START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_HOST = BROKER.rpartition(":")[0]
_THIEF_MIRROR = "http://thief.example/"
_PINS_RULES = ("2:abc", "2:abd", "2:bcd", "1:e", "2:acd&1:ef")
_CLOCKS = ("right", "unset", datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
           datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC))  # fmt: skip
# Intervals as long as a walk over decades wants them: fewer looks, the same decisions.
TIMING = {
    "rescue_every_s": 120 * 86400.0,
    "pull_every_s": 60 * 86400.0,
    "backoff_max_s": 3 * 86400.0,
}
_LOOK = "60d"


class Walk:
    """One walk of `years`; `scenario` is what it came to."""

    def __init__(self, seed: int, number: int, years: int) -> None:
        self._random = random.Random(f"{seed}/{number}")
        self._now = _START
        self._root, self._sequence, self._key = 1, 1, 0
        self._forbidden: list[str] = []
        self._rule = _PINS_RULES[0]
        self._roots: list[dict[str, Any]] = []
        self._online_key = 0
        self._documents: list[dict[str, Any]] = []
        self._genuine: list[str] = []
        self._keys = {"thief"}
        self._steps: list[dict[str, Any]] = []
        first = self._document()
        self._put("the first day", serve={BROKER: self._serve()}, publish=[first])
        end = _START + datetime.timedelta(days=365 * years)
        while self._now < end:
            self._now += datetime.timedelta(hours=self._random.randrange(6, 9000))
            self._event()
        self._right_again()
        self.scenario = Scenario(f"walk-{seed}-{number}", self._said(seed, number))

    # ---- what the operator has ---------------------------------------------------------------------------------------

    def _name(self, number: int) -> str:
        name = f"key-{number}"
        self._keys.add(name)
        return name

    def _serve(self) -> str:
        self._online_key = self._key
        return self._name(self._key)

    def _document(self, pins: list[str] | None = None, **more: Any) -> str:
        """Return the name of a new document: the key in use, the next one, everything forbidden."""
        name = f"pins-{self._root}-{self._sequence}" + ("-x" if more.get("odd") else "")
        keys = pins or [self._name(self._key), self._name(self._key + 1)]
        host: dict[str, Any] = {"name": _HOST, "pins": keys}
        if self._random.random() < 0.1 and not more.get("lasts"):
            host["closes"] = self._now + datetime.timedelta(days=self._random.randrange(30, 900))
        made: dict[str, Any] = {
            "name": name,
            "number": [self._root, self._sequence],
            "hosts": [host],
            "forbidden": list(self._forbidden),
            "sources": ["rtc"],
            "iat": self._now - datetime.timedelta(hours=1),
        }
        made |= {key: value for key, value in more.items() if key not in ("odd", "lasts")}
        if "hosts" not in more and self._random.random() < 0.1:
            made["urgent"] = True
        self._documents.append(made)
        if not more.get("odd"):
            self._genuine.append(name)
        self._sequence += 1
        return name

    def _next_root(self) -> str:
        self._root += 1
        old, new = ("r", "s") if self._root % 2 == 0 else ("s", "r")
        if self._random.random() < 0.5:
            self._rule = self._random.choice(_PINS_RULES)
        made = {
            "name": f"root-{self._root}",
            "version": self._root,
            "root": f"1:{new}",
            "pins": self._rule,
            "signers": [old, new],
            "iat": self._now - datetime.timedelta(hours=2),
        }
        self._roots.append(made)
        self._sequence = 1
        return f"root-{self._root}"

    def _put(self, say: str, within: str = "2h", **actions: Any) -> None:
        self._steps.append({"at": self._now, "say": say, "within": within, **actions})
        unit = {"h": 1, "d": 24}[within[-1]]
        self._now += datetime.timedelta(hours=int(within[:-1]) * unit)

    def _days(self, most: int) -> str:
        return f"{self._random.randrange(1, most)}d"

    # ---- what happens ------------------------------------------------------------------------------------------------

    def _event(self) -> None:
        kinds = (
            self._rotates, self._rotates, self._loses_its_key, self._forbids, self._changes_roots,
            self._pins_nobody, self._misaddresses, self._sleeps, self._goes_offline, self._is_cut,
            self._meets_a_thief, self._is_replayed_to, self._has_another_clock, self._is_reset,
            self._is_withheld_from, self._is_robbed,
        )  # fmt: skip
        self._random.choice(kinds)()

    def _rotates(self) -> None:
        self._key += 1
        self._put("the broker's next key", serve={BROKER: self._serve()}, within="1d")
        self._put("and the document after it", publish=[self._document()], released=True)

    def _loses_its_key(self) -> None:
        self._key += 2
        self._put(
            "the broker's keys are lost, another is served",
            serve={BROKER: self._serve()},
            within="2d",
        )
        self._put("the document with it", publish=[self._document()], released=True)

    def _forbids(self) -> None:
        old = [self._name(number) for number in range(max(0, self._key - 8), self._key)]
        self._forbidden = sorted(old)
        self._put("old keys are forbidden", publish=[self._document()], released=True)

    def _changes_roots(self) -> None:
        count = self._random.randrange(1, 4)
        names = [self._next_root() for _ in range(count)]
        self._put(f"{count} roots", publish=[*names, self._document()], released=True)

    def _pins_nobody(self) -> None:
        names = [
            self._document(["nobody", f"nobody-{n}"], odd=True)
            for n in range(self._random.randrange(1, 3))
        ]
        for name in names:
            self._put("a document that pins nobody", publish=[name], within=self._days(20))
        self._put("the right one", publish=[self._document()], released=True)

    def _misaddresses(self) -> None:
        how: dict[str, Any] = self._random.choice(
            ({"fleet": "acme-test"}, {"channel": "lamps"}, {"broken": True}, {"html": True},
             {"carriers": []}, {"brokers": ["elsewhere.example:8883"]}, {"signers": ["a"]})
        )  # fmt: skip
        held = self._sequence
        name = self._document(odd=True, **how)
        self._sequence = held + (1 if "signers" in how or "carriers" in how else 0)
        if "brokers" in how:
            self._sequence = held
        self._put(f"published by mistake: {next(iter(how))}", send=[name])

    def _sleeps(self) -> None:
        self._put("the device sleeps", power=False, within=self._days(900))
        if self._random.random() < 0.6:
            self._rotates()
        self._put("it wakes", power=True, within="3d")

    def _goes_offline(self) -> None:
        self._put("no network", network=False, within=self._days(60))
        if self._random.random() < 0.5:
            self._rotates()
        self._put("the network is back", network=True)

    def _is_cut(self) -> None:
        kind = self._random.choice(("before", "first", "last", "after", "lost", "reorder"))
        self._put(
            "the power goes while a document is written",
            cut={"ops": self._random.randrange(14), "kind": kind},
            publish=[self._document()],
            released=True,
            within="2d",
        )

    def _meets_a_thief(self) -> None:
        self._put(
            "a thief stands before everything",
            front="thief",
            front_mirror=_THIEF_MIRROR,
            publish=self._old(),
            to=[_THIEF_MIRROR],
            within=self._days(30),
            expect={"refuses": ["thief"]},
        )
        self._put("he is gone", front="", front_mirror="")

    def _old(self) -> list[str]:
        """Return genuine documents of the past, one of them or none."""
        return [self._random.choice(self._genuine)] if self._random.random() < 0.7 else []

    def _is_replayed_to(self) -> None:
        names = [self._random.choice(self._documents)["name"] for _ in range(3)]
        # What is not signed for this device would be news only by a mistake of ours.
        names = [name for name in names if name in self._genuine]
        self._put("old documents are replayed", send=names, expect={"refuses": ["thief"]})

    def _has_another_clock(self) -> None:
        clock = self._random.choice(_CLOCKS)
        source = self._random.choice(("rtc", "ntp"))
        self._put("another clock", clock=clock, source=source)

    def _is_reset(self) -> None:
        self._put("a factory reset", reset=True, within="1d")

    def _is_withheld_from(self) -> None:
        self._put(
            "the broker withholds", silent=True, publish=[self._document()], within=self._days(90)
        )
        self._put("it delivers again", silent=False)

    def _is_robbed(self) -> None:
        """All in one step: who takes the others away leaves a device that had its time to hear of it.

        It asks the mirror by interval, at most a quarter late: after 150 days, which the look after 180 sees. A cut that waited for the
        next write may end that look, and the first one after a boot is anywhere in the interval: another 120 days. One look more.
        """
        stolen = self._name(self._key)
        self._forbidden = sorted({*self._forbidden[-7:], stolen})
        self._key += 1
        self._put(
            "the broker's key is stolen, and forbidden; the thief stands before it for months",
            front=stolen,
            publish=[self._document()],
            released=True,
            within="360d",
            expect={"refuses": [stolen]},
        )
        self._put("he is gone", front="", serve={BROKER: self._serve()}, within="2d")

    # ---- the end -----------------------------------------------------------------------------------------------------

    def _right_again(self) -> None:
        newest = self._document(lasts=True)
        self._put(
            "the world is right again",
            network=True,
            power=True,
            front="",
            front_mirror="",
            silent=False,
            clock="right",
            source="rtc",
            publish=[*(root["name"] for root in self._roots), newest],
            released=True,
            serve={BROKER: self._serve()},
            within="300d",
            expect={
                "online": self._name(self._key),
                "number": [self._root, self._sequence - 1],
                "root": self._root,
                "refuses": ["thief", *self._forbidden],
                "forbidden": len(self._forbidden),
            },
        )

    def _said(self, seed: int, number: int) -> dict[str, Any]:
        names = sorted(self._keys)
        return {
            "title": f"walk {number} of seed {seed}",
            "promise": "live",
            "kind": "walk",
            "device": {"clock": "rtc", "timing": TIMING, "look": _LOOK},
            "fleet": {"root": "1:r", "pins": _PINS_RULES[0]},
            "certificate": [{"name": name, "names": [_HOST]} for name in names],
            "chains": {name: [name] for name in names},
            "hostile": ["thief"],
            "document": self._documents,
            "root": self._roots,
            "step": self._steps,
        }
