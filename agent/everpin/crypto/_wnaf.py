"""What the curves share: signed sliding windows to multiply two points at once (Straus), and inverses. All of it on public numbers."""

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


def inverse(number: int, prime: int) -> int:
    """Return the inverse of a number in 0..prime-1, 0 for 0: extended Euclid, a tenth of what a power to prime - 2 costs."""
    rest, other = number, prime
    factor, last = 1, 0
    while rest:
        quotient, remainder = divmod(other, rest)
        other, rest = rest, remainder
        last, factor = factor, last - quotient * factor
    return last % prime
