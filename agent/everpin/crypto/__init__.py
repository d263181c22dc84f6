"""Verification, HMAC and HKDF: native where the interpreter has them, else own code. Nothing here signs or holds a secret.

`verify` gives one answer on both interpreters for every input: the rules that libraries leave open are fixed in `_rules`.
"""

from ._rules import verify
from .mac import equal, hkdf_sha256, hmac_sha256

__all__ = ("equal", "hkdf_sha256", "hmac_sha256", "verify")
