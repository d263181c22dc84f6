"""Reports and acks: authentic, bounded, and kept until they arrived."""

import making
import tools
from everpin.core import cbor, cose, errors, limits, report


def _key():
    return tools.data("report.key")


def _made(agent):
    topic, data = agent.outbox()[0]
    return topic, data


def _ack(agent, nonce, number=(1, 2), key=None):
    return report.make_ack(key or _key(), "acme", agent.device, nonce, number, making.T0)


def _eventful(timing=None):
    agent = making.agent(None, timing)
    making.give(agent, "pins-2.cbor")
    return agent


def test_a_report_says_who_what_and_which_number():
    agent = _eventful()
    topic, data = _made(agent)
    assert topic == "everpin/1/acme/report/meter-1"
    said = report.open_report(_key(), "acme", "meter-1", data)
    assert said[4] == [1, 2] and said[5] == 1 and said[8] is False
    assert [event[1] for event in said[6]] == [report.ACCEPTED]


def test_a_report_is_authentic_for_one_device_fleet_and_key_only():
    _, data = _made(_eventful())
    for key, fleet, device in (
        (b"x" * 32, "acme", "meter-1"),
        (_key(), "other", "meter-1"),
        (_key(), "acme", "meter-2"),
    ):
        tools.raises(errors.BAD_ACK, report.open_report, key, fleet, device, data)
    for at in range(len(data)):
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        tools.raises(errors.PeerError, report.open_report, _key(), "acme", "meter-1", broken)


def test_an_ack_for_the_reports_nonce_empties_the_queue():
    agent = _eventful()
    _, data = _made(agent)
    nonce = report.open_report(_key(), "acme", "meter-1", data)[7]
    assert agent.receive("everpin/1/acme/ack/meter-1", _ack(agent, nonce)) == "acked"
    assert len(agent.events) == 0 and agent.outbox() == []


def test_a_replayed_or_forged_ack_says_nothing():
    agent = _eventful()
    _, data = _made(agent)
    nonce = report.open_report(_key(), "acme", "meter-1", data)[7]
    topic = "everpin/1/acme/ack/meter-1"
    assert agent.receive(topic, _ack(agent, b"0" * 16)) == "bad-ack"
    assert agent.receive(topic, _ack(agent, nonce, (1, 2), b"x" * 32)) == "bad-ack"
    assert agent.receive(topic, b"junk") == "encoding"
    assert len(agent.events) == 1
    good = _ack(agent, nonce)
    assert agent.receive(topic, good) == "acked"
    assert agent.receive(topic, good) == "ignored"


def test_the_time_of_an_ack_is_never_used():
    agent = _eventful()
    floor = agent.trust.marks.floor
    _, data = _made(agent)
    nonce = report.open_report(_key(), "acme", "meter-1", data)[7]
    late = report.make_ack(_key(), "acme", "meter-1", nonce, (1, 2), 0xFFFFFFFF)
    assert agent.receive("everpin/1/acme/ack/meter-1", late) == "acked"
    assert agent.trust.marks.floor == floor


def test_one_report_awaits_its_ack_and_is_sent_again_at_growing_gaps():
    agent = _eventful({"report_retry_s": 10.0})
    agent.poll(None, "", 0.0)
    agent.online("broker.example")
    sent = []
    for at in range(0, 1000):
        agent.poll(None, "", float(at))
        if at == 1:
            making.give(agent, "bad-unsigned.cbor")
        if agent.outbox():
            sent.append(at)
    assert sent[0] == 0 and 1 < len(sent) < 9, sent
    gaps = [sent[n + 1] - sent[n] for n in range(len(sent) - 1)]
    assert gaps[0] >= 7 and gaps[-1] > 2 * gaps[0], gaps


def test_a_new_session_sends_at_once_what_the_last_one_may_have_lost():
    agent = _eventful()
    agent.poll(None, "", 0.0)
    agent.online("broker.example")
    assert agent.outbox() and not agent.outbox()
    agent.offline()
    agent.poll(None, "", 100.0)
    agent.online("broker.example")
    assert agent.outbox()


def test_equal_events_are_one_with_a_count_and_the_list_is_bounded():
    events = report.Events()
    for _ in range(5):
        events.note(report.REFUSED, "", 11)
    assert len(events) == 1 and events.copy()[0][2] == 5
    for number in range(100):
        events.note(report.PIN_FAILURE, "host-%d" % number, 31, (1, 1), b"p" * 32)
    assert len(events) == limits.REPORT_MAX_EVENTS


