"""`aes(key, mode[, IV])` of MicroPython's cryptolib, alike on both interpreters: modes 1 ECB, 2 CBC and 6 CTR.

On MicroPython it is the native class; builds without CTR get that mode from ECB (NIST SP 800-38A section 6.5). On CPython it is
`crypto/_aes.py`, over `cryptography`. `encrypt(in[, out])` and `decrypt(in[, out])` keep state from call to call, as there.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CTR = 6


def _ctr_is_native(native: "Any") -> bool:
    try:
        native(bytes(16), _CTR, bytes(16))
    except ValueError:
        return False
    return True


class _Ctr:
    """CTR over the native ECB: what a build with MICROPY_PY_CRYPTOLIB_CTR does."""

    def __init__(self, native: "Any", key: "Any", iv: "Any") -> None:
        self._block = native(key, 1)  # judges the key
        if iv is None:
            raise ValueError("IV")
        if len(memoryview(_readable(iv))) != 16:
            raise ValueError("IV")
        self._counter = int.from_bytes(bytes(memoryview(_readable(iv))), "big")
        self._left = b""
        self._encrypts: "bool | None" = None

    def _process(self, encrypts: bool, args: "tuple[Any, ...]") -> "Any":
        if not 1 <= len(args) <= 2:
            raise TypeError
        data = bytes(memoryview(_readable(args[0])))
        out = args[1] if len(args) == 2 else None
        if len(args) == 2:
            if not isinstance(out, (bytearray, memoryview)):
                raise TypeError("object with buffer protocol required")
            if len(out) < len(data):
                raise ValueError("output too small")
        if self._encrypts is None:
            self._encrypts = encrypts
        elif self._encrypts != encrypts:
            raise ValueError("can't encrypt & decrypt")
        while len(self._left) < len(data):
            self._left += self._block.encrypt(self._counter.to_bytes(16, "big"))
            self._counter = (self._counter + 1) % (1 << 128)
        found = bytes([data[at] ^ self._left[at] for at in range(len(data))])
        self._left = self._left[len(data) :]
        if out is None:
            return found
        out[: len(found)] = found
        return out

    def encrypt(self, *args: "Any") -> "Any":
        return self._process(True, args)

    def decrypt(self, *args: "Any") -> "Any":
        return self._process(False, args)


def _readable(value: "Any") -> "Any":
    if isinstance(value, str):
        return value.encode()  # a str is readable as a buffer there
    try:
        memoryview(value)
    except TypeError:
        raise TypeError("object with buffer protocol required")
    return value


def _with_ctr(native: "Any") -> "Any":
    def aes(key: "Any", mode: "Any", *iv: "Any") -> "Any":
        """Return a cipher object; arguments and errors are those of cryptolib.aes."""
        if mode == _CTR and len(iv) <= 1:
            return _Ctr(native, key, iv[0] if iv else None)
        return native(key, mode, *iv)

    return aes


try:
    from cryptolib import aes as _native
except ImportError:
    from .crypto._aes import aes as _cpython

    aes: "Any" = _cpython
else:
    aes = _native if _ctr_is_native(_native) else _with_ctr(_native)

__all__ = ("aes",)
