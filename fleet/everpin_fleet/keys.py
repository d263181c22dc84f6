"""Signing keys: private files of mode 0600, encrypted unless the operator says otherwise, and a public file beside each.

`NAME.pem` is a PKCS#8 key that `cryptography` signs with, `NAME.lms` an HSS-LMS key (lms.py), `NAME.pub` the COSE_Key that root
documents carry. A machine that only drafts documents needs the public files alone.
"""

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from everpin.core import cbor
from everpin.core import keys as device_keys
from everpin.core.errors import PeerError

from .errors import OperatorError
from .files import read, read_secret, write

ALGS = {"ed25519": device_keys.ED25519, "esp256": device_keys.ESP256, "lms": device_keys.HSS_LMS}
NAMES = {alg: name for name, alg in ALGS.items()}
_ENV = "EVERPIN_PASSPHRASE"


@dataclass(frozen=True)
class PublicKey:
    """A key as root documents carry it: COSE_Key map, raw bytes, its digest, and the kid that signatures name."""

    name: str
    alg: int
    raw: bytes
    cose_key: dict[int, Any]
    digest: bytes
    kid: bytes


def public_of(name: str, cose_key: dict[int, Any], where: str = "") -> PublicKey:
    """Return a public key from its COSE_Key map, judged by the device's own parser."""
    try:
        found = device_keys.parse(cbor.loads(cbor2.dumps(cose_key, canonical=True)))
    except PeerError as error:
        raise OperatorError(f"this is no public key for devices ({error.name})", where) from None
    return PublicKey(name, found.alg, found.raw, cose_key, found.digest, found.kid)


class SigningKey:
    """A private key with its COSE algorithm, kid and COSE_Key map."""

    def __init__(
        self, name: str, private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    ) -> None:
        self.name = name
        self._private = private
        self.alg, raw = _raw(private.public_key())
        self.cose_key: dict[int, Any] = dict(device_keys.encode(self.alg, raw))
        self.kid = public_of(name, self.cose_key).kid

    def sign(self, data: bytes) -> bytes:
        """Return a raw signature: Ed25519 64 bytes, P-256 r‖s 64 bytes."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(data)
        r, s = utils.decode_dss_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _raw(public: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) -> tuple[int, bytes]:
    if isinstance(public, ed25519.Ed25519PublicKey):
        return device_keys.ED25519, public.public_bytes_raw()
    return device_keys.ESP256, public.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def passphrase(file: Path | None, prompt: str, confirm: bool = False) -> bytes:
    """Return a passphrase: from a file of mode 0600, the environment, or a prompt. Never from the argument list."""
    if file is not None:
        return read_secret(file).rstrip(b"\r\n")
    if _ENV in os.environ:
        return os.environ[_ENV].encode()
    if not sys.stdin.isatty():
        raise OperatorError(
            f"{prompt}: no terminal to ask on", "", f"give --passphrase-file FILE or set {_ENV}"
        )
    first = getpass.getpass(f"{prompt}: ")
    if confirm and getpass.getpass("once more: ") != first:
        raise OperatorError("the two passphrases differ", "", "try again")
    if not first:
        raise OperatorError(
            "an empty passphrase protects nothing", "", "use --no-passphrase if that is meant"
        )
    return first.encode()


def path_of(folder: Path, name: str, suffix: str = ".pem") -> Path:
    """Return where a key lies."""
    if not name or "/" in name or name.startswith("."):
        raise OperatorError(f"{name!r} is no name for a key", "", "letters, digits and dashes do")
    return folder / "keys" / f"{name}{suffix}"


def names(folder: Path) -> list[str]:
    """Return the names of the keys that are known here, private or not."""
    return sorted(path.stem for path in (folder / "keys").glob("*.pub"))


def is_here(folder: Path, name: str) -> bool:
    """Return whether the private key lies on this machine."""
    return path_of(folder, name).exists() or path_of(folder, name, ".lms").exists()


def unused(folder: Path, name: str) -> Path:
    """Return where a new key's public file will lie; a name is never used twice."""
    for suffix in (".pub", ".pem", ".lms"):
        path = path_of(folder, name, suffix)
        if path.exists():
            raise OperatorError(
                "this key exists", str(path), "choose another name; a key is never overwritten"
            )
    return path_of(folder, name, ".pub")


def save_public(folder: Path, name: str, cose_key: dict[int, Any]) -> PublicKey:
    """Write a key's public file."""
    found = public_of(name, cose_key)
    write(path_of(folder, name, ".pub"), cbor2.dumps(cose_key, canonical=True))
    return found


def public(folder: Path, name: str) -> PublicKey:
    """Return a key's public half."""
    path = path_of(folder, name, ".pub")
    if not path.exists():
        raise OperatorError(
            "no such key",
            str(path),
            f"`everpin key new {name}` makes one, `everpin key import {name} FILE` takes another machine's",
        )
    try:
        return public_of(name, cbor2.loads(read(path)), str(path))
    except (cbor2.CBORDecodeError, TypeError, ValueError):
        raise OperatorError("this is no public key file", str(path)) from None


def import_public(folder: Path, name: str, source: Path) -> PublicKey:
    """Take another machine's public key: its NAME.pub, or a PEM public key."""
    unused(folder, name)
    data = read(source)
    try:
        if data.startswith(b"-----BEGIN"):
            found = serialization.load_pem_public_key(data)
            if not isinstance(found, (ed25519.Ed25519PublicKey, ec.EllipticCurvePublicKey)) or (
                isinstance(found, ec.EllipticCurvePublicKey)
                and not isinstance(found.curve, ec.SECP256R1)
            ):
                raise ValueError
            alg, raw = _raw(found)
            cose_key: Any = dict(device_keys.encode(alg, raw))
        else:
            cose_key = cbor2.loads(data)
            if not isinstance(cose_key, dict):
                raise ValueError
    except (ValueError, TypeError, cbor2.CBORDecodeError):
        raise OperatorError(
            "this is no public key", str(source), "a NAME.pub, or a PEM Ed25519 or P-256 key"
        ) from None
    public_of(name, cose_key, str(source))
    return save_public(folder, name, cose_key)


def create(folder: Path, name: str, alg: str, secret: bytes | None) -> SigningKey:
    """Make an Ed25519 or P-256 key; never over an old one."""
    unused(folder, name)
    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    private = (
        ed25519.Ed25519PrivateKey.generate()
        if alg == "ed25519"
        else ec.generate_private_key(ec.SECP256R1())
    )
    encryption = (
        serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    )
    data = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    made = SigningKey(name, private)
    write(path_of(folder, name), data, 0o600)
    save_public(folder, name, made.cose_key)
    return made


def load(folder: Path, name: str, secret_file: Path | None) -> SigningKey:
    """Return a PEM signing key; ask for its passphrase when it has one."""
    path = path_of(folder, name)
    if not path.exists():
        raise OperatorError("no such key", str(path), f"`everpin key new {name}` makes one")
    data = read_secret(path)
    secret = passphrase(secret_file, f"passphrase of {name}") if b"ENCRYPTED" in data else None
    try:
        private = serialization.load_pem_private_key(data, secret)
    except (ValueError, TypeError):
        what = "wrong passphrase" if secret else "this is no private key in PEM"
        raise OperatorError(what, str(path)) from None
    if isinstance(private, ed25519.Ed25519PrivateKey) or (
        isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1)
    ):
        return SigningKey(name, private)
    raise OperatorError("neither an Ed25519 nor a P-256 key", str(path))
