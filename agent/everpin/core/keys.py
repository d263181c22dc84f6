"""Signature keys as COSE_Key maps (RFC 9052 section 7), one encoding for each key type."""

from hashlib import sha256

from ..compat import const
from . import errors
from .cbor import dumps
from .errors import PeerError

# RFC 9864: fully specified algorithms only; the polymorphic -7 and -8 do not exist here.
ED25519 = const(-19)
ESP256 = const(-9)
HSS_LMS = const(-46)  # RFC 8778

KID_BYTES = const(8)

_OKP = const(1)  # RFC 9053 section 7.2
_EC2 = const(2)  # RFC 9053 section 7.1
_HSS = const(5)  # RFC 8778 section 5
_HSS_BYTES = (
    60,
    52,
)  # RFC 8554 section 6.1 with n = 32, and with n = 24 (NIST SP 800-208 section 4)
_CRV_ED25519 = const(6)
_CRV_P256 = const(1)


class Key:
    """One public key, bound to its algorithm: `alg`, `raw` (as `crypto.verify` takes it), `kid`, `digest`."""

    def __init__(self, alg: int, raw: bytes, digest: bytes) -> None:
        self.alg = alg
        self.raw = raw
        self.digest = digest  # SHA-256 of the COSE_Key's encoding
        self.kid = digest[:KID_BYTES]


def _bytes(value: object, lengths: "tuple[int, ...]") -> bytes:
    if not isinstance(value, bytes) or len(value) not in lengths:
        raise PeerError(errors.STRUCTURE)
    return value


def _coordinate(value: object) -> bytes:
    return _bytes(value, (32,))


def parse(value: object) -> Key:
    """Return the key that a decoded COSE_Key map says; raise `structure` for any other form of it."""
    if not isinstance(value, dict):
        raise PeerError(errors.STRUCTURE)
    if value.get(1) == _OKP:
        raw = _coordinate(value.get(-2))
        alg = ED25519
        only = {1: _OKP, 3: ED25519, -1: _CRV_ED25519, -2: raw}
    elif value.get(1) == _HSS:
        raw = _bytes(value.get(-1), _HSS_BYTES)
        alg = HSS_LMS
        only = {1: _HSS, 3: HSS_LMS, -1: raw}
    else:
        x = _coordinate(value.get(-2))
        y = _coordinate(value.get(-3))
        raw = b"\x04" + x + y  # SEC 1 section 2.3.3, uncompressed
        alg = ESP256
        only = {1: _EC2, 3: ESP256, -1: _CRV_P256, -2: x, -3: y}
    # One encoding per key, so that equal keys are equal digests and count once (RFC 9679 thumbprints rest on the same).
    encoded = dumps(only)
    if dumps(value) != encoded:
        raise PeerError(errors.STRUCTURE)
    return Key(alg, raw, sha256(encoded).digest())


def encode(alg: int, raw: bytes) -> "dict[int, int | bytes]":
    """Return the COSE_Key map of a raw public key (Ed25519 32 bytes, P-256 65 bytes SEC 1 uncompressed, HSS 60 or 52)."""
    if alg == HSS_LMS:
        return {1: _HSS, 3: HSS_LMS, -1: raw}
    if alg == ED25519:
        return {1: _OKP, 3: ED25519, -1: _CRV_ED25519, -2: raw}
    return {1: _EC2, 3: ESP256, -1: _CRV_P256, -2: raw[1:33], -3: raw[33:65]}
