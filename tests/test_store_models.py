"""Three models in lock-step through any order of events: the store, a reader of its raw region, and a dict."""

import copy
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cutflash import CACHE_KINDS, ERASE_KINDS, PROG_KINDS, CutFlash, PowerCut
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from lives import remember_signatures

import raw_region as raw
from everpin.core import accept
from everpin.core.errors import FlashError
from everpin.core.store import REGION_BYTES, Store, provision
from everpin.core.trust import Trust
from everpin_sim import documents

OPS, TWO = documents.Signer("ops"), documents.Signer("two")
KINDS = sorted({*PROG_KINDS, *ERASE_KINDS, *CACHE_KINDS})
HOSTS = (documents.SERVER, "api.example")
KEYS = [hashlib.sha256(name.encode()).digest() for name in ("a", "b", "c", "d")]
STEPS = st.integers(0, 9)


def root(version: int, signer: int) -> bytes:
    """Return a root whose pins are signed by one of its two keys."""
    return documents.root(version, [OPS, TWO], ([1, [0]], [1, [signer]]), [OPS])


def pins(
    at: tuple[int, int],
    signer: documents.Signer,
    hosts: dict[str, int],
    forbid: bool,
    pads: tuple[int, int],
) -> bytes:
    """Return pins; `hosts` says which pair of keys each host has, `pads` how much longer its entry is."""
    entries = []
    for (name, which), pad in zip(hosts.items(), pads, strict=False):
        entry = {1: name, 2: 3, 3: [[KEYS[which], 1], [KEYS[which + 1], 2]]}
        entries.append(entry | ({20: b"\x5a" * pad} if pad else {}))
    body: dict[int, Any] = {
        1: at[0],
        2: at[1],
        3: entries,
        5: [[documents.SERVER, 8883]],
        6: ["http://mirror.example/pins"],
    }
    if forbid:
        body[-2] = [KEYS[3]]
    return documents.signed(
        documents.PINS, documents.CHANNEL, body, [signer], documents.T0 + at[1]
    )


def entries(document: bytes) -> dict[str, Any]:
    return {host[1]: host for host in raw.payload(document)[raw.BODY][3]}


def same(one: Any, other: Any) -> bool:
    return {pin for pin, _ in one[3]} == {pin for pin, _ in other[3]}