def test_a_full_report_fits_the_cap_of_a_document():
    events = report.Events()
    for number in range(limits.REPORT_MAX_EVENTS):
        events.note(
            report.PIN_FAILURE, "%03d" % number + "h" * 250, 31, (1, 1), b"p" * 32, making.T0
        )
    data = report.make(
        _key(), "acme", "m", b"e" * 8, 1, (1, 1), 1, events.copy(), b"n" * 16, False
    )
    assert len(data) <= limits.DOCUMENT_MAX_BYTES
    assert len(report.open_report(_key(), "acme", "m", data)[6]) == limits.REPORT_MAX_EVENTS


def test_events_survive_a_reboot_and_an_ack_counts_only_what_was_sent():
    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "pins-2.cbor")
    agent.save()
    agent = making.agent(flash)
    assert len(agent.events) == 1
    _, data = _made(agent)
    nonce = report.open_report(_key(), "acme", "meter-1", data)[7]
    making.give(agent, "bad-unsigned.cbor")
    agent.receive("everpin/1/acme/ack/meter-1", _ack(agent, nonce))
    assert [event[1] for event in agent.events.copy()] == [report.REFUSED]


def test_a_journal_of_junk_is_passed_over():
    flash = making.flash()
    from everpin.core.store import Store

    for junk in (
        b"junk",
        cbor.dumps([1]),
        cbor.dumps({1: 7, 2: "x", 3: 1}),
        cbor.dumps({1: [1, {}], 2: -4}),
    ):
        Store(flash).save_journal(junk)
        assert len(making.agent(flash).events) == 0


def test_a_mac0_of_another_type_is_refused():
    data = cose.make_mac0(cose.ACK, _key(), cose.external_aad("acme", "meter-1"), cbor.dumps({}))
    tools.raises(errors.WRONG_TYPE, report.open_report, _key(), "acme", "meter-1", data)


def test_a_mac0_under_another_algorithm_is_refused_though_its_tag_is_right():
    # HMAC 256/64 (RFC 9053 section 3.1) has a tag of 8 bytes: whoever chose it would choose how much is checked.
    aad = cose.external_aad("acme", "meter-1")
    for alg, error in ((4, errors.SHAPE), (6, errors.SHAPE), (None, errors.SHAPE)):
        head = cbor.dumps({16: cose.REPORT} if alg is None else {1: alg, 16: cose.REPORT})
        tag = cose._tag(_key(), head, aad, b"\xa0")
        data = cbor.dumps(cbor.Tag(17, [head, {}, b"\xa0", tag]))
        tools.raises(error, cose.mac0, data, cose.REPORT, _key(), aad)


def test_an_authentic_report_of_another_shape_is_refused():
    good = {
        1: "meter-1",
        2: b"e" * 8,
        3: 1,
        4: [1, 1],
        5: 1,
        6: [{1: 2, 2: 1}],
        7: b"n" * 16,
        8: False,
    }

    def opened(body):
        payload = cbor.dumps({1: "acme", -70001: body})
        data = cose.make_mac0(cose.REPORT, _key(), cose.external_aad("acme", "meter-1"), payload)
        return report.open_report(_key(), "acme", "meter-1", data)

    assert opened(good) == good
    for label, value in (
        (1, "meter-2"),  # who it is, is said twice: in what is authenticated beside it, and in it
        (2, b"e" * 7),
        (3, -1),
        (4, [1]),
        (5, 0),
        (6, {}),
        (6, [7]),
        (6, [{1: 0, 2: 1}]),
        (6, [{1: 2, 2: 0}]),
        (6, [{1: 2, 2: 1}] * 17),
        (7, b"n" * 15),
    ):
        changed = dict(good)
        changed[label] = value
        tools.raises(errors.STRUCTURE, opened, changed)


def test_a_report_on_the_way_is_forgotten_with_its_session():
    agent = _eventful()
    agent.poll(None, "", 0.0)
    agent.online("broker.example")
    _, data = _made(agent)
    nonce = report.open_report(_key(), "acme", "meter-1", data)[7]
    agent.offline()
    agent.poll(None, "", 100.0)
    agent.online("broker.example")
    assert agent.receive("everpin/1/acme/ack/meter-1", _ack(agent, nonce)) == "ignored"
    assert len(agent.events) > 0
