"""Attacks on the way: brokers that withhold, replay, flood or are somebody else, rescue lists that are dead."""

import making
import tools
from everpin.core import mqtt, report

DAY = 86400.0
HOUR = 3600.0
MIRROR = "http://mirror.example/pins"


def _online(agent, at=0.0, cert="cert-a.der"):
    """Dial, shake hands and come up."""
    agent.poll(None, "", at)
    found = making.shake(agent, cert)
    assert found.accepted, found.name
    agent.online("broker.example")


def _until_rescue(agent, at, stop):
    """Live on, with nothing delivered, until a carrier is asked; return (carrier, at)."""
    while at < stop:
        action = agent.poll(None, "", at)
        if action[0] == "rescue":
            return action[1], at
        if action[0] in ("close", "pinned"):
            agent.offline()
        at += action[1] if action[0] == "wait" else 0.0 if action[0] == "close" else HOUR
    raise AssertionError("no rescue came")


def _asked(agent, at):
    """Return the carriers that one rescue asks, none of which has anything."""
    found = []
    action = agent.poll(None, "", at)
    while action[0] == "rescue":
        found.append(action[1])
        agent.rescued(action[1], "nothing")
        action = agent.poll(None, "", at)
    return found


def test_a_thief_of_an_active_key_who_plays_broker_and_withholds_is_left_by_a_rescue():
    agent = making.agent()
    _online(agent)
    # Genuine by every pin, he replays what the device has and keeps from it what forbids his key.
    for hour in range(1, 100):
        assert agent.poll(None, "", hour * HOUR)[0] in ("stay", "pull")
        assert making.give(agent, "pins-1.cbor") == "known"
    carrier, at = _until_rescue(agent, 100 * HOUR, 10 * DAY)
    assert at >= 5 * DAY, "rescue while pinned is rare"
    assert making.give(agent, "pins-6-forbid-a.cbor", carrier) == "accepted"
    agent.rescued(carrier, "accepted")
    assert agent.poll(None, "", at)[0] in ("pinned", "wait")
    assert making.shake(agent, "cert-a.der").name == "forbidden"
    assert making.shake(agent, "cert-b.der").accepted


def test_a_broken_document_published_fleet_wide_while_the_broker_is_down_strands_nobody():
    flash = making.flash()
    agent = making.agent(flash)
    carrier, at = _until_rescue(agent, 0.0, DAY)
    # Two in a row that pin nobody, and no broker to notice it by.
    for name in ("pins-3-nobody.cbor", "pins-4-nobody.cbor"):
        assert making.give(agent, name, carrier) == "accepted"
    agent.rescued(carrier, "accepted")
    for _ in range(50):
        action = agent.poll(None, "", at)
        if action[0] == "pinned":
            agent.offline()
        elif action[0] == "rescue":
            agent.rescued(action[1], "nothing")
        at += action[1] if action[0] == "wait" else 1.0
    agent = making.agent(flash)
    # The broker is back, with the key that it always had.
    assert making.shake(agent, "cert-a.der").by == "base"
    assert not making.shake(agent, "cert-c.der").accepted
    assert making.give(agent, "pins-5.cbor") == "accepted"
    assert making.shake(agent, "cert-b.der").by == "newest"


def test_a_rescue_list_that_is_dead_takes_none_of_the_earlier_carriers_away():
    flash = making.flash()
    agent = making.agent(flash)
    _online(agent)
    for name in ("pins-11-moved.cbor", "dead-rescue-12.cbor", "dead-rescue-13.cbor"):
        assert making.give(agent, name) == "accepted"
    for _ in range(2):
        carrier, at = _until_rescue(agent, 0.0, 10 * DAY)
        agent.rescued(carrier, "nothing")
        asked = [carrier] + _asked(agent, at)
        dead = ["http://dead.example/a", "http://dead.example/b"]
        assert asked == dead + ["http://elsewhere.example/p", MIRROR], asked
        agent = making.agent(flash)
    # An earlier one delivers: the newest list has still delivered nothing.
    moved = "http://elsewhere.example/p"
    assert making.give(agent, "pins-14-unknown-positive.cbor", moved) == "accepted"


def test_a_carrier_leaves_the_union_only_when_one_of_the_newest_list_has_delivered():
    agent = making.agent()
    making.give(agent, "dead-rescue-12.cbor")
    assert agent.trust.earlier_carriers == [MIRROR]
    for name in ("bad-unsigned.cbor", "bad-signature.cbor", "bad-channel.cbor"):
        making.give(agent, name, "http://dead.example/a")
    # Nor does a confirmed session with a broker say anything about carriers.
    making.shake(agent, "cert-a.der")
    assert agent.trust.earlier_carriers == [MIRROR]
    assert making.give(agent, "dead-rescue-12.cbor", "http://dead.example/b") == "known"
    assert agent.trust.earlier_carriers == []


