"""COSE envelopes: one shape, length first."""

import tools
from everpin.core import cbor, cose, errors, limits


def test_a_document_above_the_cap_is_refused_by_its_length_alone():
    tools.raises(errors.TOO_LONG, cose.signed, bytes(limits.DOCUMENT_MAX_BYTES + 1), cose.PINS)
    tools.raises(errors.ENCODING, cose.signed, bytes(limits.DOCUMENT_MAX_BYTES), cose.PINS)


def test_an_envelope_of_another_shape_is_refused():
    head = cbor.dumps({1: -19, 4: b"k" * 8, 16: cose.PINS})
    good = [head, {}, b"payload", b"s" * 64]
    found = cose.signed(cbor.dumps(cbor.Tag(18, good)), cose.PINS)
    assert found.signatures == [(b"", -19, b"k" * 8, b"s" * 64)]
    for parts in (
        good[:3],
        good + [b""],
        [head, {1: 2}, b"p", b"s"],
        [head, {}, None, b"s"],
        [1, {}, b"p", b"s"],
        {},
        7,
    ):
        tools.raises(errors.SHAPE, cose.signed, cbor.dumps(cbor.Tag(18, parts)), cose.PINS)
    tools.raises(errors.SHAPE, cose.signed, cbor.dumps(good), cose.PINS)
    tools.raises(errors.SHAPE, cose.signed, cbor.dumps(cbor.Tag(98, good)), cose.PINS)
    tools.raises(errors.WRONG_TYPE, cose.signed, cbor.dumps(cbor.Tag(18, good)), cose.ROOT)


def test_unknown_headers_and_crit_are_refused():
    for head in (
        {1: -19, 4: b"k" * 8, 16: cose.PINS, 2: [99]},
        {1: -19, 4: b"k" * 8, 16: cose.PINS, 99: 1},
        {1: "x", 4: b"k", 16: cose.PINS},
    ):
        parts = [cbor.dumps(head), {}, b"payload", b"s" * 64]
        tools.raises(errors.SHAPE, cose.signed, cbor.dumps(cbor.Tag(18, parts)), cose.PINS)


def _several(signatures, head=None):
    parts = [cbor.dumps(head or {16: cose.ROOT}), {}, b"payload", signatures]
    return cbor.dumps(cbor.Tag(98, parts))


def test_several_signers_stand_in_a_cose_sign_and_one_bad_shape_refuses_it():
    mine = [cbor.dumps({1: -19, 4: b"k" * 8}), {}, b"s" * 64]
    found = cose.signed(_several([mine, mine]), cose.ROOT)
    assert len(found.signatures) == 2 and not found.single
    for signatures in (
        [],
        [mine[:2]],
        [[mine[0], {1: 1}, mine[2]]],
        [[cbor.dumps({1: -19, 4: b"k" * 8, 16: cose.ROOT}), {}, b"s"]],
        [[cbor.dumps({1: -19}), {}, b"s"]],
        [[7, {}, b"s"]],
        [mine, 7],
        [mine] * (limits.MAX_SIGNATURES + 1),
        b"x",
    ):
        tools.raises(errors.SHAPE, cose.signed, _several(signatures), cose.ROOT)
    # The signers' headers stand with the signers, what the message is stands with the message.
    tools.raises(errors.SHAPE, cose.signed, _several([mine], {1: -19, 16: cose.ROOT}), cose.ROOT)
    tools.raises(errors.WRONG_TYPE, cose.signed, _several([mine]), cose.PINS)


def test_maps_are_bounded_like_arrays():
    for count, good in ((64, True), (65, False)):
        data = bytearray(b"\xb8")
        data.append(count)
        for key in range(count):
            data.extend(bytes((key, 0)) if key < 24 else bytes((0x18, key, 0)))
        if good:
            assert len(cbor.loads(data)) == count
        else:
            tools.raises(errors.ENCODING, cbor.loads, data)
