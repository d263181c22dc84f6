"""Signed sliding windows: the curves multiply two points at once (Straus), one digit string for each scalar."""

from ..compat import const

TABLE = const(8)  # odd multiples 1, 3, … 15
ZERO = const(16)  # digits are kept as bytes around this

# A scalar below 2^256 and one carry.
_DIGITS = const(257)


def digits(scalar: int, count: int = _DIGITS) -> bytearray:
    """Return the width-5 non-adjacent form, least significant first: each byte is ZERO plus 0 or an odd number in -15..15."""
    out = bytearray(count)
    for at in range(count):
        digit = 0
        if scalar & 1:
            digit = scalar & 31
            if digit > 15:
                digit -= 32
            scalar -= digit
        out[at] = ZERO + digit
        scalar >>= 1
    return out
