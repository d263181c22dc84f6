"""Ed25519 verification in integers (RFC 8032 section 5.1.7), public data only: nothing here needs constant time.

Points are extended twisted Edwards coordinates (Hisil et al. 2008, formulas add-2008-hwcd-3 and dbl-2008-hwcd); table entries are
(Y-X, Y+X, 2dT, 2Z). Dividing is what costs most on a microcontroller, twice a multiplication: a number is folded instead, for 2^255 is
19 modulo P. Once makes the sums of a formula smaller than 2^266, twice makes a coordinate smaller than 2^256; it is written out in
place, since a call costs a quarter of it. What is compared or encoded is reduced.
"""

from ._sha512 import sha512
from ._wnaf import TABLE, ZERO, digits, inverse

TYPE_CHECKING = False
if TYPE_CHECKING:
    Point = tuple[int, int, int, int]

P = (1 << 255) - 19
L = (1 << 252) + 27742317777372353535851937790883648493
_D2 = 0x2406D9DC56DFFCE7198E80F2EEF3D13000E0149A8283B156EBD69B9426B2F159
_D = 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3
_SQRT_M1 = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0
_B = (
    0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A,
    0x6666666666666666666666666666666666666666666666666666666666666658,
)

_MASK = (1 << 255) - 1

_base: "list[Point]" = []


def _root_power(z: int) -> int:
    """Return z to (P - 5) / 8 = 2^252 - 3."""
    mask = _MASK
    v, ones = z, 1  # v is z to 2^ones - 1
    for bit in b"\1\1\1\1\0\1\0":  # of 250, below its first
        w = v
        for _ in range(ones):
            w = w * w
            w = (w & mask) + 19 * (w >> 255)
            w = (w & mask) + 19 * (w >> 255)
        v = w * v % P
        ones *= 2
        if bit:
            v = v * v % P * z % P
            ones += 1
    v = v * v % P
    return v * v % P * z % P


def decompress(data: bytes) -> "tuple[int, int] | None":
    """Return the affine point of a canonical encoding (section 5.1.3), None for any other 32 bytes."""
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= _MASK
    if y >= P:
        return None
    u = (y * y - 1) % P
    v = (_D * y * y + 1) % P
    v3 = v * v * v % P
    x = u * v3 * _root_power(u * v3 * v3 * v % P) % P
    x2 = v * x * x % P
    if x2 != u:
        if x2 != P - u:
            return None
        x = x * _SQRT_M1 % P
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y


def _point(e: int, f: int, g: int, h: int, with_t: bool) -> "Point":
    """Return what both formulas end with: E F, G H, F G and E H."""
    mask = _MASK
    e = (e & mask) + 19 * (e >> 255)
    g = (g & mask) + 19 * (g >> 255)
    f = (f & mask) + 19 * (f >> 255)
    h = (h & mask) + 19 * (h >> 255)
    x = e * f
    y = g * h
    z = f * g
    x = (x & mask) + 19 * (x >> 255)
    y = (y & mask) + 19 * (y >> 255)
    z = (z & mask) + 19 * (z >> 255)
    x = (x & mask) + 19 * (x >> 255)
    y = (y & mask) + 19 * (y >> 255)
    z = (z & mask) + 19 * (z >> 255)
    return x, y, z, e * h % P if with_t else 0


def _double(p: "Point", with_t: bool) -> "Point":
    """Return twice a point; T only when something is added next, doubling does not need it."""
    x, y, z, _ = p
    a = x * x
    b = y * y
    h = a + b
    e = x + y
    e = h - e * e
    g = a - b
    f = 2 * z * z + g
    return _point(e, f, g, h, with_t)


def _add(p: "Point", q: "Point", minus: bool, with_t: bool) -> "Point":
    """Return the sum of a point and a table entry, or their difference."""
    x, y, z, t = p
    qm, qp, qt, qz = q
    if minus:
        qm, qp, qt = qp, qm, -qt
    a = (y - x) * qm
    b = (y + x) * qp
    c = t * qt
    d = z * qz
    e = b - a
    f = d - c
    g = d + c
    h = b + a
    return _point(e, f, g, h, with_t)


def _cached(p: "Point") -> "Point":
    x, y, z, t = p
    return y - x, y + x, t * _D2 % P, 2 * z


def _table(x: int, y: int) -> "list[Point]":
    """Return 1, 3, … 15 times a point, ready to be added."""
    point = (x, y, 1, x * y % P)
    twice = _cached(_double(point, True))
    out = [_cached(point)]
    for _ in range(TABLE - 1):
        point = _add(point, twice, False, True)
        out.append(_cached(point))
    return out


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a signature is right: S below L, canonical A and R, [S]B = R + [k]A without the cofactor."""
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False  # RFC 8032 section 8.4: malleability
    point = decompress(public_key)
    if point is None:
        return False
    k = int.from_bytes(sha512(signature[:32], public_key, message), "little") % L
    # [S]B - [k]A must encode to the very bytes of R: one encoding, no second decompression.
    if not _base:
        _base.extend(_table(_B[0], _B[1]))
    tables = (_base, _table(P - point[0], point[1]))
    scalars = (digits(s), digits(k))
    result = (0, 1, 1, 0)
    for at in range(len(scalars[0]) - 1, -1, -1):
        added = (scalars[0][at] - ZERO, scalars[1][at] - ZERO)
        result = _double(result, added != (0, 0))
        for which in (0, 1):
            digit = added[which]
            if digit:
                entry = tables[which][abs(digit) >> 1]
                result = _add(result, entry, digit < 0, which == 0 and added[1] != 0)
    x, y, z, _ = result
    one = inverse(z % P, P)
    y = y * one % P
    if x * one % P & 1:
        y |= 1 << 255
    return y.to_bytes(32, "little") == signature[:32]
