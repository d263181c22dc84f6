"""Signed sliding windows: both curves multiply two points at once (Straus), one digit list for each scalar."""

from ..compat import const

WIDTH = const(5)
TABLE = const(8)  # odd multiples 1, 3, … 15


def digits(scalar: int) -> "list[int]":
    """Return the width-5 non-adjacent form, least significant first: digits are 0 or odd in -15..15."""
    out = []
    while scalar:
        digit = 0
        if scalar & 1:
            digit = scalar & 31
            if digit > 15:
                digit -= 32
            scalar -= digit
        out.append(digit)
        scalar >>= 1
    return out
