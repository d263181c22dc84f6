"""SPKI extraction beside `cryptography`, over its own collection of certificates."""

from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from everpin.core import errors, spki

VECTORS = Path(cryptography_vectors.__file__).resolve().parent / "x509"


def _certificates() -> list[tuple[str, bytes]]:
    found = []
    for path in sorted(VECTORS.rglob("*")):
        if path.suffix not in (".pem", ".der", ".crt") or not path.is_file():
            continue
        data = path.read_bytes()
        load = (
            x509.load_pem_x509_certificate
            if b"-----BEGIN" in data
            else x509.load_der_x509_certificate
        )
        try:
            found.append((str(path.relative_to(VECTORS)), load(data).public_bytes(Encoding.DER)))
        except (ValueError, TypeError, x509.InvalidVersion):
            continue  # no certificate, or none that the library reads
    return found


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_what_is_extracted_is_what_cryptography_has_and_little_is_refused() -> None:
    certificates = _certificates()
    assert len(certificates) > 300
    refused, same, other = [], 0, []
    for name, der in certificates:
        try:
            ours = spki.spki(der)
        except errors.PeerError:
            refused.append(name)
            continue
        try:
            key = x509.load_der_x509_certificate(der).public_key()
            theirs = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
            continue  # a key or version that the library does not take
        assert ours in der
        if ours == theirs:
            same += 1
        else:
            other.append(name)
    # The library writes a key anew where we keep the bytes: RSA-PSS parameters and explicit curves are lost that way.
    assert same > 300
    assert all("rsa_pss" in name or "ec_no_named_curve" in name for name in other), other
    assert len(refused) <= 3, refused
