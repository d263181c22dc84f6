"""Verified paths: from a leaf, over served certificates whose signatures were checked, to an anchor (RFC 5280 section 6.1).

A pin on anything but the leaf may match only here. Whoever serves a genuine CA certificate beside a leaf that merely names it as its
issuer gets nothing (CVE-2016-2402). Only dates are ever left out, and by the caller; a link check alone decides nothing.

Work is bounded: at most `limits.CHAIN_MAX` certificates, `PATH_MAX` in a path, `LINK_CHECKS_MAX` signature checks for one chain.
"""

from hashlib import sha256

from ..compat import const
from ..crypto import links
from . import der, errors, limits, names
from .errors import PeerError
from .x509 import Certificate, parsed

# Object identifiers as DER contents.
_RSA = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
_EC = b"\x2a\x86\x48\xce\x3d\x02\x01"
_CURVES = {b"\x2a\x86\x48\xce\x3d\x03\x01\x07": 32, b"\x2b\x81\x04\x00\x22": 48}
_RSA_PKCS1 = {
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b": 32,
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c": 48,
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d": 64,
}
_RSA_PSS = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
_MGF1 = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"
_ECDSA_WITH = {
    b"\x2a\x86\x48\xce\x3d\x04\x03\x02": 32,
    b"\x2a\x86\x48\xce\x3d\x04\x03\x03": 48,
    b"\x2a\x86\x48\xce\x3d\x04\x03\x04": 64,
}
_SHA2 = {
    b"\x60\x86\x48\x01\x65\x03\x04\x02\x01": 32,
    b"\x60\x86\x48\x01\x65\x03\x04\x02\x02": 48,
    b"\x60\x86\x48\x01\x65\x03\x04\x02\x03": 64,
}
_NULL = const(0x05)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .host import Anchor


# ---- one link -------------------------------------------------------------------------------------------------------


def check_link(child_der: bytes, issuer_der: bytes) -> bool:
    """Return whether one certificate names another as its issuer and bears its signature; no dates, no constraints.

    False for anything malformed, and for keys and algorithms that are not judged (crypto/links.py).
    """
    child = parsed(child_der)
    issuer = parsed(issuer_der)
    if child is None or issuer is None or child.issuer != issuer.subject:
        return False
    return signed_by(child, issuer.spki)


def signed_by(child: Certificate, spki: bytes) -> bool:
    """Return whether a certificate bears the signature of a key, given as SubjectPublicKeyInfo."""
    try:
        return _signed_by(child, spki)
    except PeerError:
        return False


def _algorithm(data: bytes) -> "tuple[bytes, der.Reader]":
    """Return (OID, reader of the parameters) of an AlgorithmIdentifier."""
    reader = der.Reader(data, 0, len(data))
    inner = reader.inside(der.SEQUENCE)
    start, end = inner.element(der.OID)
    if reader.more():
        raise PeerError(errors.ENCODING)
    return data[start:end], inner


def signed_message(spki: bytes, ecdsa: bool, message: bytes, signature: bytes) -> bool:
    """Return whether a key signed a message with SHA-256, by ECDSA or RSA PKCS#1 v1.5; raise `encoding` for malformed DER."""
    oid, parameters, value = _key(spki)
    if ecdsa:
        return oid == _EC and _ecdsa(parameters, value, 32, message, signature)
    if oid != _RSA:
        return False
    _null(parameters)
    n, e = _pair(value)
    return links.rsa_pkcs1(n, e, 32, message, signature)


def _key(spki: bytes) -> "tuple[bytes, der.Reader, bytes]":
    """Return (OID, reader of the parameters, key) of a SubjectPublicKeyInfo."""
    outer = der.Reader(spki, 0, len(spki))
    key = outer.inside(der.SEQUENCE)
    start = key.at
    key.element(der.SEQUENCE)
    oid, parameters = _algorithm(spki[start : key.at])
    start, end = key.element(der.BIT_STRING)
    if key.more() or outer.more() or end - start < 2 or spki[start] != 0:
        raise PeerError(errors.ENCODING)
    return oid, parameters, spki[start + 1 : end]


