"""ECDSA verification on P-256 in integers (FIPS 186-5 section 6.4.2, SEC 1 section 4.1.4), public data only.

Points are Jacobian (X, Y, Z) with a = -3; None is the point at infinity.
"""

from hashlib import sha256

from ._wnaf import TABLE, ZERO, digits

TYPE_CHECKING = False
if TYPE_CHECKING:
    Point = tuple[int, int, int]

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5

_base: "list[Point]" = []


def on_curve(public_key: bytes) -> bool:
    """Return whether 65 bytes are an uncompressed point of the curve (SEC 1 section 2.3.4)."""
    x = int.from_bytes(public_key[1:33], "big")
    y = int.from_bytes(public_key[33:], "big")
    return public_key[0] == 4 and x < P and y < P and (y * y - (x * x - 3) * x - _B) % P == 0


def _double(p: "Point | None") -> "Point | None":
    if p is None:
        return None
    x, y, z = p  # dbl-2001-b; y is never 0, the order is odd
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    z3 = 2 * y * z % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, z3


def _add(p: "Point | None", q: "Point") -> "Point | None":
    if p is None:
        return q
    x1, y1, z1 = p  # add-2007-bl, without its doublings
    x2, y2, z2 = q
    z11 = z1 * z1 % P
    z22 = z2 * z2 % P
    u1 = x1 * z22 % P
    s1 = y1 * z2 * z22 % P
    h = (x2 * z11 - u1) % P
    r = (y2 * z1 * z11 - s1) % P
    if h == 0:
        return _double(p) if r == 0 else None
    h2 = h * h % P
    h3 = h * h2 % P
    v = u1 * h2 % P
    x3 = (r * r - h3 - 2 * v) % P
    return x3, (r * (v - x3) - s1 * h3) % P, z1 * z2 * h % P


def _table(x: int, y: int) -> "list[Point]":
    """Return 1, 3, … 15 times a point. No sum here meets infinity: the order is prime and large."""
    point: "Point | None" = (x, y, 1)
    twice = _double(point)
    out: "list[Point]" = []
    for _ in range(TABLE):
        if point is None or twice is None:
            return out
        out.append(point)
        point = _add(twice, point)
    return out


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether r‖s is a signature of SHA-256(message); both in 1..n-1."""
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N) or not on_curve(public_key):
        return False
    e = int.from_bytes(sha256(message).digest(), "big")
    w = pow(s, N - 2, N)
    scalars = (digits(e * w % N), digits(r * w % N))
    if not _base:
        _base.extend(_table(_GX, _GY))
    tables = (
        _base,
        _table(int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")),
    )
    result: "Point | None" = None
    for at in range(len(scalars[0]) - 1, -1, -1):
        result = _double(result)
        for which in (0, 1):
            digit = scalars[which][at] - ZERO
            if digit > 0:
                result = _add(result, tables[which][digit >> 1])
            elif digit:
                x, y, z = tables[which][-digit >> 1]
                result = _add(result, (x, P - y, z))
    if result is None:
        return False
    x, _, z = result
    # x / z² mod p ≡ r mod n, without an inversion: both candidates below p.
    zz = z * z % P
    return (r * zz - x) % P == 0 or (r + N < P and ((r + N) * zz - x) % P == 0)
