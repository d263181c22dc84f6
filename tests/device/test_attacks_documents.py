"""Attacks by document: forged, altered, of another type, fleet, channel or algorithm, replayed, malformed."""

import gc
import sys

import making
import tools
from everpin.core import accept, cbor, cose, errors, report
from everpin.core.store import Store

PYTHON = sys.implementation.name != "micropython"


def _trust(factory="factory.cbor"):
    return Store(making.flash(factory)).load()


def _refusal(trust, name, kind=cose.PINS):
    """Return the name of the error that a document meets, "accepted" when it meets none."""
    try:
        accept.document(trust, tools.data(name), kind=kind)
    except errors.PeerError as refusal:
        return refusal.name
    return "accepted"


class _Verify:
    """Stands where `cose` finds its crypto: counts the checks, and finds every signature good, or none."""

    def __init__(self, answer):
        self.answer = answer
        self.checks = 0
        self._real = cose.crypto

    def verify(self, alg, key, message, signature):
        self.checks += 1
        return self.answer

    def __getattr__(self, name):
        return getattr(self._real, name)

    def __enter__(self):
        cose.crypto = self
        return self

    def __exit__(self, *unused):
        cose.crypto = self._real


def test_every_bit_of_a_document_counts():
    trust = _trust()
    before = trust.encode()
    data = bytearray(tools.data("pins-2.cbor"))
    for at in range(len(data)):
        # A check takes a board's interpreter 7 ms: there one bit of each byte.
        for bit in range(8) if PYTHON else (at % 8,):
            data[at] ^= 1 << bit
            tools.raises(errors.PeerError, accept.document, trust, bytes(data))
            data[at] ^= 1 << bit
    assert trust.encode() == before
    assert tools.pins(trust, bytes(data)) is not None, "as it was it is accepted"


def test_a_message_that_fails_in_the_cose_examples_way_is_refused():
    trust = _trust()
    for name, error in (
        ("cose-tag-98.cbor", "shape"),
        ("cose-tag-997.cbor", "shape"),
        ("cose-untagged.cbor", "shape"),
        ("cose-several-tag-997.cbor", "shape"),
        ("cose-several.cbor", "accepted"),
        ("cose-alg-unknown.cbor", "bad-signature"),
        ("cose-alg-text.cbor", "shape"),
        ("cose-attribute-added.cbor", "shape"),
        ("cose-attribute-removed.cbor", "shape"),
        ("cose-typ-removed.cbor", "wrong-type"),
        ("cross-context.cbor", "bad-signature"),
    ):
        assert _refusal(trust, name) == error, name


def test_the_work_for_signatures_is_bounded_and_none_is_done_for_unknown_keys():
    trust = _trust("factory-p.cbor")
    with _Verify(False) as crypto:
        assert _refusal(trust, "sixteen.cbor") == "bad-signature"
        assert crypto.checks == 16
    with _Verify(False) as crypto:
        assert _refusal(trust, "sixteen-unknown.cbor") == "unsigned"
        assert crypto.checks == 0
    with _Verify(True) as crypto:
        assert _refusal(trust, "sixteen.cbor") == "accepted"
        assert crypto.checks == 1, "a key counts once, however often it signs"
    assert _refusal(trust, "sixteen.cbor") == "accepted", "bad ones keep no good one out"


def test_no_document_passes_for_another_type():
    trust = _trust()
    key = tools.data("report.key")
    sent = report.make(key, "acme", "meter-1", b"e" * 8, 1, (1, 1), 1, [], b"n" * 16, False)
    ack = report.make_ack(key, "acme", "meter-1", b"n" * 16, (1, 9), making.T0)
    assert _refusal(trust, "root-2.cbor", cose.PINS) == "wrong-type"
    assert _refusal(trust, "pins-2.cbor", cose.ROOT) == "wrong-type"
    # A type that is no document's, though a key of ours signed it: not even where any type would do.
    assert _refusal(trust, "cross-typ-report.cbor", None) == "wrong-type"
    assert _refusal(trust, "cose-typ-removed.cbor", None) == "wrong-type"
    assert _refusal(trust, "cross-root-as-pins.cbor") == "wrong-channel"
    assert _refusal(trust, "cross-pins-as-root.cbor", cose.ROOT) == "wrong-channel"
    for data in (sent, ack):
        for kind in (cose.ROOT, cose.PINS, None):
            tools.raises(errors.SHAPE, accept.document, trust, data, None, "", False, kind)
    aad = cose.external_aad("acme", "meter-1")
    for name in ("root-2.cbor", "pins-2.cbor"):
        for kind in (cose.REPORT, cose.ACK):
            tools.raises(errors.SHAPE, cose.mac0, tools.data(name), kind, key, aad)
    tools.raises(errors.WRONG_TYPE, cose.mac0, ack, cose.REPORT, key, aad)
    tools.raises(errors.WRONG_TYPE, cose.mac0, sent, cose.ACK, key, aad)


def test_a_signature_of_another_protocol_is_none_of_ours():
    trust = _trust()
    assert _refusal(trust, "cross-protocol.cbor") == "bad-signature"
    assert _refusal(trust, "cross-no-aad.cbor") == "bad-signature"


