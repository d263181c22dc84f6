"""SPKI from certificate DER: verbatim, bounded, and nothing else than a value or the one error."""

import tools
from everpin.core import errors, spki


def test_the_pin_is_the_digest_of_the_certificates_key():
    for letter in "abc":
        assert spki.pin(tools.data("cert-" + letter + ".der")) == tools.data(
            "pin-" + letter + ".bin"
        )


def test_every_truncation_and_trailing_byte_is_refused():
    data = tools.data("cert-a.der")
    for length in range(len(data)):
        tools.raises(errors.ENCODING, spki.pin, data[:length])
    tools.raises(errors.ENCODING, spki.pin, data + b"\x00")


def test_a_changed_byte_gives_a_value_or_the_one_error():
    data = bytearray(tools.data("cert-a.der"))
    for at in range(len(data)):
        for bit in (1, 0x80):
            data[at] ^= bit
            try:
                assert len(spki.pin(bytes(data))) == 32
            except errors.PeerError:
                pass
            data[at] ^= bit


def test_lengths_have_one_encoding():
    for junk in (
        b"\x30\x80\x00\x00",
        b"\x30\x81\x7f" + bytes(127),
        b"\x30\x82\x00\x80" + bytes(128),
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30",
        b"\x31\x00",
        b"",
    ):
        tools.raises(errors.ENCODING, spki.spki, junk)


def test_a_certificate_beyond_the_bound_is_refused():
    tools.raises(errors.ENCODING, spki.spki, bytes(8193))
