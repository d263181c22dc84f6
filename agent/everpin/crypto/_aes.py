"""`cryptolib.aes` on CPython, over `cryptography`: the same modes, buffers, state and errors as MicroPython's class.

Observed on MicroPython 1.28 and in extmod/modcryptolib.c: the order in which arguments are judged (mode, key, IV), that a
`str` is readable as a buffer, and that the first call, an empty one too, fixes the direction.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ECB, _CBC, _CTR = 1, 2, 6
_BUFFER = "object with buffer protocol required"


def _readable(value: "Any") -> bytes:
    if isinstance(value, str):
        return value.encode()
    try:
        return bytes(memoryview(value))
    except TypeError:
        raise TypeError(_BUFFER) from None


def _mode(value: "Any") -> int:
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError("overflow converting long int to machine word")
        return value
    raise TypeError(f"can't convert {type(value).__name__} to int")


class aes:
    """A cipher object over a 16 or 32 byte key."""

    def __init__(self, *args: "Any") -> None:
        if len(args) < 2:
            raise TypeError(f"function missing {2 - len(args)} required positional arguments")
        if len(args) > 3:
            raise TypeError(f"function expected at most 3 arguments, got {len(args)}")
        self._mode = _mode(args[1])
        if self._mode not in (_ECB, _CBC, _CTR):
            raise ValueError("mode")
        self._key = _readable(args[0])
        if len(self._key) not in (16, 32):
            raise ValueError("key")
        self._iv = b""
        if len(args) == 3 and args[2] is not None:
            self._iv = _readable(args[2])
            if len(self._iv) != 16:
                raise ValueError("IV")
        elif self._mode != _ECB:
            raise ValueError("IV")
        self._encrypts: bool | None = None
        self._context: Any = None

    def _start(self, encrypts: bool) -> None:
        # ECB is MicroPython's mode 1; everpin itself uses it for CTR and CCM only.
        kinds: dict[int, Any] = {_ECB: modes.ECB()}  # noqa: S305
        if self._iv:
            kinds |= {_CBC: modes.CBC(self._iv), _CTR: modes.CTR(self._iv)}
        cipher = Cipher(algorithms.AES(self._key), kinds[self._mode])
        self._context = cipher.encryptor() if encrypts else cipher.decryptor()

    def _process(self, encrypts: bool, args: "tuple[Any, ...]") -> "Any":
        if not args:
            raise TypeError("function missing 1 required positional arguments")
        if len(args) > 2:
            raise TypeError(f"function expected at most 3 arguments, got {len(args) + 1}")
        data = _readable(args[0])
        if self._mode != _CTR and len(data) % 16:
            raise ValueError("blksize % 16")
        if len(args) == 2:
            try:
                view = memoryview(args[1]).cast("B")
            except TypeError:
                raise TypeError(_BUFFER) from None
            if view.readonly:
                raise TypeError(_BUFFER)
            if len(view) < len(data):
                raise ValueError("output too small")
        if self._encrypts is None:
            self._encrypts = encrypts
            self._start(encrypts)
        elif self._encrypts != encrypts:
            raise ValueError("can't encrypt & decrypt")
        found = self._context.update(data)
        if len(args) == 1:
            return found
        view[: len(found)] = found
        return args[1]

    def encrypt(self, *args: "Any") -> "Any":
        """Return the ciphertext, or write it into a second buffer (the first one too) and return that."""
        return self._process(True, args)

    def decrypt(self, *args: "Any") -> "Any":
        """Return the plaintext, or write it into a second buffer and return that."""
        return self._process(False, args)
