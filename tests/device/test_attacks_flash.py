"""Flash that is full, drops writes, rots, or was written by a newer release: old or new, and the update is not lost."""

import gc
import sys
from hashlib import sha256

import making
import tools
from everpin.core import cbor, verdict
from everpin.core.store import Store
from faulty import FOR_GOOD, Faulty, dropped, no_space, one_bit_less


def _run(act, nth, stays):
    """Give a document to an agent whose n-th write meets a fault; return (what became of it, digests old, found, new)."""
    gc.collect()
    flash = making.flash()
    making.give(making.agent(flash), "pins-2.cbor")
    faulty = Faulty(flash, nth, act, stays)
    agent = making.agent(faulty)
    old = agent.trust_digest()
    became = making.give(agent, "pins-5.cbor")
    found = agent.trust_digest()
    assert making.agent(flash.copy()).trust_digest() == found, "RAM and flash say the same"
    faulty.heal()
    # Not lost: delivered again, it comes into force.
    assert making.give(agent, "pins-5.cbor") in ("accepted", "known")
    new = agent.trust_digest()
    assert making.agent(flash).trust_digest() == new and agent.number == (1, 5)
    return became, old, found, new


def _sweep(act, stays=0):
    """Let each write of a commit, with `stays` all from then on, meet a fault; return how many of them made it fail.

    The last one does not: with one whole copy of the commit the document is in force, and the other copy is written again.
    """
    flash = making.flash()
    making.give(making.agent(flash), "pins-2.cbor")
    before = flash.steps
    making.give(making.agent(flash), "pins-5.cbor")
    failed = 0
    for nth in range(1, flash.steps - before + 1):
        became, old, found, new = _run(act, nth, stays)
        # A fault without effect, such as an erase of what is erased, is none.
        assert (became, found) == ("accepted", new) or became == "flash", nth
        assert found in (old, new), nth
        failed += became == "flash"
    return failed


def test_a_flash_that_is_full_at_any_write_keeps_the_old_state_or_has_the_new_one():
    assert _sweep(no_space, FOR_GOOD) >= 3
    assert _sweep(no_space) == 0, "once: the next sector of the place takes it"


def test_a_write_that_is_silently_dropped_is_noticed_before_anything_points_at_it():
    assert _sweep(dropped, FOR_GOOD) >= 2
    assert _sweep(dropped) == 0


def test_a_bit_that_did_not_take_is_noticed_before_anything_points_at_it():
    # What was verified in RAM is not what lies on flash: it is read back from there, and its digest checked.
    assert _sweep(one_bit_less, FOR_GOOD) >= 2
    assert _sweep(one_bit_less) == 0


class _NoRoom(Faulty):
    """Erases and takes nothing more: a littlefs that something else has filled."""

    def prog(self, offset, data):
        raise OSError(28)

    def erase(self, offset, length):
        self._inner.erase(offset, length)


def test_a_full_file_system_costs_neither_the_reports_nor_a_copy_of_the_commit():
    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "pins-2.cbor")
    store = Store(flash)
    for _ in range(4):
        store.save_journal(b"\x05" * 980)  # a sector's worth: the next one enters the next
    journal, old = store.load_journal(), agent.trust_digest()
    full = _NoRoom(flash, 0, no_space)
    agent = making.agent(full)
    for _ in range(3):
        assert making.give(agent, "pins-5.cbor") == "flash"
        tools.raises(OSError, Store(full).save_journal, b"new" * 100)
    store = Store(flash)
    assert store.load_journal() == journal != b""
    assert store.load().digest() == old and not store.heal()


def test_a_failing_flash_is_told_and_stops_nothing_else():
    flash = making.flash()
    agent = making.agent(Faulty(flash, 1, no_space, FOR_GOOD))
    agent.drain()
    making.give(agent, "pins-2.cbor")
    assert [event["event"] for event in agent.drain()].count("flash-error") == 1
    assert making.shake(agent, "cert-a.der").accepted
    assert agent.poll(None, "", 0.0)[0] == "pinned"


def _written(flash):
    """Return the offsets of the sectors' bytes that were ever written: every one, or in steps that a board has the time for."""
    step = 1 if sys.implementation.name != "micropython" else 61
    return [
        at
        for start in range(0, flash.size, flash.sector)
        for at in range(start, start + flash.sector, step)
        if flash.read(at, 1) != b"\xff"
    ]


