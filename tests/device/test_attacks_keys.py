"""Stolen keys, lost keys, rules that change, and devices that slept through it: what an old key is worth is nothing."""

import making
import tools
from everpin.core import accept, errors, verdict
from everpin.core.store import Store


def _trust(factory="g-factory.cbor"):
    return Store(making.flash(factory)).load()


def _after(trust, *names):
    for name in names:
        trust, became = accept.document(trust, tools.data(name))
        assert became != accept.KNOWN, name
    return trust


def _refusal(trust, name):
    try:
        accept.document(trust, tools.data(name))
    except errors.PeerError as refusal:
        return refusal.name
    return "accepted"


def _decide(trust, cert):
    return verdict.decide(trust, "broker.example", [tools.data(cert)])


# ---- one offline key was stolen --------------------------------------------------------------------------------------


def test_one_stolen_key_of_a_threshold_signs_nothing_and_the_next_root_drops_it():
    trust = _trust()
    for name in ("g-1-9-thief.cbor", "g-1-9-thief-twice.cbor"):
        assert _refusal(trust, name) == "threshold", name
    trust = _after(trust, "g-root-2.cbor")
    # With an honest signature beside it, it counts no more.
    assert _refusal(trust, "g-2-1-with-b.cbor") == "threshold"
    assert _after(trust, "g-2-1.cbor").pins.number == (2, 1)


def test_old_documents_come_back_under_no_changed_rule_though_keys_of_it_signed_them():
    trust = _after(_trust(), "g-root-2.cbor")
    # Signed by a and c, whom the new rule knows as well, and above the number in force.
    assert trust.marks.number == (1, 1) and _refusal(trust, "g-1-2.cbor") == "old-root"
    # The same root with the same rule brings no such barrier.
    assert _after(_trust(), "g-root-2-same.cbor", "g-1-2.cbor").pins.number == (1, 2)


# ---- a rule changed while the device was away ------------------------------------------------------------------------


def test_a_root_that_changes_the_rule_leaves_pins_in_force_also_after_a_reboot():
    flash = making.flash("g-factory.cbor")
    agent = making.agent(flash)
    assert agent.receive("everpin/1/acme/root/2", tools.data("g-root-2.cbor")) == "root"
    for _ in range(2):
        assert agent.number == (1, 1) and agent.trust.root.version == 2
        assert agent.trust.marks.rule_since == 2
        # What is in force was signed under a rule that is no more; it was verified when it was accepted.
        assert making.shake(agent, "cert-a.der").accepted
        assert making.give(agent, "g-1-2.cbor") == "old-root"
        agent = making.agent(flash)
    assert making.give(agent, "g-2-1.cbor") == "accepted"


def test_the_first_document_under_a_changed_rule_ends_overlap_for_a_sleeper_as_well():
    awake = _after(_trust(), "g-root-2.cbor", "g-2-1.cbor")
    assert not _decide(awake, "cert-a.der").accepted and _decide(awake, "cert-b.der").accepted
    # Slept through (2, 1); what it confirmed last, it confirmed under the old rule.
    sleeper = _after(_trust(), "g-root-2.cbor", "g-2-2.cbor")
    assert not _decide(sleeper, "cert-a.der").accepted
    # Under an unchanged rule the base stays.
    calm = _after(_trust(), "g-root-2-same.cbor", "g-1-2.cbor")
    assert _decide(calm, "cert-a.der").by == "base"


def test_an_urgent_document_that_a_sleeper_missed_ends_its_overlap_with_the_next():
    sleeper = making.agent()
    assert making.give(sleeper, "s-8-after-urgent.cbor") == "accepted"
    assert not _decide(sleeper.trust, "cert-a.der").accepted
    assert _decide(sleeper.trust, "cert-c.der").accepted
    # Who had it, and confirmed under it, keeps its base: the barrier lies below.
    awake = making.agent()
    making.give(awake, "pins-7-urgent.cbor")
    making.shake(awake, "cert-b.der")
    making.give(awake, "s-8-after-urgent.cbor")
    assert _decide(awake.trust, "cert-b.der").by == "base"


def test_a_now_flag_that_a_sleeper_missed_ends_its_overlap_with_the_next():
    sleeper = making.agent()
    assert making.give(sleeper, "s-9-after-now.cbor") == "accepted"
    assert not _decide(sleeper.trust, "cert-a.der").accepted
    awake = making.agent()
    making.give(awake, "pins-8-now.cbor")
    making.give(awake, "s-9-after-now.cbor")
    assert _decide(awake.trust, "cert-b.der").by == "base"


def test_a_barrier_above_its_own_document_is_refused():
    # It would end the overlap of documents that nobody has signed yet.
    trust = _trust("factory.cbor")
    for name in ("bad-urgent-ahead-0.cbor", "bad-urgent-ahead-1.cbor", "bad-now-ahead.cbor"):
        assert _refusal(trust, name) == "structure", name


