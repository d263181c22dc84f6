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
_TAG_MAC0 = const(17)
_HMAC_256 = const(5)  # RFC 9053 section 3.1
_ALG = const(1)
_KID = const(4)
_TYP = const(16)


class Signed:
    """A parsed COSE_Sign1: `payload`, and for `signers` the unverified (alg, kid)."""

    def __init__(
        self, protected: bytes, alg: int, kid: bytes, payload: bytes, signature: bytes
    ) -> None:
        self.protected = protected
        self.alg = alg
        self.kid = kid
        self.payload = payload
        self.signature = signature


def external_aad(fleet: str, audience: str) -> bytes:
    """Return the bytes that bind a message to this protocol, a fleet and a channel (or a device)."""
    return cbor.dumps([PROTOCOL, fleet, audience])


def _message(data: bytes, tag: int) -> "list[Any]":
    # Length before anything else: DESIGN section 4, step 0.
    if len(data) > limits.DOCUMENT_MAX_BYTES:
        raise PeerError(errors.TOO_LONG)
    value = cbor.loads(data)
    if not isinstance(value, cbor.Tag) or value.number != tag:
        raise PeerError(errors.SHAPE)
    parts = value.value
    if not isinstance(parts, list) or len(parts) != 4:
        raise PeerError(errors.SHAPE)
    protected, unprotected, payload, last = parts
    if (
        not isinstance(protected, bytes)
        or not isinstance(payload, bytes)
        or not isinstance(last, bytes)
    ):
        raise PeerError(errors.SHAPE)
    # Nothing of ours stands outside the signature.
    if unprotected != {}:
        raise PeerError(errors.SHAPE)
    return parts


def _headers(protected: bytes, typ: int, labels: "tuple[int, ...]") -> "dict[Any, Any]":
    headers = cbor.loads(protected)
    if not isinstance(headers, dict):
        raise PeerError(errors.SHAPE)
    # RFC 9052 section 3.1: crit names labels that must be understood; we know none beyond ours, so any other is refused.
    for label in headers:
        if label not in labels:
            raise PeerError(errors.SHAPE)
    # RFC 9596 section 2: typ says what the whole message is.
    if headers.get(_TYP) != typ:
        raise PeerError(errors.WRONG_TYPE)
    return headers


def sign1(data: bytes, typ: int) -> Signed:
    """Return a COSE_Sign1 of one document type (RFC 9052 section 4.2); nothing is verified yet.

    Raise `too-long`, `encoding`, `shape` or `wrong-type`.
    """
    protected, _, payload, signature = _message(data, _TAG_SIGN1)
    headers = _headers(protected, typ, (_ALG, _KID, _TYP))
    alg = headers.get(_ALG)
    kid = headers.get(_KID)
    if not isinstance(alg, int) or not isinstance(kid, bytes):
        raise PeerError(errors.SHAPE)
    return Signed(protected, alg, kid, payload, signature)


def verified(message: Signed, keys: "list[Key]", aad: bytes) -> "list[bytes]":
    """Return the kids of the distinct keys that signed this message under `aad` (RFC 9052 section 4.4).

    Signatures by unknown keys are skipped. Raise `unsigned` when no known key is named at all, `bad-signature` when one is
    and its signature does not verify.
    """
    to_be_signed = cbor.dumps(["Signature1", message.protected, aad, message.payload])
    for key in keys:
        if key.kid == message.kid:
            # alg comes from the key that root holds; a message that says another one is a confusion attack.
            if key.alg != message.alg:
                raise PeerError(errors.BAD_SIGNATURE)
            if not crypto.verify(key.alg, key.raw, to_be_signed, message.signature):
                raise PeerError(errors.BAD_SIGNATURE)
            return [key.kid]
    raise PeerError(errors.UNSIGNED)


def mac0(data: bytes, typ: int, key: bytes, aad: bytes) -> bytes:
    """Return the payload of a COSE_Mac0 (RFC 9052 section 6.2) whose tag is right under `key`.

    Raise `bad-ack` for a wrong tag, else as `sign1`.
    """
    protected, _, payload, tag = _message(data, _TAG_MAC0)
    headers = _headers(protected, typ, (_ALG, _TYP))
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
