"""MQTT as bytes: whatever a broker sends is bounded, taken or refused."""

import tools
from everpin.core import errors, mqtt

_CONNACK = b"\x20\x02\x00\x00"


def _up(**how):
    client = mqtt.Client("x", **how)
    assert client.receive(_CONNACK) == [("connected",)]
    return client


def _publish(topic, payload, qos=0, identifier=7):
    body = (
        len(topic).to_bytes(2, "big")
        + topic
        + (identifier.to_bytes(2, "big") if qos else b"")
        + payload
    )
    length = len(body)
    head = bytearray((0x30 | qos << 1,))
    while True:
        digit = length & 127
        length >>= 7
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


def test_connect_says_who_and_with_what():
    assert mqtt.Client("ab", 60).connect() == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab"
    assert (
        mqtt.Client("ab", 60, "u", "p").connect()
        == b"\x10\x14\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02ab\x00\x01u\x00\x01p"
    )


def test_messages_come_whole_byte_by_byte_and_many_at_once():
    stream = (
        _publish(b"a/b", b"one")
        + _publish(b"a/c", b"two", 1)
        + b"\xd0\x00"
        + _publish(b"a/d", b"")
    )
    wanted = [("message", "a/b", b"one"), ("message", "a/c", b"two"), ("message", "a/d", b"")]
    client = _up()
    assert client.receive(stream) == wanted
    assert bytes(client.answers) == b"\x40\x02\x00\x07"
    client = _up()
    found = []
    for at in range(len(stream)):
        found += client.receive(stream[at : at + 1])
    assert found == wanted


def test_an_oversized_message_is_counted_past_and_told_and_the_session_goes_on():
    client = _up(max_payload=1000)
    big = _publish(b"a/b", bytes(5000), 1)
    found = []
    for at in range(0, len(big), 700):
        found += client.receive(big[at : at + 700])
    assert found == [("too-long", "a/b")]
    assert bytes(client.answers) == b"\x40\x02\x00\x07", "acknowledged, or it comes again for ever"
    assert client.receive(_publish(b"a/b", b"ok")) == [("message", "a/b", b"ok")]


def test_an_announced_256_mib_ends_the_session_and_allocates_nothing():
    tools.raises(errors.MqttError, _up().receive, b"\x30\xff\xff\xff\x7f\x00\x03a/b")
    tools.raises(errors.MqttError, _up().receive, b"\x30\xff\xff\xff\xff\x7f")


def test_what_breaks_the_protocol_ends_the_session():
    for data in (
        b"\x30\x80\x00",  # a longer form of a shorter length
        b"\x20\x02\x00\x00",  # a second CONNACK
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x34\x05\x00\x01a\x00\x01",  # QoS 2, which was not asked for
        b"\x38\x03\x00\x01a",  # DUP with QoS 0
        b"\x32\x05\x00\x01a\x00\x00",  # packet identifier 0
        b"\x30\x02\x00\x05",  # a topic beyond its packet
        b"\x30\x02\x00\x00",  # no topic
        b"\x30\x03\x00\x01#",  # a wildcard as a topic
        b"\x30\x04\x00\x02\xc3\x28",  # no UTF-8
        b"\x40\x02\x00\x09",  # an answer to nothing
        b"\x90\x03\x00\x09\x00",
        b"\xd0\x01\x00",
        b"\x10\x00",  # a client's packets
        b"\x82\x00",
        b"\xf0\x00",
        b"\x00\x00",
    ):
        client = _up()
        tools.raises(errors.MqttError, client.receive, data)
        tools.raises(errors.MqttError, client.receive, _publish(b"a", b"b"))
    tools.raises(errors.MqttError, mqtt.Client("x").receive, _publish(b"a", b"b"))


def test_a_denied_connection_is_told():
    assert mqtt.Client("x").receive(b"\x20\x02\x00\x05") == [("denied", 5)]


def test_answers_are_matched_to_what_was_asked():
    client = _up()
    assert client.subscribe(["a/b", "c"]) == b"\x82\x0c\x00\x01\x00\x03a/b\x01\x00\x01c\x01"
    assert client.receive(b"\x90\x04\x00\x01\x01\x80") == [("suback", 1, b"\x01\x80")]
    assert client.publish("r", b"hi") == b"\x32\x07\x00\x01r\x00\x02hi"
    assert client.receive(b"\x40\x02\x00\x02") == [("puback", 2)]


def test_unanswered_messages_are_bounded():
    client = _up()
    for _ in range(8):
        client.publish("r", b"")
    tools.raises(errors.MqttError, client.publish, "r", b"")


def test_a_silent_peer_is_pinged_and_then_given_up():
    client = _up(keep_alive_s=60)
    client.receive(b"\xd0\x00", 100.0)
    assert client.ping(140.0) == b""
    assert client.ping(146.0) == b"\xc0\x00"
    assert client.ping(150.0) == b""
    client.receive(b"\xd0\x00", 151.0)
    assert client.ping(190.0) == b""
    tools.raises(errors.MqttError, client.ping, 251.0)
