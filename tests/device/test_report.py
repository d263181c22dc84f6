"""Reports and acks: authentic, bounded, and kept until they arrived."""

import gc

import making
import tools
from everpin.core import cbor, cose, eat, errors, limits, report


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
    nonce = report.open_report(_key(), "acme", "meter-1", data)[10]
    assert agent.receive("everpin/1/acme/ack/meter-1", _ack(agent, nonce)) == "acked"
    assert len(agent.events) == 0 and agent.outbox() == []


def test_a_replayed_or_forged_ack_says_nothing():
    agent = _eventful()
    _, data = _made(agent)
    nonce = report.open_report(_key(), "acme", "meter-1", data)[10]
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
    nonce = report.open_report(_key(), "acme", "meter-1", data)[10]
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


def _longest():
    """Return a list of events as long as it can be: nothing in it could take one byte more."""
    events = report.Events()
    for number in range(limits.REPORT_MAX_EVENTS):
        more = {
            report.PORT: 0xFFFF,
            report.NOTED: 252,
            report.SUBDOMAINS: True,
            report.EXPIRES: 0xFFFFFFFF,
            report.SERVED: b"s" * 64,
            report.VALIDATED: b"v" * 64,
        }
        name = "h" * 252 + chr(97 + number)
        pin, top = b"p" * 32, 0xFFFFFFFF
        events.note(report.UNLISTED, name, 255, (top, top), pin, top, more)
    # The arithmetic of report.Events.
    assert len(events) == 6
    for item in events._items:
        item[2] = 0xFFFF
        assert len(cbor.dumps(item)) == 468
    events.opened = dict.fromkeys(report.OPENED, 0xFFFFFFFF)
    return events


def test_the_longest_report_fits_the_cap_of_a_document():
    events = _longest()
    name, top, places = "m" * limits.NAME_MAX_BYTES, 0xFFFFFFFF, list(range(16))
    more = {
        report.UNCONFIRMED: places,
        report.OPENED_SO_FAR: events.opened,
        report.NOW_EXPIRED: places,
    }
    number = (top, top)
    args = (_key(), name, name, b"e" * 8, top, number, top)
    empty = report.make(*args, [], b"n" * 16, False, more, top)
    data = report.make(*args, events.copy(), b"n" * 16, False, more, top)
    assert len(empty) == 409 and len(data) == len(empty) + 6 * 468
    assert len(empty) + limits.REPORT_MAX_BYTES <= limits.DOCUMENT_MAX_BYTES
    said = report.open_report(_key(), name, name, data)
    assert said[6] == events.copy() and said[11] == events.opened


def test_short_events_are_bounded_by_their_number_and_long_ones_by_their_bytes():
    events = report.Events()
    for number in range(200):
        served = b"s" * (number * 8 % 72)
        more = {report.SERVED: served} if served else None
        events.note(report.CONFIRMED, "%03d" % number + "n" * number, 0, (1, 1), None, 1, more)
        listed = events.copy()
        assert len(listed) <= limits.REPORT_MAX_EVENTS
        assert len(cbor.dumps(listed)) <= limits.REPORT_MAX_BYTES
        assert listed[-1][3][:3] == "%03d" % number, "the newest is never the one to go"
    assert 6 <= len(listed) < limits.REPORT_MAX_EVENTS


def test_the_longest_journal_is_read_again():
    wanted = _longest()  # first: a small heap fragments
    flash = making.flash()
    agent = making.agent(flash)
    agent.events._items = wanted._items
    agent.events.dirty = True
    agent.save()
    del agent
    gc.collect()
    assert making.agent(flash).events.copy() == wanted.copy()


def test_a_name_of_more_bytes_than_a_host_can_have_is_cut():
    events = report.Events()
    events.note(report.PIN_FAILURE, "\u00e4" * 250, 31, None, None, None, {report.NOTED: 200})
    (event,) = events.copy()
    assert len(event[3].encode()) <= limits.HOST_MAX_BYTES and report.NOTED not in event


def test_a_peer_that_varies_what_it_serves_makes_one_event_and_pushes_no_other_out():
    flash = making.flash()
    agent = making.agent(flash)
    assert making.give(agent, "pins-2.cbor") == "accepted"
    agent.events.note(report.FAIL_OPEN, "a.example")
    agent.save()
    steps, size = flash.steps, len(cbor.dumps(agent.events.copy()))
    good = tools.data("cert-c.der")
    for turn in range(300):
        # Another key each time, and chains of every length; nothing that can be read, too.
        other = good.replace(good[-120:-110], turn.to_bytes(10, "big"))
        chain = [tools.data("cert-%s.der" % "bc"[turn % 2])] + [other] * (turn % 8)
        for served in (chain, [turn.to_bytes(40, "big")], []):
            agent.verdict("broker.example", served if turn % 5 else [other] + served)
        agent.save()
        agent.drain()
    kinds = [event[1] for event in agent.events.copy()]
    assert report.ACCEPTED in kinds and report.FAIL_OPEN in kinds
    assert len(agent.events) <= 2 + 3, kinds
    assert flash.steps - steps <= 3 * 3, "one journal for each new kind of failure"
    assert len(cbor.dumps(agent.events.copy())) <= size + 3 * 468


