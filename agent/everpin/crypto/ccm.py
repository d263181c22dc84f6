"""AES-CCM (RFC 3610, NIST SP 800-38C) over the AES modes that both interpreters have.

The same source runs on `cryptolib.aes` and on its CPython shim. The first two steps of decryption are never told apart: a bad tag
raises before a byte of plaintext is returned.
"""

from ..compat import const
from ..ucryptolib import aes
from .mac import equal

_CBC = const(2)
_CTR = const(6)
_BLOCK = const(16)


def _check(nonce: bytes, tag_len: int, length: int) -> int:
    """Return L, the bytes of the length field; raise ValueError for sizes that the standard has not."""
    size = 15 - len(nonce)
    if not 2 <= size <= 8 or tag_len not in (4, 6, 8, 10, 12, 14, 16):
        raise ValueError("ccm: a nonce has 7 to 13 bytes, a tag 4 to 16, even")
    if length >> (8 * size):
        raise ValueError("ccm: too long for this nonce")
    return size


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)


def _mac(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes, tag_len: int, size: int) -> bytes:
    # RFC 3610 section 2.2: B_0, then the additional data with its length, then the message.
    flags = (64 if aad else 0) + 8 * ((tag_len - 2) // 2) + size - 1
    blocks = bytes((flags,)) + nonce + len(plaintext).to_bytes(size, "big")
    if aad:
        if len(aad) < 0xFF00:
            head = len(aad).to_bytes(2, "big")
        else:
            head = b"\xff\xfe" + len(aad).to_bytes(4, "big")
        blocks += _padded(head + aad)
    blocks += _padded(plaintext)
    return aes(key, _CBC, bytes(_BLOCK)).encrypt(blocks)[-_BLOCK:]  # type: ignore[no-any-return]


def _keystream(key: bytes, nonce: bytes, size: int) -> "tuple[object, bytes]":
    """Return (a CTR cipher that stands at A_1, S_0)."""
    cipher = aes(key, _CTR, bytes((size - 1,)) + nonce + bytes(size))
    return cipher, cipher.encrypt(bytes(_BLOCK))


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes([one[at] ^ other[at] for at in range(len(one))])


def seal(key: bytes, nonce: bytes, aad: bytes, plaintext: bytes, tag_len: int) -> bytes:
    """Return ciphertext and tag. `key` 16 or 32 bytes, `nonce` 7 to 13 that this key has not seen, `tag_len` 4 to 16, even."""
    size = _check(nonce, tag_len, len(plaintext))
    tag = _mac(key, nonce, aad, plaintext, tag_len, size)
    cipher, first = _keystream(key, nonce, size)
    hidden = cipher.encrypt(plaintext) if plaintext else b""  # type: ignore[attr-defined]
    return hidden + _xor(tag[:tag_len], first)


def open(key: bytes, nonce: bytes, aad: bytes, ciphertext_and_tag: bytes, tag_len: int) -> bytes:
    """Return the plaintext; raise ValueError for a bad tag, or sizes that the standard has not."""
    length = len(ciphertext_and_tag) - tag_len
    if length < 0:
        raise ValueError("ccm: shorter than its tag")
    size = _check(nonce, tag_len, length)
    cipher, first = _keystream(key, nonce, size)
    plaintext = b""
    if length:
        plaintext = cipher.encrypt(ciphertext_and_tag[:length])  # type: ignore[attr-defined]
    tag = _xor(_mac(key, nonce, aad, plaintext, tag_len, size)[:tag_len], first)
    if not equal(tag, ciphertext_and_tag[length:]):
        raise ValueError("ccm: bad tag")
    return plaintext


__all__ = ("open", "seal")
