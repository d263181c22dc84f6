"""The claims set that every signed document carries (RFC 8392), read after its signature was verified."""

from ..compat import const
from . import errors, limits
from .errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ISS = const(1)
AUD = const(3)
EXP = const(4)
IAT = const(6)
# A private-use claim key (RFC 8392 section 9.1.1: below -65536); it sorts last in every canonical order.
BODY = const(-70001)

TIME_MAX = const(0xFFFFFFFF)  # Unix seconds until 2106-02-07


def uint(value: object, low: int, high: int) -> int:
    """Return `value` when it is an integer within the bounds, else raise `structure`."""
    if not isinstance(value, int) or value is True or value is False or not low <= value <= high:
        raise PeerError(errors.STRUCTURE)
    return value


def text(value: object, max_bytes: int) -> str:
    """Return `value` when it is text of 1 to `max_bytes` bytes of UTF-8, else raise `structure`."""
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= max_bytes:
        raise PeerError(errors.STRUCTURE)
    return value


def name(value: object) -> str:
    """Return a fleet, channel or device name: text that cannot leave its own level of a topic (MQTT 3.1.1 section 4.7)."""
    found = text(value, limits.NAME_MAX_BYTES)
    for character in found:
        if character in "/+#" or ord(character) < 0x21 or ord(character) == 0x7F:
            raise PeerError(errors.STRUCTURE)
    return found


def array(value: object, low: int, high: int) -> "list[Any]":
    """Return `value` when it is an array of `low` to `high` items, else raise `structure`."""
    if not isinstance(value, list) or not low <= len(value) <= high:
        raise PeerError(errors.STRUCTURE)
    return value


def octets(value: object, length: int) -> bytes:
    """Return `value` when it is a byte string of that length, else raise `structure`."""
    if not isinstance(value, bytes) or len(value) != length:
        raise PeerError(errors.STRUCTURE)
    return value


def digest(value: object) -> bytes:
    """Return `value` when it is a SHA-256 digest, else raise `structure`."""
    return octets(value, 32)


def flag(value: object) -> bool:
    """Return a flag that is either absent (None) or true: false has one encoding, its absence."""
    if value is None:
        return False
    if value is not True:
        raise PeerError(errors.STRUCTURE)
    return True


def body(value: object, known: "tuple[int, ...]") -> "dict[Any, Any]":
    """Return a body map: unknown positive keys are ignored, unknown negative ones raise `unsupported`."""
    if not isinstance(value, dict):
        raise PeerError(errors.STRUCTURE)
    for key in value:
        if not isinstance(key, int) or not -24 <= key <= 23:
            raise PeerError(errors.STRUCTURE)
        if key < 0 and key not in known:
            raise PeerError(errors.UNSUPPORTED)
    return value
