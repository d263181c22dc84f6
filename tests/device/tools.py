"""What device tests need on both interpreters, instead of a test framework."""

import os

from everpin.core import accept, cose, errors


def data(name):
    """Return a file that tests/device_data.py made."""
    path = os.getenv("EVERPIN_TEST_DATA") + "/" + name
    with open(path, "rb") as file:
        return file.read(os.stat(path)[6])  # in one piece: a small heap fragments


def pins(trust, data, now=None, source="", rescue=False):
    """Return the trust state after a `pins` document, None when it was known."""
    newer, became = accept.document(trust, data, now, source, rescue, cose.PINS)
    return None if became == accept.KNOWN else newer


def raises(error, call, *args):
    """Return the exception that a call raises: of that class, or with that error code; fail when it raises none."""
    code = None
    if isinstance(error, int):
        error, code = errors.FlashError if error >= errors.FLASH else errors.PeerError, error
    try:
        call(*args)
    except error as raised:
        if code is not None and raised.code != code:
            raise AssertionError("raised %s, not %s" % (raised, errors.name_of(code)))
        return raised
    raise AssertionError(
        "did not raise " + (error.__name__ if code is None else errors.name_of(code))
    )
