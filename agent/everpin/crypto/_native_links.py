"""Certificate signatures by `cryptography` (OpenSSL) on CPython; links.py has judged sizes and ranges before."""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HASHES: "dict[int, Any]" = {32: hashes.SHA256, 48: hashes.SHA384, 64: hashes.SHA512}
_CURVES: "dict[int, Any]" = {32: ec.SECP256R1, 48: ec.SECP384R1}
_WRONG = (ValueError, InvalidSignature, UnsupportedAlgorithm)


def rsa_pkcs1(n: int, e: int, hash_size: int, message: bytes, signature: bytes) -> bool:
    """Return whether an RSASSA-PKCS1-v1_5 signature is right."""
    try:
        key = rsa.RSAPublicNumbers(e, n).public_key()
        key.verify(signature, message, padding.PKCS1v15(), _HASHES[hash_size]())
    except _WRONG:
        return False
    return True


def rsa_pss(
    n: int, e: int, hash_size: int, salt_size: int, message: bytes, signature: bytes
) -> bool:
    """Return whether an RSASSA-PSS signature with that salt length is right."""
    algorithm = _HASHES[hash_size]()
    try:
        key = rsa.RSAPublicNumbers(e, n).public_key()
        key.verify(signature, message, padding.PSS(padding.MGF1(algorithm), salt_size), algorithm)
    except _WRONG:
        return False
    return True


def ecdsa(curve_size: int, point: bytes, hash_size: int, message: bytes, r: int, s: int) -> bool:
    """Return whether an ECDSA signature is right."""
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[curve_size](), point)
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(_HASHES[hash_size]()))
    except _WRONG:
        return False
    return True
