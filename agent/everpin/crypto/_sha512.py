"""SHA-512 (FIPS 180-4 section 6.4), for Ed25519 on interpreters whose hashlib ends at SHA-256."""

_M = 0xFFFFFFFFFFFFFFFF


def _primes(count: int) -> "list[int]":
    found: "list[int]" = []
    number = 2
    while len(found) < count:
        if all([number % prime for prime in found]):
            found.append(number)
        number += 1
    return found


def _root(number: int, power: int) -> int:
    """Return the first 64 bits of the fractional part of a square or cube root, by integer bisection."""
    low, high = 0, 1 << 72
    goal = number << (64 * power)
    while high - low > 1:
        middle = (low + high) >> 1
        if middle**power <= goal:
            low = middle
        else:
            high = middle
    return low & _M


# The constants are what the standard says they are (section 4.2.3 and 5.3.5), so that 640 bytes of them need not be stored.
_tables: "list[list[int]]" = []


def _constants() -> "list[list[int]]":
    if not _tables:
        primes = _primes(80)
        _tables.append([_root(prime, 3) for prime in primes])
        _tables.append([_root(prime, 2) for prime in primes[:8]])
    return _tables


def sha512(data: bytes) -> bytes:
    """Return the 64-byte digest of `data`."""
    k, h = _constants()
    h = list(h)
    length = len(data)
    data = data + b"\x80" + bytes((111 - length) % 128) + (length * 8).to_bytes(16, "big")
    w = [0] * 80
    for block in range(0, len(data), 128):
        for t in range(16):
            at = block + 8 * t
            w[t] = int.from_bytes(data[at : at + 8], "big")
        for t in range(16, 80):
            x = w[t - 15]
            y = w[t - 2]
            x = (x >> 1 | x << 63) ^ (x >> 8 | x << 56) ^ x >> 7
            y = (y >> 19 | y << 45) ^ (y >> 61 | y << 3) ^ y >> 6
            w[t] = (w[t - 16] + w[t - 7] + (x & _M) + (y & _M)) & _M
        a, b, c, d, e, f, g, i = h
        for t in range(80):
            s = e | e << 64  # rotations of 64 bits as shifts of 128
            s = (s >> 14 ^ s >> 18 ^ s >> 41) & _M
            one = i + s + (e & f ^ (e ^ _M) & g) + k[t] + w[t]
            s = a | a << 64
            s = (s >> 28 ^ s >> 34 ^ s >> 39) & _M
            i = g
            g = f
            f = e
            e = (d + one) & _M
            d = c
            two = s + (a & b ^ a & c ^ b & c)
            c = b
            b = a
            a = (one + two) & _M
        for at, value in enumerate((a, b, c, d, e, f, g, i)):
            h[at] = (h[at] + value) & _M
    return b"".join([value.to_bytes(8, "big") for value in h])
