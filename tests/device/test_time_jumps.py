"""Time that jumps, and boards that count from another year: what is due does not hang on the time of day."""

import sys

import making

T0 = making.T0
Y2000 = 946684800
Y2038 = 1 << 31
Y2099 = 4070908800
Y2106 = 0xFFFFFFFF


def _life(clock, hours=24 * 9):
    """Return what an agent does for some days, its broker up all the time."""
    agent = making.agent()
    did = []
    for hour in range(hours):
        at = hour * 3600.0
        now, source = clock(hour)
        while True:
            action = agent.poll(now, source, at)
            if action[0] != "stay":
                did.append((hour, action[0]))
            if action[0] == "pinned":
                agent.online("broker.example")
            elif action[0] == "close":
                agent.offline()
            elif action[0] == "rescue":
                agent.rescued(action[1], "nothing")
            else:
                break
    return did


# Ahead, back, never set, gone.
_JUMPS = (T0, Y2099, 0, None, Y2106 + 1, Y2000, -1, Y2038)


def test_jumps_of_the_time_of_day_change_nothing_of_when_what_is_due():
    right = _life(lambda hour: (T0 + hour * 3600, "rtc"))
    assert [kind for _, kind in right].count("rescue") == 1, "the weekly one"
    assert _life(lambda hour: (None, "")) == right
    assert _life(lambda hour: (_JUMPS[hour % len(_JUMPS)], "ntp")) == right


def test_a_caller_without_monotonic_time_waits_no_age_after_a_jump_back():
    # Hostile NTP says 2099, then the truth: what was due in some minutes is not due in 70 years.
    agent = making.agent(None, {"backoff_min_s": 8.0})
    assert agent.poll(Y2099)[0] == "pinned"
    agent.offline()
    assert agent.poll(Y2099)[0] == "wait"
    now = T0
    for _ in range(3):
        action = agent.poll(now)
        if action[0] == "pinned":
            break
        assert action[0] == "wait" and action[1] < 20.0, action
        now += action[1] + 1
    assert action[0] == "pinned"


# ---- both epochs -----------------------------------------------------------------------------------------------------


class _Time:
    """Stands for the module `time` of a board whose epoch begins in a year; `seconds` since then."""

    def __init__(self, year, seconds):
        self._year = year
        self._seconds = seconds
        self.ticks = 0

    def gmtime(self, at):
        assert at == 0
        return (self._year, 1, 1, 0, 0, 0, 5, 1)

    def time(self):
        return self._seconds

    def ticks_ms(self):
        return self.ticks & 0x3FFFFFFF

    def ticks_diff(self, one, other):
        return ((one - other + 0x20000000) & 0x3FFFFFFF) - 0x20000000

    def sleep(self, seconds):
        pass


def _clock(fake):
    """Return the clock as it comes up on a board with that module `time`."""
    name = "everpin.ports.clock"
    real = sys.modules.get("time")
    kept = sys.modules.pop(name, None)
    sys.modules["time"] = fake
    try:
        __import__(name)
        return sys.modules.pop(name).Clock("rtc")
    finally:
        del sys.modules["time"]
        if real is not None:
            sys.modules["time"] = real
        if kept is not None:
            sys.modules[name] = kept


def test_clocks_of_both_epochs_say_unix_seconds():
    for year, offset in ((1970, 0), (2000, Y2000)):
        for now in (Y2000, T0, Y2038, Y2106):
            assert _clock(_Time(year, now - offset)).now() == (now, "rtc"), (year, now)
        # A clock that was never set stands at its epoch, below every floor: it is taken for none.
        agent = making.agent()
        assert making.give(agent, "time-2-rtc.cbor") == "accepted"
        now, source = _clock(_Time(year, 0)).now()
        agent.poll(now, source, 0.0)
        assert making.give(agent, "time-4-exp-0.cbor") == "accepted"


def test_monotonic_seconds_go_on_over_the_wrap_of_a_boards_ticks():
    fake = _Time(2000, 0)
    clock = _clock(fake)
    seen = []
    for day in range(40):
        fake.ticks = day * 86400000
        seen.append(clock.uptime())
    assert seen == [day * 86400.0 for day in range(40)]
