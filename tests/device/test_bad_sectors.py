"""Sectors that have gone bad for good, in each of five ways: the device boots, no number falls, and it takes the next documents."""

import gc
import os

from lives import remember_signatures

import making
import tools
from everpin.core import verdict
from everpin.core.store import REGION_BYTES, Store, provision
from everpin.ports.fileflash import FileFlash, create
from faulty import Worn

# The first sector of each place, and those that the rings come to next (core/store.py).
_SECTORS = (0, 5, 7, 10, 13, 16, 19, 20, 23, 24, 27, 32)


def _old():
    """Return the flash of a device with pins in both slots, its rings about to enter sectors, and what never falls."""
    gc.collect()  # a small heap fragments
    flash = making.flash()
    agent = making.agent(flash)
    for name in ("pins-2.cbor", "pins-5.cbor"):
        assert making.give(agent, name) == "accepted"
    del agent
    gc.collect()
    store = Store(flash)
    trust = store.load()
    for _ in range(7):
        store.commit(trust)
    return flash


def test_one_bad_sector_anywhere_costs_neither_trust_nor_the_next_document():
    remember_signatures(True)
    try:
        origin = _old()
        for sector in _SECTORS:
            for how in Worn.HOW:
                gc.collect()
                _live_on(Worn(origin.copy(), sector, how), (sector, how))
    finally:
        remember_signatures(False)


def _live_on(flash, case):
    agent = making.agent(flash)
    assert agent.trust.marks.number == (1, 5), case
    # What the sector held may be an older document's turn now: the newest comes again.
    making.give(agent, "pins-5.cbor")
    assert agent.number == (1, 5), case
    for _ in range(2):
        assert making.give(agent, "pins-6-forbid-a.cbor") in ("accepted", "known"), case
        agent.save()
        agent = making.agent(flash)
        assert agent.trust.marks.number == (1, 6), case
        assert not verdict.decide(
            agent.trust, "broker.example", [tools.data("cert-a.der")]
        ).accepted


def test_rings_go_round_over_a_bad_sector():
    # In a file: what many commits write would not fit the heap of a board.
    path = os.getenv("EVERPIN_TEST_DATA") + "/bad-sectors.img"
    remember_signatures(True)
    try:
        for how in ("read-error", "prog-error", "erase-error", "prog-nothing"):
            gc.collect()
            create(path, REGION_BYTES)
            region = FileFlash(path, REGION_BYTES)
            provision(region, tools.data("factory.cbor"), tools.data("secrets.cbor"))
            _go_round(Worn(Worn(region, 20, how), 29, how), how)
            region.close()
    finally:
        remember_signatures(False)


def _go_round(flash, how):
    store = Store(flash)
    trust = store.load()
    for count in range(90):
        # The floor alone changes: the smallest commit there is.
        trust.marks.floor = making.T0 + count
        store.commit(trust)
        store.save_journal(b"%d" % count * 150)
        if count % 30 == 29:
            store = Store(flash)
            trust = store.load()
            assert trust.marks.floor == making.T0 + count, how
            assert store.load_journal() == b"%d" % count * 150, how


def test_two_neighbours_that_went_bad_in_a_ring_are_passed_as_one_is():
    remember_signatures(True)
    try:
        for how in ("prog-error", "erase-nothing"):
            flash = store = trust = None  # a small heap has room for one of these
            gc.collect()
            flash = Worn(Worn(_old(), 20, how), 21, how)
            store = Store(flash)
            trust = store.load()
            for count in range(12):
                trust.marks.floor = making.T0 + count
                store.commit(trust)
            assert Store(flash).load().marks.floor == making.T0 + 11, how
    finally:
        remember_signatures(False)
