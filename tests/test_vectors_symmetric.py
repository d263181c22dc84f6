"""Published AES-CCM, HMAC and HKDF vectors: our code beside `cryptography`."""

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import vector_data
from everpin import crypto
from everpin.crypto import ccm
from vector_data import Derived, Sealed


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _refused(row: Sealed) -> None:
    with pytest.raises(ValueError, match=r"^ccm: bad tag$"):
        ccm.open(row.key, row.nonce, row.aad, row.sealed, row.tag_len)
    with pytest.raises(InvalidTag):
        AESCCM(row.key, row.tag_len).decrypt(row.nonce, row.sealed, row.aad)


def judged(row: Sealed) -> None:
    """Assert that a vector seals and opens as published by both, and is refused by both with any part changed."""
    if row.plaintext is None:
        _refused(row)
        return
    theirs = AESCCM(row.key, row.tag_len)
    assert ccm.seal(row.key, row.nonce, row.aad, row.plaintext, row.tag_len) == row.sealed
    assert theirs.encrypt(row.nonce, row.plaintext, row.aad) == row.sealed
    assert ccm.open(row.key, row.nonce, row.aad, row.sealed, row.tag_len) == row.plaintext
    assert theirs.decrypt(row.nonce, row.sealed, row.aad) == row.plaintext
    _refused(row._replace(sealed=_flip(row.sealed, 0)))
    _refused(row._replace(sealed=_flip(row.sealed, len(row.sealed) - 1)))
    _refused(row._replace(aad=row.aad + b"\0"))
    _refused(row._replace(nonce=_flip(row.nonce, 0)))
    _refused(row._replace(key=_flip(row.key, 0)))


@pytest.mark.parametrize("row", vector_data.ccm_examples(), ids=lambda row: row.name)
def test_ccm_examples_of_sp_800_38c_and_rfc_3610(row: Sealed) -> None:
    judged(row)


@pytest.mark.parametrize("kind", vector_data.CCM_KINDS)
@pytest.mark.parametrize("bits", [128, 256])
def test_ccm_vectors_of_nists_cavp(bits: int, kind: str) -> None:
    rows = [row for row in vector_data.ccm_cavp(bits) if row.name.startswith(kind)]
    assert len(rows) == {"DVPT": 240, "VADT": 330, "VNT": 70, "VPT": 250, "VTT": 70}[kind]
    assert sum(row.plaintext is None for row in rows) == (160 if kind == "DVPT" else 0)
    for row in rows:
        judged(row)


def test_a_key_of_192_bits_is_refused() -> None:
    """MicroPython's `aes` has none, so neither have we."""
    for row in vector_data.ccm_cavp(192)[::100]:
        with pytest.raises(ValueError, match=r"^key$"):
            ccm.seal(row.key, row.nonce, row.aad, b"", row.tag_len)
        with pytest.raises(ValueError, match=r"^key$"):
            ccm.open(row.key, row.nonce, row.aad, row.sealed, row.tag_len)


@pytest.mark.parametrize("row", vector_data.hmac(), ids=lambda row: row.name)
def test_hmac_vectors_of_rfc_4231(row: Derived) -> None:
    theirs = hmac.HMAC(row.key, hashes.SHA256())
    theirs.update(row.info)
    assert crypto.hmac_sha256(row.key, row.info) == row.result == theirs.finalize()


def test_hmac_has_every_vector_of_the_source() -> None:
    # Number 5 of the RFC is about truncation, which HMAC-SHA-256 here has not; the source leaves it out too.
    assert len(vector_data.hmac()) == 6


@pytest.mark.parametrize("row", vector_data.hkdf(), ids=lambda row: row.name)
def test_hkdf_vectors_of_rfc_5869(row: Derived) -> None:
    theirs = HKDF(hashes.SHA256(), row.length, row.salt, row.info).derive(row.key)
    assert crypto.hkdf_sha256(row.key, row.salt, row.info, row.length) == row.result == theirs


def test_hkdf_has_the_three_vectors_of_the_rfc_and_one_long() -> None:
    assert [row.length for row in vector_data.hkdf()] == [42, 82, 42, 1200]