def test_a_byte_of_rot_anywhere_lowers_no_number_and_the_device_goes_on():
    flash = making.flash()
    agent = making.agent(flash)
    for name in ("pins-5.cbor", "pins-6-forbid-a.cbor"):
        assert making.give(agent, name) == "accepted"
    del agent
    marks = Store(flash).load().marks.fields()
    fallen = 0
    for at in _written(flash):
        flash.flip(at)
        trust = Store(flash).load()
        assert trust.marks.fields() == marks, at
        assert not verdict.decide(trust, "broker.example", [tools.data("cert-a.der")]).accepted
        fallen += trust.pins.number != (1, 6)
        flash.flip(at)
    assert fallen, "the newest document's own record was among them, and an older one stood in"


def _sector_of(flash, data):
    """Return where the record of a document begins, None when there is none."""
    for at in range(0, flash.size, flash.sector):
        if flash.read(at + 44, len(data)) == data:
            return at
    return None


def test_a_document_that_was_written_and_never_committed_is_not_in_force():
    old, new = tools.data("pins-2.cbor"), tools.data("pins-5.cbor")
    nth = 0
    found = None
    while found is None:
        # The write behind that of the document fails: it is on flash, its commit is not.
        nth += 1
        gc.collect()
        flash = making.flash()
        making.give(making.agent(flash), "pins-2.cbor")
        agent = making.agent(Faulty(flash, nth, no_space, FOR_GOOD))
        assert making.give(agent, "pins-5.cbor") == "flash"
        found = _sector_of(flash, new)
    assert making.agent(flash).number == (1, 2)
    # What is in force rots: an older document stands in, not one that no commit has named.
    flash.flip(_sector_of(flash, old) + 100)
    agent = making.agent(flash)
    assert agent.number == (1, 1) and agent.trust.marks.number == (1, 2)
    assert making.give(agent, "pins-2.cbor") == "accepted"


def test_a_record_whose_length_is_beyond_its_place_is_none():
    flash = making.flash()
    making.give(making.agent(flash), "pins-2.cbor")
    for at in range(20480, flash.size, flash.sector):
        if flash.read(at, 1) == b"\xff":
            for kind in (1, 2, 4, 6, 7):
                # A header that was torn behind its kind: every length is possible.
                flash.prog(at + 48 * kind, b"eP\x01" + bytes((kind,)) + b"\x7f" * 40)
    assert making.agent(flash).number == (1, 2)


def test_a_store_of_a_newer_release_is_left_as_it_is():
    # Of the format that is known, and of a later one: the header is frozen, so both are seen to be whole.
    for form in (1, 2):
        flash = making.flash()
        for at in (77824, 94208):
            flash.prog(at, _record(form, 4, 5, cbor.dumps({1: 1, 99: "a release of 2030"})))
        image = flash.image()
        agent = making.agent(flash)
        # It runs from the factory's documents, and writes nothing: what it accepts holds until the power goes.
        assert agent.number == (1, 1) and making.shake(agent, "cert-a.der").accepted
        assert making.give(agent, "pins-2.cbor") == "accepted"
        assert agent.number == (1, 2) and making.shake(agent, "cert-b.der").accepted
        assert making.give(agent, "pins-2.cbor") == "known"
        agent.save()
        assert flash.image() == image, form
        assert making.agent(flash).number == (1, 1)


def test_a_newer_releases_commit_with_the_frozen_keys_is_obeyed():
    flash = making.flash()
    making.give(making.agent(flash), "pins-6-forbid-a.cbor")
    trust = Store(flash).load()
    said = cbor.loads(trust.encode(9))
    said.update({99: "a release of 2030"})
    for at in (77824, 94208):
        flash.erase(at, 4096)
        flash.prog(at, _record(2, 4, 5, cbor.dumps(said)))
    agent = making.agent(flash)
    assert agent.trust.marks.fields() == trust.marks.fields() and agent.number == (1, 6)
    assert not making.shake(agent, "cert-a.der").accepted


def _record(form, kind, sequence, body):
    """Return a record of a format, as record.py's docstring has it."""
    head = b"eP" + bytes((form, kind)) + sequence.to_bytes(4, "big") + len(body).to_bytes(4, "big")
    return head + sha256(head + body).digest() + body
