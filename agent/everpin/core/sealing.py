"""The secrets record, sealed under a key that is derived from the device's key: COSE_Encrypt0 (RFC 9052 section 5.2).

Losing the device key loses these secrets and no trust: documents are public and lie in clear. The report key is derived from the
same device key, apart from this one, so that who holds a device's report key cannot open its secrets.
"""

from .. import crypto
from ..compat import const
from ..crypto import ccm
from . import cbor, errors, factory
from .errors import FlashError, PeerError

_TAG_ENCRYPT0 = const(16)
_ALG = const(1)
_IV = const(5)
_AES_CCM_16_128_256 = const(31)  # RFC 9053 section 4.2: 256-bit key, 128-bit tag, 13-byte nonce
_TAG_BYTES = const(16)
NONCE_BYTES = const(13)
DEVICE_KEY_BYTES = const(32)


def _key(device_key: bytes, purpose: str, fleet: str, device: str) -> bytes:
    # RFC 5869; a zero byte between the parts: no name carries one (claims.name), so no two strings run together.
    info = ("everpin/1 " + purpose + "\x00" + fleet + "\x00" + device).encode()
    return crypto.hkdf_sha256(device_key, b"", info, 32)


def report_key(device_key: bytes, fleet: str, device: str) -> bytes:
    """Return the key of a device's reports and acks."""
    return _key(device_key, "report", fleet, device)


def _aad(protected: bytes, fleet: str, device: str) -> bytes:
    # Enc_structure, RFC 9052 section 5.3.
    return cbor.dumps(["Encrypt0", protected, cbor.dumps(["everpin/1", fleet, device])])


def seal(device_key: bytes, fleet: str, device: str, nonce: bytes, plaintext: bytes) -> bytes:
    """Return the sealed record; `nonce` is 13 bytes that were never used with this key before."""
    protected = cbor.dumps({_ALG: _AES_CCM_16_128_256})
    key = _key(device_key, "seal", fleet, device)
    sealed = ccm.seal(key, nonce, _aad(protected, fleet, device), plaintext, _TAG_BYTES)
    return cbor.dumps(cbor.Tag(_TAG_ENCRYPT0, [protected, {_IV: nonce}, sealed]))


def open_sealed(device_key: bytes, fleet: str, device: str, data: bytes) -> bytes:
    """Return the plaintext of a sealed record; raise `sealed` when it does not open under this key."""
    try:
        value = cbor.loads(data)
    except PeerError:
        raise FlashError(errors.SEALED)
    parts = value.value if isinstance(value, cbor.Tag) and value.number == _TAG_ENCRYPT0 else None
    if not isinstance(parts, list) or len(parts) != 3 or not isinstance(parts[1], dict):
        raise FlashError(errors.SEALED)
    protected, unprotected, sealed = parts
    nonce = unprotected.get(_IV)
    if protected != cbor.dumps({_ALG: _AES_CCM_16_128_256}) or not isinstance(sealed, bytes):
        raise FlashError(errors.SEALED)
    if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
        raise FlashError(errors.SEALED)
    key = _key(device_key, "seal", fleet, device)
    try:
        return ccm.open(key, nonce, _aad(protected, fleet, device), sealed, _TAG_BYTES)
    except ValueError:
        raise FlashError(errors.SEALED)


def open_secrets(
    device_key: bytes, fleet: str, device: str, sealed: "list[bytes]"
) -> "factory.Secrets | None":
    """Return the first of some sealed records that opens, None when none does (lost, or another board's)."""
    for data in sealed:
        try:
            return factory.decode_secrets(open_sealed(device_key, fleet, device, data))
        except (FlashError, PeerError):
            pass
    return None
