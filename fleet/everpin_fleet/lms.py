"""HSS-LMS key files: made, opened and bound to what they sign now.

`NAME.lms` is the secret, of mode 0600, encrypted unless the operator says otherwise; `NAME.state` says which leaves are used
(lms_state.py) and must never be older than the last signature; `NAME.tree` keeps what takes long to compute and may be deleted.
The first may be backed up: without the second it signs nothing. An old copy of the second is noticed by what was published.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from . import files, keys, lms_state, lms_trees
from .errors import OperatorError
from .lms_key import TOP, Bound, LmsKey
from .lms_trees import Parameters, Progress, leaf_of

ROLES = ("root", "pins")
_FORMAT = "everpin lms 1"
_SECRET_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12
# RFC 7914 section 2: 32 MiB and a tenth of a second; kept in the file, so that later keys may take more.
_SCRYPT = (1 << 15, 8, 1)
_SCRYPT_MAX = 1 << 20


def create(
    path: Path,
    name: str,
    role: str,
    secret: bytes | None,
    *,
    height: int = 10,
    w: int = 8,
    n: int = 32,
    levels: int = 1,
    progress: Progress | None = None,
) -> LmsKey:
    """Make a key and its state, never over old ones; `secret` is the passphrase. Takes seconds to minutes: 2^height leaves."""
    parameters = Parameters(levels, height, w, n)
    parameters.check()
    if role not in ROLES:
        raise OperatorError(f"{role!r} is no role", "", "root or pins")
    if path.stem != name:
        raise OperatorError(f"a key named {name} does not lie there", str(path))
    if path.exists():
        raise OperatorError(
            "this key exists", str(path), "choose another name; a key is never overwritten"
        )
    made = _new(path, role, parameters, os.urandom(_SECRET_BYTES), progress)
    # The state first: a key without one signs nothing, and a state without a key is in nobody's way.
    lms_state.create(path.with_suffix(".state"), made.kid, height, levels)
    files.write(path, _sealed(made, secret), 0o600)
    lms_state.sync_folder(path)
    return made


def _new(
    path: Path, role: str, parameters: Parameters, secret: bytes, progress: Progress | None
) -> LmsKey:
    # The public key is known once the top tree is; only then can the rest of a key be said.
    blank = parameters.levels.to_bytes(4, "big") + parameters.lms_type + parameters.ots_type
    draft = LmsKey(path, role, parameters, blank + bytes(16 + parameters.n), secret)
    draft.progress = progress
    path.parent.mkdir(parents=True, exist_ok=True)
    public = lms_trees.public_key(parameters, draft.tree(TOP))
    return LmsKey(path, role, parameters, public, secret)


def _sealed(key: LmsKey, secret: bytes | None) -> bytes:
    p = key.parameters
    said: dict[str, Any] = {
        "format": _FORMAT,
        "role": key.role,
        "parameters": [p.levels, p.height, p.w, p.n],
        "public": key.public,
    }
    inside = key.secret
    if secret:
        said |= {
            "salt": os.urandom(_SALT_BYTES),
            "scrypt": list(_SCRYPT),
            "nonce": os.urandom(_NONCE_BYTES),
        }
        wrapped = AESGCM(_stretched(secret, said["salt"], _SCRYPT))
        # What stands in clear is bound to the secret: role and parameters cannot be changed in the file.
        inside = wrapped.encrypt(said["nonce"], inside, cbor2.dumps(said, canonical=True))
    return cbor2.dumps(said | {"secret": inside}, canonical=True)


def _stretched(secret: bytes, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    return Scrypt(salt, 32, *cost).derive(secret)


def _said(path: Path) -> dict[str, Any]:
    try:
        said = cbor2.loads(files.read_secret(path))
        if said["format"] != _FORMAT or said["role"] not in ROLES:
            raise ValueError
        Parameters(*said["parameters"]).check()
        if "scrypt" in said and not 0 < said["scrypt"][0] * said["scrypt"][1] <= _SCRYPT_MAX:
            raise ValueError
    except (ValueError, TypeError, KeyError, IndexError, cbor2.CBORDecodeError):
        raise OperatorError(
            "this is no LMS key file", str(path), "`everpin key new NAME --alg lms` makes one"
        ) from None
    return dict(said)


def encrypted(path: Path) -> bool:
    """Return whether a key file wants a passphrase."""
    return "scrypt" in _said(path)


def load(path: Path, secret: bytes | None) -> LmsKey:
    """Return a key; `secret` is its passphrase, None for a key in clear."""
    said = _said(path)
    inside = said.pop("secret", b"")
    try:
        if "scrypt" in said:
            key = _stretched(secret or b"", said["salt"], tuple(said["scrypt"]))
            inside = AESGCM(key).decrypt(said["nonce"], inside, cbor2.dumps(said, canonical=True))
        if len(inside) != _SECRET_BYTES:
            raise ValueError
        return LmsKey(path, said["role"], Parameters(*said["parameters"]), said["public"], inside)
    except InvalidTag:
        raise OperatorError("wrong passphrase, or the file was changed", str(path)) from None
    except (ValueError, TypeError, KeyError):
        raise OperatorError("this is no LMS key file", str(path)) from None


def bound(
    path: Path,
    role: str,
    secret_file: Path | None,
    published: Iterable[bytes],
    last: bool = False,
) -> Bound:
    """Return a key ready to sign for a role; its passphrase comes from the file, the environment or a prompt when it has one."""
    secret = None
    if encrypted(path):
        secret = keys.passphrase(secret_file, f"passphrase of {path.stem}")
    return Bound(load(path, secret), role, published, last)


__all__ = ("ROLES", "Bound", "LmsKey", "bound", "create", "encrypted", "leaf_of", "load")
