"""From whatever an operator has at hand to SubjectPublicKeyInfo: a file, standard input or a live server.

The bytes are verbatim where the source holds them (certificate, CSR, public key): a pin is over exactly these (RFC 7469 section 2.4).
"""

import base64
import binascii
import os
import re
import ssl
import stat
import sys

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from ...core import der, errors, limits
from ...core.errors import PeerError
from ...core.spki import spki as certificate_spki
from . import spki_keys, spki_live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Passphrase = bytes | Callable[[], bytes] | None

# A bundle of every public root is 250 kB.
MAX_FILE_BYTES = 1024 * 1024

_BLOCK = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{1,40})-----[ \t]*\r?\n(.*?)-----END \1-----", re.DOTALL
)
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_REQUESTS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
_PRIVATE = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
_SSH = "OPENSSH PRIVATE KEY"
_KNOWN = (
    *_CERTIFICATES,
    *_REQUESTS,
    *_PRIVATE,
    _SSH,
    "ENCRYPTED PRIVATE KEY",
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
)


class SourceError(Exception):
    """A source gives no key: `what` is wrong, `where`, and the `next_step`. Its text is one line."""

    def __init__(self, what: str, where: str, next_step: str) -> None:
        super().__init__(what, where, next_step)
        self.what = what
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.next_step}"


def printable(text: str) -> str:
    """Return text with what a terminal would obey instead of show escaped: names in certificates are anybody's."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def parse_peer(source: str) -> "tuple[str, int] | None":
    """Return (host, port) of "host:port" or "[IPv6]:port", or None where the text has not that form; raise `SourceError`."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\s:/\[\]]+)):([0-9]{1,9})", source)
    if match is None:
        return None
    port = int(match[3])
    if not 1 <= port <= 65535:
        raise SourceError(f"there is no port {port}", printable(source), "ports are 1 to 65535")
    return match[1] or match[2], port


def load(
    source: str, passphrase: "Passphrase" = None, chain: bool = False, timeout_s: float = 10
) -> "list[tuple[str, bytes]]":
    """Return (label, SubjectPublicKeyInfo DER) of a source: one, or with `chain` one per certificate, leaf first.

    `source` is a path, "-" for standard input, or "host:port"; a file of that name goes first. `passphrase` opens encrypted
    keys: bytes, or a function that is called when one is needed. `timeout_s` bounds a live server. Raises `SourceError`.
    """
    if source != "-" and not os.path.lexists(source):
        peer = parse_peer(source)
        if peer is not None:
            return _live(source, *peer, chain, timeout_s)
    where = "standard input" if source == "-" else printable(source)
    data = _read(source, where)
    blocks = _blocks(data, where)
    certificates = [block for block in blocks if block[0] in _CERTIFICATES]
    if certificates:
        # In a file with key and certificate the certificate speaks for both, as with openssl x509.
        chosen = certificates if chain else certificates[:1]
    else:
        chosen = [*[block for block in blocks if block[0] in _REQUESTS], *blocks][:1]
    found = []
    for number, (kind, headers, content) in enumerate(chosen):
        name = where if len(chosen) == 1 else f"{where} [{number}]"
        found.append(_one(kind, headers, content, name, passphrase))
    return found


# ---- a live server -----------------------------------------------------------------------------------------------------


def _live(
    source: str, host: str, port: int, chain: bool, timeout_s: float
) -> "list[tuple[str, bytes]]":
    where = printable(source)
    # RFC 6066 section 3: addresses are no server names.
    name = None if ":" in host or re.fullmatch(r"[0-9.]+", host) else host
    try:
        served = spki_live.served_chain(host, port, name, timeout_s)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SourceError(_why(error, timeout_s), where, _live_step(error)) from None
    if not served:
        raise SourceError(
            "the server served no certificate", where, "give its certificate as a file"
        )
    found = []
    for number, certificate in enumerate(served if chain else served[:1]):
        label = f"{where} [{number}]" if chain else where
        found.append((_labelled(label, certificate), _spki_of_certificate(certificate, label)))
    return found


def _why(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "the handshake failed").replace("_", " ").lower()
        return f"no TLS handshake ({printable(reason)})"
    if isinstance(error, ValueError):
        return "not a host name"  # UnicodeError is one: no IDNA form
    return printable(str(getattr(error, "strerror", None) or error)).lower()


