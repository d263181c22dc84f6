"""Random bytes that are the same in each run, and signatures that are checked once.

Device dialect.
"""

from hashlib import sha256

from everpin import crypto
from everpin.core import chain
from everpin.crypto import links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Random:
    """Bytes by SHA-256 of a seed, the life of the device, and a count."""

    def __init__(self, seed: str, life: int) -> None:
        self._head = ("%s/%d/" % (seed, life)).encode()
        self._count = 0

    def __call__(self, length: int) -> bytes:
        found = b""
        while len(found) < length:
            self._count += 1
            found += sha256(self._head + str(self._count).encode()).digest()
        return found[:length]


class _Once:
    """A check whose answer to equal arguments is remembered; bounded, it forgets all at once."""

    _MOST = 4096

    def __init__(self, really: "Any") -> None:
        self.really = really
        self._known: "dict[Any, Any]" = {}

    def __call__(self, *args: "Any") -> "Any":
        if args not in self._known:
            if len(self._known) >= self._MOST:
                self._known.clear()
            self._known[args] = self.really(*args)
        return self._known[args]


class _Links:
    """`links` as core/chain.py calls it, each check once."""

    def __init__(self) -> None:
        self.rsa_pkcs1 = _Once(links.rsa_pkcs1)
        self.rsa_pss = _Once(links.rsa_pss)
        self.ecdsa = _Once(links.ecdsa)
        self.digest_of = links.digest_of


class Signatures:
    """Signatures are checked once in this process: a device that is cut off dials for months, and MicroPython computes in Python."""

    _done = False

    def use(self) -> None:
        """Put the remembering checks in place, once."""
        if not Signatures._done:
            Signatures._done = True
            agent: "Any" = crypto
            agent.verify = _Once(crypto.verify)
            agent = chain
            agent.links = _Links()
