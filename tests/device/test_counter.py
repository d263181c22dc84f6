"""A board's monotonic counter: it counts commits, tells an old image from the newest, and strands nobody, whatever it does."""

import making
import memflash
import tools
from everpin.core import errors
from everpin.core.agent import Agent
from everpin.core.store import Store


class Counter:
    """Only ever rises; what asks it to fall, or to stand still, is wrong use. `broken` is the call that fails."""

    def __init__(self, value=0):
        self.value = value
        self.broken = ""

    def read(self):
        if self.broken == "read":
            raise OSError(5)
        return self.value

    def raise_to(self, value):
        if self.broken == "raise":
            raise OSError(5)
        assert value > self.value, "a counter with few rises left is asked for one in vain"
        self.value = value


def _agent(flash, counter):
    return Agent(Store(flash, counter), making.Random(), None, tools.data("device.key"))


def _events(agent):
    return [event["event"] for event in agent.drain()]


def test_each_commit_is_counted_once_and_a_boot_not_at_all():
    flash, counter = making.flash(), Counter()
    agent = _agent(flash, counter)
    for count, name in ((1, "pins-2.cbor"), (2, "pins-5.cbor")):
        assert making.give(agent, name) == "accepted"
        assert counter.value == count
        agent = _agent(flash, counter)
        assert counter.value == count and "flash-restored" not in _events(agent)


def test_the_counter_rises_after_the_commit_and_catches_up_where_the_power_went_between():
    whole, counter = making.flash(), Counter()
    steps = whole.steps
    making.give(_agent(whole, counter), "pins-2.cbor")
    for step in range(whole.steps - steps):
        flash, counter = making.flash(), Counter()
        agent = _agent(flash, counter)
        flash.cut = (flash.steps + step, "after")
        tools.raises(memflash.PowerCut, making.give, agent, "pins-2.cbor")
        assert counter.value == 0
        flash.restart()
        agent = _agent(flash, counter)
        assert "flash-restored" not in _events(agent)
        assert counter.value == (1 if agent.number == (1, 2) else 0)


def _restored():
    """Return the agent of a board whose flash holds an image from before pins-6-forbid-a, and its counter."""
    flash, counter = making.flash(), Counter()
    agent = _agent(flash, counter)
    making.give(agent, "pins-2.cbor")
    old = flash.copy()
    for name in ("pins-5.cbor", "pins-6-forbid-a.cbor"):
        making.give(agent, name)
    return _agent(old, counter), old, counter


def test_a_store_behind_its_counter_means_rescue_soon_and_no_refusal():
    agent, _, _ = _restored()
    assert "flash-restored" in _events(agent)
    # Nobody is refused for it: the peers of the old image are talked to, its numbers are the floor.
    assert making.shake(agent, "cert-a.der").accepted
    tools.raises(errors.EQUIVOCATION, tools.pins, agent.trust, tools.data("pins-2-other.cbor"))
    assert agent.poll(None, "", 0.0)[0] == "pinned"
    agent.offline()
    at = 0.0
    while at < 120.0:
        action = agent.poll(None, "", at)
        if action[0] == "rescue":
            break
        if action[0] == "pinned":
            agent.offline()
        at += 1.0
    assert action[0] == "rescue"
    assert making.give(agent, "pins-6-forbid-a.cbor", action[1]) == "accepted"
    assert not making.shake(agent, "cert-a.der").accepted


def test_commits_on_an_old_image_ask_the_counter_for_nothing_until_they_pass_it():
    agent, flash, counter = _restored()
    assert counter.value == 3
    for name, want in (("pins-5.cbor", 3), ("pins-6-forbid-a.cbor", 3), ("pins-7-urgent.cbor", 4)):
        assert making.give(agent, name) == "accepted"
        assert counter.value == want
    assert "flash-restored" not in _events(_agent(flash, counter))


def test_a_counter_that_fails_is_told_and_the_device_goes_on_without():
    for broken in ("read", "raise"):
        flash, counter = making.flash(), Counter()
        counter.broken = broken
        agent = _agent(flash, counter)
        assert making.give(agent, "pins-2.cbor") == "accepted"
        assert "counter-error" in _events(agent)
        agent = _agent(flash, counter)
        assert agent.number == (1, 2) and "counter-error" in _events(agent)
        # It works again: it has caught up, and nothing looks like an old image.
        counter.broken = ""
        assert "flash-restored" not in _events(_agent(flash, counter)) and counter.value == 1
