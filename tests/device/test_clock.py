"""Monotonic seconds from ticks that wrap, on interpreters whose floats have 24 bits."""

from everpin.ports import clock

_WRAP = 1 << 30
_DAY_MS = 86400000


class _Time:
    """`time` as a board has it, its ticks set by the test."""

    ms = 0

    def ticks_ms(self):
        return self.ms % _WRAP

    @staticmethod
    def ticks_diff(one, other):
        return (one - other + _WRAP // 2) % _WRAP - _WRAP // 2


def _uptimes(*at_ms):
    """Return what a clock says at these times, asked once a day in between."""
    fake = _Time()
    real = clock.time, clock._ticks_ms
    clock.time, clock._ticks_ms = fake, fake.ticks_ms
    try:
        made = clock.Clock()
        found = []
        for at in at_ms:
            while at - fake.ms > _DAY_MS:
                fake.ms += _DAY_MS
                made.uptime()
            fake.ms = at
            found.append(made.uptime())
        return found
    finally:
        clock.time, clock._ticks_ms = real


def test_uptime_tells_milliseconds_apart_at_first():
    assert _uptimes(0, 1500, 1625, 7200500) == [0.0, 1.5, 1.625, 7200.5]


def test_after_years_uptime_is_whole_seconds_that_no_float_rounds():
    years = 20 * 365 * _DAY_MS
    found = _uptimes(years, years + 1000, years + 1999, years + 5000)
    first = years // 1000
    assert found == [first, first + 1, first + 1, first + 5]
    assert all(isinstance(item, int) for item in found)
