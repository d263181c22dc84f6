"""Chains by name: the good ones, and the ways in which a served chain can be wrong. From a small PKI: Root, Middle, leaf."""

import ipaddress
import itertools
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from . import pki
from .documents import T0
from .pki import YEAR, Issuer, Key

HOST = "api.example"


def _excluded(tag: int, base: bytes) -> x509.UnrecognizedExtension:
    """Return name constraints that exclude one name as it is given."""
    subtree = bytes((0x30, len(base) + 2, tag, len(base))) + base
    return x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.30"),
        bytes((0x30, len(subtree) + 2, 0xA1, len(subtree))) + subtree,
    )


@dataclass(frozen=True)
class Served:
    """What a server serves: certificates, leaf first, DER, and the key of the leaf."""

    certificates: list[bytes]
    key: Key

    def identity(self) -> pki.Identity:
        """Return it for a server."""
        return pki.identity(self.certificates, self.key)


class Ground:
    """The small PKI: keys of one kind, leaves for one host; certificates are valid for a year from a day before `now`."""

    def __init__(self, kind: str = "p256", host: str = HOST, now: int = T0) -> None:
        self._kind = kind
        self._host = host
        self._now = now
        self.root = self._issuer("Root")
        self.other = self._issuer("Other Root")
        self.middle = self._issuer("Middle")
        self.leaf = self._key("leaf")
        self.inspection = self._issuer("Inspection")

    def _key(self, seed: str) -> Key:
        return pki.key(seed, self._kind)

    def _issuer(self, name: str, seed: str = "") -> Issuer:
        return Issuer(name, self._key(seed or name.lower()))

    def issue(self, by: Issuer, subject: str, of: Key, **how: Any) -> bytes:
        """Return a certificate of that year, where nothing else is said."""
        said = {"since": self._now - 86400, "until": self._now + YEAR} | how
        return pki.issue(by, subject, of, **said)

    def _for_host(self, by: Issuer, of: Key | None = None, **how: Any) -> bytes:
        return self.issue(by, "leaf", of or self.leaf, names=(self._host,), **how)

    def _middle(self, **how: Any) -> bytes:
        return self.issue(self.root, "Middle", self.middle.key, **({"ca": True} | how))

    def chains(self) -> dict[str, Served]:
        """Return what servers serve, by name."""
        wrong = self._wrong()
        return {
            name: Served(certificates, wrong_key or self.leaf)
            for name, (certificates, wrong_key) in (self._right() | wrong).items()
        }

    def _tower(self, intermediates: int) -> list[bytes]:
        """Return a leaf and the intermediates above it, each signed by the next, the last one by the root."""
        above = [self._issuer(f"Floor {at}") for at in range(intermediates)] + [self.root]
        return [self._for_host(above[0])] + [
            self.issue(by, each.name, each.key, ca=True) for each, by in itertools.pairwise(above)
        ]

    def _one_name(self) -> list[bytes]:
        """Return a leaf under one of seven CAs of one name, none of which leads anywhere: each is signed by the next."""
        same = [self._issuer("Same", f"same {at}") for at in range(7)]
        return [self._for_host(same[0])] + [
            self.issue(same[(at + 1) % 7], "Same", each.key, ca=True)
            for at, each in enumerate(same)
        ]

    def _right(self) -> dict[str, tuple[list[bytes], Key | None]]:
        """Return chains with a path in them, whatever else there is."""
        root, middle = self.root, self.middle
        far = self._now + 10 * YEAR
        good = self._middle(until=far)
        root_itself = self.issue(root, "Root", root.key, ca=True, until=far)
        cross = self.issue(self.other, "Middle", middle.key, ca=True)
        old = self._middle(until=self._now - 3600)
        names = (self._host, "*.w.example", "192.0.2.7", "2001:db8::7")
        leaf = self.issue(middle, "leaf", self.leaf, names=names)
        another = self._issuer("Middle", "another")
        deep = self._issuer("Deep")
        new = self._key("new leaf")
        allowed = x509.NameConstraints(
            [x509.DNSName("example"), x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
             x509.IPAddress(ipaddress.ip_network("2001:db8::/32"))],
            None,
        )  # fmt: skip
        return {
            "good": ([leaf, good], None),
            "with-root": ([leaf, good, root_itself], None),
            "reordered": ([leaf, root_itself, good], None),
            "superfluous": ([leaf, cross, root_itself, old, good], None),
            "missing": ([leaf], None),
            "crossed": ([leaf, cross], None),
            "two-of-one-name": ([leaf, self.issue(self._issuer("Middle", "liar"), "Middle", another.key, ca=True), good], None),
            "same-key-twice": ([leaf, old, good], None),
            "old-middle": ([leaf, old], None),
            "renewed": ([self._for_host(middle), good], None),
            "new-key": ([self._for_host(middle, new), good], new),
            "longer": ([self._for_host(deep), self.issue(middle, "Deep", deep.key, ca=True), good], None),
            "middle-for-example": ([self._for_host(middle), self._middle(extra=((allowed, True),))], None),
        }  # fmt: skip

    def _wrong(self) -> dict[str, tuple[list[bytes], Key | None]]:
        """Return chains that a policy has a reason to refuse."""
        middle, host = self.middle, self._host
        good = self._middle(until=self._now + 10 * YEAR)
        root_itself = self.issue(
            self.root, "Root", self.root.key, ca=True, until=self._now + 10 * YEAR
        )
        thief, stranger, proxy = self._key("thief"), self._key("stranger"), self._key("proxy")
        # Signed by a key that is not Middle's, under Middle's name: CVE-2016-2402.
        liar = self._issuer("Middle", "liar")
        forged = self._for_host(liar, thief)
        # A leaf of the thief's own, from the pinned Middle, that plays CA.
        none = self._issuer("No CA")
        deep = self._issuer("Deep")
        leaf = self._for_host(middle)
        only_signs = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
        no_signer = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        critical = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"
        )
        elsewhere = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
        return {
            "forged": ([forged, good], thief),
            "forged-with-root": ([forged, good, root_itself], thief),
            "forged-same-key": ([self._for_host(liar), good], None),
            "sub-ca-that-is-none": ([self._for_host(none), self.issue(middle, "No CA", none.key), good], None),
            "self-signed": ([self._for_host(Issuer("leaf", self.leaf))], None),
            "stranger": ([self._for_host(self.other, stranger)], stranger),
            "wrong-name": ([self.issue(middle, "leaf", self.leaf, names=("else.example",)), good], None),
            "common-name-only": ([self.issue(middle, host, self.leaf), good], None),
            "expired": ([self._for_host(middle, until=self._now - 60), good], None),
            "not-yet": ([self._for_host(middle, since=self._now + 100 * 86400), good], None),
            "for-clients": ([self._for_host(middle, purpose=ExtendedKeyUsageOID.CLIENT_AUTH), good], None),
            "leaf-unknown-critical": ([self._for_host(middle, extra=((critical, True),)), good], None),
            "leaf-that-signs": ([self._for_host(middle, extra=((only_signs, True),)), good], None),
            "depth-6": (self._tower(5), None),
            "depth-7": (self._tower(6), None),
            "all-of-one-name": (self._one_name(), None),
            "middle-for-clients": ([leaf, self._middle(purpose=ExtendedKeyUsageOID.CLIENT_AUTH)], None),
            "middle-for-anything": ([leaf, self._middle(purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)], None),
            # Constraints that nobody can read bind all the same: an excluded name with a zero byte, and half an address.
            "middle-excludes-junk": ([leaf, self._middle(extra=((_excluded(0x82, b"api.example\x00"), True),))], None),
            "middle-excludes-a-wildcard": ([leaf, self._middle(extra=((_excluded(0x82, b"*.example"), True),))], None),
            "middle-excludes-half-an-address": ([leaf, self._middle(extra=((_excluded(0x87, b"\xc0\x00\x02\x00"), True),))], None),
            "broker": ([self.issue(middle, "leaf", stranger, names=("broker.example",)), good], stranger),
            "broker-inspected": ([self.issue(self.inspection, "leaf", proxy, names=("broker.example",))], proxy),
            "inspection-ca": ([self.issue(self.inspection, "Inspection", self.inspection.key, ca=True)], self.inspection.key),
            "middle-ca-false": ([leaf, self._middle(ca=False)], None),
            "middle-may-not-sign": ([leaf, self._middle(usage=False, extra=((no_signer, True),))], None),
            "middle-unknown-critical": ([leaf, self._middle(extra=((critical, True),))], None),
            "middle-for-elsewhere": ([leaf, self._middle(extra=((elsewhere, True),))], None),
            "path-too-long": ([self._for_host(deep), self.issue(middle, "Deep", deep.key, ca=True), self._middle(path_len=0)], None),
            "inspected": ([self._for_host(self.inspection, proxy)], proxy),
        }  # fmt: skip
