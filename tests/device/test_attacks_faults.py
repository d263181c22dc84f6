"""Boards that crash and run out of memory: old or new, and the update is not lost."""

import gc

import making
import tools
from everpin.core import accept, cbor, errors
from everpin.core.store import Store
from faulty import FOR_GOOD, Faulty


def test_a_device_that_crashes_after_each_document_keeps_its_confirmed_peers():
    flash = making.flash()
    making.give(making.agent(flash), "pins-3-nobody.cbor")
    for _ in range(20):
        agent = making.agent(flash)
        assert agent.trust.unconfirmed() == ["broker.example"]
        assert making.shake(agent, "cert-a.der").by == "base", "no boot counts as a confirmation"


def test_booting_writes_nothing_to_flash():
    flash = making.flash()
    making.give(making.agent(flash), "pins-5.cbor")
    steps = flash.steps
    for _ in range(5):
        making.agent(flash)
    assert flash.steps == steps


class _Starved:
    """Raises MemoryError at the n-th use of a module's function, once."""

    def __init__(self, module, name, nth):
        self._module = module
        self._name = name
        self._left = nth
        self._real = getattr(module, name)

    def __call__(self, *args):
        self._left -= 1
        if self._left == 0:
            raise MemoryError
        return self._real(*args)

    def __enter__(self):
        setattr(self._module, self._name, self)
        return self

    def __exit__(self, *unused):
        setattr(self._module, self._name, self._real)


def test_memory_that_runs_out_anywhere_leaves_the_old_state_or_the_new_one():
    for module, name in ((cbor, "loads"), (cbor, "dumps"), (accept, "sha256")):
        nth = 0
        hit = True
        while hit:
            nth += 1
            gc.collect()
            flash = making.flash()
            agent = making.agent(flash)
            hit = False
            with _Starved(module, name, nth):
                try:
                    making.give(agent, "pins-2.cbor")
                except MemoryError:
                    hit = True
            assert agent.number in ((1, 1), (1, 2))
            # The application caught it and goes on; a newer document comes, and no number falls by a reboot.
            assert making.give(agent, "pins-5.cbor") == "accepted", (name, nth)
            assert making.agent(flash).number == (1, 5), (name, nth)
            tools.raises(errors.ROLLBACK, tools.pins, agent.trust, tools.data("pins-2.cbor"))
        assert nth > 1, name


def test_memory_that_runs_out_while_flash_is_written_leaves_one_state_on_both_sides():
    def starve(inner, offset, data):
        raise MemoryError

    for nth in range(1, 20):
        gc.collect()
        flash = making.flash()
        agent = making.agent(Faulty(flash, nth, starve))
        if making.give(agent, "pins-2.cbor") == "accepted":
            assert nth > 4, "as many writes as a commit has met the fault"
            return
        # The agent goes on; a newer document comes, and no number falls by a reboot.
        assert making.give(agent, "pins-5.cbor") == "accepted", nth
        assert agent.number == (1, 5) and making.agent(flash).number == (1, 5), nth
    raise AssertionError("the fault never stopped")


def test_memory_that_runs_out_while_reports_are_saved_costs_the_reports_alone():
    def starve(inner, offset, data):
        raise MemoryError

    flash = making.flash()
    faulty = Faulty(flash, 1, starve, FOR_GOOD)
    agent = making.agent(faulty)
    agent.poll(None, "", 0.0)
    agent.offline(errors.PIN_MISMATCH)
    assert [event["event"] for event in agent.drain()].count("flash-error") == 1
    faulty.heal()
    agent.save()
    assert Store(flash).load_journal() != b"", "what could not be saved is saved later"