def test_a_carrier_of_a_later_release_is_kept_and_takes_no_known_one_away():
    agent = making.agent()
    assert making.give(agent, "scheme-2.cbor") == "accepted"
    carrier, at = _until_rescue(agent, 0.0, DAY)
    agent.rescued(carrier, "http")
    assert [carrier] + _asked(agent, at) == ["gopher://x/", MIRROR]


def test_a_broker_that_is_listed_anew_and_dead_takes_no_earlier_one_away():
    agent = making.agent()
    making.give(agent, "dead-rescue-13.cbor")
    assert agent.trust.brokers() == [("broker.example", 8884), ("broker.example", 8883)]
    agent.poll(None, "", 0.0)
    agent.offline()
    assert agent.poll(None, "", 0.0) == ("pinned", "broker.example", 8883)


def test_a_replayed_public_certificate_confirms_nothing():
    agent = making.agent()
    making.give(agent, "pins-5.cbor")
    before = agent.trust_digest()
    for _ in range(10):
        # Anybody can serve the certificate of the new key; without the key the handshake does not complete.
        agent.poll(None, "", 0.0)
        assert agent.verdict("broker.example", [tools.data("cert-b.der")]).accepted
        agent.offline()
    assert agent.trust_digest() == before and agent.trust.unconfirmed() == ["broker.example"]
    assert making.shake(agent, "cert-a.der").by == "base", "the overlap is still there"


def test_a_handshake_that_a_new_policy_overtook_confirms_nothing():
    agent = making.agent()
    making.give(agent, "pins-2.cbor")
    found = agent.verdict("broker.example", [tools.data("cert-b.der")])
    making.give(agent, "pins-5.cbor")
    agent.completed(found)
    assert agent.trust.unconfirmed() == ["broker.example"]


def test_topics_of_others_are_ignored_whatever_they_carry():
    agent = making.agent()
    before = agent.trust_digest()
    mine = making.bucket_topic(agent)
    number = int(mine.split("/")[4])
    for topic in (
        "everpin/1/acme/meters/%d/pins" % ((number + 1) % 64),
        "everpin/1/acme/lamps/%d/pins" % number,
        "everpin/1/other/meters/%d/pins" % number,
        "everpin/2/acme/meters/%d/pins" % number,
        "everpin/1/acme/ack/meter-2",
        mine + "/x",
    ):
        assert agent.receive(topic, tools.data("pins-2.cbor")) == "ignored", topic
    assert agent.trust_digest() == before and len(agent.events) == 0


def test_a_flood_of_refused_documents_costs_no_flash_and_a_bounded_report():
    flash = making.flash()
    agent = making.agent(flash)
    _online(agent)
    making.give(agent, "pins-2.cbor")
    steps, before = flash.steps, agent.trust_digest()
    names = ("bad-unsigned.cbor", "bad-signature.cbor", "bad-channel.cbor", "pins-1.cbor")
    for count in range(400):
        assert making.give(agent, names[count % 4]) in (
            "unsigned",
            "bad-signature",
            "wrong-channel",
            "rollback",
        )
        agent.save()
        if count % 30 == 0:
            agent.drain()
    assert agent.trust_digest() == before
    assert flash.steps - steps <= 3 * 5, "one journal for each new kind of event"
    assert len(agent.events) <= 8


def test_a_message_that_the_network_cut_is_taken_whole_by_the_next_connection():
    topic = making.bucket_topic(making.agent())
    payload = tools.data("pins-2.cbor")
    body = len(topic).to_bytes(2, "big") + topic.encode() + payload
    packet = b"\x30" + bytes((len(body) & 127 | 128, len(body) >> 7)) + body

    def connected():
        client = mqtt.Client("x", max_payload=1000)
        client.receive(b"\x20\x02\x00\x00")
        return client

    for cut in range(1, len(packet), 29):
        assert connected().receive(packet[:cut]) == [], "nothing of a part is ever told"
    (event,) = connected().receive(packet)
    assert making.agent().receive(event[1], event[2]) == "accepted"


def test_a_thief_of_the_collector_brings_a_rescue_at_most():
    key = tools.data("report.key")
    for number in ((1, 0), (0xFFFFFFFF, 0xFFFFFFFF)):
        agent = making.agent()
        _online(agent)
        making.give(agent, "bad-unsigned.cbor")
        before = agent.trust_digest()
        nonce = report.open_report(key, "acme", "meter-1", agent.outbox()[0][1])[10]
        ack = report.make_ack(key, "acme", "meter-1", nonce, number, making.T0)
        assert agent.receive("everpin/1/acme/ack/meter-1", ack) == "acked"
        assert agent.trust_digest() == before and agent.generation == 1
        # What he calls the newest is no number of ours: the next document counts as before.
        assert making.give(agent, "pins-2.cbor") == "accepted"
