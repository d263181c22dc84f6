"""Certificates (RFC 5280 section 4) from DER, bounded and strict: what paths and names need of them, and nothing else.

Every field that is judged later is parsed here once, whole: an extension that is used and malformed makes the certificate unreadable,
a critical one that is not known sets `unknown_critical`. Bytes that are compared or hashed are slices of the certificate itself.
"""

from ..compat import const
from . import der, errors, limits
from .errors import PeerError

# Object identifiers as DER contents.
_BASIC_CONSTRAINTS = b"\x55\x1d\x13"
_KEY_USAGE = b"\x55\x1d\x0f"
_SUBJECT_ALT_NAME = b"\x55\x1d\x11"
_NAME_CONSTRAINTS = b"\x55\x1d\x1e"
_EXTENDED_KEY_USAGE = b"\x55\x1d\x25"
# May be critical and asks nothing of us: policies are not an input to our paths (RFC 5280 section 6.1.1 d, any-policy).
_CERTIFICATE_POLICIES = b"\x55\x1d\x20"
_SERVER_AUTH = b"\x2b\x06\x01\x05\x05\x07\x03\x01"
_ANY_PURPOSE = b"\x55\x1d\x25\x00"

# GeneralName choices (RFC 5280 section 4.2.1.6).
DNS = const(0x82)
IP = const(0x87)

_UTF8_STRING = const(0x0C)
_PRINTABLE_STRING = const(0x13)
_IA5_STRING = const(0x16)
_UNIVERSAL_STRING = const(0x1C)
_PRINTABLE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?"

KEY_CERT_SIGN = const(5)
_DIGITAL_SIGNATURE = const(0)
_KEY_ENCIPHERMENT = const(2)
_KEY_AGREEMENT = const(4)


