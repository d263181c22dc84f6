"""Signed certificate timestamps that a certificate carries (RFC 6962 section 3.3), by the logs of the signed document.

Looked at for usages 0 and 1, where the policy asks for them, and only with a fresh list of logs: a stale or missing one closes nothing.
"""

from hashlib import sha256

from ..compat import const
from . import chain, der, limits
from .errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .x509 import Certificate

_SCT_LIST = b"\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02"
_EXTENSIONS = const(0xA3)
_HEAD_BYTES = const(43)  # version, log id, timestamp and the length of extensions
# Seconds that a list of logs is good for: browsers stop enforcing with one of about ten weeks.
LIST_GOOD_FOR_S = const(6048000)
# TLS 1.2 HashAlgorithm and SignatureAlgorithm (RFC 5246 section 7.4.1.4.1): SHA-256 with RSA or ECDSA, all that RFC 6962 admits.
_SHA256_RSA = b"\x04\x01"
_SHA256_ECDSA = b"\x04\x03"


def fresh(logs_time: "int | None", clock: int) -> bool:
    """Return whether a list of logs made at `logs_time` may close a host, by a clock that signed policy trusts."""
    return logs_time is not None and clock < logs_time + LIST_GOOD_FOR_S


def count(leaf: "Certificate", issuer_spki: bytes, logs: "dict[bytes, bytes]", clock: int) -> int:
    """Return by how many different logs of a list a certificate was promised, by `clock`, to be logged."""
    at = leaf.extensions.get(_SCT_LIST)
    if at is None:
        return 0
    found: "set[bytes]" = set()
    try:
        tbs = _without_list(leaf)
        for timestamp in _timestamps(leaf.raw, at[0], at[1]):
            spki = logs.get(timestamp[1:33])
            # RFC 6962 section 5.2: none from the future; its times are in milliseconds.
            if spki is None or int.from_bytes(timestamp[33:41], "big") > clock * 1000:
                continue
            if _good(timestamp, spki, issuer_spki, tbs):
                found.add(timestamp[1:33])
    except PeerError:
        return 0
    return len(found)


def _timestamps(raw: bytes, start: int, end: int) -> "list[bytes]":
    """Return the serialised SCTs of an extension's value, a few at most; none when the list is malformed."""
    reader = der.Reader(raw, start, end)
    start, end = reader.element(der.OCTET_STRING)
    if reader.more() or end - start < 2:
        return []
    if int.from_bytes(raw[start : start + 2], "big") != end - start - 2:
        return []
    start += 2
    found: "list[bytes]" = []
    while start < end and len(found) < limits.SCTS_LOOKED_AT:
        size = int.from_bytes(raw[start : start + 2], "big")
        start += 2
        if size > end - start:
            return []
        found.append(raw[start : start + size])
        start += size
    return found


def _good(timestamp: bytes, spki: bytes, issuer_spki: bytes, tbs: bytes) -> bool:
    """Return whether a log has signed a timestamp over the certificate as it was submitted (RFC 6962 section 3.2)."""
    if len(timestamp) < _HEAD_BYTES + 4 or timestamp[0] != 0:
        return False
    at = _HEAD_BYTES + int.from_bytes(timestamp[41:43], "big")
    if len(timestamp) < at + 4:
        return False
    algorithm = timestamp[at : at + 2]
    signature = timestamp[at + 4 :]
    if int.from_bytes(timestamp[at + 2 : at + 4], "big") != len(signature):
        return False
    if algorithm not in (_SHA256_ECDSA, _SHA256_RSA):
        return False
    message = (
        # v1, certificate_timestamp, the time, precert_entry
        b"\x00\x00"
        + timestamp[33:41]
        + b"\x00\x01"
        + sha256(issuer_spki).digest()
        + len(tbs).to_bytes(3, "big")
        + tbs
        + timestamp[41:at]
    )
    try:
        return chain.signed_message(spki, algorithm == _SHA256_ECDSA, message, signature)
    except PeerError:
        return False  # this one alone: others may stand beside it


def _without_list(leaf: "Certificate") -> bytes:
    """Return a certificate's TBSCertificate without the list of timestamps, encoded again: what the logs have signed."""
    reader = der.Reader(leaf.tbs, 0, len(leaf.tbs))
    tbs = reader.inside(der.SEQUENCE)
    start = tbs.at
    while tbs.peek() != _EXTENSIONS:
        tbs.element(tbs.peek())
    before = leaf.tbs[start : tbs.at]
    listed = tbs.inside(_EXTENSIONS).inside(der.SEQUENCE)
    kept = b""
    while listed.more():
        start = listed.at
        oid_start, oid_end = listed.inside(der.SEQUENCE).element(der.OID)
        if leaf.tbs[oid_start:oid_end] != _SCT_LIST:
            kept += leaf.tbs[start : listed.at]
    if kept:
        kept = der.wrap(_EXTENSIONS, der.wrap(der.SEQUENCE, kept))
    return der.wrap(der.SEQUENCE, before + kept)
