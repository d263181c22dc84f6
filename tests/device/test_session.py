"""A session over a link: what a broker does before it answers is bounded too."""

import tools
from everpin.core import errors
from everpin.ports.session import MqttSession

_PUBLISH = b"\x30\x05\x00\x01axy"
_SUBACK = b"\x90\x03\x00\x01\x01"


class Link:
    """Gives what a broker would send, piece by piece."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.sent = []
        self.closed = False

    def receive(self, wait_s):
        return self.pieces.pop(0) if self.pieces else None

    def send(self, data):
        self.sent.append(bytes(data))

    def close(self):
        self.closed = True


def _open(pieces):
    ticks = [0.0]

    def uptime():
        ticks[0] += 1.0
        return ticks[0]

    link = Link(pieces)
    return link, lambda: MqttSession(link, "x", None, None, ["a"], uptime)


def test_messages_that_come_before_the_subscription_is_answered_are_kept():
    _, start = _open([b"\x20\x02\x00\x00", _PUBLISH, _SUBACK])
    assert start().tick(0.0) == [("a", b"xy")]


def test_a_flood_before_the_subscription_is_answered_ends_the_session():
    link, start = _open([b"\x20\x02\x00\x00"] + [_PUBLISH * 4] * 10)
    tools.raises(errors.MQTT, start)
    assert link.closed


def test_a_broker_that_never_answers_or_denies_ends_the_session():
    for pieces in ([], [b"\x20\x02\x00\x05"], [b"\x20\x02\x00\x00"]):
        link, start = _open(pieces)
        tools.raises(errors.MQTT, start)
        assert link.closed
    link, start = _open([b""])
    tools.raises(OSError, start)
    assert link.closed
