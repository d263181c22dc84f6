"""A PKI factory: roots, intermediates, cross-signs and leaves with any validity, keys of any kind that TLS servers have; requests.

`issue` makes any one certificate; `root`, `intermediate`, `cross_sign` and `leaf` make what a server can serve. Chains by name: chains.py.
"""

import datetime
import hashlib
import ipaddress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .documents import T0

KINDS = ("p256", "p384", "rsa2048", "rsa3072", "rsa4096")
YEAR = 365 * 86400
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extra = tuple[tuple[x509.ExtensionType, bool], ...]

_PEM = serialization.Encoding.PEM
_CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


# ---- keys ------------------------------------------------------------------------------------------------------------


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def key(seed: str, kind: str = "p256") -> Key:
    """Return a key of a kind (KINDS), the same for equal seeds; an RSA key is the same in this process only."""
    if kind not in _CURVES:
        return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))
    curve = _CURVES[kind]
    digest = hashlib.sha384 if kind == "p384" else hashlib.sha256
    number = int.from_bytes(digest(b"path " + seed.encode()).digest(), "big") >> 1
    return ec.derive_private_key(number, curve)


def key_pem(of: Key) -> bytes:
    """Return a private key as PKCS#8."""
    return of.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def spki(of: Key) -> bytes:
    """Return a key's SubjectPublicKeyInfo, DER."""
    return of.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def pin(of: Key) -> bytes:
    """Return a key's pin."""
    return hashlib.sha256(spki(of)).digest()


def request(of: Key, common: str) -> bytes:
    """Return a CSR in PEM: the next key's owner proves possession before any certificate exists."""
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_name(common))
        .sign(of, hashes.SHA256())
    )
    return made.public_bytes(_PEM)


# ---- one certificate -------------------------------------------------------------------------------------------------


@dataclass
class Issuer:
    """A CA: its name and key."""

    name: str
    key: Key

    @property
    def anchor(self) -> list[bytes]:
        """Return it as a document carries an anchor."""
        return [_name(self.name).public_bytes(), spki(self.key)]

    @property
    def pin(self) -> bytes:
        """Return its pin."""
        return pin(self.key)


def issue(
    by: Issuer,
    subject: str,
    of: Key,
    ca: bool = False,
    names: tuple[str, ...] = (),
    since: int = T0 - 86400,
    until: int = T0 + YEAR,
    path_len: int | None = None,
    usage: bool = True,
    extra: Extra = (),
    purpose: x509.ObjectIdentifier | None = None,
) -> bytes:
    """Return a certificate, DER. `names` are host names and addresses; times are Unix seconds, negative ones before 1970."""
    built = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(by.name))
        .public_key(of.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_utc(since))
        .not_valid_after(_utc(until))
        .add_extension(x509.BasicConstraints(ca, path_len if ca else None), critical=True)
    )
    if ca and usage:
        built = built.add_extension(_usage(ca=True), True)
    if names:
        built = built.add_extension(
            x509.SubjectAlternativeName([_general(item) for item in names]), False
        )
    if purpose is not None:
        built = built.add_extension(x509.ExtendedKeyUsage([purpose]), False)
    for extension, critical in extra:
        built = built.add_extension(extension, critical)
    return built.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _utc(unix: int) -> datetime.datetime:
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=unix)


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)


# ---- what a server serves --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Identity:
    """A certificate with its key and the chain that a server sends after it."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def issuer(self) -> Issuer:
        """Return it as a CA."""
        common = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return Issuer(str(common), self.key)

    def der(self) -> list[bytes]:
        """Return the certificate and its chain, DER each."""
        der = serialization.Encoding.DER
        return [item.public_bytes(der) for item in (self.certificate, *self.chain)]

    def pem(self) -> bytes:
        """Return the certificate and its chain."""
        return b"".join(item.public_bytes(_PEM) for item in (self.certificate, *self.chain))

    def key_pem(self) -> bytes:
        """Return the private key."""
        return key_pem(self.key)

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write NAME.pem and NAME.key (0600); return both paths."""
        cert, held = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(self.pem())
        held.touch(mode=0o600)
        held.write_bytes(self.key_pem())
        return cert, held


def identity(certificates: list[bytes], of: Key) -> Identity:
    """Return certificates, leaf first, DER, with the leaf's key."""
    first, *rest = [x509.load_der_x509_certificate(item) for item in certificates]
    return Identity(first, of, tuple(rest))


def root(common: str, until: datetime.datetime, of: Key | None = None) -> Identity:
    """Return a self-signed root that ends at `until`, to the second."""
    held = of or new_key()
    names_itself = x509.SubjectKeyIdentifier.from_public_key(held.public_key())
    made = issue(
        Issuer(common, held), common, held, ca=True, since=int(_an_hour_ago().timestamp()),
        until=int(until.timestamp()), extra=((names_itself, False),),
    )  # fmt: skip
    return identity([made], held)


def intermediate(
    by: Identity,
    common: str,
    of: Key | None = None,
    until: datetime.datetime | None = None,
    path_len: int | None = None,
) -> Identity:
    """Return a CA under another, as long-lived as its issuer where nothing else is said; its issuer's chain comes after it."""
    held = of or new_key()
    extra = (
        (x509.SubjectKeyIdentifier.from_public_key(held.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), False),
    )
    made = issue(
        by.issuer, common, held, ca=True, since=int(_an_hour_ago().timestamp()), until=_end(by, until),
        path_len=path_len, extra=extra,
    )  # fmt: skip
    return _under(by, made, held)


def cross_sign(of: Identity, by: Identity, until: datetime.datetime | None = None) -> Identity:
    """Return a CA's name and key once more, certified by another CA."""
    return intermediate(by, of.issuer.name, of.key, until)


def leaf(
    issuer: Identity,
    common: str,
    key: Key | None = None,
    client: bool = False,
    names: tuple[str, ...] = ("localhost", "127.0.0.1"),
    until: datetime.datetime | None = None,
) -> Identity:
    """Return a leaf for `localhost` and 127.0.0.1, other names, or a client, as long-lived as its issuer."""
    held = key or new_key()
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    extra = (
        (_usage(ca=False), True),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False),
    )
    made = issue(
        issuer.issuer, common, held, names=() if client else names, since=int(_an_hour_ago().timestamp()),
        until=_end(issuer, until), extra=extra, purpose=purpose,
    )  # fmt: skip
    return _under(issuer, made, held)


def _under(issuer: Identity, made: bytes, of: Key) -> Identity:
    return Identity(x509.load_der_x509_certificate(made), of, (issuer.certificate, *issuer.chain))


def _end(issuer: Identity, until: datetime.datetime | None) -> int:
    return int((until or issuer.certificate.not_valid_after_utc).timestamp())


def _an_hour_ago() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
