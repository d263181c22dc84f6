"""Attacks below documents: what HTTP, MQTT and certificates could be made to say, each by one rule alone."""

import gc

import tools
from everpin.core import errors, http, mqtt, spki

_OK = b"HTTP/1.1 200 OK\r\n"


def _answer(data):
    response = http.Response(100)
    if not response.feed(data):
        response.eof()
    return bytes(response.body)


def test_two_lengths_of_one_answer_are_an_attack_in_either_order():
    for one, other in ((b"3", b"4"), (b"4", b"3"), (b"3", b"03")):
        head = b"Content-Length: " + one + b"\r\nContent-Length: " + other + b"\r\n\r\n"
        tools.raises(errors.HTTP, _answer, _OK + head + b"abcd")
    same = b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
    assert _answer(_OK + same) == b"abc"


def test_a_length_beside_chunks_is_an_attack_though_the_chunks_are_good():
    chunks = b"3\r\nabc\r\n0\r\n\r\n"
    head = b"Transfer-Encoding: chunked\r\n"
    assert _answer(_OK + head + b"\r\n" + chunks) == b"abc"
    for length in (b"3", b"13", b"0"):
        lines = head + b"Content-Length: " + length + b"\r\n"
        tools.raises(errors.HTTP, _answer, _OK + lines + b"\r\n" + chunks)


def _broker(data):
    client = mqtt.Client("x", max_payload=500)
    client.receive(b"\x20\x02\x00\x00")
    return client.receive(data)


def test_a_length_of_mqtt_has_four_bytes_and_the_shortest_form():
    assert _broker(b"\xd0\x00") == []
    for data in (
        b"\xd0\x80\x00",  # 0 in two bytes
        b"\x30\x80\x80\x80\x80",  # a fifth byte to come
    ):
        tools.raises(errors.MQTT, _broker, data)


def test_a_packet_identifier_is_in_its_packet():
    # QoS 1, a topic, and nothing behind it: what follows belongs to the next packet.
    tools.raises(errors.MQTT, _broker, b"\x32\x04\x00\x02ab\xd0\x00")
    tools.raises(errors.MQTT, _broker, b"\x32\x05\x00\x02ab\x00\x07\xd0\x00")
    assert _broker(b"\x32\x06\x00\x02ab\x00\x07\xd0\x00") == [("message", "ab", b"")]


def _der(tag, *parts, size=None):
    """Return an element; `size`: its length in so many octets."""
    content = b"".join(parts)
    length = len(content)
    if size is None:
        size = 0 if length < 0x80 else 1 if length < 0x100 else 2
    head = bytes((length,)) if size == 0 else bytes((0x80 | size,)) + length.to_bytes(size, "big")
    return bytes((tag,)) + head + content


def _certificate(filling=b"", size=None):
    """Return a certificate that is one by its structure, with so much behind its key."""
    sequence = _der(0x30)
    algorithm = _der(0x30, _der(0x06, b"\x2a\x03"))
    key = _der(0x30, algorithm, _der(0x03, b"\x00key"))
    tbs = _der(
        0x30, _der(0x02, b"\x07"), sequence, sequence, sequence, sequence, key, _der(0xA3, filling)
    )
    return _der(0x30, tbs, sequence, _der(0x03, b"\x00sig"), size=size), key


def test_a_certificate_is_bounded_whatever_fills_it():
    for filling, good in ((8000, True), (8192, False)):
        gc.collect()
        made, key = _certificate(bytes(filling))
        if good:
            assert spki.spki(made) == key
        else:
            tools.raises(errors.ENCODING, spki.spki, made)
        del made


def test_a_certificate_has_one_encoding_of_its_lengths():
    good, key = _certificate(bytes(200))
    assert spki.spki(good) == key
    for size in (3, 4):
        longer, _ = _certificate(bytes(200), size)
        tools.raises(errors.ENCODING, spki.spki, longer)