# ---- on a shelf ------------------------------------------------------------------------------------------------------


def test_a_device_that_slept_through_twelve_roots_and_sixty_documents_catches_up_at_once():
    flash = making.flash("shelf-factory.cbor")
    agent = making.agent(flash)
    agent.poll(None, "", 0.0)
    making.shake(agent, "cert-a.der")
    agent.online("broker.example")
    # Retained on exact topics: the newest pins come first, and wait for their root.
    assert making.give(agent, "shelf-pins.cbor") == "root-missing"
    for version in range(2, 14):
        topic = "everpin/1/acme/root/%d" % version
        assert topic in agent.topics()
        assert agent.receive(topic, tools.data("shelf-root-%d.cbor" % version)) == "root"
        assert agent.poll(None, "", float(version)) == ("pull",), "its next root, and pins again"
    assert agent.trust.root.version == 13
    assert making.give(agent, "shelf-pins.cbor") == "accepted"
    assert agent.number == (13, 60)
    assert agent.trust.forbidden(tools.data("pin-a.bin"))
    assert making.give(agent, "shelf-1-9.cbor") == "rollback"
    assert making.agent(flash).number == (13, 60)


# ---- the newest root is lost on flash (decision 0009) -----------------------------------------------------------------


def _behind(*names):
    """Return the state of a device that took roots, and was reset then."""
    start = _trust("lost-factory.cbor")
    return _after(start, *names).reset(start)


def test_a_reset_lowers_no_number_and_the_old_chain_is_not_walked_again():
    trust = _behind("lost-root-2.cbor")
    assert trust.behind() and trust.root.version == 1 and trust.marks.root_version == 2
    # Root 1's keys may have been dropped because they were stolen: they bring no other root 2, and no pins.
    assert _refusal(trust, "lost-root-2-other.cbor") == "root-missing"
    assert _refusal(trust, "lost-root-3.cbor") == "root-missing"
    assert _refusal(trust, "lost-pins-1-2.cbor") == "root-missing"
    again = _after(trust, "lost-root-2.cbor")
    assert not again.behind() and again.marks.fields() == trust.marks.fields()
    assert _after(again, "lost-root-3.cbor").root.version == 3


def test_a_reset_device_takes_the_pins_again_that_it_had_by_their_digest():
    start = _trust("factory.cbor")
    had = _after(start, "pins-2.cbor", "s-9-forbid-a.cbor")
    reset = had.reset(start)
    assert reset.pins.number == (1, 1) and reset.marks.number == (1, 9)
    # Forbidden keys stay so, though the document that forbade them is not in force.
    assert _decide(reset, "cert-a.der").name == "forbidden"
    assert _refusal(reset, "pins-5.cbor") == "rollback"
    assert _after(reset, "s-9-forbid-a.cbor").pins.number == (1, 9)


def test_a_contingency_root_ends_a_thiefs_root_that_was_lost_and_is_withheld():
    # A thief of the root keys made root 2 for this device alone, and somebody reset it: nobody else has that root.
    saved = _after(_behind("lost-root-2.cbor"), "lost-root-65536.cbor")
    assert saved.root.version == 65536 and not saved.behind()
    assert _after(saved, "lost-pins-65536-1.cbor").pins.number == (65536, 1)
    # Keys of a contingency serve once: while the root that they made is lost, they make no other.
    lost = _behind("lost-root-65536.cbor")
    assert _refusal(lost, "lost-root-65536-other.cbor") == "root-missing"
    assert _refusal(lost, "lost-root-131072.cbor") == "root-missing"
    assert _after(lost, "lost-root-65536.cbor", "lost-root-131072.cbor").root.version == 131072


def test_what_a_lost_root_did_to_the_rule_counts_as_a_change():
    assert _after(_behind("lost-root-2-other.cbor"), "lost-root-65536.cbor").marks.rule_since == 1
    start = _trust("lost-factory.cbor")
    had = _after(start, "lost-root-2.cbor", "lost-pins-2-5.cbor").confirm("broker.example", "")
    assert _decide(had, "cert-b.der").accepted and had.unconfirmed() == []
    # Its record rots; the contingency root has the rule that root 1 had. What the thief's pins confirmed ends all the same.
    saved = _after(had.with_root(start.root, start.root_digest), "lost-root-65536.cbor")
    assert saved.marks.rule_since == 65536
    assert not _decide(_after(saved, "lost-pins-65536-1.cbor"), "cert-b.der").accepted


def test_a_device_behind_asks_for_its_own_root_and_the_contingency_after_it():
    flash = making.flash("lost-factory.cbor")
    agent = making.agent(flash)
    agent.receive("everpin/1/acme/root/2", tools.data("lost-root-2.cbor"))
    agent.trust = agent.trust.reset(_trust("lost-factory.cbor"))
    assert agent.topics()[:2] == ["everpin/1/acme/root/2", "everpin/1/acme/root/65536"]
