"""The SubjectPublicKeyInfo of private keys and of other forms than it: what `openssl pkey -pubout -outform der` writes.

`cryptography` computes the public key, but names it its own way: it makes plain RSA of RSA-PSS keys and a named curve of spelt-out
parameters. A pin of that would be another pin than the certificate's, so the algorithm identifier is taken verbatim from the file.
"""

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ...core import der, errors
from ...core.errors import PeerError

OCTET_STRING = 0x04
NULL = b"\x05\x00"

_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")  # RFC 5480 section 2.1.1
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")  # RFC 8017 appendix A.1
_PBES2 = bytes.fromhex("06092a864886f70d01050d")  # RFC 8018 appendix A.4
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")  # RFC 8018 appendix A.2
_SCRYPT = bytes.fromhex("06092b06010401da47040b")  # RFC 7914 section 7
_AES_CBC = {  # RFC 8018 appendix B.2.5: key bytes by object identifier
    bytes.fromhex("0609608648016503040102"): 16,
    bytes.fromhex("0609608648016503040116"): 24,
    bytes.fromhex("060960864801650304012a"): 32,
}
_HMACS: "dict[bytes, hashes.HashAlgorithm]" = {  # RFC 8018 appendix B.1
    bytes.fromhex("06082a864886f70d0207"): hashes.SHA1(),  # noqa: S303  the default of RFC 8018, read but never written
    bytes.fromhex("06082a864886f70d0209"): hashes.SHA256(),
    bytes.fromhex("06082a864886f70d020a"): hashes.SHA384(),
    bytes.fromhex("06082a864886f70d020b"): hashes.SHA512(),
}
# A file may ask for any amount of work. These are ten times what is usual.
_MAX_ITERATIONS = 10_000_000
_MAX_SCRYPT_MEMORY = 256 * 1024 * 1024


class WrongPassphrase(Exception):
    """The passphrase does not open the key."""


class UnknownScheme(Exception):
    """The key is encrypted in a way that this file does not know."""


class Element:
    """One DER element: `tag`, `raw` (the whole of it) and `content`."""

    def __init__(self, tag: int, raw: bytes, content: bytes) -> None:
        self.tag = tag
        self.raw = raw
        self.content = content


def elements(data: bytes) -> "list[Element]":
    """Return the DER elements that follow each other in `data`, to its exact end; raise `encoding`."""
    reader = der.Reader(data, 0, len(data))
    found = []
    while reader.more():
        at = reader.at
        tag = reader.peek()
        start, end = reader.element(tag)
        found.append(Element(tag, data[at:end], data[start:end]))
    return found


def sequence(data: bytes) -> "list[Element]":
    """Return the elements of the one SEQUENCE that `data` is; raise `encoding`."""
    outer = elements(data)
    if [element.tag for element in outer] != [der.SEQUENCE]:
        raise PeerError(errors.ENCODING)
    return elements(outer[0].content)


def tags(parts: "list[Element]") -> bytes:
    """Return the tags of elements, one byte each."""
    return bytes(part.tag for part in parts)


def wrap(tag: int, *parts: bytes) -> bytes:
    """Return one DER element with that content."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def from_public_point(algorithm: bytes, point: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of an algorithm identifier (whole element) and the key's own encoding."""
    return wrap(der.SEQUENCE, algorithm, wrap(der.BIT_STRING, b"\x00", point))


def from_rsa_public(data: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a PKCS #1 RSAPublicKey (RFC 8017 appendix A.1.1); raise `encoding`."""
    if tags(sequence(data)) != bytes([der.INTEGER] * 2):
        raise PeerError(errors.ENCODING)
    return from_public_point(wrap(der.SEQUENCE, _RSA_ENCRYPTION, NULL), data)


def _integer(element: Element) -> int:
    if element.tag != der.INTEGER:
        raise PeerError(errors.ENCODING)
    return int.from_bytes(element.content, "big")


def _ec_algorithm(private: "list[Element]") -> bytes:
    """Return the algorithm identifier of an ECPrivateKey (RFC 5915 section 3) that stands by itself."""
    for part in private[2:]:
        if part.tag == 0xA0:
            return wrap(der.SEQUENCE, _EC_PUBLIC_KEY, part.content)
    raise PeerError(errors.ENCODING)


def _ec_point(private: "list[Element]", key: ec.EllipticCurvePublicKey, computed: bytes) -> bytes:
    """Return the public point as the file writes it, compressed or not, when it is the one computed; else that one."""
    for part in private[2:]:
        if part.tag == 0xA1:
            held = elements(part.content)
            point = held[0].content[1:] if tags(held) == bytes([der.BIT_STRING]) else b""
            try:
                same = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)
            except ValueError:
                raise PeerError(errors.ENCODING) from None
            if same.public_numbers() != key.public_numbers():
                raise PeerError(errors.ENCODING)
            return point
    return computed


