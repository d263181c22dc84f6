"""Signatures of certificates: RSA PKCS#1 v1.5 and PSS, ECDSA on P-256 and P-384, with SHA-256, SHA-384 and SHA-512.

Natively where the interpreter has them, else by our own integers; which keys and signatures are judged at all is decided here, before
either, so that both interpreters give one answer.
"""

import hashlib

from ..compat import const
from . import _ecdsa, _p256
from ._sha512 import sha384, sha512

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# CA/Browser Forum baseline requirements section 6.1.5: 2,048 bits at least; above 8,192 an RSA check is work for an attacker's sake.
_RSA_MIN_BITS = const(2048)
_RSA_MAX_BITS = const(8192)
# FIPS 186-5 section A.1.1 asks for more than 2^16; roots with e = 3 are still about. Larger exponents only cost time.
_E_MAX_BITS = const(33)

_P384 = _ecdsa.Curve(
    48,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
    0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
)
CURVES = {32: _p256.CURVE, 48: _P384}

# RFC 8017 section 9.2, note 1: what stands before the digest.
_DIGEST_INFO = {
    32: b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
    48: b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
    64: b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
}

_native: "Any" = None
try:
    from . import _native_links

    _native = _native_links
except ImportError:
    pass  # MicroPython, or a CPython without `cryptography`


def digest_of(size: int, data: bytes) -> bytes:
    """Return the SHA-2 digest of that many bytes: 32, 48 or 64."""
    if size == 32:
        return hashlib.sha256(data).digest()
    native = getattr(hashlib, "sha384" if size == 48 else "sha512", None)
    if native is not None:
        return native(data).digest()  # type: ignore[no-any-return]
    return sha384(data) if size == 48 else sha512(data)


def _rsa_allowed(n: int, e: int, signature: bytes) -> int:
    """Return the bytes of a modulus, 0 for a key or signature that is not judged."""
    bits = 0
    while n >> bits:
        bits += 8
    size = bits // 8
    if not _RSA_MIN_BITS <= bits <= _RSA_MAX_BITS or not n & 1 or n >> (bits - 8) == 0:
        return 0
    if e < 3 or not e & 1 or e >> _E_MAX_BITS:
        return 0
    # RFC 8017 section 8.2.2, step 1, and section 5.2.2: as long as the modulus, and below it.
    return size if len(signature) == size and int.from_bytes(signature, "big") < n else 0


def _opened(n: int, e: int, signature: bytes, size: int) -> bytes:
    return pow(int.from_bytes(signature, "big"), e, n).to_bytes(size, "big")


def rsa_pkcs1(n: int, e: int, hash_size: int, message: bytes, signature: bytes) -> bool:
    """Return whether an RSASSA-PKCS1-v1_5 signature (RFC 8017 section 8.2.2) is right."""
    size = _rsa_allowed(n, e, signature)
    if not size:
        return False
    if _native is not None:
        return _native.rsa_pkcs1(n, e, hash_size, message, signature)  # type: ignore[no-any-return]
    # Section 9.2: the one encoding is made anew and compared whole, so that nothing in it is parsed.
    tail = b"\x00" + _DIGEST_INFO[hash_size] + digest_of(hash_size, message)
    encoded = b"\x00\x01" + b"\xff" * (size - 2 - len(tail)) + tail
    return _opened(n, e, signature, size) == encoded


def rsa_pss(
    n: int, e: int, hash_size: int, salt_size: int, message: bytes, signature: bytes
) -> bool:
    """Return whether an RSASSA-PSS signature (RFC 8017 section 8.1.2) is right; MGF1 with the same hash, trailer 0xbc."""
    size = _rsa_allowed(n, e, signature)
    if not size or not 0 <= salt_size <= size - hash_size - 2:
        return False
    if _native is not None:
        return _native.rsa_pss(n, e, hash_size, salt_size, message, signature)  # type: ignore[no-any-return]
    # Section 9.1.2, with emBits = modBits - 1.
    em_bits = 8 * size - 1
    top = 0x80
    while not n >> (8 * (size - 1)) & top:
        em_bits -= 1
        top >>= 1
    em_size = (em_bits + 7) // 8
    opened = _opened(n, e, signature, size)
    if opened[: size - em_size] != bytes(size - em_size):
        return False
    em = opened[size - em_size :]
    db_size = em_size - hash_size - 1
    if em_size < hash_size + salt_size + 2 or em[-1] != 0xBC:
        return False
    hashed = em[db_size:-1]
    unused = 8 * em_size - em_bits
    if em[0] >> (8 - unused):
        return False
    mask = b""
    count = 0
    while len(mask) < db_size:
        mask += digest_of(hash_size, hashed + count.to_bytes(4, "big"))
        count += 1
    db = bytearray([em[at] ^ mask[at] for at in range(db_size)])
    db[0] &= 0xFF >> unused
    zeros = db_size - salt_size - 1
    if any([db[at] for at in range(zeros)]) or db[zeros] != 1:
        return False
    salt = bytes(db[zeros + 1 :])
    again = digest_of(hash_size, bytes(8) + digest_of(hash_size, message) + salt)
    return again == hashed


def ecdsa(curve_size: int, point: bytes, hash_size: int, message: bytes, r: int, s: int) -> bool:
    """Return whether an ECDSA signature is right under an uncompressed point of P-256 (32) or P-384 (48)."""
    curve = CURVES.get(curve_size)
    if curve is None or not (0 < r < curve.n and 0 < s < curve.n):
        return False
    # RFC 5480 section 2.2: uncompressed, which all must know; the other forms OpenSSL alone would take.
    if len(point) != 1 + 2 * curve_size or point[0] != 4:
        return False
    if _native is not None:
        return _native.ecdsa(curve_size, point, hash_size, message, r, s)  # type: ignore[no-any-return]
    return _ecdsa.verify(curve, point, digest_of(hash_size, message), r, s)


__all__ = ("CURVES", "digest_of", "ecdsa", "rsa_pkcs1", "rsa_pss")