class Certificate:
    """A parsed certificate. `subject`, `issuer`, `spki`, `tbs` are verbatim DER; times are Unix seconds.

    `ca` and `path_len` are those of basicConstraints (None: no limit); `names` is [(GeneralName tag, bytes)] of subjectAltName;
    `permitted` and `excluded` are the subtrees of nameConstraints in the same form, None when there are none.
    """

    def __init__(self, raw: bytes) -> None:
        """Parse; raise `encoding` for anything that is no certificate within the bounds."""
        if len(raw) > limits.CERTIFICATE_MAX_BYTES:
            raise PeerError(errors.ENCODING)
        self.raw = raw
        whole = der.Reader(raw, 0, len(raw))
        outer = whole.inside(der.SEQUENCE)
        start = outer.at
        tbs = outer.inside(der.SEQUENCE)
        self.tbs = raw[start : outer.at]
        start = outer.at
        outer.element(der.SEQUENCE)
        self.algorithm = raw[start : outer.at]
        self.signature = _bits(outer)
        if outer.more() or whole.more():
            raise PeerError(errors.ENCODING)
        self.ca = False
        self.path_len: "int | None" = None
        self.usage: "int | None" = None
        self.purposes: "list[bytes] | None" = None
        self.names: "list[tuple[int, bytes]]" = []
        self.permitted: "list[tuple[int, bytes]] | None" = None
        self.excluded: "list[tuple[int, bytes]] | None" = None
        self.unknown_critical = False
        # Where each extension's value stands, for those that are looked at elsewhere.
        self.extensions: "dict[bytes, tuple[int, int]]" = {}
        self._body(tbs)

    def _body(self, tbs: der.Reader) -> None:
        version = 1
        if tbs.more() and tbs.peek() == der.VERSION:
            inner = tbs.inside(der.VERSION)
            version = _small(inner) + 1
            if inner.more() or version not in (2, 3):
                raise PeerError(errors.ENCODING)
        tbs.element(der.INTEGER)  # serialNumber
        # RFC 5280 section 4.1.1.2: the same algorithm as beside the signature, or it is not the one that was meant.
        if self._slice(tbs) != self.algorithm:
            raise PeerError(errors.ENCODING)
        self.issuer = self._name(tbs)
        validity = tbs.inside(der.SEQUENCE)
        self.not_before = _time(validity)
        self.not_after = _time(validity)
        if validity.more():
            raise PeerError(errors.ENCODING)
        self.subject = self._name(tbs)
        self.spki = self._slice(tbs)
        if len(self.spki) > limits.SPKI_MAX_BYTES:
            raise PeerError(errors.ENCODING)
        # RFC 5280 section 4.1.2.8: no unique identifiers; what comes next is extensions or nothing.
        if tbs.more():
            wrapped = tbs.inside(0xA3)
            if version != 3:
                raise PeerError(errors.ENCODING)
            listed = wrapped.inside(der.SEQUENCE)
            if wrapped.more() or tbs.more() or not listed.more():
                raise PeerError(errors.ENCODING)
            while listed.more():
                self._extension(listed.inside(der.SEQUENCE))

    def _slice(self, reader: der.Reader) -> bytes:
        start = reader.at
        reader.element(der.SEQUENCE)
        return self.raw[start : reader.at]

    def _name(self, tbs: der.Reader) -> bytes:
        """Return a Name (RFC 5280 section 4.1.2.4) verbatim, after walking it: names are compared byte by byte."""
        start = tbs.at
        name = tbs.inside(der.SEQUENCE)
        while name.more():
            relative = name.inside(der.SET)
            if not relative.more():
                raise PeerError(errors.ENCODING)
            while relative.more():
                attribute = relative.inside(der.SEQUENCE)
                attribute.element(der.OID)
                kind = attribute.peek()
                begin, end = attribute.element(kind)
                if attribute.more():
                    raise PeerError(errors.ENCODING)
                _text(kind, attribute.slice(begin, end))
        return self.raw[start : tbs.at]

    def _extension(self, item: der.Reader) -> None:
        start, end = item.element(der.OID)
        oid = self.raw[start:end]
        critical = False
        if item.peek() == der.BOOLEAN:
            start, end = item.element(der.BOOLEAN)
            # DER: true is 0xFF, and the default is not written (X.690 section 11.1, 11.5).
            if self.raw[start:end] != b"\xff":
                raise PeerError(errors.ENCODING)
            critical = True
        start, end = item.element(der.OCTET_STRING)
        if item.more() or oid in self.extensions:
            raise PeerError(errors.ENCODING)  # RFC 5280 section 4.2: not two of one kind
        if len(self.extensions) >= limits.CERTIFICATE_MAX_EXTENSIONS:
            raise PeerError(errors.ENCODING)
        self.extensions[oid] = (start, end)
        value = der.Reader(self.raw, start, end)
        if oid == _BASIC_CONSTRAINTS:
            self._basic_constraints(value)
        elif oid == _KEY_USAGE:
            self.usage = _usage(value)
        elif oid == _SUBJECT_ALT_NAME:
            listed = value.inside(der.SEQUENCE)
            self.names = _general_names(listed)
        elif oid == _NAME_CONSTRAINTS:
            self._name_constraints(value)
        elif oid == _EXTENDED_KEY_USAGE:
            self._purposes(value)
        elif oid == _CERTIFICATE_POLICIES:
            return
        else:
            if critical:
                self.unknown_critical = True
            return
        if value.more():
            raise PeerError(errors.ENCODING)

    def _basic_constraints(self, value: der.Reader) -> None:
        inner = value.inside(der.SEQUENCE)
        if inner.more() and inner.peek() == der.BOOLEAN:
            start, end = inner.element(der.BOOLEAN)
            if self.raw[start:end] != b"\xff":
                raise PeerError(errors.ENCODING)
            self.ca = True
        if inner.more():
            self.path_len = _small(inner)
            if not self.ca:
                raise PeerError(errors.ENCODING)
        if inner.more():
            raise PeerError(errors.ENCODING)

    def _purposes(self, value: der.Reader) -> None:
        inner = value.inside(der.SEQUENCE)
        found: "list[bytes]" = []
        while inner.more():
            start, end = inner.element(der.OID)
            found.append(self.raw[start:end])
        self.purposes = found

    def _name_constraints(self, value: der.Reader) -> None:
        inner = value.inside(der.SEQUENCE)
        for tag in (0xA0, 0xA1):
            found: "list[tuple[int, bytes]] | None" = None
            if inner.more() and inner.peek() == tag:
                found = []
                listed = inner.inside(tag)
                while listed.more():
                    # GeneralSubtree: minimum and maximum are not used (RFC 5280 section 4.2.1.10).
                    subtree = listed.inside(der.SEQUENCE)
                    found += _general_names(subtree, 1)
                    if subtree.more():
                        raise PeerError(errors.ENCODING)
            if tag == 0xA0:
                self.permitted = found
            else:
                self.excluded = found
        if inner.more():
            raise PeerError(errors.ENCODING)

    # ---- what is asked of it -------------------------------------------------------------------------------------------

    def may_issue(self) -> bool:
        """Return whether it may issue certificates of servers: CA:TRUE, keyCertSign and the purpose where said, nothing critical unknown."""
        if not self.ca or self.unknown_critical:
            return False
        # RFC 5280 gives purposes of a CA no meaning; every platform takes them for a bound (CA/B Forum BR section 7.1.2.10.6).
        return self._for_servers() and (
            self.usage is None or bool(self.usage >> KEY_CERT_SIGN & 1)
        )

    def _for_servers(self) -> bool:
        return (
            self.purposes is None or _SERVER_AUTH in self.purposes or _ANY_PURPOSE in self.purposes
        )

    def for_servers(self) -> bool:
        """Return whether a TLS server may show it (RFC 5280 sections 4.2.1.3, 4.2.1.12): key usage and purpose, where said."""
        if self.unknown_critical:
            return False
        wanted = 1 << _DIGITAL_SIGNATURE | 1 << _KEY_ENCIPHERMENT | 1 << _KEY_AGREEMENT
        if self.usage is not None and not self.usage & wanted:
            return False
        return self._for_servers()

    def valid_at(self, now: int) -> bool:
        """Return whether a time lies within its validity, both ends included."""
        return self.not_before <= now <= self.not_after