class Models(RuleBasedStateMachine):
    """Every rule is one event; after each the three models say the same."""

    @initialize()
    def provisioned(self) -> None:
        self.first_root = root(1, 0)
        self.first_pins = pins((1, 1), OPS, {HOSTS[0]: 0}, False, (0, 0))
        self.flash = CutFlash(REGION_BYTES)
        self.flash.log = None
        provision(self.flash, documents.factory(self.first_root, self.first_pins), b"secret 0")
        self.armed: tuple[str, int, str] | None = None
        # Every document that was ever offered, by digest.
        self.known = {raw.digest(item): item for item in (self.first_root, self.first_pins)}
        self.signer = 0
        self.says: dict[str, Any] = {
            "root": raw.digest(self.first_root),
            "pins": raw.digest(self.first_pins),
            "base": {HOSTS[0]: (entries(self.first_pins)[HOSTS[0]], (1, 1))},
            "marks": raw.view(self.image()).marks,
            "journal": None,
            "secrets": b"secret 0",
        }
        self.boot()

    def image(self) -> bytes:
        return self.flash.read(0, self.flash.size)

    def boot(self) -> None:
        self.store = Store(self.flash)
        self.trust = self.store.load()

    # ---- one event, and what it may meet -----------------------------------------------------------------------------

    def do(self, event: Callable[[], None], after: dict[str, Any]) -> None:
        """Let an event happen, a cut or a fault under way; the dict says what is so then: all of it or nothing."""
        armed, self.armed = self.armed, None
        if armed is not None:
            fault, step, kind = armed
            step += self.flash.steps
            if fault == "cut":
                self.flash.cut = (step, kind)
            elif fault == "dropped":
                self.flash.dropped = step
            else:
                self.flash.full = step
        unsure = False
        try:
            event()
        except PowerCut:
            self.flash.restart()
            self.boot()
            unsure = True
        except (FlashError, OSError):
            assert armed is not None
            self.trust = self.store.load()
            unsure = True
        self.flash.cut = self.flash.dropped = self.flash.full = None
        if not unsure or self.matches(after):
            self.says = after

    def matches(self, says: dict[str, Any]) -> bool:
        return self.seen() == says

    def seen(self) -> dict[str, Any]:
        """Return what the raw region says, in the dict's words."""
        view = raw.view(self.image())
        return {
            "root": view.root,
            "pins": view.pins,
            "base": view.base,
            "marks": view.marks,
            "journal": view.journal,
            "secrets": view.secrets[0] if view.secrets else None,
        }

    def commit(self, trust: Trust, document: bytes | None) -> None:
        self.store.commit(trust, document)
        self.trust = trust
        assert len(raw.newest(self.image(), raw.COMMIT)) == 2, "a commit has two copies"

    @rule(
        fault=st.sampled_from(("cut", "cut", "dropped", "full")),
        step=STEPS,
        kind=st.sampled_from(KINDS),
    )
    def the_next_event_meets(self, fault: str, step: int, kind: str) -> None:
        self.armed = (fault, step, kind)

    # ---- documents ---------------------------------------------------------------------------------------------------

    def whole(self) -> bool:
        """Return whether the newest root is in force: without it nothing but that very one is accepted."""
        return bool(self.says["root"] == self.says["marks"]["root_digest"])

    def deliver(self, document: bytes, after: dict[str, Any]) -> None:
        self.known[raw.digest(document)] = document
        trust, became = accept.document(self.trust, document)
        assert became != accept.KNOWN
        self.do(lambda: self.commit(trust, document), after)

    def with_pins(self, document: bytes, new: bool) -> dict[str, Any]:
        """Return what the dict says once these pins are in force."""
        after = copy.deepcopy(self.says)
        at, marks = raw.number(document), after["marks"]
        after["pins"], after["base"] = raw.digest(document), {}
        for name, entry in entries(document).items():
            held = self.says["base"].get(name)
            if held is not None and (held[1] < (marks["rule_since"], 0) or same(held[0], entry)):
                held = (entry, at)
            if held is not None:
                after["base"][name] = held
        marks["number"], marks["pins_digest"] = at, raw.digest(document)
        marks["forbidden"] = raw.payload(document)[raw.BODY].get(-2, [])
        if new:
            marks["floor"] = max(marks["floor"], raw.payload(document)[6])
        return after

    @precondition(lambda self: self.whole())
    @rule(
        first=st.integers(0, 1),
        second=st.none() | st.integers(0, 1),
        forbid=st.booleans(),
        # Long entries make long commits: several sectors of a ring, and more than half of it once both are confirmed.
        pads=st.sampled_from(((0, 0), (0, 0), (700, 0), (2500, 2500), (7000, 0), (0, 7000))),
    )
    def accept_pins(
        self, first: int, second: int | None, forbid: bool, pads: tuple[int, int]
    ) -> None:
        marks = self.says["marks"]
        version = marks["root"]
        at = (version, marks["number"][1] + 1 if marks["number"][0] == version else 1)
        hosts = {HOSTS[0]: first} | ({} if second is None else {HOSTS[1]: second})
        document = pins(at, (OPS, TWO)[self.signer], hosts, forbid, pads)
        self.deliver(document, self.with_pins(document, True))

    @precondition(lambda self: self.whole())
    @rule(signer=st.integers(0, 1))
    def accept_root(self, signer: int) -> None:
        after = copy.deepcopy(self.says)
        marks = after["marks"]
        document = root(marks["root"] + 1, signer)
        marks["root"] += 1
        after["root"] = marks["root_digest"] = raw.digest(document)
        marks["floor"] = max(documents.T0, raw.payload(document)[6])
        if signer != self.signer:
            marks["rule_since"] = marks["root"]
        self.deliver(document, after)
        self.signer = raw.payload(self.known[self.says["marks"]["root_digest"]])[raw.BODY][3][2][
            0
        ][1][0]

    @rule()
    def deliver_the_newest_again(self) -> None:
        marks = self.says["marks"]
        if not self.whole():
            document = self.known[marks["root_digest"]]
            self.deliver(document, {**copy.deepcopy(self.says), "root": marks["root_digest"]})
        if self.says["pins"] != marks["pins_digest"] and self.whole():
            document = self.known[marks["pins_digest"]]
            self.deliver(document, self.with_pins(document, False))

    @rule(name=st.sampled_from(HOSTS))
    def confirm(self, name: str) -> None:
        document = self.known[self.says["pins"]]
        if name in entries(document):
            after = copy.deepcopy(self.says)
            after["base"][name] = (entries(document)[name], raw.number(document))
            trust = self.trust.confirm(name, name)
            self.do(lambda: self.commit(trust, None), after)

    @rule()
    def reset(self) -> None:
        after = copy.deepcopy(self.says)
        after["root"], after["pins"] = raw.digest(self.first_root), raw.digest(self.first_pins)
        after["base"] = {HOSTS[0]: (entries(self.first_pins)[HOSTS[0]], (1, 1))}
        trust = self.trust.reset(self.store.first())
        self.do(lambda: self.commit(trust, None), after)

    # ---- what is not trust -------------------------------------------------------------------------------------------

    @rule(body=st.binary(min_size=1, max_size=900))
    def save_journal(self, body: bytes) -> None:
        self.do(lambda: self.store.save_journal(body), {**self.says, "journal": body})

    @rule(body=st.binary(min_size=1, max_size=300))
    def save_secrets(self, body: bytes) -> None:
        self.do(lambda: self.store.save_secrets(body), {**self.says, "secrets": body})

    # ---- life --------------------------------------------------------------------------------------------------------

    @rule()
    def reboot(self) -> None:
        self.flash.restart()
        self.boot()

    @rule()
    def heal(self) -> None:
        self.do(lambda: self.store.heal() and None, self.says)

    @rule(data=st.data())
    def rot(self, data: st.DataObject) -> None:
        image = self.image()
        only = [
            found[0]
            for kind in (raw.COMMIT, raw.FACTORY)
            if len(found := raw.newest(image, kind)) == 1
        ]
        # A second copy is what the promise rests on; where a cut has left one, it is healed before anything rots.
        items = [item for item in raw.records(image) if item not in only]
        if not items:
            return
        item = data.draw(st.sampled_from(items))
        self.flash.flip(
            item.offset + data.draw(st.integers(0, item.length - 1)),
            1 << data.draw(st.integers(0, 7)),
        )
        before, seen = self.says, self.seen()
        self.boot()
        self.says = copy.deepcopy(before)
        if item.kind == raw.ROOT and raw.digest(item.body) == before["root"]:
            # An older one is in force until the newest comes again: one that was accepted before.
            assert seen["root"] in self.known
            self.says["root"] = seen["root"]
        if item.kind == raw.PINS and raw.digest(item.body) == before["pins"]:
            assert seen["pins"] in self.known
            self.says["pins"] = seen["pins"]
        if item.kind == raw.JOURNAL:
            self.says["journal"] = seen["journal"]
        if item.kind == raw.SECRETS:
            self.says["secrets"] = seen["secrets"]

    # ---- the three say the same --------------------------------------------------------------------------------------

    @invariant()
    def the_raw_region_says_what_the_dict_says(self) -> None:
        assert self.seen() == self.says

    @invariant()
    def the_store_says_what_the_dict_says(self) -> None:
        store = Store(self.flash.copy())
        booted = store.load()
        for trust in (booted, self.trust):
            marks = trust.marks
            assert {
                "root": marks.root_version,
                "root_digest": marks.root_digest,
                "number": marks.number,
                "pins_digest": marks.pins_digest,
                "forbidden": marks.forbidden,
                "floor": marks.floor,
                "rule_since": marks.rule_since,
            } == self.says["marks"]
            assert (trust.root_digest, trust.pins_digest) == (self.says["root"], self.says["pins"])
            base = {name: (host.raw, at) for name, (host, at) in trust.base.items()}
            assert base == self.says["base"]
        assert booted.encode() == self.trust.encode()
        assert (store.load_journal() or None) == self.says["journal"]
        assert (store.sealed_secrets() or [None])[0] == self.says["secrets"]


