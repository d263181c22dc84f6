"""Time: no clock, no future date and no ack opens, closes or strands anything; only named sources judge exp."""

import making
import tools
from everpin.core import accept, errors, report, verdict
from everpin.core.store import Store

T0 = making.T0
YEAR = 31557600
Y2000 = 946684800
Y2038 = 1 << 31
Y2099 = 4070908800
Y2106 = 0xFFFFFFFF

# What a clock can say: never set (1970, 2000), before and after every wrap of 31 and 32 bits, and nonsense.
CLOCKS = (
    None,
    -(1 << 40),
    -1,
    0,
    Y2000,
    T0 - 1,
    T0,
    Y2038 - 1,
    Y2038,
    Y2099,
    Y2106,
    Y2106 + 1,
    1 << 40,
)
# The policy of time-2-rtc names "rtc" alone.
STRANGERS = ("", "ntp", "sntp", "http", "RTC", "rtc ", "ack", "build")


def _named(agent):
    """Give the document whose policy trusts the clock "rtc"."""
    assert making.give(agent, "time-2-rtc.cbor") == "accepted"
    return agent


def _trust(*names):
    trust = Store(making.flash()).load()
    for name in names:
        trust, _ = accept.document(trust, tools.data(name))
    return trust


# ---- clocks ----------------------------------------------------------------------------------------------------------


def test_no_clock_of_any_source_opens_or_closes_anything():
    agent = _named(making.agent())
    before = agent.trust_digest()
    for now in CLOCKS:
        for source in ("rtc", "ntp", ""):
            agent.poll(now, source, 0.0)
            for cert, accepted in (("cert-a.der", True), ("cert-b.der", False)):
                found = verdict.decide(agent.trust, "broker.example", [tools.data(cert)])
                assert found.accepted == accepted, (now, source)
            assert agent.trust_digest() == before, (now, source)


def test_a_document_without_exp_is_accepted_at_any_time_of_any_clock():
    for now in CLOCKS:
        trust = _trust("time-2-rtc.cbor")
        assert tools.pins(trust, tools.data("pins-5.cbor"), now, "rtc").pins.number == (1, 5)


def test_exp_is_judged_by_named_sources_alone_whatever_others_say():
    trust = _trust("time-2-rtc.cbor")
    data = tools.data("time-4-exp.cbor")
    exp = T0 + YEAR
    assert tools.pins(trust, data, exp - 1, "rtc") is not None
    for now in (exp, Y2038, Y2099, Y2106, Y2106 + 1, 1 << 40):
        tools.raises(errors.EXPIRED, tools.pins, trust, data, now, "rtc")
        for source in STRANGERS:
            assert tools.pins(trust, data, now, source) is not None, (now, source)
    # Without a policy that names one, none is named.
    free = _trust("time-2-rtc.cbor", "time-5-no-source.cbor")
    assert free.pins.sources == []
    assert tools.pins(free, tools.data("pins-13-exp.cbor"), 1 << 40, "rtc") is not None


def test_a_clock_that_jumps_ahead_and_back_strands_nothing():
    agent = _named(making.agent())
    assert agent.poll(T0 + 10 * YEAR, "rtc", 0.0)
    assert making.give(agent, "time-4-exp.cbor") == "expired"
    # Rescue takes it all the same, and so does the session once the clock is right again.
    other = _named(making.agent())
    other.poll(T0 + 10 * YEAR, "rtc", 0.0)
    assert making.give(other, "time-4-exp.cbor", "http://mirror.example/pins") == "accepted"
    agent.poll(T0 + 100, "rtc", 1.0)
    assert making.give(agent, "time-4-exp.cbor") == "accepted"


def test_pins_in_force_do_not_lapse_when_their_document_expires():
    flash = making.flash()
    agent = _named(making.agent(flash))
    assert making.give(agent, "time-4-exp.cbor") == "accepted"
    for now in (T0 + YEAR, Y2099, Y2106 + 1):
        agent.poll(now, "rtc", 0.0)
        assert making.shake(agent, "cert-a.der").accepted
    assert making.agent(flash).number == (1, 4)


# ---- dates in documents ----------------------------------------------------------------------------------------------


def test_a_document_of_2099_blinds_the_clock_until_a_root_resets_the_floor():
    agent = _named(making.agent())
    assert making.give(agent, "time-3-2099.cbor") == "accepted"
    assert agent.trust.marks.floor == Y2099
    # Every clock is below the floor now, so none is believed: nothing expires, and everything else goes on.
    agent.poll(T0 + 2 * YEAR, "rtc", 0.0)
    assert making.give(agent, "time-4-exp.cbor") == "accepted"
    assert agent.trust.marks.floor == Y2099, "the floor is the highest, not the latest"
    assert agent.receive("everpin/1/acme/root/2", tools.data("time-root-2.cbor")) == "root"
    assert agent.trust.marks.floor == T0 + YEAR
    assert making.give(agent, "time-pins-2-1.cbor") == "accepted"
    assert agent.trust.marks.floor == T0 + YEAR + 100


def test_a_root_of_2099_is_reset_by_the_next_and_one_of_1970_by_the_build_time():
    trust = _trust("time-root-2-2099.cbor")
    assert trust.marks.floor == Y2099
    assert tools.pins(trust, tools.data("pins-5.cbor")) is not None
    trust, _ = accept.document(trust, tools.data("time-root-3.cbor"))
    assert trust.marks.floor == T0 + 2 * YEAR
    assert _trust("time-root-2-1970.cbor").marks.floor == T0, "never below the build"


def test_dates_have_32_bits_and_those_beyond_are_refused():
    trust = _trust("time-2-rtc.cbor")
    assert tools.pins(trust, tools.data("time-3-2106.cbor")).marks.floor == Y2106
    for name in ("time-3-2107.cbor", "time-3-negative.cbor", "time-4-exp-2107.cbor"):
        tools.raises(errors.STRUCTURE, tools.pins, trust, tools.data(name))
    # The last second that can be said, and the first.
    last = tools.data("time-4-exp-2106.cbor")
    assert tools.pins(trust, last, Y2106 - 1, "rtc") is not None
    tools.raises(errors.EXPIRED, tools.pins, trust, last, Y2106, "rtc")
    tools.raises(errors.EXPIRED, tools.pins, trust, tools.data("time-4-exp-0.cbor"), 0, "rtc")
    assert tools.pins(trust, tools.data("time-4-exp-0.cbor")) is not None


def test_an_old_date_refuses_no_newer_number_and_lowers_no_floor():
    trust = _trust("time-2-rtc.cbor", "time-4-1970.cbor")
    assert trust.pins.number == (1, 4) and trust.marks.floor == T0


def test_an_ack_of_any_time_moves_nothing():
    for now in (0, Y2000, Y2038, Y2099, Y2106, (1 << 64) - 1):
        agent = _named(making.agent())
        agent.poll(T0 + 100, "rtc", 0.0)
        before = agent.trust_digest()
        key = tools.data("report.key")
        nonce = report.open_report(key, "acme", "meter-1", agent.outbox()[0][1])[10]
        ack = report.make_ack(key, "acme", "meter-1", nonce, (1, 2), now)
        assert agent.receive("everpin/1/acme/ack/meter-1", ack) == "acked"
        assert agent.trust_digest() == before
        assert making.give(agent, "time-4-exp.cbor") == "accepted", "not expired by it"
