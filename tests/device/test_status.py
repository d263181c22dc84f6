"""Who was refused and why, in the terms of RFC 7469 section 3; status in the shape of RFC 9711; every fail-open counted for good."""

from hashlib import sha256

import making
import tools
from everpin.core import eat, path_rules, report, spki
from test_paths import DURING, HOST, T0, _chain, _with

assert path_rules.Rules  # loaded now: a board has it in flash, and the harness makes room for it


def _told(agent):
    """Return what the next report says."""
    _, data = agent.outbox()[0]
    return report.open_report(tools.data("report.key"), "acme", "meter-1", data)


def _ack(agent):
    """Have everything told and acknowledged."""
    said = _told(agent)
    ack = report.make_ack(tools.data("report.key"), "acme", "meter-1", said[10], (1, 5), T0)
    assert agent.receive("everpin/1/acme/ack/meter-1", ack) == "acked"


def _event(agent, kind):
    (found,) = [event for event in _told(agent)[6] if event[1] == kind]
    return found


def _beginnings(chain):
    return b"".join([spki.pin(item)[:8] for item in chain])


# ---- RFC 7469 section 3 ------------------------------------------------------------------------------------------------


def test_a_refused_peer_is_told_in_the_terms_of_rfc_7469():
    agent = _with("ca-other")
    agent.poll(T0 + 5, "", 1.0)
    chain = _chain("superfluous")
    assert not agent.verdict(HOST, chain, []).accepted
    event = _event(agent, report.PIN_FAILURE)
    path = _chain("with-root")
    assert event == {
        1: report.PIN_FAILURE,
        2: 1,
        3: HOST,
        4: 31,
        5: [1, 5],
        6: spki.pin(chain[0]),
        7: T0 + 5,
        report.NOTED: 0,
        report.SERVED: _beginnings(chain),
        # Not what was served: what its signatures lead to.
        report.VALIDATED: _beginnings(path),
    }


def test_a_peer_below_a_name_is_told_with_the_name_that_was_noted_and_its_expiry():
    agent = making.agent()
    assert making.give(agent, "policy-parent.cbor") == "accepted"
    for where in ("x.api.example", "y.x.api.example"):
        assert not agent.verdict(where, [tools.data("cert-c.der")]).accepted
    (event,) = [item for item in _told(agent)[6] if item[1] == report.PIN_FAILURE]
    # One entry is one event, whichever name below it was asked for.
    assert event[2] == 2 and event[3] == "x.api.example"
    assert event[3][event[report.NOTED] :] == "api.example" and event[report.SUBDOMAINS] is True
    assert event[report.EXPIRES] == T0 + 1000


def test_the_port_is_told_of_the_broker_that_was_dialled_and_of_no_other():
    agent = making.agent()
    assert agent.poll(None, "", 0.0) == ("pinned", "broker.example", 8883)
    making.shake(agent, "cert-b.der")
    making.shake(agent, "cert-b.der", "other.example")
    ports = {event[3]: event.get(report.PORT) for event in _told(agent)[6]}
    assert ports == {"broker.example": 8883, "other.example": None}


def test_a_served_chain_is_told_bounded_and_what_cannot_be_read_as_nothing():
    agent = making.agent()
    leaf = tools.data("cert-b.der")
    agent.verdict("broker.example", [leaf] + [b"junk"] * 30)
    event = _event(agent, report.PIN_FAILURE)
    assert event[report.SERVED] == spki.pin(leaf)[:8] + bytes(8 * 7)
    assert report.VALIDATED not in event


# ---- RFC 9711 ----------------------------------------------------------------------------------------------------------


def test_status_has_the_shape_of_an_entity_attestation_token():
    flash = making.flash()
    agent = making.agent(flash)
    assert making.give(agent, "policy-expires-store.cbor") == "accepted"
    agent.poll(DURING, "rtc", 77.9)
    said = _told(agent)
    assert said[eat.UEID] == b"\x01" + sha256(b"\x83ieverpin/1dacmegmeter-1").digest()[:16]
    assert said[eat.UPTIME] == 77 and said[eat.SWNAME] == "everpin" and said[eat.SWVERSION]
    assert said[eat.PROFILE][:9] == "urn:uuid:"
    assert len(said[eat.NONCE]) == 16 and len(said[eat.BOOTSEED]) == 8
    assert said[4] == [1, 5] and said[5] == 1 and said[8] is False
    # api.example is the second host of that document; broker.example was the factory's.
    assert said[report.UNCONFIRMED] == [1] and said[report.NOW_EXPIRED] == [1]
    agent.offline()
    agent.poll(DURING, "rtc", 90.0)
    again = _told_again(agent)
    assert again[eat.BOOTSEED] == said[eat.BOOTSEED] and again[3] == said[3] + 1
    assert again[eat.NONCE] != said[eat.NONCE] and again[eat.UPTIME] == 90
    # A caller without monotonic time does not know.
    agent.poll(DURING, "rtc")
    assert eat.UPTIME not in _told_again(agent)


