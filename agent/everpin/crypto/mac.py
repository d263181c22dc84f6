"""HMAC-SHA-256 (RFC 2104), HKDF-SHA-256 (RFC 5869), and comparison in constant time. MicroPython has no `hmac`."""

from hashlib import sha256

from ..compat import const

_BLOCK = const(64)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA-256 of a message, 32 bytes."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key + bytes(_BLOCK - len(key))
    inner = sha256(bytes([byte ^ 0x36 for byte in key]))
    inner.update(message)
    outer = sha256(bytes([byte ^ 0x5C for byte in key]))
    outer.update(inner.digest())
    return outer.digest()


def hkdf_sha256(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Return `length` bytes (at most 255 * 32) derived from key material."""
    secret = hmac_sha256(salt or bytes(32), key)
    out = b""
    block = b""
    count = 1
    while len(out) < length:
        block = hmac_sha256(secret, block + info + bytes((count,)))
        out += block
        count += 1
    return out[:length]


def equal(a: bytes, b: bytes) -> bool:
    """Return whether two byte strings are equal, in a time that depends on their lengths alone."""
    if len(a) != len(b):
        return False
    different = 0
    for at in range(len(a)):
        different |= a[at] ^ b[at]
    return different == 0
