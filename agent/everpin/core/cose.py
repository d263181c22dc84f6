"""COSE messages (RFC 9052): one shape for each document type, and which keys truly signed.

Nothing here looks into a payload. A message is parsed whole or refused; the bytes that are verified are the bytes that
were received, never a re-encoding.
"""

from .. import crypto
from ..compat import const
from . import cbor, errors, limits
from .errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .keys import Key

# RFC 9596 typ, as CoAP content formats of the experimental range (RFC 7252 section 12.3): one number per document type.
ROOT = const(65101)
PINS = const(65102)
REPORT = const(65103)
ACK = const(65104)

PROTOCOL = "everpin/1"

_TAG_SIGN1 = const(18)
_TAG_SIGN = const(98)
_TAG_MAC0 = const(17)
_HMAC_256 = const(5)  # RFC 9053 section 3.1
_ALG = const(1)
_KID = const(4)
_TYP = const(16)


class Signed:
    """A parsed COSE_Sign1 or COSE_Sign: `typ`, `payload`, and its unverified `signatures`."""

    def __init__(self, typ: int, protected: bytes, payload: bytes, single: bool) -> None:
        self.typ = typ
        self.protected = protected
        self.payload = payload
        self.single = single
        # (the signer's own protected header, alg, kid, signature)
        self.signatures: "list[tuple[bytes, int, bytes, bytes]]" = []

    def to_be_signed(self, signer_protected: bytes, aad: bytes) -> bytes:
        """Return Sig_structure (RFC 9052 section 4.4)."""
        if self.single:
            return cbor.dumps(["Signature1", self.protected, aad, self.payload])
        return cbor.dumps(["Signature", self.protected, signer_protected, aad, self.payload])


def external_aad(fleet: str, audience: str) -> bytes:
    """Return the bytes that bind a message to this protocol, a fleet and a channel (or a device)."""
    return cbor.dumps([PROTOCOL, fleet, audience])


def _message(data: bytes) -> "tuple[int, list[Any]]":
    # Length before anything else: DESIGN section 4, step 0.
    if len(data) > limits.DOCUMENT_MAX_BYTES:
        raise PeerError(errors.TOO_LONG)
    value = cbor.loads(data)
    if not isinstance(value, cbor.Tag):
        raise PeerError(errors.SHAPE)
    parts = value.value
    if not isinstance(parts, list) or len(parts) != 4:
        raise PeerError(errors.SHAPE)
    # Nothing of ours stands outside the signature.
    if not isinstance(parts[0], bytes) or parts[1] != {} or not isinstance(parts[2], bytes):
        raise PeerError(errors.SHAPE)
    return value.number, parts


def _headers(protected: bytes, labels: "tuple[int, ...]") -> "dict[Any, Any]":
    headers = cbor.loads(protected)
    if not isinstance(headers, dict):
        raise PeerError(errors.SHAPE)
    # RFC 9052 section 3.1: crit names labels that must be understood; we know none beyond ours, so any other is refused.
    for label in headers:
        if label not in labels:
            raise PeerError(errors.SHAPE)
    return headers


def _signature(message: Signed, headers: "dict[Any, Any]", protected: bytes, last: object) -> None:
    alg = headers.get(_ALG)
    kid = headers.get(_KID)
    if not isinstance(alg, int) or not isinstance(kid, bytes) or not isinstance(last, bytes):
        raise PeerError(errors.SHAPE)
    message.signatures.append((protected, alg, kid, last))


