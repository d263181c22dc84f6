"""ESP256: ECDSA on P-256 with SHA-256 (RFC 9864), by our own integers."""

from hashlib import sha256

from . import _ecdsa

CURVE = _ecdsa.Curve(
    32,
    0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
P = CURVE.p
N = CURVE.n


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether r‖s (64 bytes) is a signature of SHA-256(message) under an uncompressed point (65 bytes)."""
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    return _ecdsa.verify(CURVE, public_key, sha256(message).digest(), r, s)
