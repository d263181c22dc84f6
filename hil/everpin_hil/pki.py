"""Certificates of a scenario, by name, from its tables: chain shapes and dates of the event, P-256 keys throughout.

Keys follow from their names and the seed, so the same scenario and seed have the same pins.
"""

import datetime
import hashlib
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEARS_10 = datetime.timedelta(days=3653)


def issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether a certificate names another as its issuer and bears its signature."""
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def leads(chain: list[bytes], root: bytes) -> bool:
    """Return whether a served chain, leaf first, leads to a root by its signatures; dates are not looked at."""
    served = [x509.load_der_x509_certificate(item) for item in chain]
    goal = x509.load_der_x509_certificate(root)
    seen, todo = [served[0]], [served[0]]
    while todo:
        now = todo.pop()
        if now == goal or issued(now, goal):
            return True
        further = [item for item in served[1:] if item not in seen and issued(now, item)]
        seen += further
        todo += further
    return False


class Pki:
    """The certificates that a scenario's tables say. `certificates` are DER by name."""

    def __init__(self, seed: int, start: datetime.datetime, end: datetime.datetime) -> None:
        self._seed = seed
        self._since, self._until = start - _YEARS_10, end + _YEARS_10
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._said: dict[str, dict[str, Any]] = {}
        self.certificates: dict[str, bytes] = {}

    def key(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Return the key of a name."""
        if name not in self._keys:
            digest = hashlib.sha256(f"everpin hil/{self._seed}/{name}".encode()).digest()
            number = int.from_bytes(digest, "big") >> 1 | 1
            self._keys[name] = ec.derive_private_key(number, ec.SECP256R1())
        return self._keys[name]

    def key_name(self, name: str) -> str:
        """Return the name of a certificate's key; a name that is no certificate's is a key's own."""
        return str(self._said[name].get("key", name)) if name in self._said else name

    def spki(self, name: str) -> bytes:
        """Return SubjectPublicKeyInfo of a certificate's or key's name."""
        public = self.key(self.key_name(name)).public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def pin(self, name: str) -> bytes:
        """Return the pin of a certificate's or key's name."""
        return hashlib.sha256(self.spki(name)).digest()

    def _name(self, name: str) -> x509.Name:
        common = self._said[name].get("subject", name)
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(common))])

    def anchor(self, name: str) -> tuple[bytes, bytes]:
        """Return (subject, SPKI) of a certificate, DER."""
        return self._name(name).public_bytes(), self.spki(name)

    def add(self, said: dict[str, Any]) -> None:
        """Make a certificate: `name`, and `subject`, `key`, `by` (issuer; else itself), `signed_with`, `from`, `until`, `names`, `ca`, `for`.

        A certificate with `names` is a server's, every other one a CA's.
        """
        name = said["name"]
        self._said[name] = said
        by = said.get("by", name)
        names = said.get("names", [])
        ca = said.get("ca", not names)
        built = (
            x509.CertificateBuilder()
            .subject_name(self._name(name))
            .issuer_name(self._name(by))
            .public_key(self.key(self.key_name(name)).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(said.get("from", self._since))
            .not_valid_after(said.get("until", self._until))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )
        if names:
            built = built.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(item) for item in names]), False
            )
        if ca:
            built = built.add_extension(
                x509.KeyUsage(False, False, False, False, False, True, True, False, False), True
            )
        else:
            purpose = (
                ExtendedKeyUsageOID.CLIENT_AUTH
                if said.get("for") == "clients"
                else ExtendedKeyUsageOID.SERVER_AUTH
            )
            built = built.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        # A forger's certificate names a CA as its issuer, and is signed with a key of his own.
        signer = self.key(said.get("signed_with", self.key_name(by)))
        self.certificates[name] = built.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)
