"""The static control: a device of the day that trusts what was burnt into it, and takes no updates. It fails the way history did.

How it trusts, by `how` of its table:

    anchors       a path to one of `trusts` by names, signatures and dates; alternate paths are looked for
    served-path   the same, following what was served as far as it goes first, as OpenSSL before 1.1.0 and others did
    pins          an SPKI of `trusts` anywhere in the served chain
    certificate   the very leaf certificate of `trusts` (a fingerprint)
"""

import datetime
import hashlib
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HOWS = ("anchors", "served-path", "pins", "certificate")
_LONGEST = 6


def spki_digest(certificate: x509.Certificate) -> bytes:
    """Return SHA-256 of a certificate's SPKI."""
    found = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(found).digest()


def _issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _valid(certificate: x509.Certificate, at: datetime.datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


class Control:
    """`accepts` says whether it would talk to a server that serves a chain at a time, or why not."""

    def __init__(self, said: dict[str, Any], certificates: dict[str, bytes]) -> None:
        self._how = said["how"]
        self._trusted = [x509.load_der_x509_certificate(certificates[n]) for n in said["trusts"]]

    def refusal(self, chain: list[bytes], host: str, at: datetime.datetime) -> str:
        """Return "" for an accepted chain, else why it is refused."""
        served = [x509.load_der_x509_certificate(item) for item in chain]
        if self._how == "pins":
            pins = [spki_digest(item) for item in self._trusted]
            known = any(spki_digest(item) in pins for item in served)
            return "" if known else "no pinned key in the served chain"
        if self._how == "certificate":
            return "" if served[0] in self._trusted else "another certificate than the pinned one"
        names = served[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if host not in names.get_values_for_type(x509.DNSName):
            return "wrong name"
        return self._path(served[:1], served[1:], at)

    def _path(
        self, path: list[x509.Certificate], rest: list[x509.Certificate], at: datetime.datetime
    ) -> str:
        last = path[-1]
        if not _valid(last, at):
            return f"{_common(last)} has expired" if at > last.not_valid_after_utc else "not yet"
        if len(path) > _LONGEST:
            return "no path"
        further = [item for item in rest if item not in path and _issued(last, item)]
        anchors = [item for item in self._trusted if item == last or _issued(last, item)]
        if self._how == "served-path" and further:
            # The first issuer that was served, and no other way back.
            return self._path([*path, further[0]], rest, at)
        why = ""
        for anchor in anchors:
            if _valid(anchor, at):
                return ""
            why = f"{_common(anchor)} has expired"
        for item in further:
            deeper = self._path([*path, item], rest, at)
            if not deeper:
                return ""
            why = why or deeper
        return why or f"no anchor above {_common(last)}"


def _common(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string().removeprefix("CN=")
