"""Published vectors on both interpreters (tests/vector_data.py writes them): one record at a time, in a small heap."""

import gc
import os

from everpin import crypto
from everpin.core import cbor
from everpin.crypto import ccm
from tools import raises


def _each(name):
    """Yield (the fields of a record but the last, a function that reads the last)."""
    with open(os.getenv("EVERPIN_TEST_DATA") + "/vectors-" + name + ".bin", "rb") as file:
        count = 0
        while True:
            head = file.read(2)
            if not head:
                break
            gc.collect()
            fields = cbor.loads(file.read(int.from_bytes(head, "big")))
            yield fields, lambda: file.read(int.from_bytes(file.read(2), "big"))
            count += 1
        assert count, "no vectors in " + name


def _flipped(data, at):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def _check_signatures(name):
    good = 0
    for (what, alg, key, message, right), last in _each(name):
        signature = last()
        assert crypto.verify(alg, key, message, signature) is right, what
        assert not crypto.verify(alg, key, message + b"\x00", signature), what
        signature = None  # gone before the next is read
        good += right
    return good


def test_ed25519_vectors_of_rfc_8032_verify():
    assert _check_signatures("ed25519") >= 5


def test_p256_vectors_of_nist_are_judged_as_published():
    assert _check_signatures("p256") == 3


def test_a_long_hss_signature_of_a_library_verifies():
    """8,688 bytes for 32-byte hashes and W 1: the first test, while the heap is in one piece."""
    assert _check_signatures("hss-long") == 3


def test_hss_vectors_of_rfc_8554_and_rfc_9858_and_signatures_of_a_library_verify():
    assert _check_signatures("hss") == 7


def test_hss_signatures_are_refused_when_any_part_of_them_is_changed():
    for (what, alg, key, message, _), last in _each("hss"):
        signature = bytearray(last())
        end = len(signature)
        # Levels, leaf, typecode, randomizer, first chain, last chains, path, and single bytes throughout.
        for at in (3, 7, 11, 12, 36, 44, end - 200, end - 33, end - 1, end // 2, end // 3):
            signature[at] ^= 1
            assert not crypto.verify(alg, key, message, signature), (what, at)
            signature[at] ^= 1
        for length in (0, 3, 4, 8, 12, end // 2, end - 4, end - 1):
            assert not crypto.verify(alg, key, message, signature[:length]), (what, length)
        assert not crypto.verify(alg, key, message, signature + b"\x00"), what
        for at in (3, 7, 11, 12, 27, 28, len(key) - 1):
            assert not crypto.verify(alg, _flipped(key, at), message, signature), (what, at)
        assert not crypto.verify(alg, key[:-1], message, signature), what
        assert not crypto.verify(alg, key + b"\x00", message, signature), what
        assert crypto.verify(alg, key, message, signature), what
        signature = None


def test_ccm_vectors_of_sp_800_38c_and_rfc_3610_seal_and_open_as_published():
    refused = 0
    for (what, key, nonce, aad, plaintext, tag_len), last in _each("ccm"):
        sealed = last()
        if plaintext is None:
            refused += 1
        else:
            assert ccm.seal(key, nonce, aad, plaintext, tag_len) == sealed, what
            assert ccm.open(key, nonce, aad, sealed, tag_len) == plaintext, what
            sealed = _flipped(sealed, len(sealed) - 1)
        raises(ValueError, ccm.open, key, nonce, aad, sealed, tag_len)
    assert refused > 0


def test_hmac_vectors_of_rfc_4231():
    for (what, key, _, message, _), last in _each("hmac"):
        assert crypto.hmac_sha256(key, message) == last(), what


def test_hkdf_vectors_of_rfc_5869():
    for (what, key, salt, info, length), last in _each("hkdf"):
        assert crypto.hkdf_sha256(key, salt, info, length) == last(), what


def test_cose_examples_are_judged_as_published():
    algorithms = {-7: -9, -8: -19, -46: -46}
    good = 0
    for (what, alg, said, tag, parts, key, right, structure), last in _each("cose"):
        signature = last()
        built = cbor.dumps(parts)
        assert structure is None or built == structure, what
        tagged = tag is None or tag == (18 if parts[0] == "Signature1" else 98)
        known = isinstance(said, int) and algorithms.get(said) == alg
        assert (tagged and known and crypto.verify(alg, key, built, signature)) is right, what
        good += right
    assert good == 13
