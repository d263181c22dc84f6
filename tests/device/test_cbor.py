"""One encoding only, on both interpreters: what is accepted is what would be written again."""

import binascii

import tools
from everpin.core import cbor, errors

# RFC 8949 appendix A: (hex, value).
GOOD = (
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("20", -1),
    ("3863", -100),
    ("3bffffffffffffffff", -18446744073709551616),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("6449455446", "IETF"),
    ("62c3bc", "\u00fc"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    (
        "a56161614161626142616361436164614461656145",
        {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"},
    ),
    ("a2012020f6", {1: -1, -1: None}),
    ("d28440a04040", cbor.Tag(18, [b"", {}, b"", b""])),
)
# Another encoding of what could be said rightly, or what is not of the subset.
BAD = (
    ("", "nothing"),
    ("0000", "trailing bytes"),
    ("1817", "long-form integers"),
    ("190018", "long-form integers"),
    ("1a0000ffff", "long-form integers"),
    ("1b00000000ffffffff", "long-form integers"),
    ("5801ff", "long-form lengths"),
    ("1c", "reserved"),
    ("1f", "reserved"),
    ("5f42010243030405ff", "indefinite strings"),
    ("9fff", "indefinite arrays"),
    ("bfff", "indefinite maps"),
    ("ff", "a lone break"),
    ("f7", "undefined"),
    ("f0", "simple values"),
    ("f820", "simple values"),
    ("f90000", "floats"),
    ("fa47c35000", "floats"),
    ("fb3ff199999999999a", "floats"),
    ("a201020102", "duplicate keys"),
    ("a203040102", "keys out of order"),
    ("a220010102", "keys out of order"),
    ("a1f501", "boolean keys"),
    ("a14001", "byte string keys"),
    ("a18001", "array keys"),
    ("4201", "cut strings"),
    ("82", "cut arrays"),
    ("a1", "cut maps"),
    ("a101", "cut maps"),
    ("d2", "a tag of nothing"),
    ("61ff", "no UTF-8"),
    ("62c080", "overlong UTF-8"),
    ("63eda080", "surrogates"),
    ("64f4908080", "beyond Unicode"),
    ("5affffffff", "announced and not there"),
    ("9affffffff", "announced and not there"),
    ("7bffffffffffffffff", "announced and not there"),
)


def test_what_is_accepted_is_what_would_be_written_again():
    for text, value in GOOD:
        data = binascii.unhexlify(text)
        assert cbor.loads(data) == value, text
        assert cbor.dumps(value) == data, text
        assert cbor.loads(bytearray(data)) == value and cbor.loads(memoryview(data)) == value


def test_true_and_one_stay_different():
    assert cbor.loads(b"\xf5") is True and cbor.loads(b"\x01") is not True
    assert cbor.dumps([True, 1, False, 0]) == b"\x84\xf5\x01\xf4\x00"


def test_every_other_encoding_is_refused_by_one_error():
    for text, why in BAD:
        try:
            cbor.loads(binascii.unhexlify(text))
        except errors.PeerError:
            continue
        raise AssertionError(why + ": " + text)


def test_every_cut_and_every_trailing_byte_is_refused():
    for text, _ in GOOD:
        data = binascii.unhexlify(text)
        for length in range(len(data)):
            tools.raises(errors.ENCODING, cbor.loads, data[:length])
        tools.raises(errors.ENCODING, cbor.loads, data + b"\x00")


def test_depth_items_and_length_are_bounded():
    assert cbor.loads(b"\x81" * 11 + b"\x00")
    tools.raises(errors.ENCODING, cbor.loads, b"\x81" * 12 + b"\x00")
    tools.raises(errors.ENCODING, cbor.loads, b"\x81" * 5000)
    assert len(cbor.loads(b"\x98\x40" + b"\x00" * 64)) == 64
    tools.raises(errors.ENCODING, cbor.loads, b"\x98\x41" + b"\x00" * 65)
    tools.raises(errors.ENCODING, cbor.loads, b"\x59\x03\xe8" + bytes(1000), 500)
    assert cbor.loads(b"\x59\x03\xe8" + bytes(1000), 1003) == bytes(1000)


def test_what_is_no_bytes_is_refused_as_a_peers_mistake():
    for junk in (None, 1, "00", [0]):
        tools.raises(errors.ENCODING, cbor.loads, junk)


def test_what_cannot_be_said_is_the_callers_mistake():
    for value in (1.5, 1 << 64, -(1 << 64) - 1, {b"k": 1}, {None: 1}, {True: 1}, object()):
        tools.raises(errors.MisuseError, cbor.dumps, value)
