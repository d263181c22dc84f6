"""AES as MicroPython has it. `transcript` says what each case gives, so that both interpreters can be compared case by case."""

import binascii

from everpin.ucryptolib import aes

KEY = bytes(range(16))
KEY32 = bytes(range(32))
IV = bytes(range(16, 32))

# NIST SP 800-38A, appendix F (AES-128): key, IV or counter, plaintext block, and its ECB, CBC and CTR ciphertexts.
_NIST_KEY = binascii.unhexlify("2b7e151628aed2a6abf7158809cf4f3c")
_NIST_PLAIN = binascii.unhexlify("6bc1bee22e409f96e93d7e117393172a")
_NIST = (
    (1, b"", "3ad77bb40d7a3660a89ecaf32466ef97"),
    (2, bytes(range(16)), "7649abac8119b246cee98e9b12e9197d"),
    (
        6,
        binascii.unhexlify("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
        "874d6191b620e3261bef6864990db6ce",
    ),
)


def _say(call):
    """Return a call's result or error as text that does not depend on the interpreter."""
    try:
        found = call()
    except (ValueError, TypeError, OverflowError) as error:
        # Messages of wrong use are the interpreter's own; those of ValueError are the module's.
        return type(error).__name__ + (" " + str(error) if isinstance(error, ValueError) else "")
    return (
        binascii.hexlify(bytes(found)).decode()
        if isinstance(found, (bytes, bytearray, memoryview))
        else "object"
    )


def _run(key, mode, iv, steps):
    said = []
    made = aes(key, mode, iv) if iv is not None else aes(key, mode)
    for name, data in steps:
        said.append(_say(lambda: getattr(made, name)(data)))
    return ",".join(said)


def transcript():
    """Yield (case, what it gives)."""
    for key in (KEY, KEY32):
        for mode in (1, 2, 6):
            iv = None if mode == 1 else IV
            for one in ("encrypt", "decrypt"):
                for other in ("encrypt", "decrypt"):
                    for lengths in (
                        (16, 16),
                        (0, 16),
                        (32, 48),
                        (15, 16),
                        (1, 31),
                        (16, 5),
                        (5, 3),
                        (33, 17),
                    ):
                        steps = [
                            (one, bytes(range(lengths[0]))),
                            (other, bytes(range(lengths[1]))),
                            (one, bytes(16)),
                        ]
                        case = "%d/%d/%s/%s/%d-%d" % (
                            len(key),
                            mode,
                            one,
                            other,
                            lengths[0],
                            lengths[1],
                        )
                        yield case, _run(key, mode, iv, steps)
    for mode in (0, 1, 2, 3, 6, 7, -1, True, "1", 1.0, None, 1 << 70):
        for iv in ((), (None,), (IV,), (IV[:15],), (b"",), ("i" * 16,), (5,), (IV, 1)):
            for key in (KEY, KEY[:15], bytes(24), KEY32, "k" * 16, 7, None):
                yield "new/%s/%s/%s" % (mode, iv, key), _say(lambda: aes(key, mode, *iv))
    yield "new/no arguments", _say(lambda: aes())
    yield "new/one argument", _say(lambda: aes(KEY))
    for mode in (1, 2, 6):
        made = aes(KEY, mode, IV)
        for data in ("a" * 16, 16, None, bytearray(16), memoryview(bytes(16)), [], 1.5):
            yield "in/%d/%r" % (mode, type(data)), _say(lambda: made.encrypt(data))
        for out in (
            bytearray(16),
            bytearray(20),
            bytearray(15),
            bytes(16),
            memoryview(bytearray(16)),
            None,
            "x" * 16,
            5,
        ):
            yield "out/%d/%r" % (mode, type(out)), _say(lambda: made.encrypt(bytes(16), out))
        yield "args/%d/0" % mode, _say(lambda: made.encrypt())
        yield "args/%d/3" % mode, _say(lambda: made.encrypt(b"", bytearray(1), 1))
        buffer = bytearray(range(32))
        yield "in place/%d" % mode, _say(lambda: made.encrypt(buffer, buffer))
        yield "in place, seen/%d" % mode, binascii.hexlify(buffer).decode()
        made = aes(KEY, mode, IV)
        yield "refused first/%d" % mode, _say(lambda: made.encrypt(bytes(16), bytearray(3)))
        yield "and then free/%d" % mode, _say(lambda: made.decrypt(bytes(16)))
    made = aes(KEY, 6, b"\xff" * 16)
    yield "the counter wraps", _say(lambda: made.encrypt(bytes(64)))


def test_the_vectors_of_sp_800_38a():
    for mode, iv, text in _NIST:
        made = aes(_NIST_KEY, mode, iv) if iv else aes(_NIST_KEY, mode)
        assert binascii.hexlify(made.encrypt(_NIST_PLAIN)).decode() == text
        made = aes(_NIST_KEY, mode, iv) if iv else aes(_NIST_KEY, mode)
        assert made.decrypt(binascii.unhexlify(text)) == _NIST_PLAIN


def test_one_object_does_not_both_encrypt_and_decrypt():
    for mode in (1, 2, 6):
        made = aes(KEY, mode, IV)
        made.encrypt(bytes(16))
        try:
            made.decrypt(bytes(16))
        except ValueError:
            continue
        raise AssertionError(mode)


def test_ctr_goes_on_within_a_block():
    whole = aes(KEY, 6, IV).encrypt(bytes(50))
    made = aes(KEY, 6, IV)
    assert b"".join([made.encrypt(bytes(length)) for length in (1, 3, 12, 5, 16, 13)]) == whole
