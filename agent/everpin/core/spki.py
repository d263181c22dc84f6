"""The SubjectPublicKeyInfo of a certificate, verbatim from its DER, and its pin (RFC 7469 section 2.4)."""

from hashlib import sha256

from . import der, errors, limits
from .errors import PeerError


def spki(certificate_der: bytes) -> bytes:
    """Return the whole SubjectPublicKeyInfo element of a certificate (RFC 5280 section 4.1); raise `encoding`.

    What surrounds it is walked, bounded, to the exact end; values are not judged: for usage 3 they mean nothing.
    """
    if len(certificate_der) > limits.CERTIFICATE_MAX_BYTES:
        raise PeerError(errors.ENCODING)
    whole = der.Reader(certificate_der, 0, len(certificate_der))
    certificate = whole.inside(der.SEQUENCE)
    if whole.more():
        raise PeerError(errors.ENCODING)  # trailing bytes
    tbs = certificate.inside(der.SEQUENCE)
    certificate.element(der.SEQUENCE)  # signatureAlgorithm
    certificate.element(der.BIT_STRING)  # signatureValue
    if certificate.more():
        raise PeerError(errors.ENCODING)
    if tbs.peek() == der.VERSION:
        tbs.element(der.VERSION)
    tbs.element(der.INTEGER)  # serialNumber
    tbs.element(der.SEQUENCE)  # signature
    tbs.element(der.SEQUENCE)  # issuer
    tbs.element(der.SEQUENCE)  # validity
    tbs.element(der.SEQUENCE)  # subject
    start = tbs.at
    key = tbs.inside(der.SEQUENCE)
    if tbs.at - start > limits.SPKI_MAX_BYTES:
        raise PeerError(errors.ENCODING)
    algorithm = key.inside(der.SEQUENCE)
    algorithm.element(der.OID)
    key.element(der.BIT_STRING)
    if key.more():
        raise PeerError(errors.ENCODING)
    return bytes(certificate_der[start : tbs.at])


def pin(certificate_der: bytes) -> bytes:
    """Return SHA-256 of a certificate's SubjectPublicKeyInfo, 32 bytes; raise `encoding` for anything else."""
    return sha256(spki(certificate_der)).digest()
