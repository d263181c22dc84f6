"""The agent's life: pinned, refused, rescue, back again; nothing that arrives stops it."""

from hashlib import sha256

import making
import tools
from everpin.core import errors, report, state
from everpin.core.schedule import Schedule

TIMING = {"backoff_min_s": 1.0, "backoff_max_s": 8.0, "rescue_rounds": 2}


def _poll(agent, at):
    return agent.poll(None, "", at)


def _until(agent, kind, at, limit=1000):
    """Poll, failing each dial, until an action of that kind comes; return (action, at)."""
    for _ in range(limit):
        action = _poll(agent, at)
        if action[0] == kind:
            return action, at
        if action[0] == "wait":
            at += action[1]
        elif action[0] == "pinned":
            agent.offline()
        elif action[0] == "rescue":
            agent.rescued(action[1], "nothing")
    raise AssertionError("never came: " + kind)


def test_a_device_dials_its_broker_first():
    agent = making.agent(None, TIMING)
    assert _poll(agent, 0.0) == ("pinned", "broker.example", 8883)
    assert agent.state == state.CONNECTING


def test_after_failed_rounds_every_carrier_is_asked_and_then_the_broker_again():
    agent = making.agent(None, TIMING)
    action, at = _until(agent, "rescue", 0.0)
    assert action[1] == "http://mirror.example/pins"
    agent.rescued(action[1], "nothing")
    action, at = _until(agent, "pinned", at)
    agent.offline()
    action, _ = _until(agent, "rescue", at)
    assert action[0] == "rescue"


def test_back_off_grows_to_its_bound_and_never_ends():
    agent = making.agent(None, TIMING)
    at = 0.0
    waits = []
    while len(waits) < 12:
        action = _poll(agent, at)
        if action[0] == "wait":
            waits.append(action[1])
            at += action[1]
        elif action[0] == "pinned":
            agent.offline()
        else:
            agent.rescued(action[1], "nothing")
    assert waits[0] < 1.5 and max(waits) <= 8.0 * 1.25 and min(waits[6:]) >= 8.0 * 0.74


def test_only_after_a_verdict_refused_the_fully_released_document_is_taken_too():
    agent = making.agent(None, TIMING)
    _poll(agent, 0.0)
    agent.offline()
    _until(agent, "pinned", 0.0)
    assert "everpin/1/acme/meters/pins" not in agent.topics(True)
    agent.offline(errors.PIN_MISMATCH)
    _until(agent, "rescue", 0.0)
    assert "everpin/1/acme/meters/pins" in agent.topics(True)


def test_rescue_topics_do_not_name_the_device():
    agent = making.agent(None, TIMING)
    for topic in agent.topics(True):
        assert "meter-1" not in topic


def test_a_document_from_rescue_makes_the_next_dial_due_at_once():
    agent = making.agent(None, TIMING)
    action, at = _until(agent, "rescue", 0.0)
    assert (
        agent.receive(making.bucket_topic(agent), tools.data("pins-2.cbor"), action[1])
        == "accepted"
    )
    agent.rescued(action[1], "accepted")
    action = _poll(agent, at)
    while action[0] == "rescue":
        agent.rescued(action[1], "nothing")
        action = _poll(agent, at)
    assert action[0] == "pinned"


def test_an_accepted_document_ends_the_live_session_to_be_confirmed_by_a_new_one():
    agent = making.agent(None, TIMING)
    _poll(agent, 0.0)
    making.shake(agent, "cert-a.der")
    agent.online("broker.example")
    assert _poll(agent, 1.0) == ("stay",)
    assert making.give(agent, "pins-2.cbor") == "accepted"
    assert _poll(agent, 2.0) == ("close",)
    agent.offline()
    assert _poll(agent, 2.0)[0] == "pinned"
    making.shake(agent, "cert-a.der")
    agent.online("broker.example")
    assert agent.trust.unconfirmed() == []
    assert _poll(agent, 3.0) == ("stay",)
    kinds = [event[1] for event in agent.events.copy()]
    assert report.ACCEPTED in kinds and report.CONFIRMED in kinds


def test_a_document_that_pins_nobody_costs_one_reconnect_and_is_reported():
    agent = making.agent(None, TIMING)
    _poll(agent, 0.0)
    making.shake(agent, "cert-a.der")
    agent.online("broker.example")
    making.give(agent, "pins-3-nobody.cbor")
    assert _poll(agent, 1.0) == ("close",)
    agent.offline()
    _poll(agent, 1.0)
    assert making.shake(agent, "cert-a.der").accepted
    agent.online("broker.example")
    assert _poll(agent, 2.0) == ("stay",), "no reconnect loop"
    assert report.OVERLAP in [event[1] for event in agent.events.copy()]


def test_even_while_pinned_a_rescue_comes_at_a_long_interval():
    agent = making.agent(None, {"rescue_every_s": 1000.0})
    _poll(agent, 0.0)
    agent.online("broker.example")
    assert _poll(agent, 500.0) == ("stay",)
    assert _poll(agent, 1300.0) == ("close",)
    agent.offline()
    assert _poll(agent, 1300.0)[0] == "rescue"


def test_an_authentic_ack_that_names_a_newer_document_brings_a_rescue_soon():
    agent = making.agent(None, {"behind_s": 10.0})
    _poll(agent, 0.0)
    agent.online("broker.example")
    making.give(agent, "bad-unsigned.cbor")
    _, data = agent.outbox()[0]
    nonce = report.open_report(tools.data("report.key"), "acme", "meter-1", data)[10]
    ack = report.make_ack(tools.data("report.key"), "acme", "meter-1", nonce, (1, 9), making.T0)
    agent.receive("everpin/1/acme/ack/meter-1", ack)
    assert _poll(agent, 5.0) == ("stay",)
    assert _poll(agent, 13.0) == ("close",)


