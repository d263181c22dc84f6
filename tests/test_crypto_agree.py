"""Our own verification beside a second implementation (cryptography): the same answer for every input."""

import hashlib
import hmac
import random

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from everpin import crypto
from everpin.crypto import _ed25519, _native, _p256, _rules, _sha512, _wnaf

# RFC 8032 section 7.1, tests 1 to 3: public key, message, signature.
RFC8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def _ed_case(seed: int) -> tuple[bytes, bytes, bytes]:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"%d" % seed).digest())
    message = b"m" * (seed % 300)
    return key.public_key().public_bytes_raw(), message, key.sign(message)


def _ec_case(seed: int) -> tuple[bytes, bytes, bytes]:
    key = ec.derive_private_key(
        int.from_bytes(hashlib.sha256(b"%d" % seed).digest(), "big") >> 1, ec.SECP256R1()
    )
    message = b"m" * (seed % 300)
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return point, message, r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_cpython_verifies_natively() -> None:
    assert _rules.ed25519 is _native.ed25519 and _rules.esp256 is _native.esp256


@pytest.mark.parametrize(("key", "message", "signature"), RFC8032)
def test_the_vectors_of_rfc_8032_verify_by_both(key: str, message: str, signature: str) -> None:
    args = (bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))
    assert _ed25519.verify(*args) and _native.ed25519(*args) and crypto.verify(-19, *args)
    assert not _ed25519.verify(args[0], args[1] + b"x", args[2])


@pytest.mark.parametrize("which", ["ed25519", "esp256"])
def test_both_implementations_agree_on_mutated_signatures(
    which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, alg, own = (
        (_ed_case, -19, _ed25519.verify) if which == "ed25519" else (_ec_case, -9, _p256.verify)
    )
    chance = random.Random(7)
    good = 0
    for seed in range(60):
        parts = [bytearray(part) for part in make(seed)]
        for mutation in range(5):
            if mutation:
                part = parts[chance.randrange(3)]
                if not part:
                    continue
                part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
            args = tuple(bytes(part) for part in parts)
            monkeypatch.setattr(_rules, which, getattr(_native, which))
            native = crypto.verify(alg, *args)
            monkeypatch.setattr(_rules, which, own)
            assert crypto.verify(alg, *args) == native
            good += native
    assert good >= 60


def test_edge_cases_of_ed25519_are_refused_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    key, message, signature = _ed_case(1)
    s = int.from_bytes(signature[32:], "little") + _ed25519.L
    malleable = signature[:32] + s.to_bytes(32, "little")
    # A small-order key makes R = [S]B a signature of every message.
    neutral = (1).to_bytes(32, "little")
    universal = neutral + bytes(32)
    for own in (_native.ed25519, _ed25519.verify):
        monkeypatch.setattr(_rules, "ed25519", own)
        assert crypto.verify(-19, key, message, signature)
        assert not crypto.verify(-19, key, message, malleable)
        for small in (*_rules._SMALL_ORDER_Y, _ed25519.P, _ed25519.P + 1):
            for sign in (0, 1 << 255):
                point = (small | sign).to_bytes(32, "little")
                assert not crypto.verify(-19, point, message, universal)


def test_small_order_points_are_what_they_are_called() -> None:
    for y in _rules._SMALL_ORDER_Y:
        point = _ed25519.decompress(y.to_bytes(32, "little"))
        assert point is not None
        found = (point[0], point[1], 1, point[0] * point[1] % _ed25519.P)
        for _ in range(3):
            found = _ed25519._double(found, True)
        assert found[0] == 0 and found[1] == found[2], "eight times the point is neutral"


def test_edge_cases_of_p256_are_refused_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    key, message, signature = _ec_case(1)
    zero, n = bytes(32), _p256.N.to_bytes(32, "big")
    for own in (_native.esp256, _p256.verify):
        monkeypatch.setattr(_rules, "esp256", own)
        assert crypto.verify(-9, key, message, signature)
        for bad in (
            zero + signature[32:],
            signature[:32] + zero,
            n + signature[32:],
            signature[:32] + n,
            zero + zero,
        ):
            assert not crypto.verify(-9, key, message, bad)
        assert not crypto.verify(-9, key[:64] + bytes([key[64] ^ 1]), message, signature)
        assert not crypto.verify(-9, b"\x04" + bytes(64), message, signature)
        assert not crypto.verify(-9, b"\x02" + key[1:], message, signature)


def test_anything_malformed_is_false_and_never_an_exception() -> None:
    key, message, signature = _ed_case(2)
    for alg in (-8, -7, -46, 0, -19.0, None, "x"):
        assert crypto.verify(alg, key, message, signature) is False  # type: ignore[arg-type]
    for junk in (None, 7, "text", [], b"", key[:31], key + b"x"):
        assert crypto.verify(-19, junk, message, signature) is False  # type: ignore[arg-type]
        assert crypto.verify(-19, key, message, junk) is False  # type: ignore[arg-type]
        assert crypto.verify(-9, junk, message, signature) is False  # type: ignore[arg-type]
    assert crypto.verify(-19, key, None, signature) is False  # type: ignore[arg-type]
    assert crypto.verify(-19, bytearray(key), memoryview(message), bytearray(signature)) is True


def test_coordinates_of_ed25519_stay_as_small_as_its_formulas_suppose() -> None:
    top = (1 << 256) - 1
    worst = [(top, -top, top, top), (-top, top, top, -top)]
    worst += [tuple(-part for part in item) for item in worst]
    for point in worst:
        for found in (
            _ed25519._double(point, True),
            _ed25519._add(point, _ed25519._cached(point), False, True),
            _ed25519._add(point, _ed25519._cached(point[::-1]), True, True),
        ):
            assert all(abs(part) < 1 << 256 for part in found)


def test_inverses_are_inverses_and_zero_has_none() -> None:
    for prime in (_ed25519.P, _ed25519.L, _p256.P, _p256.N):
        assert _wnaf.inverse(0, prime) == 0
        for number in (1, 2, prime - 1, prime // 2, 0xEAD << 200):
            assert _wnaf.inverse(number, prime) == pow(number, -1, prime)


def test_sha512_is_hashlibs_for_every_length_around_a_block() -> None:
    for length in [*range(260), 1000]:
        data = bytes(range(256))[: length % 256] + b"x" * (length - length % 256)
        assert _sha512.sha512(data) == hashlib.sha512(data).digest()
        for cut in (0, 1, length // 2, length):  # in parts that end anywhere in a block
            parts = (data[:cut], b"", data[cut:])
            assert _sha512.sha512(*parts) == hashlib.sha512(data).digest()
            assert _sha512.sha384(*parts) == hashlib.sha384(data).digest()


def test_hmac_and_hkdf_are_the_librarys() -> None:
    for length in (0, 1, 31, 32, 63, 64, 65, 200):
        key = b"k" * length
        assert crypto.hmac_sha256(key, b"data") == hmac.digest(key, b"data", "sha256")
        theirs = HKDF(hashes.SHA256(), 77, b"salt", b"info").derive(key or b"\0")
        assert crypto.hkdf_sha256(key or b"\0", b"salt", b"info", 77) == theirs


def test_equal_tells_equal_bytes_from_others() -> None:
    assert (
        crypto.equal(b"abc", b"abc")
        and not crypto.equal(b"abc", b"abd")
        and not crypto.equal(b"abc", b"ab")
    )