def test_claims_that_say_otherwise_than_the_signatures_context_are_refused():
    trust = _trust()
    for name, error in (
        ("claims-fleet.cbor", "wrong-fleet"),
        ("claims-channel.cbor", "wrong-channel"),
        ("claims-no-channel.cbor", "wrong-channel"),
        ("claims-channel-lacks.cbor", "wrong-channel"),
    ):
        assert _refusal(trust, name) == error, name
    assert _refusal(trust, "claims-root-fleet.cbor", cose.ROOT) == "wrong-fleet"
    assert _refusal(trust, "claims-root-channel.cbor", cose.ROOT) == "wrong-channel"


def test_another_channels_number_copied_into_mine_changes_no_number():
    trust = _trust()
    assert _refusal(trust, "lamps-9.cbor") == "wrong-channel"
    # Its signature was made over the other channel's external_aad: a copied claim does not help.
    assert _refusal(trust, "lamps-9-as-meters.cbor") == "bad-signature"
    assert trust.marks.number == (1, 1)
    assert tools.pins(trust, tools.data("pins-2.cbor")).marks.number == (1, 2)


def test_a_key_signs_under_its_own_algorithm_alone():
    trust, p256 = _trust(), _trust("factory-p256.cbor")
    names = ["alg%d-by-ed25519.cbor" % alg for alg in (-8, -9, -46)]
    for found, files in (
        (trust, names),
        (p256, ["alg%d-by-p256.cbor" % alg for alg in (-7, -19, -46)]),
    ):
        for name in files:
            assert _refusal(found, name) == "bad-signature", name
            # alg comes from the key that root holds: whatever the message names is not even tried.
            with _Verify(True) as crypto:
                assert _refusal(found, name) == "bad-signature", name
                assert crypto.checks == 0, name


def test_a_kid_of_ours_over_a_strangers_signature_is_refused():
    assert _refusal(_trust(), "kid-of-ours.cbor") == "bad-signature"


def test_an_equal_number_with_other_content_is_refused_and_reported():
    agent = making.agent()
    making.give(agent, "pins-2.cbor")
    assert making.give(agent, "pins-2-other.cbor") == "equivocation"
    told = [(event.get(1), event.get(4)) for event in agent.events.copy()]
    assert (report.REFUSED, errors.EQUIVOCATION) in told


def test_a_number_does_not_fall_by_a_reboot():
    flash = making.flash()
    making.give(making.agent(flash), "pins-5.cbor")
    for _ in range(3):
        agent = making.agent(flash)
        assert making.give(agent, "pins-2.cbor") == "rollback"
        assert making.give(agent, "pins-5.cbor") == "known"


def test_what_was_rolled_back_by_a_higher_number_is_no_rollback():
    trust = tools.pins(_trust(), tools.data("pins-2.cbor"))
    undone = tools.pins(trust, tools.data("pins-3-old-content.cbor"))
    assert undone.pins.number == (1, 3)
    assert undone.pins.hosts[0].same(_trust().pins.hosts[0])


def _orders(items):
    if len(items) < 2:
        return [items]
    found = []
    for at in range(len(items)):
        for rest in _orders(items[:at] + items[at + 1 :]):
            found.append([items[at]] + rest)
    return found


def test_reordered_and_repeated_documents_end_in_the_newest_and_no_number_falls_on_the_way():
    start = _trust("g-factory.cbor")
    documents = [
        tools.data(n) for n in ("g-root-2.cbor", "g-1-2.cbor", "g-2-1.cbor", "g-2-2.cbor")
    ]
    for order in _orders([0, 1, 2, 3]):
        gc.collect()
        trust = start
        # Each twice in a row, then all again: QoS 1 delivers at least once, and a new session brings all that is retained.
        for at in [at for at in order for _ in (0, 1)] + order:
            before = trust.marks
            try:
                trust, _ = accept.document(trust, documents[at])
            except errors.PeerError as refusal:
                # (2, 1) is signed by a key that root 1 does not know.
                assert refusal.name in ("threshold", "root-missing", "rollback", "old-root")
            assert trust.marks.number >= before.number
            assert trust.marks.root_version >= before.root_version
        assert (trust.root.version, trust.pins.number) == (2, (2, 2)), order


def test_a_well_signed_document_of_any_content_gives_a_state_or_the_one_error():
    # The signature's check is answered with yes: what is left is what our own keys could say by mistake.
    trust = _trust()
    seed = 7
    seen = set()
    with _Verify(True):
        for name in ("pins-9-api.cbor", "pins-12-exp.cbor", "root-2.cbor"):
            good = cbor.loads(tools.data(name))
            payload = good.value[2]
            for _ in range(1500 if PYTHON else 250):
                changed = bytearray(payload)
                for _ in range(1 + seed % 3):
                    seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
                    changed[(seed >> 8) % len(changed)] = seed >> 16 & 255
                good.value[2] = bytes(changed)
                data = cbor.dumps(good)
                before = trust.encode()
                try:
                    accept.document(trust, data, making.T0, "rtc")
                    seen.add("accepted")
                except errors.PeerError as refusal:
                    seen.add(refusal.name)
                assert trust.encode() == before, "a trust state is a value"
    assert len(seen) > 5, seen
