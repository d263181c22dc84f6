"""What `verify` accepts, the same on both interpreters: lengths and ranges here, arithmetic natively or by our own code."""

from ..compat import const
from . import _ed25519, _p256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[bytes, bytes, bytes], bool]

_ED25519 = const(-19)
_ESP256 = const(-9)
_HSS_LMS = const(-46)

# Encodings of the eight points of small order: with one of them as a key, signatures for chosen messages are found by trial.
# RFC 8032 leaves it open; libraries differ. Non-canonical ones never come this far.
_SMALL_ORDER_Y = (
    0,
    1,
    _ed25519.P - 1,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    _ed25519.P - 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
)

ed25519: "Check" = _ed25519.verify
esp256: "Check" = _p256.verify
try:
    from . import _native

    ed25519 = _native.ed25519
    esp256 = _native.esp256
except ImportError:
    pass  # MicroPython, or a CPython without `cryptography`


def verify(alg: int, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` is `public_key`'s over `message` under a COSE algorithm: -19 Ed25519, -9 ESP256 (RFC 9864), -46 HSS-LMS (RFC 8778).

    Keys raw: Ed25519 32 bytes, P-256 65 bytes SEC 1 uncompressed, HSS as RFC 8554 section 6.1 has it; signatures 64 bytes
    (P-256: r‖s), or HSS (section 6.2). False for anything else.
    """
    for value in (public_key, message, signature):
        if not isinstance(value, (bytes, bytearray, memoryview)):
            return False
    public_key = bytes(public_key)
    message = bytes(message)
    signature = bytes(signature)
    if not isinstance(alg, int):
        return False
    if alg == _HSS_LMS:
        from . import _lms  # most fleets have none: it costs its heap when the first comes

        return _lms.verify(public_key, message, signature)
    if len(signature) != 64:
        return False
    if alg == _ED25519:
        return (
            len(public_key) == 32
            and _ed25519_allowed(public_key, signature)
            and ed25519(public_key, message, signature)
        )
    if alg == _ESP256:
        return (
            len(public_key) == 65 and public_key[0] == 4 and esp256(public_key, message, signature)
        )
    return False


def _ed25519_allowed(public_key: bytes, signature: bytes) -> bool:
    for encoded in (public_key, signature[:32]):
        if int.from_bytes(encoded, "little") & ((1 << 255) - 1) >= _ed25519.P:
            return False  # a second encoding of the same point
    if int.from_bytes(signature[32:], "little") >= _ed25519.L:
        return False
    return int.from_bytes(public_key, "little") & ((1 << 255) - 1) not in _SMALL_ORDER_Y