def _small(reader: der.Reader) -> int:
    """Return a non-negative integer of one byte."""
    start, end = reader.element(der.INTEGER)
    value = reader.byte(start)
    if end - start != 1 or value > 127:
        raise PeerError(errors.ENCODING)
    return value


def _bits(reader: der.Reader) -> bytes:
    """Return a BIT STRING of whole bytes."""
    start, end = reader.element(der.BIT_STRING)
    if end - start < 1 or reader.byte(start) != 0:
        raise PeerError(errors.ENCODING)
    return reader.slice(start + 1, end)


def _usage(reader: der.Reader) -> int:
    """Return key usage with bit 0 (digitalSignature) as the lowest bit."""
    start, end = reader.element(der.BIT_STRING)
    # X.690 section 11.2.2: trailing zero bits are left out, so the last bit that is written is a one.
    if not 2 <= end - start <= 3:
        raise PeerError(errors.ENCODING)
    unused = reader.byte(start)
    last = reader.byte(end - 1)
    if unused > 7 or last & ((1 << unused) - 1) or not last >> unused & 1:
        raise PeerError(errors.ENCODING)
    found = 0
    for at in range(8 * (end - start - 1)):
        if reader.byte(start + 1 + at // 8) >> (7 - at % 8) & 1:
            found |= 1 << at
    return found


def _general_names(
    reader: der.Reader, most: int = limits.CERTIFICATE_MAX_NAMES
) -> "list[tuple[int, bytes]]":
    found: "list[tuple[int, bytes]]" = []
    while reader.more() and len(found) < most:
        tag = reader.peek()
        start, end = reader.element(tag)
        found.append((tag, reader.slice(start, end)))
    if not found or (most > 1 and reader.more()):
        raise PeerError(errors.ENCODING)
    return found


def _text(kind: int, value: bytes) -> None:
    """Raise for a string that is none of its kind (X.680 section 41)."""
    if kind == _UNIVERSAL_STRING:
        raise PeerError(errors.ENCODING)  # in no certificate that was ever seen
    if kind == _UTF8_STRING:
        try:
            value.decode()
        except (UnicodeError, ValueError):
            raise PeerError(errors.ENCODING)
    elif kind in (_PRINTABLE_STRING, _IA5_STRING):
        for byte in value:
            if byte > 0x7F or (kind == _PRINTABLE_STRING and byte not in _PRINTABLE):
                raise PeerError(errors.ENCODING)


def _time(reader: der.Reader) -> int:
    """Return a UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5) as Unix seconds."""
    tag = reader.peek()
    if tag not in (der.UTC_TIME, der.GENERALIZED_TIME):
        raise PeerError(errors.ENCODING)
    start, end = reader.element(tag)
    text = reader.slice(start, end)
    size = 13 if tag == der.UTC_TIME else 15
    if len(text) != size or text[-1:] != b"Z":
        raise PeerError(errors.ENCODING)
    for byte in text[:-1]:
        if not 0x30 <= byte <= 0x39:
            raise PeerError(errors.ENCODING)
    year = int(text[: size - 11])
    if tag == der.UTC_TIME:
        year += 1900 if year >= 50 else 2000
    parts = [int(text[at : at + 2]) for at in range(size - 11, size - 1, 2)]
    month, day, hour, minute, second = parts
    if not 1 <= month <= 12 or not 1 <= day <= _month_days(year, month):
        raise PeerError(errors.ENCODING)
    if hour > 23 or minute > 59 or second > 59:
        raise PeerError(errors.ENCODING)
    return ((_days(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _month_days(year: int, month: int) -> int:
    if month == 2:
        return 29 if _leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _days(year: int, month: int) -> int:
    """Return the days from 1970-01-01 to the first of a month (proleptic Gregorian calendar)."""
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719162
    for earlier in range(1, month):
        days += _month_days(year, earlier)
    return days


def parsed(raw: bytes) -> "Certificate | None":
    """Return a certificate, None for what is none."""
    try:
        return Certificate(raw)
    except PeerError:
        return None


__all__ = ("DNS", "IP", "Certificate", "parsed")