def _live_step(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "is this the TLS port? MQTT over TLS is usually 8883"
    return "check host and port, and that the server runs"


# ---- a file ------------------------------------------------------------------------------------------------------------


def certificates(path: str) -> "list[bytes]":
    """Return the certificates of a PEM or DER file, DER, in their order; raise `SourceError`."""
    where = printable(path)
    found = []
    for kind, _, data in _blocks(_read(path, where), where):
        if kind in _CERTIFICATES:
            found.append(_first(data) if kind == "TRUSTED CERTIFICATE" else data)
    if not found:
        raise SourceError("holds no certificate", where, "give certificates in PEM or DER")
    return found


def _read(source: str, where: str) -> bytes:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with open(source, "rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError, AttributeError) as error:
        # ValueError: a zero byte in the name. AttributeError: standard input was closed before the start.
        reason = (getattr(error, "strerror", None) or "cannot be read").lower()
        step = "name a file or a live server as HOST:PORT"
        raise SourceError(reason, where, step) from None
    if not data:
        raise SourceError("is empty", where, "was it written to the end?")
    if len(data) > MAX_FILE_BYTES:
        raise SourceError("is larger than 1 MiB", where, "give a certificate, CSR or key")
    return data


def loose_mode(path: str) -> "int | None":
    """Return the mode of a regular file that others than its owner may read, else None (also where there is no such file)."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    mode = stat.S_IMODE(found.st_mode)
    return mode if stat.S_ISREG(found.st_mode) and mode & 0o077 else None


def _blocks(data: bytes, where: str) -> "list[tuple[str, dict[str, str], bytes]]":
    """Return (kind, PEM headers, DER) for each PEM block that may hold a key, or one block for a DER file."""
    if b"-----BEGIN " not in data:
        return [(_kind_of_der(data, where), {}, data)]
    found = []
    others = []
    for match in _BLOCK.finditer(data):
        kind = match[1].decode()
        if kind not in _KNOWN:
            others.append(kind)
            continue
        lines = match[2].decode("latin-1").replace("\r", "").split("\n")
        headers = {}
        while lines and ":" in lines[0]:
            key, _, value = lines.pop(0).partition(":")
            headers[key.strip()] = value.strip()
        if kind == _SSH:
            found.append((kind, headers, match[0] + b"\n"))
            continue
        try:
            content = base64.b64decode("".join("".join(lines).split()), validate=True)
        except (binascii.Error, ValueError):
            raise SourceError(
                f"the base64 of its {kind} is broken", where, "copy the file again"
            ) from None
        found.append((kind, headers, content))
    if not found:
        what = f"holds only {others[0]}" if others else "its PEM text is cut off"
        raise SourceError(what, where, "give a certificate, CSR or key")
    return found


def _kind_of_der(data: bytes, where: str) -> str:
    """Return the PEM name of what a DER file holds, by its structure alone."""
    unknown = SourceError(
        "is no certificate, CSR or key in PEM or DER",
        where,
        "look at it: openssl asn1parse -inform der -in FILE",
    )
    try:
        parts = spki_keys.sequence(data)
        shape = spki_keys.tags(parts)
        if shape == bytes([der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]):
            # RFC 2986 section 4.1: version, subject, key, attributes; a certificate has more (RFC 5280 section 4.1).
            return (
                "CERTIFICATE REQUEST"
                if len(spki_keys.elements(parts[0].content)) <= 4
                else "CERTIFICATE"
            )
    except PeerError:
        raise unknown from None
    if shape == bytes([der.SEQUENCE, der.BIT_STRING]):
        return "PUBLIC KEY"
    if shape == bytes([der.SEQUENCE, spki_keys.OCTET_STRING]):
        return "ENCRYPTED PRIVATE KEY"
    if shape == bytes([der.INTEGER, der.INTEGER]):
        return "RSA PUBLIC KEY"
    if shape[:3] == bytes([der.INTEGER, der.SEQUENCE, der.SEQUENCE]):
        raise SourceError(
            "is PKCS #12", where, "take the certificate out: openssl pkcs12 -nokeys -in FILE"
        )
    if shape[:1] == bytes([der.INTEGER]):
        return "PRIVATE KEY"
    raise unknown


def _one(
    kind: str, headers: "dict[str, str]", data: bytes, where: str, passphrase: "Passphrase"
) -> "tuple[str, bytes]":
    """Return (label, SubjectPublicKeyInfo) of one block; raise `SourceError`."""
    if kind in _CERTIFICATES:
        if kind == "TRUSTED CERTIFICATE":
            data = _first(data)  # openssl's own trust settings follow the certificate
        return _labelled(where, data), _spki_of_certificate(data, where)
    if kind in _REQUESTS:
        return where, _spki_of_request(data, where)
    try:
        if kind == "PUBLIC KEY":
            _check_spki(data)
            return where, data
        if kind == "RSA PUBLIC KEY":
            return where, spki_keys.from_rsa_public(data)
        return where, _spki_of_private(kind, headers, data, where, passphrase)
    except spki_keys.WrongPassphrase:
        raise SourceError(
            "wrong passphrase", where, "try again, or see --passphrase-file"
        ) from None
    except spki_keys.UnknownScheme:
        step = "encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE"
        raise SourceError("is encrypted in a way not read here", where, step) from None
    except (PeerError, UnsupportedAlgorithm, ValueError):
        step = "does openssl pkey read it? Then give its public key: openssl pkey -pubout"
        raise SourceError(f"its {kind} cannot be read", where, step) from None


def _first(data: bytes) -> bytes:
    try:
        reader = der.Reader(data, 0, len(data))
        reader.element(der.SEQUENCE)
    except PeerError:
        return data
    return data[: reader.at]


def _labelled(where: str, certificate: bytes) -> str:
    """Return `where` with the certificate's subject, where `cryptography` can read it."""
    try:
        subject = x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
    except (ValueError, x509.InvalidVersion):
        return where
    return f"{where} {printable(subject)}".rstrip()


def _spki_of_certificate(data: bytes, where: str) -> bytes:
    try:
        return certificate_spki(data)
    except PeerError:
        step = "does openssl x509 read it? It must be DER within"
        what = f"is not a certificate that a device can read (DER of at most {limits.CERTIFICATE_MAX_BYTES} bytes)"
        raise SourceError(what, where, step) from None


def _spki_of_request(data: bytes, where: str) -> bytes:
    """Return the key of a CSR whose signature verifies: that is what proves that its owner holds the private key."""
    try:
        request = x509.load_der_x509_csr(data)
        proved = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        step = "does openssl req -verify read it? Else give the public key"
        raise SourceError("is no CSR that can be checked", where, step) from None
    if not proved:
        step = "have it made again by the owner of the key"
        raise SourceError("the CSR's signature is wrong: altered, or another key's", where, step)
    # RFC 2986 section 4.1: version, subject, subjectPKInfo. The parser above took it, so these are there.
    return spki_keys.elements(spki_keys.sequence(data)[0].content)[2].raw


def _check_spki(data: bytes) -> None:
    """Raise `encoding` unless `data` is a SubjectPublicKeyInfo (RFC 5280 section 4.1) within the device's bound."""
    algorithm, key = spki_keys.sequence(data)
    if len(data) > limits.SPKI_MAX_BYTES or key.tag != der.BIT_STRING:
        raise PeerError(errors.ENCODING)
    if spki_keys.tags(spki_keys.elements(algorithm.content))[:1] != bytes([der.OID]):
        raise PeerError(errors.ENCODING)


def _spki_of_private(
    kind: str, headers: "dict[str, str]", data: bytes, where: str, passphrase: "Passphrase"
) -> bytes:
    if kind == _SSH:
        key = _load_ssh(data, where, passphrase)
        return key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    if kind == "ENCRYPTED PRIVATE KEY":
        data = spki_keys.decrypt_pkcs8(data, _secret(passphrase, where))
    elif "ENCRYPTED" in headers.get("Proc-Type", ""):
        data = spki_keys.decrypt_pem(headers, data, _secret(passphrase, where))
    return spki_keys.from_private(data)


def _secret(passphrase: "Passphrase", where: str) -> bytes:
    if passphrase is None:
        raise SourceError("the key is encrypted", where, "give its passphrase: --passphrase-file")
    return passphrase if isinstance(passphrase, bytes) else passphrase()


def _load_ssh(
    data: bytes, where: str, passphrase: "Passphrase"
) -> "serialization.ssh.SSHPublicKeyTypes":
    try:
        return serialization.load_ssh_private_key(data, None).public_key()
    except TypeError:
        pass  # encrypted
    try:
        return serialization.load_ssh_private_key(data, _secret(passphrase, where)).public_key()
    except ValueError:
        raise spki_keys.WrongPassphrase from None