def test_whatever_names_are_asked_for_what_was_decided_here_stays_to_be_told():
    flash = making.flash()
    agent = making.agent(flash)
    agent.events.note(report.CONFIRMED, "a.example")
    agent.events.note(report.EXPIRED, "a.example")
    agent.save()
    steps = flash.steps
    for turn in range(400):
        # As a redirect, or a scanner, has an application do.
        agent.verdict("x%d.example" % turn, [tools.data("cert-b.der")])
        agent.save()
        agent.drain()
    kinds = [event[1] for event in agent.events.copy()]
    assert kinds[:2] == [report.CONFIRMED, report.EXPIRED]
    assert len(kinds) == limits.REPORT_MAX_EVENTS
    # Each of these was new: the day's budget is what bounds them. A journal takes an erase at most, and a write.
    assert flash.steps - steps <= 3 * limits.REPORT_WRITES_PER_DAY


def test_events_survive_a_reboot_and_an_ack_counts_only_what_was_sent():
    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "pins-2.cbor")
    agent.save()
    agent = making.agent(flash)
    assert len(agent.events) == 1
    _, data = _made(agent)
    nonce = report.open_report(_key(), "acme", "meter-1", data)[10]
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
        cbor.dumps({1: [{1: 1, 2: 1, 3: 7}, {1: 1, 2: 1, 12: b"short"}], 4: {9: "x"}}),
    ):
        Store(flash).save_journal(junk)
        made = making.agent(flash)
        assert len(made.events) == 0 and made.events.opened == {}


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
    good = {1: "meter-1", 3: 1, 4: [1, 1], 5: 1, 6: [{1: 2, 2: 1}], 8: False}
    status = eat.make("acme", "meter-1", b"e" * 8, b"n" * 16, 5)

    def opened(body, beside=status):
        found = dict(beside)
        found[-70001] = body
        payload = cbor.dumps(found)
        data = cose.make_mac0(cose.REPORT, _key(), cose.external_aad("acme", "meter-1"), payload)
        return report.open_report(_key(), "acme", "meter-1", data)

    said = opened(good)
    assert said[6] == good[6] and said[eat.UPTIME] == 5 and said[eat.NONCE] == b"n" * 16
    for label, value in (
        (1, "meter-2"),  # who it is, is said twice: in what is authenticated beside it, and in it
        (3, -1),
        (4, [1]),
        (5, 0),
        (6, {}),
        (6, [7]),
        (6, [{1: 0, 2: 1}]),
        (6, [{1: 2, 2: 0}]),
        (6, [{1: 2, 2: 1}] * 17),
        (8, 1),
        (report.UNCONFIRMED, [16]),
        (report.UNCONFIRMED, [0] * 17),
        (report.NOW_EXPIRED, 3),
        (report.OPENED_SO_FAR, [1]),
        (report.OPENED_SO_FAR, {9: -1}),
        (report.OPENED_SO_FAR, {10: 1 << 32}),
    ):
        changed = dict(good)
        changed[label] = value
        tools.raises(errors.STRUCTURE, opened, changed)
    for label, value in (
        (3, 7),
        (3, ""),
        (3, "h" * 254),
        (4, "31"),
        (5, [1]),
        (6, b"p" * 31),
        (7, -1),
        (report.PORT, "8883"),
        (report.NOTED, -1),
        (report.SUBDOMAINS, False),
        (report.EXPIRES, 1 << 32),
        (report.SERVED, b""),
        (report.SERVED, b"s" * 12),
        (report.SERVED, b"s" * 72),
        (report.VALIDATED, "vvvvvvvv"),
    ):
        event = {1: 1, 2: 1}
        event[label] = value
        changed = dict(good)
        changed[6] = [event]
        tools.raises(errors.STRUCTURE, opened, changed)
    for label, value in (
        (eat.NONCE, b"n" * 15),
        (eat.BOOTSEED, b"e" * 7),
        (eat.UEID, b"u" * 16),
        (eat.UPTIME, -1),
        (eat.SWNAME, 1),
        (eat.SWVERSION, "0.1.0"),
        (eat.PROFILE, None),
    ):
        changed = dict(status)
        changed[label] = value
        tools.raises(errors.STRUCTURE, opened, good, changed)


def test_a_report_on_the_way_is_forgotten_with_its_session():
    agent = _eventful()
    agent.poll(None, "", 0.0)
    agent.online("broker.example")
    _, data = _made(agent)
    nonce = report.open_report(_key(), "acme", "meter-1", data)[10]
    agent.offline()
    agent.poll(None, "", 100.0)
    agent.online("broker.example")
    assert agent.receive("everpin/1/acme/ack/meter-1", _ack(agent, nonce)) == "ignored"
    assert len(agent.events) > 0
