"""LMS trees and HSS signatures by `pyhsslms`: parameter sets, generation over all processors, one and two levels.

The library makes all 2^h one-time keys anew whenever it opens a key: half a minute at the default parameters. Their public halves are
kept instead and put back into its object; what is secret, and every hash, stays the library's. Nothing here counts leaves.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import pyhsslms

from everpin.core import limits

from .errors import OperatorError

# (n, w) -> (LMOTS typecode, number of chains): RFC 8554 section 4.1, NIST SP 800-208 section 4.
_OTS = {
    (32, 1): (1, 265),
    (32, 2): (2, 133),
    (32, 4): (3, 67),
    (32, 8): (4, 34),
    (24, 1): (5, 200),
    (24, 2): (6, 101),
    (24, 4): (7, 51),
    (24, 8): (8, 26),
}
_CHAINS = {ots: (n, chains) for (n, _), (ots, chains) in _OTS.items()}
_HEIGHTS = (5, 10, 15)
_LMS_FIRST = {32: 5, 24: 10}  # typecode of height 5; 10, 15, 20 and 25 follow
_LEVELS = (1, 2)
# What a document needs beside one signature; with less left no `pins` document of one host fits.
_DOCUMENT_REST_BYTES = 512
_CHUNK = 32

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Parameters:
    """A parameter set: the same on both levels."""

    levels: int = 1
    height: int = 10
    w: int = 8
    n: int = 32

    def check(self) -> None:
        """Raise for a set that is none of ours, or whose signatures no document can carry."""
        if (
            self.levels not in _LEVELS
            or self.height not in _HEIGHTS
            or (self.n, self.w) not in _OTS
        ):
            raise OperatorError(
                f"no such LMS parameters: {self}",
                "",
                "levels 1 or 2, height 5, 10 or 15, w 1, 2, 4 or 8, n 24 or 32",
            )
        if self.signature_bytes + _DOCUMENT_REST_BYTES > limits.DOCUMENT_MAX_BYTES:
            raise OperatorError(
                f"signatures of {self.signature_bytes} bytes fit no document ({limits.DOCUMENT_MAX_BYTES} bytes in all)",
                "",
                "a larger w, or n = 24, makes them shorter",
            )

    @property
    def lms_type(self) -> bytes:
        """Return the LMS typecode."""
        return (_LMS_FIRST[self.n] + self.height // 5 - 1).to_bytes(4, "big")

    @property
    def ots_type(self) -> bytes:
        """Return the LMOTS typecode."""
        return _OTS[self.n, self.w][0].to_bytes(4, "big")

    @property
    def signature_bytes(self) -> int:
        """Return the length of an HSS signature (RFC 8554 sections 5.4 and 6.2)."""
        one = 12 + self.n * (1 + _OTS[self.n, self.w][1]) + self.n * self.height
        return 4 + one * self.levels + (24 + self.n) * (self.levels - 1)

    @property
    def total(self) -> int:
        """Return how many signatures a key has in all."""
        return 1 << self.height * self.levels


def _some(ots_type: bytes, seed: bytes, identifier: bytes, first: int, count: int) -> bytes:
    found = b""
    for leaf in range(first, first + count):
        key = pyhsslms.LmotsPrivateKey(identifier, leaf.to_bytes(4, "big"), seed, ots_type)
        found += key.publicKey().K
    return found


def public_leaves(
    parameters: Parameters, seed: bytes, identifier: bytes, progress: Progress | None = None
) -> bytes:
    """Return the public halves of a tree's one-time keys, n bytes each: public data that takes long to make."""
    count = 1 << parameters.height
    firsts = range(0, count, _CHUNK)
    arguments = [(parameters.ots_type, seed, identifier, first, _CHUNK) for first in firsts]
    found = b""
    if len(arguments) == 1:
        return _some(*arguments[0])
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(_some, *zip(*arguments, strict=True)):
            found += part
            if progress is not None:
                progress(len(found) // parameters.n, count)
    return found


def tree(
    parameters: Parameters, seed: bytes, identifier: bytes, leaves: bytes
) -> pyhsslms.LmsPrivateKey:
    """Return the library's tree over one-time keys whose public halves are known."""
    made = pyhsslms.LmsPrivateKey.__new__(pyhsslms.LmsPrivateKey)
    made.lms_type, made.lmots_type = parameters.lms_type, parameters.ots_type
    made.SEED, made.I, made.q = seed, identifier, 0
    made.ots_priv, made.ots_pub, made._nodes = [], [], {}
    n = parameters.n
    for leaf in range(1 << parameters.height):
        q = leaf.to_bytes(4, "big")
        public = leaves[leaf * n : leaf * n + n]
        made.ots_priv.append(pyhsslms.LmotsPrivateKey(identifier, q, seed, made.lmots_type))
        made.ots_pub.append(pyhsslms.LmotsPublicKey(identifier, q, public, made.lmots_type))
    made.pub = made._T(1)
    return made


def public_key(parameters: Parameters, top: pyhsslms.LmsPrivateKey) -> bytes:
    """Return the HSS public key (RFC 8554 section 6.1)."""
    return parameters.levels.to_bytes(4, "big") + top.publicKey().serialize()


def sign(
    parameters: Parameters,
    trees: list[pyhsslms.LmsPrivateKey],
    signed_keys: list[bytes],
    leaf: int,
    message: bytes,
) -> bytes:
    """Return an HSS signature (RFC 8554 section 6.2) by one leaf of the lowest tree. The library draws its randomizer: call once."""
    trees[-1].q = leaf
    key = pyhsslms.HssPrivateKey(
        parameters.levels,
        parameters.lms_type,
        parameters.ots_type,
        trees[0].SEED,
        1,
        trees,
        signed_keys,
    )
    return key.sign(message)


def leaf_of(signature: bytes) -> int:
    """Return which leaf made an HSS signature, counted through all levels; raise for anything else."""
    leaf, at = 0, 4
    levels = int.from_bytes(signature[:4], "big") + 1
    for level in range(min(levels, _LEVELS[-1])):
        n, chains = _CHAINS.get(_word(signature, at + 4), (0, 0))
        path = at + 8 + n * (chains + 1)
        height = 5 * (_word(signature, path) - _LMS_FIRST.get(n, 0) + 1)
        q = _word(signature, at)
        if not n or height not in range(5, 26) or q >> height:
            break
        leaf = leaf << height | q
        at = path + 4 + n * height
        if level + 1 == levels and at == len(signature):
            return leaf
        at += 24 + n
    raise OperatorError(
        "this is no HSS-LMS signature", "", "is it cut, or by a key of another kind?"
    )


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


__all__ = ("Parameters", "Progress", "leaf_of", "public_key", "public_leaves", "sign", "tree")
