"""Signing keys: PKCS#8 files of mode 0600, encrypted unless the operator says otherwise; signing by `cryptography`."""

import getpass
import os
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from everpin.core import cbor
from everpin.core import keys as device_keys

from .errors import OperatorError
from .files import read_secret, write

ALGS = {"ed25519": device_keys.ED25519, "esp256": device_keys.ESP256}
_ENV = "EVERPIN_PASSPHRASE"


class SigningKey:
    """A private key with its COSE algorithm, kid and COSE_Key map."""

    def __init__(
        self, name: str, private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    ) -> None:
        self.name = name
        self._private = private
        if isinstance(private, ed25519.Ed25519PrivateKey):
            self.alg = device_keys.ED25519
            raw = private.public_key().public_bytes_raw()
        else:
            self.alg = device_keys.ESP256
            raw = private.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            )
        self.cose_key: dict[int, Any] = dict(device_keys.encode(self.alg, raw))
        self.kid = device_keys.parse(cbor.loads(cbor.dumps(self.cose_key))).kid

    def sign(self, data: bytes) -> bytes:
        """Return a raw signature: Ed25519 64 bytes, P-256 r‖s 64 bytes."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(data)
        r, s = utils.decode_dss_signature(self._private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


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


def path_of(folder: Path, name: str) -> Path:
    """Return where a key lies."""
    if not name or "/" in name or name.startswith("."):
        raise OperatorError(f"{name!r} is no name for a key", "", "letters, digits and dashes do")
    return folder / "keys" / f"{name}.pem"


def create(folder: Path, name: str, alg: str, secret: bytes | None) -> SigningKey:
    """Make a key file; never over an old one."""
    path = path_of(folder, name)
    if path.exists():
        raise OperatorError(
            "this key exists", str(path), "choose another name; a key is never overwritten"
        )
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
    write(path, data, 0o600)
    return SigningKey(name, private)


def load(folder: Path, name: str, secret_file: Path | None) -> SigningKey:
    """Return a signing key; ask for its passphrase when it has one."""
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
