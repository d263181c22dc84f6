"""Exactly the old or exactly the new trust state, whatever happens to the flash."""

import os

import making
import memflash
import tools
from everpin.core import errors
from everpin.core.store import REGION_BYTES, Store, provision
from everpin.ports.fileflash import FileFlash, create
from faulty import FOR_GOOD, Faulty, dropped, no_space

_COMMIT_AT = 77824
_COMMIT_ROOM = 16384
_PINS_AT = 53248
_FACTORY_AT = 0
_FACTORY_COPY_AT = 131072


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
    # The sweep of every path, kind and second cut is tests/test_cuts.py's; this one runs in a board's heap.
    origin = making.flash()
    _commit(origin, "pins-2.cbor")
    old = _digest(origin)
    whole = origin.copy()
    whole.log = []
    _commit(whole, "pins-5.cbor")
    new = _digest(whole)
    seen = set()
    for step in range(whole.steps):
        for kind in whole.kinds(step):
            flash = origin.copy()
            flash.cut = (step, kind)
            tools.raises(memflash.PowerCut, _commit, flash, "pins-5.cbor")
            flash.restart()
            found = _digest(flash)
            assert found in (old, new), (step, kind)
            seen.add(found)
            # Not lost: the next delivery ends in the new state.
            store = Store(flash)
            trust = tools.pins(store.load(), tools.data("pins-5.cbor"))
            store.heal()
            if trust is not None:
                store.commit(trust, tools.data("pins-5.cbor"))
            assert _digest(flash) == new, (step, kind)
    assert seen == {old, new}, "the sweep must see both sides of the commit"


def _last_copy_missing():
    """Return a flash whose power went before the second copy of the commit."""
    whole = making.flash()
    _commit(whole, "pins-2.cbor")
    steps = whole.steps
    _commit(whole, "pins-5.cbor")
    flash = making.flash()
    _commit(flash, "pins-2.cbor")
    flash.cut = (whole.steps - 1, "before")
    assert flash.steps == steps
    tools.raises(memflash.PowerCut, _commit, flash, "pins-5.cbor")
    flash.restart()
    return flash


def test_a_commit_torn_between_its_two_copies_is_healed():
    flash = _last_copy_missing()
    store = Store(flash)
    new = store.load().encode()
    assert store.heal() and not store.heal()
    # With both copies whole, either may rot.
    for copy in (0, 1):
        rotten = flash.copy()
        start = _COMMIT_AT + _COMMIT_ROOM * copy
        for at in range(start, start + _COMMIT_ROOM):
            if rotten.read(at, 1) != b"\xff":
                rotten.flip(at)
        assert _digest(rotten) == new


def test_the_only_copy_of_the_commit_stays_until_the_other_ring_has_a_newer_one():
    # Not healed: the ring that lacks the commit is written to first, so that a cut there costs nothing.
    flash = _last_copy_missing()
    store = Store(flash)
    old = store.load().encode()
    flash.log = []
    store.commit(store.load())
    first = flash.log[0][1]
    assert _COMMIT_AT + _COMMIT_ROOM <= first < _COMMIT_AT + 2 * _COMMIT_ROOM
    assert Store(flash).load().encode() == old


def test_a_fault_in_the_second_copy_of_a_commit_refuses_nothing():
    whole = making.flash()
    steps = whole.steps
    making.give(making.agent(whole), "pins-2.cbor")
    # Once; for as long as the ring tries its sectors, so that the agent heals it; and for good, so that the next boot does.
    for act, stays, healed in (
        (no_space, 0, False), (no_space, 6, False), (no_space, FOR_GOOD, True),
        (dropped, 0, False), (dropped, FOR_GOOD, True),
    ):  # fmt: skip
        flash = making.flash()
        agent = making.agent(Faulty(flash, whole.steps - steps, act, stays))
        assert making.give(agent, "pins-2.cbor") == "accepted"
        assert agent.number == (1, 2) and _digest(flash) == agent.trust.encode()
        store = Store(flash)
        store.load()
        assert store.heal() == healed, (act, stays)


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


