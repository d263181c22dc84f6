"""A PKI factory: roots and leaves with real validity instants, keys, requests; what the story's certificates are made of."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PEM = serialization.Encoding.PEM


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass(frozen=True)
class Identity:
    """A certificate with its key and the chain that a server sends after it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    def pem(self) -> bytes:
        """Return the certificate and its chain."""
        return b"".join(item.public_bytes(_PEM) for item in (self.certificate, *self.chain))

    def key_pem(self) -> bytes:
        """Return the private key."""
        return key_pem(self.key)

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write NAME.pem and NAME.key (0600); return both paths."""
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(self.pem())
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem())
        return cert, key


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PKCS#8."""
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def request(key: ec.EllipticCurvePrivateKey, common: str) -> bytes:
    """Return a CSR in PEM: the next key's owner proves possession before any certificate exists."""
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_name(common))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(_PEM)


def root(common: str, until: datetime.datetime) -> Identity:
    """Return a self-signed root that ends at `until`, to the second."""
    key = new_key()
    built = (
        x509.CertificateBuilder()
        .subject_name(_name(common))
        .issuer_name(_name(common))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_an_hour_ago())
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_usage(ca=True), critical=True)
    )
    return Identity(built.sign(key, hashes.SHA256()), key)


def leaf(
    issuer: Identity,
    common: str,
    key: ec.EllipticCurvePrivateKey | None = None,
    client: bool = False,
) -> Identity:
    """Return a leaf for `localhost` and 127.0.0.1 (or a client's), as long-lived as its issuer."""
    key = key or new_key()
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    built = (
        x509.CertificateBuilder()
        .subject_name(_name(common))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_an_hour_ago())
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
    )
    if not client:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Identity(built.sign(issuer.key, hashes.SHA256()), key, (issuer.certificate,))


def _an_hour_ago() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