def full() -> Models:
    """Return models whose commit takes more than half of a ring, one of which lacks it: the power went before the last step."""
    models = Models()
    models.provisioned()
    models.accept_pins(first=0, second=0, forbid=True, pads=(7000, 0))
    models.confirm(name=HOSTS[0])
    models.accept_pins(first=1, second=0, forbid=True, pads=(0, 7000))
    models.confirm(name=HOSTS[1])
    before = models.flash.copy()
    steps = models.flash.steps
    models.confirm(name=HOSTS[1])
    models.flash, steps = before, models.flash.steps - steps
    models.boot()
    models.armed = ("cut", steps - 1, "before")
    models.confirm(name=HOSTS[1])
    found = raw.newest(models.image(), raw.COMMIT)
    assert len(found) == 1 and found[0].length > 8192
    return models


def test_the_only_copy_of_a_commit_is_not_what_the_next_one_is_written_over() -> None:
    models = full()
    origin, says = models.flash.copy(), models.says
    whole = origin.copy()
    Store(whole).commit(Store(whole).load())
    for step in range(whole.steps):
        for kind in ("before", "half", "erase-random", "after"):
            models.flash, models.says = origin.copy(), says
            models.boot()
            models.armed = ("cut", step, kind)
            models.confirm(name=HOSTS[1])
            models.the_raw_region_says_what_the_dict_says()
            models.the_store_says_what_the_dict_says()


def run(examples: int, steps: int) -> None:
    remember_signatures(True)
    try:
        run_state_machine_as_test(
            Models,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        remember_signatures(False)


@pytest.mark.slow
def test_store_raw_region_and_dict_agree_in_any_order_of_events() -> None:
    run(40, 30)


@pytest.mark.long
def test_store_raw_region_and_dict_agree_for_long() -> None:
    run(1500, 60)