def signed(data: bytes, typ: "int | None" = None) -> Signed:
    """Return a COSE_Sign1 or COSE_Sign (RFC 9052 sections 4.1, 4.2) of a document type, of any for None; nothing is verified yet.

    Raise `too-long`, `encoding`, `shape` or `wrong-type`.
    """
    tag, parts = _message(data)
    protected, _, payload, last = parts
    if tag == _TAG_SIGN1:
        headers = _headers(protected, (_ALG, _KID, _TYP))
    elif tag == _TAG_SIGN:
        headers = _headers(protected, (_TYP,))
    else:
        raise PeerError(errors.SHAPE)
    found = headers.get(_TYP)
    # RFC 9596 section 2: typ says what the whole message is.
    if found not in (ROOT, PINS) or (typ is not None and found != typ):
        raise PeerError(errors.WRONG_TYPE)
    message = Signed(found, protected, payload, tag == _TAG_SIGN1)
    if message.single:
        _signature(message, headers, b"", last)
        return message
    if not isinstance(last, list) or not 1 <= len(last) <= limits.MAX_SIGNATURES:
        raise PeerError(errors.SHAPE)
    for item in last:
        if not isinstance(item, list) or len(item) != 3 or item[1] != {}:
            raise PeerError(errors.SHAPE)
        if not isinstance(item[0], bytes):
            raise PeerError(errors.SHAPE)
        _signature(message, _headers(item[0], (_ALG, _KID)), item[0], item[2])
    return message


def verified(message: Signed, keys: "list[Key]", aad: bytes) -> "list[bytes]":
    """Return the kids of the distinct keys that signed this message under `aad` (RFC 9052 section 4.4).

    Signatures by unknown keys, and bad ones beside good ones, are skipped: none of them may keep a good document out. Raise
    `unsigned` when no known key is named at all, `bad-signature` when one is and no signature verifies.
    """
    good, named = good_kids(message, keys, aad)
    if not good:
        raise PeerError(errors.BAD_SIGNATURE if named else errors.UNSIGNED)
    return good


def good_kids(message: Signed, keys: "list[Key]", aad: bytes) -> "tuple[list[bytes], bool]":
    """Return (kids of the keys that truly signed, whether any of `keys` is named at all). Work: one check for each key."""
    good: "list[bytes]" = []
    named = False
    for protected, alg, kid, signature in message.signatures:
        for key in keys:
            # A key counts once, however often it signs (TUF 5.3.4): its further signatures are not even looked at.
            if key.kid != kid or kid in good:
                continue
            named = True
            # alg comes from the key that root holds; a message that says another one is a confusion attack.
            if key.alg != alg:
                continue
            if crypto.verify(alg, key.raw, message.to_be_signed(protected, aad), signature):
                good.append(kid)
    return good, named


def mac0(data: bytes, typ: int, key: bytes, aad: bytes) -> bytes:
    """Return the payload of a COSE_Mac0 (RFC 9052 section 6.2) whose tag is right under `key`.

    Raise `bad-ack` for a wrong tag, else as `signed`.
    """
    number, parts = _message(data)
    protected, _, payload, tag = parts
    if number != _TAG_MAC0 or not isinstance(tag, bytes):
        raise PeerError(errors.SHAPE)
    headers = _headers(protected, (_ALG, _TYP))
    if headers.get(_TYP) != typ:
        raise PeerError(errors.WRONG_TYPE)
    if headers.get(_ALG) != _HMAC_256:
        raise PeerError(errors.SHAPE)
    if not crypto.equal(_tag(key, protected, aad, payload), tag):
        raise PeerError(errors.BAD_ACK)
    return bytes(payload)


def make_mac0(typ: int, key: bytes, aad: bytes, payload: bytes) -> bytes:
    """Return a COSE_Mac0 of `payload` under HMAC 256/256."""
    protected = cbor.dumps({_ALG: _HMAC_256, _TYP: typ})
    tag = _tag(key, protected, aad, payload)
    return cbor.dumps(cbor.Tag(_TAG_MAC0, [protected, {}, payload, tag]))


def _tag(key: bytes, protected: bytes, aad: bytes, payload: bytes) -> bytes:
    # MAC_structure, RFC 9052 section 6.3.
    return crypto.hmac_sha256(key, cbor.dumps(["MAC0", protected, aad, payload]))


def claims(payload: bytes) -> "dict[Any, Any]":
    """Return a CWT claims set (RFC 8392) as a map; raise `encoding` or `shape`."""
    value = cbor.loads(payload)
    if not isinstance(value, dict):
        raise PeerError(errors.SHAPE)
    return value


def peek(payload: bytes) -> "dict[Any, Any]":
    """Return the claims of an unverified payload, {} when it has none: only ever used to name a refusal."""
    try:
        return claims(payload)
    except PeerError:
        return {}
