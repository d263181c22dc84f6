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
    tools.raises(errors.MQTT, _up().receive, b"\x30\xff\xff\xff\x7f\x00\x03a/b")
    tools.raises(errors.MQTT, _up().receive, b"\x30\xff\xff\xff\xff\x7f")


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
        tools.raises(errors.MQTT, client.receive, data)
        tools.raises(errors.MQTT, client.receive, _publish(b"a", b"b"))
    tools.raises(errors.MQTT, mqtt.Client("x").receive, _publish(b"a", b"b"))


def test_a_denied_connection_is_told_and_over():
    client = mqtt.Client("x")
    assert client.receive(b"\x20\x02\x00\x05" + _CONNACK) == [("denied", 5)]
    tools.raises(errors.MQTT, client.receive, _CONNACK)


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
    tools.raises(errors.MQTT, client.publish, "r", b"")


def test_a_silent_peer_is_pinged_and_then_given_up():
    client = mqtt.Client("x", 60)
    client.receive(_CONNACK, 100.0)
    assert client.ping(145.0) == b""
    assert client.ping(146.0) == b"\xc0\x00"
    assert client.ping(150.0) == b""
    client.receive(b"\xd0\x00", 151.0)
    assert client.ping(190.0) == b""
    assert client.ping(192.0) == b"\xc0\x00"
    assert client.ping(236.0) == b""
    tools.raises(errors.MQTT, client.ping, 238.0)
    tools.raises(errors.MQTT, client.receive, b"\xd0\x00")


def test_a_busy_broker_is_pinged_too_for_it_counts_what_the_client_sends():
    client = mqtt.Client("x", 60)
    client.receive(_CONNACK, 0.0)
    pings = 0
    for second in range(1, 200):
        client.receive(_publish(b"a/b", b"x"), float(second))
        pings += client.ping(float(second)) != b""
    assert pings == 4


def test_a_keep_alive_of_0_asks_for_no_ping():
    client = mqtt.Client("x", 0)
    client.receive(_CONNACK, 0.0)
    assert client.ping(1e6) == b""


def test_a_packet_of_every_size_around_the_bounds_is_taken_or_counted_past():
    # A buffer that is full must never wait for itself.
    for size in (0, 1, 499, 500, 501, 518, 519, 520, 521, 522, 523, 524, 2000):
        for qos in (0, 1):
            client = _up(max_payload=500, max_topic=16)
            client.subscribe(["a"])
            client.receive(b"\x90\x03\x00\x01\x01")
            for topic in (b"a", b"t" * 16):
                packet = _publish(topic, bytes(size), qos)
                wanted = (
                    ("message", topic.decode(), bytes(size))
                    if size <= 500
                    else ("too-long", topic.decode())
                )
                assert client.receive(packet) == [wanted], (size, qos)
                found = []
                for at in range(len(packet)):
                    found += client.receive(packet[at : at + 1])
                assert found == [wanted], (size, qos)


def test_a_client_with_a_larger_payload_bound_takes_it():
    client = _up(max_payload=10000)
    packet = _publish(b"a", bytes(10000))
    assert len(client.receive(packet)[0][2]) == 10000


def test_a_broker_that_floods_before_its_suback_is_left_before_the_heap_is_full():
    client = _up()
    client.subscribe(["a"])
    packet = _publish(b"a", bytes(4000))
    count = 0
    try:
        while count < 100:
            count += len(client.receive(packet))
    except errors.PeerError:
        pass
    assert 4 <= count < 12, count
    client = _up()
    client.subscribe(["a"])
    client.receive(b"\x90\x03\x00\x01\x01")
    for _ in range(100):
        assert len(client.receive(packet)) == 1


def test_a_flood_of_the_shortest_messages_in_one_piece_is_bounded():
    short = _publish(b"a", b"")
    assert len(_up().receive(short * 64)) == 64
    tools.raises(errors.MQTT, _up().receive, short * 65)


def test_an_oversized_message_is_held_to_the_rules_of_every_other():
    head = b"\x81\x80\x02"  # 32,769 bytes remain
    for first in (0x34, 0x36, 0x38):  # QoS 2, QoS 3, DUP with QoS 0
        tools.raises(errors.MQTT, _up().receive, bytes((first,)) + head + b"\x00\x01a")
    tools.raises(errors.MQTT, _up().receive, b"\x32" + head + b"\x00\x01a\x00\x00")
    tools.raises(errors.MQTT, _up().receive, b"\x30" + head + b"\xff\xff")
    tools.raises(errors.MQTT, _up().receive, b"\x30" + head + b"\x00\x01#")


def test_topics_have_one_encoding_on_both_interpreters():
    for topic in (
        b"\xc0\x80",  # NUL, overlong
        b"\xc0\xab",  # "+", overlong
        b"\xed\xa0\x80",  # a surrogate
        b"\xe0\x80\xaf",  # "/", overlong
        b"\xf4\x90\x80\x80",  # beyond Unicode
        b"\xff",
        b"a\x00",
        b"\xc3",
    ):
        tools.raises(errors.MQTT, _up().receive, _publish(topic, b"x"))
    for topic in ("\u00e9", "\u20ac", "\U0001f511"):
        assert _up().receive(_publish(topic.encode(), b"x")) == [("message", topic, b"x")]


def test_an_answer_of_the_wrong_kind_or_count_ends_the_session():
    for data in (
        b"\x40\x02\x00\x01",  # PUBACK for a SUBSCRIBE
        b"\x90\x03\x00\x02\x01",  # SUBACK for a PUBLISH
        b"\x90\x03\x00\x01\x01",  # one code for two topics
        b"\x90\x05\x00\x01\x01\x01\x01",
        b"\x90\x04\x00\x01\x01\x03",  # no such code
    ):
        client = _up()
        client.subscribe(["a", "b"])
        client.publish("r", b"")
        tools.raises(errors.MQTT, client.receive, data)
        # The same client, asked rightly, takes an answer: the refusal above was the answer's fault.
        client = _up()
        client.subscribe(["a", "b"])
        client.publish("r", b"")
        assert len(client.receive(b"\x90\x04\x00\x01\x01\x01\x40\x02\x00\x02")) == 2


def test_misuse_is_told_before_a_byte_is_made():
    client = _up()
    tools.raises(errors.MisuseError, client.subscribe, [])
    tools.raises(errors.MisuseError, client.subscribe, ["a"] * 9)
    tools.raises(errors.MisuseError, client.publish, "a" * 257, b"")
    tools.raises(errors.MisuseError, client.subscribe, [""])
    tools.raises(errors.MisuseError, client.publish, "a", b"", 2)
    for _ in range(8):
        client.publish("a", b"")  # none of the above took a packet id


def test_retained_messages_can_be_sent():
    assert _up().publish("r", b"hi", 0, True) == b"\x31\x05\x00\x01rhi"


def test_any_bytes_give_events_or_the_one_error_whole_and_byte_by_byte():
    seed = 1
    for _ in range(300):
        data = bytearray(_publish(b"a/b", b"0123456789", 1) + b"\xd0\x00" + _publish(b"c", b"x"))
        for _ in range(2):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            data[(seed >> 8) % len(data)] = seed >> 16 & 255
        results = []
        for piece in (len(data), 1):
            client = _up(max_payload=64)
            found = []
            try:
                for at in range(0, len(data), piece):
                    found += client.receive(data[at : at + piece])
                results.append((found, bytes(client.answers)))
            except errors.PeerError:
                results.append("refused")
        assert results[0] == results[1], bytes(data)
