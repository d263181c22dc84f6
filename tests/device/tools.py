"""What device tests need on both interpreters, instead of a test framework."""

import os


def data(name):
    """Return a file that tests/device_data.py made."""
    path = os.getenv("EVERPIN_TEST_DATA") + "/" + name
    with open(path, "rb") as file:
        return file.read(os.stat(path)[6])  # in one piece: a small heap fragments


def raises(error, call, *args):
    """Return the exception of that class that a call raises; fail when it raises none."""
    try:
        call(*args)
    except error as raised:
        return raised
    raise AssertionError("did not raise " + error.__name__)
