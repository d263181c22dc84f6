"""HSS-LMS: published vectors, and every parameter set with a library (`pyhsslms`) as signer and as second judge."""

import pyhsslms
import pytest

import vector_data
from everpin import crypto
from everpin.crypto import _lms
from vector_data import HSS_LMS, OTS_TYPES, Signed, hss_key, signed_by, tree

_MESSAGE = b"a message of everpin's"


def theirs(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return what the library says; what it raises is a refusal too."""
    try:
        return bool(pyhsslms.HssPublicKey.deserialize(key).verify(message, signature))
    except (ValueError, IndexError):
        return False


def judged(row: Signed) -> None:
    """Assert that both judge a signature alike, and refuse it for another message or key."""
    assert crypto.verify(row.alg, row.key, row.message, row.signature) is row.good
    assert _lms.verify(row.key, row.message, row.signature) is row.good
    assert theirs(row.key, row.message, row.signature) is row.good
    other = row.key[:-1] + bytes([row.key[-1] ^ 1])
    for key, message in ((row.key, row.message + b"\0"), (other, row.message)):
        assert not crypto.verify(row.alg, key, message, row.signature)
        assert not theirs(key, message, row.signature)


@pytest.mark.parametrize("row", vector_data.hss(), ids=lambda row: row.name)
def test_vectors_of_rfc_8554_and_rfc_9858_verify_by_both(row: Signed) -> None:
    judged(row)


def test_the_trees_of_rfc_8554_are_what_the_library_makes_of_their_seeds() -> None:
    """Test case 2 gives both private keys: so the signer that everpin's tool rests on makes the RFC's keys."""
    rows = [row for row in vector_data.typed("hss") if "trees" in row]
    (trees,) = [row["trees"] for row in rows]
    assert len(trees) == 2
    for part in trees:
        types = bytes.fromhex(part["types"])
        made = pyhsslms.LmsPrivateKey(
            types[:4],
            types[4:],
            SEED=bytes.fromhex(part["seed"]),
            I=bytes.fromhex(part["identifier"]),
        )
        assert made.publicKey().serialize() == types + bytes.fromhex(
            part["identifier"] + part["root"]
        )


# Every set of height 5; height 10 for both hash lengths (the RFC's test case 2 has one with W 4, W 8 differs in its leaves alone).
@pytest.mark.parametrize(("ots", "height"), [*((ots, 5) for ots in OTS_TYPES), (1, 10), (5, 10)])
def test_a_parameter_set_verifies_at_its_first_and_last_leaf(ots: int, height: int) -> None:
    made = tree(ots, height)
    for leaf in (0, 2**height - 1):
        made.q = leaf
        row = signed_by(hss_key(made), "", _MESSAGE)
        assert row.signature[4:8] == leaf.to_bytes(4, "big")
        judged(row)


@pytest.mark.parametrize("ots", OTS_TYPES)
def test_two_levels_verify_for_each_parameter_set(ots: int) -> None:
    judged(signed_by(hss_key(tree(ots, 5, first=9), tree(ots, 5, "low", 30)), "", _MESSAGE))


@pytest.mark.parametrize(("top", "low"), [((3, 5), (1, 5)), ((5, 10), (3, 5)), ((2, 5), (8, 5))])
def test_levels_may_differ_in_their_parameters(top: tuple[int, int], low: tuple[int, int]) -> None:
    """RFC 8554 section 6: each public key says its own."""
    judged(signed_by(hss_key(tree(*top), tree(*low, name="low")), "", _MESSAGE))


def test_three_levels_are_refused_though_the_signature_is_right() -> None:
    """A bound of ours (`_lms`): two levels are what a fleet needs and what 8,192 bytes hold."""
    key = hss_key(tree(5, 5), tree(5, 5, "middle"), tree(5, 5, "low"))
    row = signed_by(key, "", _MESSAGE)
    assert theirs(row.key, row.message, row.signature)
    assert not crypto.verify(HSS_LMS, row.key, row.message, row.signature)


def test_signatures_with_shake_are_refused_though_they_are_right() -> None:
    made = pyhsslms.LmsPrivateKey(pyhsslms.lms_shake_m32_h5, pyhsslms.lmots_shake_n32_w2)
    row = signed_by(hss_key(made), "", _MESSAGE)
    assert theirs(row.key, row.message, row.signature)
    assert not crypto.verify(HSS_LMS, row.key, row.message, row.signature)


def test_a_tree_whose_hashes_differ_in_length_from_its_leaves_is_refused() -> None:
    """NIST SP 800-208 section 4: m is n. The library makes and takes such a key."""
    made = pyhsslms.LmsPrivateKey(pyhsslms.lms_sha256_m32_h5, pyhsslms.lmots_sha256_n24_w4)
    row = signed_by(hss_key(made), "", _MESSAGE)
    assert theirs(row.key, row.message, row.signature)
    assert not crypto.verify(HSS_LMS, row.key, row.message, row.signature)


def test_a_leaf_type_of_shorter_hashes_is_refused_where_its_checksum_would_not_be_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """51 chains of 32 bytes end before the checksum of a 32-byte digest: such a signature would be anybody's to change."""
    table = pyhsslms.pyhsslms.lmots_params
    monkeypatch.setitem(table, pyhsslms.lmots_sha256_n24_w4, ("sha256", 32, 51, 4, 4))
    made = pyhsslms.LmsPrivateKey(pyhsslms.lms_sha256_m32_h5, pyhsslms.lmots_sha256_n24_w4)
    row = signed_by(hss_key(made), "", _MESSAGE)
    assert theirs(row.key, row.message, row.signature)
    assert not crypto.verify(HSS_LMS, row.key, row.message, row.signature)


def test_a_single_level_signature_by_the_upper_tree_is_none_of_a_two_level_key() -> None:
    """RFC 8554 section 6.3 step 1: a key of two levels takes no message signed by its top tree."""
    top = tree(6, 5)
    two = hss_key(top, tree(6, 5, "low"))
    key = two.publicKey().serialize()
    inner = top.sign(_MESSAGE)
    assert crypto.verify(HSS_LMS, b"\0\0\0\1" + key[4:], _MESSAGE, bytes(4) + inner)
    assert not crypto.verify(HSS_LMS, key, _MESSAGE, bytes(4) + inner)
    # And the other way round: the same signature under a key that claims one level.
    signature = two.sign(_MESSAGE)
    assert crypto.verify(HSS_LMS, key, _MESSAGE, signature)
    assert not crypto.verify(HSS_LMS, b"\0\0\0\1" + key[4:], _MESSAGE, signature)


def test_no_levels_and_more_than_there_are_make_no_signature() -> None:
    row = signed_by(hss_key(tree(6, 5)), "", _MESSAGE)
    for levels in (0, 2, 3, 8, 0x80000000, 0xFFFFFFFF):
        key = levels.to_bytes(4, "big") + row.key[4:]
        for below in (levels - 1, 0, levels):
            signature = (below & 0xFFFFFFFF).to_bytes(4, "big") + row.signature[4:]
            assert not crypto.verify(HSS_LMS, key, _MESSAGE, signature)