def test_any_bytes_on_any_topic_are_taken_and_the_agent_goes_on():
    agent = making.agent()
    before = agent.trust_digest()
    good = tools.data("pins-2.cbor")
    everywhere = agent.topics() + [
        "",
        "x",
        "everpin/1/acme/report/meter-1",
        "everpin/1/acme/meters/pins",
    ]
    for payload in (b"", b"\x00", b"\xff" * 2000, b"\xd2", good[:-1], b"[" * 2000, b"\x81" * 2000):
        for topic in everywhere:
            agent.receive(topic, payload)
    assert agent.trust_digest() == before
    assert making.give(agent, "pins-2.cbor") == "accepted"


def test_an_empty_payload_is_no_information():
    agent = making.agent()
    assert agent.receive(making.bucket_topic(agent), b"") == "ignored"


def test_a_session_that_rests_on_a_forbidden_key_sees_the_generation_rise():
    agent = making.agent()
    found = making.shake(agent, "cert-a.der")
    making.give(agent, "pins-6-forbid-a.cbor")
    assert agent.generation != found.generation
    assert not agent.verdict("broker.example", [tools.data("cert-a.der")]).accepted


def test_back_off_survives_a_reboot():
    flash = making.flash()
    agent = making.agent(flash, TIMING)
    _until(agent, "rescue", 0.0)
    agent = making.agent(flash, TIMING)
    assert _poll(agent, 0.0)[0] == "rescue", "what was due is due still"


def test_a_session_ends_back_off_also_for_a_device_that_loses_its_power():
    flash = making.flash()
    agent = making.agent(flash, TIMING)
    _until(agent, "rescue", 0.0)
    agent.rescued("http://mirror.example/pins", "nothing")
    while _poll(agent, 1000.0)[0] != "pinned":
        pass
    agent.online("broker.example")
    agent = making.agent(flash, TIMING)
    assert _poll(agent, 0.0)[0] == "pinned"


def test_the_days_journal_writes_are_bounded():
    flash = making.flash()
    agent = making.agent(flash, TIMING)
    steps = flash.steps
    at = 0.0
    for _ in range(200):
        action = _poll(agent, at)
        if action[0] == "wait":
            at += action[1]
        elif action[0] == "pinned":
            agent.offline(errors.PIN_MISMATCH)
        else:
            agent.rescued(action[1], "nothing")
    assert at < 86400
    assert flash.steps - steps <= 24 + 4


def test_journal_writes_that_fail_are_counted_too():
    flash = making.flash()
    agent = making.agent(flash)
    agent.poll(None, "", 0.0)
    flash.deaf = True  # nothing that is written is there when it is read back
    steps = flash.steps
    for _ in range(200):
        agent.events.note(report.CONFIRMED)
        agent.save()
    # Each write may have tried every sector of its ring.
    assert 0 < flash.steps - steps <= 24 * 2 * 5
    flash.deaf = False
    agent.poll(None, "", 90000.0)
    agent.save()
    assert len(making.agent(flash).events) == 1, "what could not be saved is saved the next day"


def test_a_clock_below_the_floor_is_none_whatever_its_source():
    agent = making.agent()
    making.give(agent, "time-2-rtc.cbor")
    agent.poll(making.T0, "rtc", 1.0)
    assert making.give(agent, "time-4-exp-0.cbor") == "expired"
    # Never set, as a board that counts from 1970 or 2000 has it: whatever it says is not believed, 1970 included.
    for now in (0, 946684800, making.T0 - 1):
        agent = making.agent()
        making.give(agent, "time-2-rtc.cbor")
        agent.poll(now, "rtc", 1.0)
        assert making.give(agent, "time-4-exp-0.cbor") == "accepted"


def test_a_live_session_subscribes_again_for_brokers_lose_subscriptions():
    agent = making.agent(None, {"pull_every_s": 100.0})
    _poll(agent, 0.0)
    agent.online("broker.example")
    pulls = [at for at in range(0, 1000, 5) if _poll(agent, float(at)) == ("pull",)]
    assert 7 <= len(pulls) <= 13 and pulls[0] >= 75, pulls


def test_calls_out_of_order_are_the_callers_mistake():
    agent = making.agent()
    tools.raises(errors.MisuseError, agent.rescued, "http://x/", "nothing")
    refused = agent.verdict("broker.example", [])
    tools.raises(errors.MisuseError, agent.completed, refused)


def test_a_flash_that_fails_leaves_the_state_that_the_flash_holds():
    flash = making.flash()
    agent = making.agent(flash)
    before = agent.trust_digest()
    flash.deaf = True
    assert making.give(agent, "pins-2.cbor") == "flash"
    flash.deaf = False
    assert agent.trust_digest() == before
    assert making.give(agent, "pins-2.cbor") == "accepted"


def test_a_session_that_began_long_ago_is_no_day_without_one():
    agent = making.agent(None, TIMING)
    _poll(agent, 0.0)
    making.shake(agent, "cert-a.der")
    agent.online("broker.example")
    _poll(agent, 5 * 86400.0)
    agent.offline()
    _until(agent, "pinned", 5 * 86400.0)
    assert "everpin/1/acme/meters/pins" not in agent.topics(True)


def test_a_device_that_reboots_every_day_comes_to_its_rescue_of_the_week():
    random = making.Random()
    due = 0
    for _ in range(64):
        # Two bytes of a hash: what a board's generator gives at boot.
        drawn = sha256(random(4)).digest()
        plan = Schedule(lambda length, drawn=drawn: drawn[:length], {})
        assert not plan.rescue_due()
        plan.advance(86400.0)
        due += plan.rescue_due()
    assert 4 <= due <= 24
