"""Devices that sleep deeply: each wake costs one small write at most, and what it has learnt is there at the next."""

import making
from everpin.ports import fetch
from everpin.ports.runner import Runner


class _Away:
    """A port whose brokers cannot be reached; it sleeps in no time."""

    def __init__(self):
        self._at = 0.0

    def now(self):
        return None, ""

    def uptime(self):
        self._at += 0.01
        return self._at

    def sleep(self, seconds):
        self._at += seconds

    def open(self, agent, host, port):
        raise OSError(113)


def test_a_wake_writes_once_at_most_and_back_off_goes_on_where_it_was():
    flash = making.flash()
    asked = []

    def visit(agent, carrier, budget_s):
        asked.append(carrier)
        agent.rescued(carrier, "nothing")

    real, fetch.visit = fetch.visit, visit
    try:
        waits = []
        for _ in range(30):
            steps, erases = flash.steps, flash.erases
            agent = making.agent(flash)
            waits.append(Runner(agent, _Away(), lambda event: None).run_once(40.0)["wake_s"])
            assert flash.erases - erases <= 1
            assert flash.steps - steps - (flash.erases - erases) <= 1, "one record"
        assert asked, "failed rounds of earlier wakes count"
        assert waits[5] > 4 * waits[0]
    finally:
        fetch.visit = real
