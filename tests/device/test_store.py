"""Exactly the old or exactly the new trust state, whatever happens to the flash."""

import os

import making
import memflash
import tools
from everpin.core import errors
from everpin.core.store import REGION_BYTES, Store, provision
from everpin.ports.fileflash import FileFlash, create

_COMMIT_AT = 77824
_COMMIT_ROOM = 16384
_PINS_AT = 53248


def _commit(flash, name):
    store = Store(flash)
    data = tools.data(name)
    trust = tools.pins(store.load(), data)
    store.commit(trust, data)
    return trust


def _digest(flash):
    return Store(flash).load().encode()


def test_a_fresh_device_has_the_factorys_trust_and_writes_nothing_to_say_so():
    flash = making.flash()
    steps = flash.steps
    trust = Store(flash).load()
    assert trust.pins.number == (1, 1) and flash.steps == steps


def test_flash_that_was_never_provisioned_says_so():
    tools.raises(errors.NOT_PROVISIONED, Store, memflash.MemFlash())


def test_a_commit_survives_a_reboot():
    flash = making.flash()
    trust = _commit(flash, "pins-2.cbor")
    assert _digest(flash) == trust.encode()


def test_a_power_cut_at_any_step_leaves_the_old_or_the_new_state_and_the_update_is_not_lost():
    origin = making.flash()
    _commit(origin, "pins-2.cbor")
    old = _digest(origin)
    whole = origin.copy()
    whole.steps = 0
    _commit(whole, "pins-5.cbor")
    new = _digest(whole)
    seen = set()
    for step in range(whole.steps):
        for torn in (None, 0.0001, 0.5, 0.97, "after"):
            flash = origin.copy()
            flash.fuse = step
            flash.torn = torn
            tools.raises(memflash.PowerCut, _commit, flash, "pins-5.cbor")
            flash.fuse = None
            found = _digest(flash)
            assert found in (old, new), (step, torn)
            seen.add(found)
            # Not lost: the next delivery ends in the new state.
            store = Store(flash)
            store.heal()
            trust = tools.pins(store.load(), tools.data("pins-5.cbor"))
            if trust is not None:
                store.commit(trust, tools.data("pins-5.cbor"))
            assert _digest(flash) == new, (step, torn)
    assert seen == {old, new}, "the sweep must see both sides of the commit"


def test_a_commit_torn_between_its_two_copies_is_healed():
    flash = making.flash()
    _commit(flash, "pins-2.cbor")
    steps = flash.steps
    _commit(flash, "pins-5.cbor")
    last = flash.steps - steps - 1
    flash = making.flash()
    _commit(flash, "pins-2.cbor")
    flash.fuse = last
    tools.raises(memflash.PowerCut, _commit, flash, "pins-5.cbor")
    flash.fuse = None
    store = Store(flash)
    new = store.load().encode()
    assert store.heal() and not Store(flash).heal()
    # With both copies whole, either may rot.
    for copy in (0, 1):
        rotten = flash.copy()
        start = _COMMIT_AT + _COMMIT_ROOM * copy
        for at in range(start, start + _COMMIT_ROOM):
            if rotten.read(at, 1) != b"\xff":
                rotten.flip(at)
        assert _digest(rotten) == new


def test_a_rotten_pins_record_falls_back_but_numbers_and_forbidden_stay():
    flash = making.flash()
    _commit(flash, "pins-5.cbor")
    _commit(flash, "pins-6-forbid-a.cbor")
    marks = Store(flash).load().marks.fields()
    for slot in (0, 1):
        rotten = flash.copy()
        rotten.flip(_PINS_AT + slot * 12288 + 60)
        trust = Store(rotten).load()
        assert trust.marks.fields() == marks
        assert trust.forbidden(tools.data("pin-a.bin"))
        tools.raises(errors.ROLLBACK, tools.pins, trust, tools.data("pins-2.cbor"))
        if trust.pins.number != (1, 6):
            # The equal number with the equal digest repairs it.
            again = tools.pins(trust, tools.data("pins-6-forbid-a.cbor"))
            assert again is not None and again.pins.number == (1, 6)


def test_a_silently_dropped_write_is_noticed_and_the_old_state_stays():
    flash = making.flash()
    old = _digest(flash)
    flash.deaf = True
    tools.raises(errors.READ_BACK, _commit, flash, "pins-2.cbor")
    assert _digest(flash) == old


def test_a_commit_costs_few_erases():
    flash = making.flash()
    _commit(flash, "pins-2.cbor")
    flash.erases = 0
    _commit(flash, "pins-5.cbor")
    assert flash.erases <= 2


def test_many_commits_wrap_the_logs_and_keep_the_newest():
    # In a file: what many commits write would not fit the heap of a board.
    path = os.getenv("EVERPIN_TEST_DATA") + "/many-commits.img"
    create(path, REGION_BYTES)
    flash = FileFlash(path, REGION_BYTES)
    provision(flash, tools.data("factory.cbor"), tools.data("secrets.cbor"))
    store = Store(flash)
    trust = store.load()
    for count in range(130):
        # The floor alone changes: the smallest commit there is.
        trust.marks.floor = making.T0 + count
        store.commit(trust)
        if count % 3 == 0:
            store = Store(flash)
            trust = store.load()
            assert trust.marks.floor == making.T0 + count
    flash.close()


def test_secrets_may_rot_and_trust_stays():
    flash = making.flash()
    assert making.agent(flash).secrets.user == "meter-1"
    flash.flip(20480 + 50)
    agent = making.agent(flash)
    assert agent.secrets is None
    # Reports rest on the device key itself.
    making.give(agent, "pins-2.cbor")
    assert agent.outbox() != []


def test_the_journal_keeps_its_newest_through_cuts():
    origin = making.flash()
    store = Store(origin)
    for count in range(40):
        store.save_journal(b"old %d" % count * 20)
    old = store.load_journal()
    for step in range(3):
        for torn in (None, 0.5, "after"):
            flash = origin.copy()
            flash.fuse = step
            flash.torn = torn
            try:
                Store(flash).save_journal(b"new")
            except memflash.PowerCut:
                pass
            assert Store(flash).load_journal() in (old, b"new")


def test_provisioning_over_an_old_device_forgets_it():
    flash = making.flash()
    _commit(flash, "pins-2.cbor")
    provision(flash, tools.data("factory.cbor"), tools.data("secrets.cbor"))
    assert Store(flash).load().pins.number == (1, 1)
