"""Signature checks by `cryptography` (OpenSSL) on CPython."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric import ed25519 as ed


def ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether an Ed25519 signature is right."""
    try:
        ed.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (ValueError, InvalidSignature):
        return False
    return True


def esp256(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether an ECDSA signature r‖s with P-256 and SHA-256 is right."""
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True