def from_private(data: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of an unencrypted private key: PKCS #8, PKCS #1 or SEC 1 DER.

    Raise `encoding` for another structure, `UnsupportedAlgorithm` or `ValueError` for a key that `cryptography` can't compute with.
    """
    parts = sequence(data)
    if tags(parts[:1]) != bytes([der.INTEGER]):
        raise PeerError(errors.ENCODING)
    key = serialization.load_der_private_key(data, None).public_key()
    plain = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _computed_algorithm, bits = sequence(plain)
    computed = bits.content[1:]
    if tags(parts[:3]) == bytes([der.INTEGER, der.SEQUENCE, OCTET_STRING]):
        # RFC 5958 section 2: version, algorithm, key
        algorithm = parts[1].raw
        inner = parts[2].content
    elif isinstance(key, ec.EllipticCurvePublicKey):
        algorithm = _ec_algorithm(parts)
        inner = data
    else:
        return plain
    if isinstance(key, ec.EllipticCurvePublicKey):
        computed = _ec_point(sequence(inner), key, computed)
    return from_public_point(algorithm, computed)


# ---- encrypted keys ----------------------------------------------------------------------------------------------------


def _aes_cbc(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Return the plain text without its padding; raise `WrongPassphrase`, which is how a wrong key shows."""
    if len(iv) != 16 or not data or len(data) % 16:
        raise PeerError(errors.ENCODING)
    # PKCS #8 fixes this mode; nothing here answers an attacker who would try paddings.
    step = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    plain = step.update(data) + step.finalize()
    count = plain[-1]
    if not 1 <= count <= 16 or plain[-count:] != bytes([count]) * count:
        raise WrongPassphrase
    plain = plain[:-count]
    try:
        sequence(plain)  # one wrong key in 256 leaves a padding that looks right
    except PeerError:
        raise WrongPassphrase from None
    return plain


def _derive(scheme: "list[Element]", passphrase: bytes, size: int) -> bytes:
    parameters = elements(scheme[1].content)
    salt = parameters[0].content
    if scheme[0].raw == _SCRYPT:
        n, r, p = (_integer(part) for part in parameters[1:4])
        if 128 * n * r > _MAX_SCRYPT_MEMORY or p > 16:
            raise UnknownScheme
        return Scrypt(salt, size, n, r, p).derive(passphrase)
    if scheme[0].raw != _PBKDF2:
        raise UnknownScheme
    iterations = _integer(parameters[1])
    digest: hashes.HashAlgorithm | None = hashes.SHA1()  # noqa: S303  RFC 8018 appendix A.2: DEFAULT
    for part in parameters[2:]:
        if part.tag == der.SEQUENCE:
            digest = _HMACS.get(elements(part.content)[0].raw)
    if digest is None or not 1 <= iterations <= _MAX_ITERATIONS:
        raise UnknownScheme
    return PBKDF2HMAC(digest, size, salt, iterations).derive(passphrase)


def decrypt_pkcs8(data: bytes, passphrase: bytes) -> bytes:
    """Return the PKCS #8 key inside an EncryptedPrivateKeyInfo (RFC 5958 section 3, PBES2 with AES-CBC).

    Raise `WrongPassphrase`, `UnknownScheme`, or `encoding` for what is no such structure.
    """
    scheme, encrypted = sequence(data)
    try:
        outer, parameters = elements(scheme.content)
        if outer.raw != _PBES2:
            raise UnknownScheme
        derivation, cipher = (elements(part.content) for part in elements(parameters.content))
        size = _AES_CBC.get(cipher[0].raw)
        if size is None:
            raise UnknownScheme
        key = _derive(derivation, passphrase, size)
        iv = cipher[1].content
    except (ValueError, IndexError):
        raise PeerError(errors.ENCODING) from None
    return _aes_cbc(key, iv, encrypted.content)


def decrypt_pem(headers: "dict[str, str]", data: bytes, passphrase: bytes) -> bytes:
    """Return the DER inside a PEM block with `Proc-Type: 4,ENCRYPTED`, as `openssl rsa -aes256` and `openssl ec -aes256` write it.

    Raise as `decrypt_pkcs8` does.
    """
    name, _, iv_text = headers.get("DEK-Info", "").partition(",")
    size = {"AES-128-CBC": 16, "AES-192-CBC": 24, "AES-256-CBC": 32}.get(name.strip())
    if size is None:
        raise UnknownScheme
    try:
        iv = bytes.fromhex(iv_text)
    except ValueError:
        raise PeerError(errors.ENCODING) from None
    # EVP_BytesToKey: MD5 is what this old form is made of; it is read here, never written.
    key = b""
    block = b""
    while len(key) < size:
        block = hashlib.md5(block + passphrase + iv[:8], usedforsecurity=False).digest()
        key += block
    return _aes_cbc(key[:size], iv, data)


__all__ = (
    "UnknownScheme",
    "UnsupportedAlgorithm",
    "WrongPassphrase",
    "decrypt_pem",
    "decrypt_pkcs8",
    "elements",
    "from_private",
    "from_rsa_public",
    "sequence",
    "tags",
)
