"""The static control: a device of the day that trusts what was burnt into it, and takes no updates. It fails the way history did.

How it trusts, by `how` of its table:

    anchors       a path to one of `trusts` by names, signatures and dates; alternate paths are looked for
    served-path   the same, following what was served as far as it goes first, as OpenSSL before 1.1.0 and others did
    pins          an SPKI of `trusts` anywhere in the served chain
    certificate   the very leaf certificate of `trusts` (a fingerprint)
    identity      its peers trust `trusts`, its own certificate: by dates and purpose, from `from` on
    list          needs a list from the mirror: whole, properly signed, in the form that it knows
"""

import datetime
import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from .pki import issued
from .scenario import BROKER, MIRROR
from .tape import Tape

_LONGEST = 6


def spki_digest(certificate: x509.Certificate) -> bytes:
    """Return SHA-256 of a certificate's SPKI."""
    found = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(found).digest()


def _valid(certificate: x509.Certificate, at: datetime.datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


class Control:
    """Meets the servers of a scenario, step by step; `refusal` says why it is cut off at a time, "" when it is not."""

    def __init__(self, said: dict[str, Any], tape: Tape) -> None:
        self._how = said["how"]
        self._host = said.get("host", BROKER.rpartition(":")[0])
        self._from = said.get("from")
        self._tape = tape
        self._documents = {item["name"]: item for item in tape.scenario.said["document"]}
        self._trusted = [
            x509.load_der_x509_certificate(tape.certificates[name]) for name in said["trusts"]
        ]
        self._chain: list[x509.Certificate] = []
        self._list: dict[str, Any] | None = None

    def meets(self, step: dict[str, Any]) -> None:
        """Take note of what a step changes around it."""
        for where, chain in step.get("serve", {}).items():
            if where.partition(":")[0] == self._host and chain:
                served = self._tape.chains[chain]
                self._chain = [x509.load_der_x509_certificate(item) for item in served]
        if "publish" in step and MIRROR in step.get("to", [MIRROR]):
            names = step["publish"]
            self._list = self._documents[names[-1]] if names else None

    def refusal(self, at: datetime.datetime) -> str:
        """Return "" while it works, else what it fails by."""
        if self._how == "list":
            return self._list_refusal()
        if self._how == "identity":
            return self._identity_refusal(at)
        served = self._chain
        if not served:
            return ""
        if self._how == "pins":
            pins = [spki_digest(item) for item in self._trusted]
            known = any(spki_digest(item) in pins for item in served)
            return "" if known else "no pinned key in the served chain"
        if self._how == "certificate":
            if served[0] not in self._trusted:
                return "another certificate than the pinned one"
            return "" if _valid(served[0], at) else f"{_common(served[0])} has expired"
        names = served[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if self._host not in names.get_values_for_type(x509.DNSName):
            return "wrong name"
        return self._path(served[:1], served[1:], at)

    def _list_refusal(self) -> str:
        if self._list is None:
            return "the list is gone"
        if self._list.get("broken"):
            return "the list's signature is another one's"
        return "unknown fields in the list" if self._list.get("extra") else ""

    def _identity_refusal(self, at: datetime.datetime) -> str:
        if self._from is not None and at < self._from:
            return ""
        own = self._trusted[0]
        if not _valid(own, at):
            return f"{_common(own)} has expired"
        purposes = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        for_clients = ExtendedKeyUsageOID.CLIENT_AUTH in purposes
        return "" if for_clients else "its own is no certificate for clients"

    def _path(
        self, path: list[x509.Certificate], rest: list[x509.Certificate], at: datetime.datetime
    ) -> str:
        last = path[-1]
        if not _valid(last, at):
            return f"{_common(last)} has expired" if at > last.not_valid_after_utc else "not yet"
        if len(path) > _LONGEST:
            return "no path"
        further = [item for item in rest if item not in path and issued(last, item)]
        anchors = [item for item in self._trusted if item == last or issued(last, item)]
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