def _ecdsa(
    parameters: der.Reader, point: bytes, hash_size: int, message: bytes, signature: bytes
) -> bool:
    start, end = parameters.element(der.OID)
    size = _CURVES.get(parameters.slice(start, end))
    if size is None or parameters.more():
        return False
    r, s = _pair(signature)
    return links.ecdsa(size, point, hash_size, message, r, s)


def _signed_by(child: Certificate, spki: bytes) -> bool:
    oid, parameters = _algorithm(child.algorithm)
    key_oid, key_parameters, value = _key(spki)
    if oid in _ECDSA_WITH:
        if parameters.more() or key_oid != _EC:  # RFC 5758 section 3.2: no parameters
            return False
        return _ecdsa(key_parameters, value, _ECDSA_WITH[oid], child.tbs, child.signature)
    if key_oid not in (_RSA, _RSA_PSS):
        return False
    n, e = _pair(value)
    if key_oid == _RSA_PSS:
        # RFC 4055 section 1.2: such a key signs PSS alone, by its own parameters where it has some.
        if oid != _RSA_PSS:
            return False
        hash_size, salt_size = _pss(parameters)
        if key_parameters.more():
            key_hash, key_salt = _pss(key_parameters)
            if key_hash != hash_size or salt_size < key_salt:
                return False
        return links.rsa_pss(n, e, hash_size, salt_size, child.tbs, child.signature)
    _null(key_parameters)
    if oid in _RSA_PKCS1:
        _null(parameters)
        return links.rsa_pkcs1(n, e, _RSA_PKCS1[oid], child.tbs, child.signature)
    if oid == _RSA_PSS:
        hash_size, salt_size = _pss(parameters)
        return links.rsa_pss(n, e, hash_size, salt_size, child.tbs, child.signature)
    return False


def _null(reader: der.Reader) -> None:
    """Raise unless NULL is all that is left (RFC 4055 section 5: it must be there)."""
    start, end = reader.element(_NULL)
    if start != end or reader.more():
        raise PeerError(errors.ENCODING)


def _integer(reader: der.Reader) -> int:
    """Return a positive INTEGER in its shortest form."""
    start, end = reader.element(der.INTEGER)
    data = reader.slice(start, end)
    if data[0] & 0x80:
        raise PeerError(errors.ENCODING)
    return int.from_bytes(data, "big")


def _pair(data: bytes) -> "tuple[int, int]":
    """Return (n, e) of an RSAPublicKey (RFC 8017 appendix A.1.1), or (r, s) of an Ecdsa-Sig-Value (RFC 5480 appendix A)."""
    outer = der.Reader(data, 0, len(data))
    inner = outer.inside(der.SEQUENCE)
    found = (_integer(inner), _integer(inner))
    if inner.more() or outer.more():
        raise PeerError(errors.ENCODING)
    return found


def _pss(parameters: der.Reader) -> "tuple[int, int]":
    """Return (hash, salt) sizes of RSASSA-PSS-params (RFC 4055 section 3.1): SHA-2, MGF1 with the same hash, trailer 1."""
    inner = parameters.inside(der.SEQUENCE)
    if parameters.more():
        raise PeerError(errors.ENCODING)
    # The defaults are SHA-1 and a salt of 20: what is left out is not SHA-2.
    hash_oid, rest = _tagged(inner, 0xA0)
    _optional_null(rest)
    mask_oid, rest = _tagged(inner, 0xA1)
    start = rest.at
    rest.element(der.SEQUENCE)
    mask_hash, mask_rest = _algorithm(rest.slice(start, rest.at))
    _optional_null(mask_rest)
    size = _SHA2.get(hash_oid)
    if size is None or mask_oid != _MGF1 or mask_hash != hash_oid or rest.more():
        raise PeerError(errors.ENCODING)
    salt = 20
    if inner.more():
        wrapped = inner.inside(0xA2)
        salt = _integer(wrapped)
        if wrapped.more() or salt == 20:
            raise PeerError(errors.ENCODING)
    if inner.more():
        raise PeerError(errors.ENCODING)  # a trailer other than the default
    return size, salt


