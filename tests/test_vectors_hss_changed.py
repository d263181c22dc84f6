"""HSS-LMS signatures with anything about them changed: refused by ours, and by a library (`pyhsslms`) wherever it is strict."""

import random

import pytest

from everpin import crypto
from test_vectors_hss import theirs
from vector_data import HSS_LMS, OTS_TYPES, Signed, hss_key, signed_by, tree

_MESSAGE = b"changed"
# Where the parts of an LMS signature with LMOTS type 7 (n 24, p 51) stand in an HSS signature of one level.
_N, _P, _H = 24, 51, 5
_LEAF, _OTS, _LMS = 4, 8, 12 + _N * (_P + 1)
# Where the lower public key stands in one of two levels whose top has LMOTS type 5 (p 200), and its length.
_TOP, _PUBLIC = 4 + 12 + _N * 201 + _N * 5, 24 + _N


@pytest.fixture(scope="module")
def one() -> Signed:
    return signed_by(hss_key(tree(7, _H, first=11)), "", _MESSAGE)


@pytest.fixture(scope="module")
def two() -> Signed:
    return signed_by(hss_key(tree(5, 5, first=3), tree(7, 5, "low", 11)), "", _MESSAGE)


def ours(row: Signed, signature: bytes, key: bytes | None = None) -> bool:
    return crypto.verify(HSS_LMS, row.key if key is None else key, row.message, signature)


