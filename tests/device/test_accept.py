"""The one order of acceptance: each attack and mistake has its own error, and a refusal changes nothing."""

import making
import tools
from everpin.core import errors
from everpin.core.store import Store

REFUSALS = (
    ("bad-unsigned.cbor", "unsigned"),
    ("bad-signature.cbor", "bad-signature"),
    ("bad-altered.cbor", "bad-signature"),
    ("bad-fleet.cbor", "wrong-fleet"),
    ("bad-fleet-same-key.cbor", "wrong-fleet"),
    ("bad-fleet-aad.cbor", "bad-signature"),
    ("bad-channel.cbor", "wrong-channel"),
    ("bad-type.cbor", "wrong-type"),
    ("bad-alg-8.cbor", "bad-signature"),
    ("bad-alg-9.cbor", "bad-signature"),
    ("bad-crit.cbor", "shape"),
    ("bad-unprotected.cbor", "shape"),
    ("bad-root-missing.cbor", "root-missing"),
    ("bad-one-pin.cbor", "rule-of-two"),
    ("bad-forbidden-pin.cbor", "rule-of-two"),
    ("bad-no-broker.cbor", "no-broker"),
    ("bad-no-rescue.cbor", "no-rescue"),
    ("bad-unknown-negative.cbor", "unsupported"),
    ("bad-host-negative.cbor", "unsupported"),
    ("bad-claim.cbor", "structure"),
    ("bad-two-hosts.cbor", "structure"),
    ("bad-no-hosts.cbor", "structure"),
    ("bad-upper.cbor", "structure"),
    ("root-2.cbor", "wrong-type"),
)


# Well signed, and each breaks one rule of structure (tests/structure_data.py).
STRUCTURES = (
    "true_sequence no_sequence huge_sequence no_root text_key far_key far_negative hosts_map port_0 port_65536 broker_triple"
    " brokers_5 carrier_bytes carrier_long carriers_5 source_slash source_plus source_hash source_space source_control"
    " source_empty source_long unlisted_2 forbidden_short forbidden_text urgent_true urgent_short anchor_text short_pin"
    " text_pin status_0 status_4 pins_9 pin_1 hosts_17 subdomains_false subdomains_1 usage_4 no_usage name_slash name_space"
    " logs_none logs_text logs_time logs_17 report_only_false managed_1 expires_short expires_closed expires_4 expires_twice"
    " closes_text dates_usage_3 both_usage_3 scts_usage_2 scts_4 both_false"
    " name_dot name_empty name_brackets name_long host_array exp_text exp_negative iat_text iat_none no_iat no_body"
)
FACTORIES = "pins-signature root-signature pins-ahead pins-channel root-fleet swapped no-broker slash reserved format time"


def _trust():
    return Store(making.flash()).load()


def test_every_attack_and_mistake_is_refused_by_its_own_error():
    trust = _trust()
    for name, error in REFUSALS:
        try:
            tools.pins(trust, tools.data(name))
            raised = "accepted"
        except errors.PeerError as refusal:
            raised = refusal.name
        assert raised == error, (name, raised)


def test_every_rule_of_structure_is_kept():
    trust = _trust()
    before = trust.encode()
    for name in STRUCTURES.split():
        try:
            tools.pins(trust, tools.data("structure-%s.cbor" % name))
            raised = "accepted"
        except errors.PeerError as refusal:
            raised = refusal.name
        assert raised == "structure", (name, raised)
    assert trust.encode() == before


def test_a_factory_record_is_held_to_the_same_checks():
    for name in FACTORIES.split():
        tools.raises(errors.NOT_PROVISIONED, _first, making.flash("factory-bad-%s.cbor" % name))


def _first(flash):
    return Store(flash).load()


def test_a_refused_document_leaves_flash_and_trust_byte_identical():
    flash = making.flash()
    agent = making.agent(flash)
    before = agent.trust_digest()
    image = flash.image()
    for name, error in REFUSALS:
        assert making.give(agent, name) == error
    assert agent.trust_digest() == before
    assert agent.generation == 1
    assert flash.image() == image


def test_a_newer_document_comes_into_force():
    trust = tools.pins(_trust(), tools.data("pins-2.cbor"))
    assert trust.pins.number == (1, 2) and trust.marks.number == (1, 2)


def test_a_document_signed_with_esp256_comes_into_force():
    trust = Store(making.flash("factory-p256.cbor")).load()
    assert tools.pins(trust, tools.data("p256-2.cbor")).pins.number == (1, 2)


def test_the_document_in_force_is_no_news():
    trust = tools.pins(_trust(), tools.data("pins-2.cbor"))
    assert tools.pins(trust, tools.data("pins-2.cbor")) is None


def test_a_replayed_older_document_is_rollback():
    trust = tools.pins(_trust(), tools.data("pins-2.cbor"))
    tools.raises(errors.ROLLBACK, tools.pins, trust, tools.data("pins-1.cbor"))


def test_an_equal_number_with_other_content_is_equivocation():
    trust = tools.pins(_trust(), tools.data("pins-2.cbor"))
    tools.raises(errors.EQUIVOCATION, tools.pins, trust, tools.data("pins-2-other.cbor"))


def test_unknown_positive_keys_are_ignored():
    assert tools.pins(_trust(), tools.data("pins-14-unknown-positive.cbor")).pins.number == (1, 14)


def test_exp_refuses_only_by_a_time_source_that_signed_policy_names():
    before = _trust()
    late = making.T0 + 10_000_000
    # The factory's policy names no source: no clock of any kind refuses.
    named = tools.pins(before, tools.data("pins-12-exp.cbor"), late, "rtc")
    tools.raises(errors.EXPIRED, tools.pins, named, tools.data("pins-13-exp.cbor"), late, "rtc")
    assert tools.pins(named, tools.data("pins-13-exp.cbor"), late, "ntp") is not None
    assert tools.pins(named, tools.data("pins-13-exp.cbor"), None, "") is not None
    assert tools.pins(named, tools.data("pins-13-exp.cbor"), making.T0 + 999, "rtc") is not None


def test_in_rescue_exp_never_refuses():
    named = tools.pins(_trust(), tools.data("pins-12-exp.cbor"))
    late = making.T0 + 10_000_000
    assert tools.pins(named, tools.data("pins-13-exp.cbor"), late, "rtc", True) is not None


def test_the_floor_rises_with_accepted_documents_and_never_falls():
    trust = _trust()
    assert trust.marks.floor == making.T0
    trust = tools.pins(trust, tools.data("pins-2.cbor"))
    assert trust.marks.floor == making.T0 + 100
    trust = tools.pins(trust, tools.data("pins-7-urgent.cbor"))
    assert trust.marks.floor == making.T0 + 100


def test_every_truncation_of_a_document_is_refused():
    trust = _trust()
    data = tools.data("pins-2.cbor")
    for length in range(len(data)):
        tools.raises(errors.PeerError, tools.pins, trust, data[:length])
    tools.raises(errors.PeerError, tools.pins, trust, data + b"\x00")
