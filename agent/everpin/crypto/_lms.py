"""HSS-LMS verification (RFC 8554 section 6.3; 24-byte hashes by NIST SP 800-208 section 4), with SHA-256 alone: public data only.

One and two levels. Work is bounded by the parameter sets: at most 265 chains (W 1) or 34 chains of 255 hashes (W 8) a level.
RAM: the signature is read in place; one buffer for a chain's hash, one for the chain ends (p times n, at most 8,480 bytes).
"""

from hashlib import sha256

from ..compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    # What one level says of itself: (h, n, w, p, ls)
    Parameters = tuple[int, int, int, int, int]

_LEVELS_MAX = const(2)
_I_BYTES = const(16)
# RFC 8554 section 7.1
_D_PBLC = b"\x80\x80"
_D_MESG = b"\x81\x81"
_D_LEAF = b"\x82\x82"
_D_INTR = b"\x83\x83"

# RFC 8554 section 4.1 and SP 800-208 section 4.1: typecode -> (n, w, p, ls)
_OTS = {
    1: (32, 1, 265, 7),
    2: (32, 2, 133, 6),
    3: (32, 4, 67, 4),
    4: (32, 8, 34, 0),
    5: (24, 1, 200, 8),
    6: (24, 2, 101, 6),
    7: (24, 4, 51, 4),
    8: (24, 8, 26, 0),
}
# RFC 8554 section 5.1 and SP 800-208 section 4.2: typecode of height 5 -> n; the next four are heights 10, 15, 20, 25.
_LMS = {5: 32, 10: 24}


def _parameters(lms_type: int, ots_type: int) -> "Parameters | None":
    """Return the parameters of a pair of typecodes, None when one is unknown or their hashes differ."""
    first = lms_type // 5 * 5
    n = _LMS.get(first)
    ots = _OTS.get(ots_type)
    if n is None or ots is None or ots[0] != n:
        return None
    return 5 * (lms_type - first + 1), n, ots[1], ots[2], ots[3]


def _u32(data: memoryview, at: int) -> int:
    return int.from_bytes(bytes(data[at : at + 4]), "big")


def _level(
    public: memoryview, message: "bytes | memoryview", sig: memoryview, at: int
) -> "tuple[bool, int]":
    """Return (whether the LMS signature at `at` is right, where it ends). `public` is an LMS public key of 24 + n bytes."""
    found = _parameters(_u32(public, 0), _u32(public, 4)) if len(public) >= 24 else None
    if found is None:
        return False, at
    h, n, w, p, ls = found
    if len(public) != 24 + n:
        return False, at
    ots_bytes = 4 + n * (p + 1)
    end = at + 4 + ots_bytes + 4 + n * h
    if end > len(sig):
        return False, at
    q = _u32(sig, at)
    ots = at + 4
    path = ots + ots_bytes + 4
    if q >> h or _u32(sig, ots) != _u32(public, 4) or _u32(sig, path - 4) != _u32(public, 0):
        return False, at
    prefix = bytes(public[8:24]) + q.to_bytes(4, "big")
    # Section 4.6, algorithm 4b: the digest with its checksum says how far each chain was walked.
    hashed = sha256(prefix + _D_MESG)
    hashed.update(sig[ots + 4 : ots + 4 + n])
    hashed.update(message)
    digest = hashed.digest()[:n]
    most = (1 << w) - 1
    total = 0
    for byte in digest:
        for shift in range(8 - w, -1, -w):
            total += most - (byte >> shift & most)
    digest += (total << ls).to_bytes(2, "big")
    ends = sha256(prefix + _D_PBLC)
    buffer = bytearray(prefix + bytes(3 + n))
    y = ots + 4 + n
    per_byte = 8 // w
    for chain in range(p):
        buffer[20] = chain >> 8
        buffer[21] = chain & 255
        buffer[23:] = sig[y : y + n]
        y += n
        start = digest[chain // per_byte] >> (8 - w - w * (chain % per_byte)) & most
        for step in range(start, most):
            buffer[22] = step
            buffer[23:] = sha256(buffer).digest()[:n]
        ends.update(buffer[23:])
    # Section 5.4, algorithm 6a: the leaf, and the way up.
    identifier = bytes(public[8:24])
    node = (1 << h) + q
    value = sha256(identifier + node.to_bytes(4, "big") + _D_LEAF + ends.digest()[:n]).digest()[:n]
    while node > 1:
        other = bytes(sig[path : path + n])
        path += n
        pair = other + value if node & 1 else value + other
        node >>= 1
        value = sha256(identifier + node.to_bytes(4, "big") + _D_INTR + pair).digest()[:n]
    return value == bytes(public[24:]), end


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether an HSS signature (section 6.2) is right under an HSS public key (section 6.1); False for anything malformed."""
    if len(public_key) < 28 or len(signature) < 8:
        return False
    public = memoryview(public_key)
    sig = memoryview(signature)
    levels = _u32(public, 0)
    if not 1 <= levels <= _LEVELS_MAX or _u32(sig, 0) != levels - 1:
        return False
    public = public[4:]
    at = 4
    for _ in range(levels - 1):
        # What a level signs is the next level's public key; its length is said by its own type.
        start = _signature_end(public, sig, at)
        if start == 0 or start + 4 > len(sig):
            return False
        n = _LMS.get(_u32(sig, start) // 5 * 5)
        if n is None or start + 24 + n > len(sig):
            return False
        below = sig[start : start + 24 + n]
        good, end = _level(public, below, sig, at)
        if not good or end != start:
            return False
        public = below
        at = start + 24 + n
    good, end = _level(public, message, sig, at)
    return good and end == len(sig)


def _signature_end(public: memoryview, sig: memoryview, at: int) -> int:
    """Return where the LMS signature at `at` ends by its public key's parameters, 0 when they are none."""
    found = _parameters(_u32(public, 0), _u32(public, 4))
    if found is None:
        return 0
    h, n, _, p, _ = found
    return at + 4 + 4 + n * (p + 1) + 4 + n * h


__all__ = ("verify",)
