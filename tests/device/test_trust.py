"""Overlap: no document, however wrong, costs a device the peers it has confirmed."""

import making
import tools
from everpin.core import verdict


def _accepts(agent, cert, host="broker.example"):
    return verdict.decide(agent.trust, host, [tools.data(cert)]).accepted


def test_factory_entries_are_confirmed_at_once():
    agent = making.agent()
    assert agent.trust.unconfirmed() == []


def test_a_document_that_pins_nobody_costs_nothing():
    agent = making.agent()
    assert making.give(agent, "pins-3-nobody.cbor") == "accepted"
    assert agent.trust.unconfirmed() == ["broker.example"]
    found = making.shake(agent, "cert-a.der")
    assert found.accepted and found.by == "base"
    assert agent.trust.unconfirmed() == ["broker.example"], "a match on the base confirms nothing"


def test_two_documents_in_a_row_that_pin_nobody_cost_nothing():
    agent = making.agent()
    making.give(agent, "pins-3-nobody.cbor")
    making.give(agent, "pins-4-nobody.cbor")
    assert making.shake(agent, "cert-a.der").by == "base"
    making.give(agent, "pins-5.cbor")
    assert making.shake(agent, "cert-b.der").by == "newest"
    assert agent.trust.unconfirmed() == []


def test_a_verdict_alone_confirms_nothing():
    agent = making.agent()
    making.give(agent, "pins-2.cbor")
    agent.verdict("broker.example", [tools.data("cert-b.der")])
    assert agent.trust.unconfirmed() == ["broker.example"]


def test_a_completed_handshake_confirms_and_ends_overlap():
    agent = making.agent()
    making.give(agent, "pins-5.cbor")
    assert _accepts(agent, "cert-a.der") and _accepts(agent, "cert-c.der")
    making.shake(agent, "cert-b.der")
    assert agent.trust.unconfirmed() == []
    assert not _accepts(agent, "cert-a.der"), "the base is the newest entry now"


def test_urgent_and_now_end_overlap_at_once():
    for name in ("pins-7-urgent.cbor", "pins-8-now.cbor"):
        agent = making.agent()
        making.give(agent, name)
        assert not _accepts(agent, "cert-a.der"), name
        assert _accepts(agent, "cert-b.der"), name


def test_forbidden_is_gone_at_once_base_included():
    agent = making.agent()
    making.give(agent, "pins-6-forbid-a.cbor")
    found = making.shake(agent, "cert-a.der")
    assert not found.accepted and found.name == "forbidden"


def test_a_new_exact_name_starts_from_the_entry_that_matched_before():
    agent = making.agent()
    making.give(agent, "pins-9-api.cbor")
    making.shake(agent, "cert-a.der", "x.api.example")
    making.give(agent, "pins-10-narrowed.cbor")
    assert making.shake(agent, "cert-a.der", "x.api.example").by == "base"
    assert not _accepts(agent, "cert-a.der", "x.broker.example")


def test_a_name_that_was_unlisted_has_no_base():
    agent = making.agent()
    making.give(agent, "pins-9-api.cbor")
    newest, base = agent.trust.entry("api.example")
    assert newest is not None and base is None
    assert agent.trust.unconfirmed() == ["broker.example", "api.example"]


def test_deleting_a_host_ends_its_overlap():
    agent = making.agent()
    making.give(agent, "pins-9-api.cbor")
    making.shake(agent, "cert-a.der", "api.example")
    making.give(agent, "pins-11-moved.cbor")
    assert (
        verdict.decide(agent.trust, "api.example", [tools.data("cert-a.der")]).name == "unlisted"
    )


def test_overlap_survives_a_reboot():
    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "pins-3-nobody.cbor")
    again = making.agent(flash)
    assert again.trust_digest() == agent.trust_digest()
    assert making.shake(again, "cert-a.der").by == "base"


def test_earlier_carriers_stay_until_one_of_the_newest_list_has_delivered():
    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "pins-11-moved.cbor")
    assert agent.trust.earlier_carriers == ["http://mirror.example/pins"]
    agent = making.agent(flash)
    assert agent.trust.earlier_carriers == ["http://mirror.example/pins"]
    assert making.give(agent, "pins-12-exp.cbor", "http://mirror.example/pins") == "accepted"
    assert making.give(agent, "pins-13-exp.cbor", "http://elsewhere.example/p") == "accepted"
    agent = making.agent()
    making.give(agent, "pins-11-moved.cbor", "http://elsewhere.example/p")
    assert agent.trust.earlier_carriers == []


def test_earlier_brokers_stay_until_a_session_with_one_of_the_newest_list_was_confirmed():
    agent = making.agent()
    making.give(agent, "dead-rescue-13.cbor")
    earlier = [("broker.example", 8883)]
    assert agent.trust.earlier_brokers == earlier
    # Some other host of the application says nothing about brokers.
    assert agent.trust.confirm("broker.example", "api.example").earlier_brokers == earlier
    assert agent.trust.confirm("broker.example", "BROKER.example.").earlier_brokers == []


def test_what_is_kept_of_earlier_endpoints_is_bounded():
    trust = making.agent().trust
    trust.earlier_carriers = ["http://m%d.example/" % n for n in range(30)]
    trust.earlier_brokers = [("m%d.example" % n, 8883) for n in range(30)]
    newer = tools.pins(trust, tools.data("pins-11-moved.cbor"))
    assert len(newer.earlier_carriers) == 8 and len(newer.earlier_brokers) == 8
    assert newer.earlier_carriers[0] == "http://mirror.example/pins", "the latest first"
