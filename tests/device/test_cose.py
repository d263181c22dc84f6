"""COSE envelopes: one shape, length first."""

import tools
from everpin.core import cbor, cose, errors, limits


def test_a_document_above_the_cap_is_refused_by_its_length_alone():
    tools.raises(errors.TOO_LONG, cose.sign1, bytes(limits.DOCUMENT_MAX_BYTES + 1), cose.PINS)
    tools.raises(errors.ENCODING, cose.sign1, bytes(limits.DOCUMENT_MAX_BYTES), cose.PINS)


def test_an_envelope_of_another_shape_is_refused():
    head = cbor.dumps({1: -19, 4: b"k" * 8, 16: cose.PINS})
    good = [head, {}, b"payload", b"s" * 64]
    assert cose.sign1(cbor.dumps(cbor.Tag(18, good)), cose.PINS).kid == b"k" * 8
    for parts in (
        good[:3],
        good + [b""],
        [head, {1: 2}, b"p", b"s"],
        [head, {}, None, b"s"],
        [1, {}, b"p", b"s"],
        {},
        7,
    ):
        tools.raises(errors.SHAPE, cose.sign1, cbor.dumps(cbor.Tag(18, parts)), cose.PINS)
    tools.raises(errors.SHAPE, cose.sign1, cbor.dumps(good), cose.PINS)
    tools.raises(errors.SHAPE, cose.sign1, cbor.dumps(cbor.Tag(98, good)), cose.PINS)
    tools.raises(errors.WRONG_TYPE, cose.sign1, cbor.dumps(cbor.Tag(18, good)), cose.ROOT)


def test_unknown_headers_and_crit_are_refused():
    for head in (
        {1: -19, 4: b"k" * 8, 16: cose.PINS, 2: [99]},
        {1: -19, 4: b"k" * 8, 16: cose.PINS, 99: 1},
        {1: "x", 4: b"k", 16: cose.PINS},
    ):
        parts = [cbor.dumps(head), {}, b"payload", b"s" * 64]
        tools.raises(errors.SHAPE, cose.sign1, cbor.dumps(cbor.Tag(18, parts)), cose.PINS)
