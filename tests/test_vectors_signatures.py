"""Published Ed25519 and P-256 vectors: what `crypto.verify` says, what our own arithmetic says, and what `cryptography` says."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

import vector_data
from everpin import crypto
from everpin.crypto import _ed25519, _p256
from vector_data import ED25519, Signed

# Own arithmetic takes milliseconds each: every sixteenth of the long list, and each vector of RFC 8032.
_LIST = vector_data.ed25519()
_SOME = [row for at, row in enumerate(_LIST) if row.name.startswith("RFC") or at % 16 == 5]
_NIST = vector_data.p256()
_MADE = vector_data.p256(file="SigGen.txt")


def theirs(alg: int, key: bytes, message: bytes, signature: bytes) -> bool:
    """Return what `cryptography` says, called by this test and not by way of ours."""
    try:
        if alg == ED25519:
            ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        else:
            r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
            point.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def own(alg: int, key: bytes, message: bytes, signature: bytes) -> bool:
    """Return what the plain Python modules say, whichever `crypto.verify` uses."""
    return (_ed25519 if alg == ED25519 else _p256).verify(key, message, signature)


def judged(row: Signed, by_own: bool = True) -> None:
    """Assert that all agree on a vector, and on it with any of its parts changed."""
    cases = [(row.key, row.message, row.signature, row.good)]
    if row.good:
        cases += [
            (row.key, row.message + b"\0", row.signature, False),
            (_flip(row.key, 9), row.message, row.signature, False),
        ]
        # The last byte of both halves, and another one for each vector.
        for at in (31, 63, len(row.message) % 64):
            cases.append((row.key, row.message, _flip(row.signature, at), False))
    for key, message, signature, good in cases:
        assert crypto.verify(row.alg, key, message, signature) is good, row.name
        assert theirs(row.alg, key, message, signature) is good, row.name
        if by_own:
            assert own(row.alg, key, message, signature) is good, row.name


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_the_lists_are_as_long_as_their_sources() -> None:
    assert len(_LIST) == 1025 and sum(row.name.startswith("RFC 8032") for row in _LIST) == 5
    assert sorted(len(row.message) for row in _LIST if row.name.startswith("RFC")) == [
        0,
        1,
        2,
        64,
        1023,
    ]
    assert [row.good for row in _NIST].count(True) == 3 and len(_NIST) == 15
    assert len(_MADE) == 15 and all(row.good for row in _MADE)


@pytest.mark.parametrize("row", _SOME, ids=lambda row: row.name)
def test_ed25519_vectors_verify_by_all_three(row: Signed) -> None:
    judged(row)


def test_each_of_the_1024_ed25519_vectors_verifies_natively() -> None:
    for row in _LIST:
        judged(row, by_own=False)


@pytest.mark.parametrize("row", [*_NIST, *_MADE], ids=lambda row: row.name)
def test_p256_vectors_of_nist_are_judged_as_published_by_all_three(row: Signed) -> None:
    judged(row)


@pytest.mark.parametrize("hashed", ["SHA-1", "SHA-224", "SHA-384", "SHA-512"])
def test_p256_signatures_over_another_hash_are_none_of_esp256(hashed: str) -> None:
    rows = [row for row in vector_data.p256(hashed) if row.good]
    assert rows
    for row in rows:
        judged(row._replace(good=False))
