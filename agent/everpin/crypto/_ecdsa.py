"""ECDSA verification on P-256 and P-384 in integers (FIPS 186-5 section 6.4.2, SEC 1 section 4.1.4), public data only.

Points are Jacobian (X, Y, Z) with a = -3, what is added to them affine; None is the point at infinity. Both orders are prime, so no
point here but that has Y = 0.
"""

from ._wnaf import TABLE, ZERO, digits, inverse

TYPE_CHECKING = False
if TYPE_CHECKING:
    Point = tuple[int, int, int]
    Affine = tuple[int, int]


class Curve:
    """A curve of NIST SP 800-186: field `p`, order `n`, coefficient `b`, base point; `size` in bytes."""

    def __init__(self, size: int, p: int, n: int, b: int, gx: int, gy: int) -> None:
        self.size = size
        self.p = p
        self.n = n
        self.b = b
        self.base = (gx, gy)
        # Odd multiples of the base point, made when the first signature is checked.
        self.table: "list[Affine]" = []


def on_curve(curve: Curve, public_key: bytes) -> bool:
    """Return whether some bytes are an uncompressed point of the curve (SEC 1 section 2.3.4)."""
    size = curve.size
    if len(public_key) != 1 + 2 * size or public_key[0] != 4:
        return False
    p = curve.p
    x = int.from_bytes(public_key[1 : 1 + size], "big")
    y = int.from_bytes(public_key[1 + size :], "big")
    return x < p and y < p and (y * y - (x * x - 3) * x - curve.b) % p == 0


def _double(point: "Point | None", p: int) -> "Point | None":
    if point is None:
        return None
    x, y, z = point  # dbl-2001-b
    delta = z * z % p
    gamma = y * y % p
    beta = x * gamma % p
    alpha = 3 * (x - delta) * (x + delta) % p
    x3 = (alpha * alpha - 8 * beta) % p
    z3 = 2 * y * z % p
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % p, z3


def _add(point: "Point | None", other: "Affine", p: int) -> "Point | None":
    x2, y2 = other
    if point is None:
        return x2, y2, 1
    x1, y1, z1 = (
        point  # madd, by the general formula add-2007-bl with Z2 = 1 and without its doublings
    )
    z11 = z1 * z1 % p
    h = (x2 * z11 - x1) % p
    r = (y2 * z1 % p * z11 - y1) % p
    if h == 0:
        return _double(point, p) if r == 0 else None
    h2 = h * h % p
    h3 = h * h2 % p
    v = x1 * h2 % p
    x3 = (r * r - h3 - 2 * v) % p
    return x3, (r * (v - x3) - y1 * h3) % p, z1 * h % p


def _affine(points: "list[Point]", p: int) -> "list[Affine]":
    """Return points with Z = 1, by one inversion for all of them (Montgomery's trick)."""
    before = []  # the product of every Z before each
    product = 1
    for point in points:
        before.append(product)
        product = product * point[2] % p
    product = inverse(product, p)
    out: "list[Affine]" = []
    for at in range(len(points) - 1, -1, -1):
        x, y, z = points[at]
        one = product * before[at] % p
        product = product * z % p
        square = one * one % p
        out.append((x * square % p, y * square % p * one % p))
    out.reverse()
    return out


def _odd_multiples(x: int, y: int, p: int) -> "list[Affine]":
    """Return 1, 3, … 15 times a point. No sum here meets infinity: the order is prime and large."""
    point: "Point | None" = (x, y, 1)
    twice = _double(point, p)
    out: "list[Point]" = []
    if twice is None:
        return []
    step = _affine([twice], p)[0]
    for _ in range(TABLE):
        if point is None:
            return []
        out.append(point)
        point = _add(point, step, p)
    return _affine(out, p)


def verify(curve: Curve, public_key: bytes, digest: bytes, r: int, s: int) -> bool:
    """Return whether (r, s) is a signature of a message with this digest; both in 1..n-1."""
    p = curve.p
    n = curve.n
    size = curve.size
    if not (0 < r < n and 0 < s < n) or not on_curve(curve, public_key):
        return False
    # FIPS 186-5 section 6.4.2, step 2: the leftmost bits of the digest, as many as n has.
    e = int.from_bytes(digest[:size], "big")
    w = inverse(s, n)
    bits = 8 * size + 1
    scalars = (digits(e * w % n, bits), digits(r * w % n, bits))
    if not curve.table:
        curve.table = _odd_multiples(curve.base[0], curve.base[1], p)
    x = int.from_bytes(public_key[1 : 1 + size], "big")
    tables = (
        curve.table,
        _odd_multiples(x, int.from_bytes(public_key[1 + size :], "big"), p),
    )
    result: "Point | None" = None
    for at in range(bits - 1, -1, -1):
        result = _double(result, p)
        for which in (0, 1):
            digit = scalars[which][at] - ZERO
            if digit > 0:
                result = _add(result, tables[which][digit >> 1], p)
            elif digit:
                x, y = tables[which][-digit >> 1]
                result = _add(result, (x, p - y), p)
    if result is None:
        return False
    x, _, z = result
    # x / z² mod p ≡ r mod n, without an inversion: both candidates below p.
    zz = z * z % p
    return (r * zz - x) % p == 0 or (r + n < p and ((r + n) * zz - x) % p == 0)