def test_a_reset_puts_the_factorys_documents_in_force_and_no_number_falls():
    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "pins-5.cbor")
    making.give(agent, "pins-6-forbid-a.cbor")
    marks, generation = agent.trust.marks.fields(), agent.generation
    assert agent.reset()
    assert agent.number == (1, 1) and agent.generation > generation
    agent = making.agent(flash)
    assert agent.number == (1, 1) and agent.trust.marks.fields() == marks
    # A key that was forbidden since is not accepted again, though the factory's document pins it.
    assert making.shake(agent, "cert-a.der").why == errors.FORBIDDEN
    assert making.give(agent, "pins-5.cbor") == "rollback"
    assert making.give(agent, "pins-6-forbid-a.cbor") == "accepted"
    assert agent.number == (1, 6)


def test_a_reset_that_cannot_be_written_is_none():
    flash = making.flash()
    making.give(making.agent(flash), "pins-5.cbor")
    agent = making.agent(Faulty(flash, 1, no_space, FOR_GOOD))
    assert not agent.reset()
    assert agent.number == (1, 5) and _digest(flash) == agent.trust.encode()


def test_a_silently_dropped_write_is_noticed_and_the_old_state_stays():
    flash = making.flash()
    old = _digest(flash)
    flash.deaf = True
    tools.raises(errors.READ_BACK, _commit, flash, "pins-2.cbor")
    assert _digest(flash) == old


def test_a_commit_costs_two_erases_at_most_from_the_first_one_on():
    # Over 1,000 documents: tests/test_erase_budget.py.
    flash = making.flash()
    flash.erases = 0
    _commit(flash, "pins-2.cbor")
    assert flash.erases == 2
    _commit(flash, "pins-5.cbor")
    assert flash.erases <= 4


def test_either_copy_of_the_factory_record_may_rot_and_is_written_again():
    for at in (_FACTORY_AT, _FACTORY_COPY_AT):
        flash = making.flash()
        image = flash.image()
        flash.flip(at + 100)
        agent = making.agent(flash)
        assert agent.number == (1, 1)
        assert flash.image() == image


def test_both_copies_of_the_factory_record_rotten_is_no_device():
    flash = making.flash()
    flash.flip(_FACTORY_AT + 100)
    flash.flip(_FACTORY_COPY_AT + 100)
    tools.raises(errors.NOT_PROVISIONED, Store, flash)


def test_a_power_cut_while_a_device_is_provisioned_again_leaves_the_old_one_none_or_the_new_one():
    origin = making.flash()
    making.give(making.agent(origin), "pins-5.cbor")
    old = _digest(origin)
    whole = origin.copy()
    whole.restart()
    _provision(whole)
    new = _digest(whole)
    seen = set()
    for step in range(whole.steps):
        for kind in ("before", "half", "erase-prefix"):
            flash = origin.copy()
            flash.cut = (step, kind)
            tools.raises(memflash.PowerCut, _provision, flash)
            flash.restart()
            try:
                found = _digest(flash)
            except errors.FlashError:
                found = None
            # Never the factory's documents without the numbers that the device had come to.
            assert found in (old, None, new), (step, kind)
            seen.add(found)
    assert seen == {old, None, new}


def _provision(flash):
    provision(flash, tools.data("factory.cbor"), tools.data("secrets.cbor"))


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
    # As many as come to the end of a sector: the next one reaches into another.
    for count in range(25):
        store.save_journal(b"old %d" % count * 20)
    old = store.load_journal()
    whole = origin.copy()
    whole.log = []
    Store(whole).save_journal(b"new" * 100)
    assert [what for what, _, _ in whole.log] == ["erase", "prog"]
    for step in range(whole.steps):
        for kind in whole.kinds(step):
            flash = origin.copy()
            flash.cut = (step, kind)
            tools.raises(memflash.PowerCut, Store(flash).save_journal, b"new" * 100)
            flash.restart()
            assert Store(flash).load_journal() in (old, b"new" * 100), (step, kind)


def test_provisioning_over_an_old_device_forgets_it():
    flash = making.flash()
    _commit(flash, "pins-2.cbor")
    _provision(flash)
    assert Store(flash).load().pins.number == (1, 1)