def _tagged(reader: der.Reader, tag: int) -> "tuple[bytes, der.Reader]":
    wrapped = reader.inside(tag)
    start = wrapped.at
    wrapped.element(der.SEQUENCE)
    if wrapped.more():
        raise PeerError(errors.ENCODING)
    return _algorithm(wrapped.slice(start, wrapped.at))


def _optional_null(reader: der.Reader) -> None:
    if reader.more():
        _null(reader)


# ---- paths ----------------------------------------------------------------------------------------------------------


class Path:
    """A verified path: `certificates` from the leaf up, and the `anchor` (subject, SPKI) that the last of them leads to."""

    def __init__(self, certificates: "list[Certificate]", anchor: "Anchor") -> None:
        self.certificates = certificates
        self.anchor = anchor

    def digests(self) -> "list[bytes]":
        """Return SHA-256 of each key on the path, leaf first, the anchor's last."""
        found = [sha256(item.spki).digest() for item in self.certificates]
        last = sha256(self.anchor[1]).digest()
        if found[-1] != last:
            found.append(last)
        return found

    def valid_at(self, now: int) -> bool:
        """Return whether every certificate below the anchor is valid at a time."""
        for item in self.certificates:
            if not item.valid_at(now):
                return False
        return True


class Search:
    """Looks for paths in a served chain. `anchors` are (subject, SPKI)."""

    def __init__(self, served: "list[Certificate]", anchors: "list[Anchor]") -> None:
        self._served = served
        self._anchors = anchors
        self._checks = limits.LINK_CHECKS_MAX
        # (child, key) -> whether it was signed by it: cross-signs meet the same link again.
        self._known: "dict[tuple[bytes, bytes], bool]" = {}

    def paths(self) -> "list[Path]":
        """Return every path from the first certificate to an anchor, shortest first."""
        found: "list[Path]" = []
        if self._served:
            self._climb([self._served[0]], found)
        found.sort(key=_length)
        return found

    def _link(self, child: Certificate, spki: bytes) -> bool:
        key = (child.raw, spki)
        known = self._known.get(key)
        if known is None:
            if self._checks <= 0:
                return False
            self._checks -= 1
            known = signed_by(child, spki)
            self._known[key] = known
        return known

    def _climb(self, path: "list[Certificate]", found: "list[Path]") -> None:
        last = path[-1]
        for subject, spki in self._anchors:
            if last.spki == spki and last.subject == subject and len(path) > 1:
                # The anchor itself was served; its own signature says nothing.
                found.append(Path(list(path), (subject, spki)))
            elif subject == last.issuer and self._link(last, spki):
                found.append(Path(list(path), (subject, spki)))
        if len(path) >= limits.PATH_MAX:
            return
        for item in self._served[1:]:
            if item.subject != last.issuer or not item.may_issue():
                continue
            if any([item.spki == other.spki and item.subject == other.subject for other in path]):
                continue  # RFC 5280 section 6.1: no certificate twice; and no key, or cross-signs go round
            if not _within(item, path) or not self._link(last, item.spki):
                continue
            path.append(item)
            self._climb(path, found)
            path.pop()


def _length(path: Path) -> int:
    return len(path.certificates)


def _within(issuer: Certificate, below: "list[Certificate]") -> bool:
    """Return whether what stands below an issuer keeps its path length and its name constraints."""
    if issuer.path_len is not None:
        # RFC 5280 section 4.2.1.9: intermediate certificates that are not self-issued; the leaf does not count.
        between = [item for item in below[1:] if item.subject != item.issuer]
        if len(between) > issuer.path_len:
            return False
    return names.permitted(issuer, below)


def read(chain: "list[bytes]") -> "list[Certificate] | None":
    """Return a served chain parsed, certificates that are none left out; None when its leaf is none or it is beyond the bounds."""
    if not chain or len(chain) > limits.CHAIN_MAX:
        return None
    if sum([len(item) for item in chain]) > limits.CHAIN_MAX_BYTES:
        return None
    leaf = parsed(chain[0])
    if leaf is None:
        return None
    found = [leaf]
    for raw in chain[1:]:
        item = parsed(raw)
        if item is not None and item.raw != leaf.raw:
            found.append(item)
    return found
