"""Verification on both interpreters: on MicroPython by our own code, in a small heap."""

import binascii

from everpin import crypto

# RFC 8032 section 7.1, test 3.
_KEY = binascii.unhexlify("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
_SIGNATURE = binascii.unhexlify(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
# RFC 6979 section A.2.5, P-256 with SHA-256, message "sample".
_POINT = binascii.unhexlify(
    "04"
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
_RS = binascii.unhexlify(
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
)


def _flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_ed25519_verifies_and_notices_every_changed_part():
    assert crypto.verify(-19, _KEY, b"\xaf\x82", _SIGNATURE) is True
    assert crypto.verify(-19, _KEY, b"\xaf\x83", _SIGNATURE) is False
    for at in (0, 31, 32, 63):
        assert crypto.verify(-19, _KEY, b"\xaf\x82", _flip(_SIGNATURE, at)) is False
    assert crypto.verify(-19, _flip(_KEY, 3), b"\xaf\x82", _SIGNATURE) is False


def test_esp256_verifies_and_notices_every_changed_part():
    assert crypto.verify(-9, _POINT, b"sample", _RS) is True
    assert crypto.verify(-9, _POINT, b"simple", _RS) is False
    for at in (0, 31, 32, 63):
        assert crypto.verify(-9, _POINT, b"sample", _flip(_RS, at)) is False


def test_polymorphic_and_unknown_algorithms_are_refused():
    for alg in (-7, -8, -46, 0, 1, None):
        assert crypto.verify(alg, _KEY, b"\xaf\x82", _SIGNATURE) is False


def test_malformed_arguments_are_false():
    for junk in (None, 1, "x", b"", b"x" * 31, b"x" * 65):
        assert crypto.verify(-19, junk, b"", _SIGNATURE) is False
        assert crypto.verify(-19, _KEY, b"", junk) is False
        assert crypto.verify(-9, junk, b"", _RS) is False


def test_hmac_of_rfc_4231_and_hkdf_of_rfc_5869():
    found = crypto.hmac_sha256(b"Jefe", b"what do ya want for nothing?")
    assert (
        binascii.hexlify(found)
        == b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    made = crypto.hkdf_sha256(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert binascii.hexlify(made)[:32] == b"3cb25f25faacd57a90434f64d0362f2a"
