"""A signed anchor, subject name and SPKI, as a certificate for TLS libraries that take nothing else.

A trust anchor's own signature is looked at by nobody (RFC 5280 section 6.1.1 d): OpenSSL and mbedTLS take it as it is loaded, so this one
has none. It is loaded into a context of ours, never sent.
"""

from . import der
from .x509 import parsed

_SHA256_ECDSA = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
# From 1970-01-01 to 9999-12-31 (RFC 5280 section 4.1.2.5: no known end).
_ALWAYS = b"\x30\x20\x17\x0d700101000000Z\x18\x0f99991231235959Z"
# basicConstraints, critical, CA:TRUE.
_CA = b"\xa3\x13\x30\x11\x30\x0f\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x05\x30\x03\x01\x01\xff"
_NO_SIGNATURE = b"\x03\x09\x00\x30\x06\x02\x01\x01\x02\x01\x01"


def certificate(subject: bytes, spki: bytes) -> "bytes | None":
    """Return a certificate of an anchor, DER; None when name or key are no DER that a certificate can hold."""
    tbs = der.wrap(
        der.SEQUENCE,
        b"\xa0\x03\x02\x01\x02\x02\x01\x01"
        + _SHA256_ECDSA
        + subject
        + _ALWAYS
        + subject
        + spki
        + _CA,
    )
    made = der.wrap(der.SEQUENCE, tbs + _SHA256_ECDSA + _NO_SIGNATURE)
    found = parsed(made)
    if found is None or found.subject != subject or found.spki != spki:
        return None
    return made