def _told_again(agent):
    _, data = agent.reporter.make(agent.trust, ["api.example"], agent._uptime)
    return report.open_report(tools.data("report.key"), "acme", "meter-1", data)


def test_what_is_confirmed_is_told_so():
    agent = making.agent()
    making.give(agent, "pins-5.cbor")
    assert _told(agent)[report.UNCONFIRMED] == [0]
    making.shake(agent, "cert-b.der")
    agent.poll(None, "", 0.0)
    agent.online("broker.example")  # a new session sends at once
    said = _told(agent)
    assert said.get(report.UNCONFIRMED) is None and report.NOW_EXPIRED not in said


# ---- fail-open ---------------------------------------------------------------------------------------------------------


def _connects(agent, policy, times=1):
    for _ in range(times):
        chain = "inspected" if policy == "dane-managed" else "good"
        found = agent.verdict(HOST, _chain(chain), [] if policy == "unlisted" else None)
        assert found.accepted and found.mode != "enforced", (policy, found.name)
        agent.completed(found)


def _counted_for_good(policy, kind, factory="factory.cbor"):
    flash = making.flash(factory)
    agent = making.agent(flash)
    assert making.give(agent, "policy-%s.cbor" % policy) == "accepted"
    agent.poll(DURING, "rtc", 1.0)
    _connects(agent, policy)
    # The power goes: nobody had it saved, and nothing of it is lost.
    agent = making.agent(flash)
    agent.poll(DURING, "rtc", 1.0)
    assert agent.events.opened == {kind: 1}
    (event,) = [item for item in agent.events.copy() if item[1] == kind]
    assert event[2] == 1 and event[5] == [1, 5]
    _connects(agent, policy, 2)
    said = _told(agent)
    assert said[report.OPENED_SO_FAR] == {kind: 3}
    (event,) = [item for item in said[6] if item[1] == kind]
    assert event[2] == 3
    agent.reporter.lost()
    agent.offline()
    # An ack ends the event, and not the count; nor does another life.
    agent.poll(DURING, "rtc", 1000.0)
    _ack(agent)
    agent.save()
    assert [item for item in agent.events.copy() if item[1] == kind] == []
    agent = making.agent(flash)
    assert agent.events.opened == {kind: 3}
    agent.poll(DURING, "rtc", 1.0)
    _connects(agent, policy)
    said = _told(agent)
    assert said[report.OPENED_SO_FAR] == {kind: 4}
    (event,) = [item for item in said[6] if item[1] == kind]
    assert event[2] == 1
    return event


def test_every_connection_by_the_trust_store_is_counted_over_reboots_and_told():
    event = _counted_for_good("expires-store", report.FAIL_OPEN)
    assert event[3] == HOST and event[report.EXPIRES] == T0 + 1000
    assert event[report.VALIDATED] == _beginnings(_chain("with-root"))


def test_every_connection_by_report_only_is_counted_over_reboots_and_told():
    event = _counted_for_good("dane-report-only", report.REPORT_ONLY)
    # What would have refused it, and what it showed.
    assert event[3] == HOST and event[4] == 31
    assert event[report.SERVED] == _beginnings(_chain("good"))


def test_every_connection_by_an_inspection_ca_is_counted_over_reboots_and_told():
    event = _counted_for_good("dane-managed", report.MANAGED, "factory-managed.cbor")
    leaf = _chain("inspected")[0]
    assert event[report.SERVED] == spki.pin(leaf)[:8]
    # The inspection CA itself is at the end of what was validated.
    assert len(event[report.VALIDATED]) == 16


def test_every_connection_to_an_unlisted_host_is_counted_over_reboots_and_not_named():
    event = _counted_for_good("unlisted", report.UNLISTED)
    assert sorted(event) == [1, 2, 5, 7]


def test_an_expiry_is_told_over_reboots():
    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "policy-expires-closed.cbor")
    agent.poll(DURING, "rtc", 1.0)
    agent.save()
    agent = making.agent(flash)
    (event,) = [item for item in agent.events.copy() if item[1] == report.EXPIRED]
    assert event[3] == HOST and event[7] == DURING
    assert report.EXPIRED in [item[1] for item in _told(agent)[6]]


def test_counting_costs_no_more_flash_than_the_day_has():
    flash = making.flash()
    agent = making.agent(flash)
    making.give(agent, "policy-dane-report-only.cbor")
    agent.poll(None, "", 1.0)
    steps = flash.steps
    found = agent.verdict(HOST, _chain("good"))
    for _ in range(500):
        agent.completed(found)
        agent.save()
    assert agent.events.opened == {report.REPORT_ONLY: 500}
    assert flash.steps - steps <= 24 + 4