def _put(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + value.to_bytes(4, "big") + data[at + 4 :]


def test_the_parts_stand_where_this_test_says(one: Signed) -> None:
    assert ours(one, one.signature) and theirs(one.key, one.message, one.signature)
    words = [int.from_bytes(one.signature[at : at + 4], "big") for at in (0, _LEAF, _OTS, _LMS)]
    assert words == [0, 11, 7, 10]
    assert len(one.signature) == _LMS + 4 + _N * _H


def test_every_changed_byte_of_a_signature_is_refused_by_both(one: Signed) -> None:
    chance = random.Random(1)
    for at in range(len(one.signature)):
        changed = bytearray(one.signature)
        changed[at] ^= chance.randrange(1, 256)
        assert not ours(one, bytes(changed)), at
        assert not theirs(one.key, one.message, bytes(changed)), at


def test_changed_bytes_throughout_a_two_level_signature_are_refused(two: Signed) -> None:
    """Each byte of what ties the levels together, and every fifth of all."""
    chance = random.Random(2)
    assert ours(two, two.signature)
    ties = range(_TOP - 4, _TOP + _PUBLIC + 12)
    for at in sorted({*range(12), *ties, *range(0, len(two.signature), 5)}):
        changed = bytearray(two.signature)
        changed[at] ^= chance.randrange(1, 256)
        assert not ours(two, bytes(changed)), at


def test_every_other_value_of_the_bytes_that_steer_is_refused(one: Signed) -> None:
    for start in (0, _LEAF, _OTS, _LMS):
        for at in range(start, start + 4):
            for value in range(256):
                changed = bytearray(one.signature)
                if changed[at] == value:
                    continue
                changed[at] = value
                assert not ours(one, bytes(changed)), (at, value)


def test_every_changed_byte_of_a_key_is_refused_by_both(one: Signed, two: Signed) -> None:
    """But the library does not compare a key's LMOTS type with the signature's (section 5.4.2 step 2c): that one is ours alone."""
    for row in (one, two):
        for at in range(len(row.key)):
            for flip in (1, 2, 0x80):
                key = bytearray(row.key)
                key[at] ^= flip
                assert not ours(row, row.signature, bytes(key)), (at, flip)
                if at not in range(8, 12):
                    assert not theirs(bytes(key), row.message, row.signature), (at, flip)


def test_every_truncation_is_refused(one: Signed, two: Signed) -> None:
    for row in (one, two):
        for length in range(len(row.signature)):
            assert not ours(row, row.signature[:length]), length
            assert not ours(row, row.signature[len(row.signature) - length :]), length
        for length in range(len(row.key)):
            assert not ours(row, row.signature, row.key[:length]), length
    for length in range(0, len(one.signature), 37):
        assert not theirs(one.key, one.message, one.signature[:length])


def test_every_extension_is_refused(one: Signed, two: Signed) -> None:
    """RFC 8554 section 6.3: what is left over is no part of a signature. (The library reads past it.)"""
    for row in (one, two):
        for more in (b"\0", b"\0" * 4, b"\xff" * _N, row.signature, row.signature[4:]):
            assert not ours(row, row.signature + more)
            assert not ours(row, more + row.signature)
            assert not ours(row, row.signature, row.key + more)
        # A hash more in the path, with nothing else changed.
        assert not ours(row, row.signature[:-_N] + bytes(_N) + row.signature[-_N:])


def test_a_leaf_that_the_tree_has_not_is_refused_by_both(one: Signed) -> None:
    """RFC 8554 section 5.4.2 step 2i: q is below 2^h."""
    for leaf in (32, 33, 43, 63, 64, 11 + 2**31, 0xFFFFFFFF):
        changed = _put(one.signature, _LEAF, leaf)
        assert not ours(one, changed) and not theirs(one.key, one.message, changed)


@pytest.mark.parametrize("wrong", [*range(0, 41), 0xA0A, 2**31 + 7, 0xFFFFFFFF])
def test_a_typecode_of_another_set_or_of_none_is_refused(one: Signed, wrong: int) -> None:
    """RFC 8554 section 5.4.2 steps 2c and 2g: both types of the signature are the key's."""
    for at, right in ((_OTS, 7), (_LMS, 10)):
        if wrong != right:
            changed = _put(one.signature, at, wrong)
            assert not ours(one, changed) and not theirs(one.key, one.message, changed)
    # In the key (LMS type, LMOTS type), and in key and signature together.
    for key_at, at, right in ((4, _LMS, 10), (8, _OTS, 7)):
        if wrong != right:
            key = _put(one.key, key_at, wrong)
            assert not ours(one, one.signature, key)
            assert not ours(one, _put(one.signature, at, wrong), key)


def test_the_signed_key_of_a_lower_level_is_bound_to_its_signature(two: Signed) -> None:
    """Another tree's key and signature under the same top signature: what the top signed is another key."""
    other = signed_by(hss_key(tree(5, 5, first=3), tree(7, 5, "other", 11)), "", _MESSAGE)
    assert other.key == two.key and ours(other, other.signature)
    assert not ours(two, two.signature[:_TOP] + other.signature[_TOP:])
    middle = _TOP + _PUBLIC
    assert not ours(two, two.signature[:middle] + other.signature[middle:])


@pytest.mark.parametrize("ots", OTS_TYPES)
def test_random_changes_of_each_parameter_set_are_refused_by_both(ots: int) -> None:
    row = signed_by(hss_key(tree(ots, 5, first=ots)), "", _MESSAGE)
    chance = random.Random(ots)
    for _ in range(12):
        changed = bytearray(row.signature)
        for _ in range(chance.choice((1, 1, 2, 5))):
            changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)
        if bytes(changed) != row.signature:
            assert not ours(row, bytes(changed))
            assert not theirs(row.key, row.message, bytes(changed))


def test_a_signature_for_one_message_is_none_for_another_of_the_same_leaf(one: Signed) -> None:
    """Chains walked further than the signature's digest says would sign another message; the checksum forbids it."""
    second = signed_by(hss_key(tree(7, _H, first=11)), "", b"another")
    assert not crypto.verify(HSS_LMS, one.key, b"another", one.signature)
    assert not crypto.verify(HSS_LMS, one.key, one.message, second.signature)
    # Halves of both signatures: each chain is of the right key, but no digest has both.
    for cut in range(_OTS + 4, _LMS, _N):
        mixed = one.signature[:cut] + second.signature[cut:]
        # The last chains are the same where the checksums end alike.
        assert ours(one, mixed) is (mixed == one.signature), cut
