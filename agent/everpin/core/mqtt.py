"""MQTT 3.1.1 (OASIS) as bytes: a client that bounds everything a broker can send.

No socket and no clock: `receive` takes bytes and gives events, the other methods give bytes to send. What breaks the
protocol raises `MqttError`, and the connection is over. A PUBLISH that is too long is counted past and told as an event, so
that one oversized retained message cannot keep a device from its broker for ever.

RAM: one buffer of at most `_PACKET_MAX_BYTES`, grown as bytes arrive and never by an announced length.
"""

from ..compat import const
from . import limits
from .errors import MqttError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONNECT = const(0x10)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBSCRIBE = const(0x82)
_SUBACK = const(0x90)
_PINGREQ = const(0xC0)
_PINGRESP = const(0xD0)
_DISCONNECT = const(0xE0)

TOPIC_MAX_BYTES = const(256)
# Fixed header, topic, packet id and a whole document.
_PACKET_MAX_BYTES = const(8192 + 256 + 8)
# Of an oversized PUBLISH so much is counted past; a broker that announces more is left.
_SKIP_MAX_BYTES = const(1 << 20)
_IN_FLIGHT_MAX = const(8)


def _length(count: int) -> bytes:
    """Return a remaining length (section 2.2.3)."""
    out = bytearray()
    while True:
        digit = count & 127
        count >>= 7
        out.append(digit | 128 if count else digit)
        if not count:
            return bytes(out)


def _string(text: "str | bytes") -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return len(data).to_bytes(2, "big") + data


class Client:
    """One connection's client side; see the module for bounds.

    Events of `receive`: ("connected",), ("denied", return code), ("message", topic, payload), ("too-long", topic),
    ("suback", packet id, codes), ("puback", packet id). What must be answered is in `answers` afterwards.
    """

    def __init__(
        self,
        client_id: str,
        keep_alive_s: int = 60,
        user: "str | None" = None,
        password: "str | None" = None,
        max_payload: int = limits.DOCUMENT_MAX_BYTES,
    ) -> None:
        self._client_id = client_id
        self._keep_alive_s = keep_alive_s
        self._user = user
        self._password = password
        self._max_payload = max_payload
        self._buffer = bytearray()
        self._skip = 0
        self._connected = False
        self._dead = False
        self._next_id = 0
        self._waiting: "list[int]" = []  # packet ids of SUBSCRIBE and PUBLISH without their answer
        self.answers = bytearray()
        self._heard_s: "float | None" = None
        self._pinged = False

    # ---- sending -----------------------------------------------------------------------------------------------------

    def connect(self) -> bytes:
        """Return CONNECT with a clean session (section 3.1)."""
        flags = 2
        tail = _string(self._client_id)
        if self._user is not None:
            flags |= 0x80
            tail += _string(self._user)
            if self._password is not None:
                flags |= 0x40
                tail += _string(self._password)
        body = _string("MQTT") + bytes((4, flags)) + self._keep_alive_s.to_bytes(2, "big") + tail
        return bytes((_CONNECT,)) + _length(len(body)) + body

    def _identifier(self) -> bytes:
        if len(self._waiting) >= _IN_FLIGHT_MAX:
            raise MqttError  # the broker acknowledges nothing
        self._next_id = self._next_id % 0xFFFF + 1
        self._waiting.append(self._next_id)
        return self._next_id.to_bytes(2, "big")

    def subscribe(self, topics: "list[str]", qos: int = 1) -> bytes:
        """Return SUBSCRIBE for exact topics (section 3.8)."""
        body = self._identifier()
        for topic in topics:
            body += _string(topic) + bytes((qos,))
        return bytes((_SUBSCRIBE,)) + _length(len(body)) + body

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> bytes:
        """Return PUBLISH, not retained (section 3.3)."""
        body = _string(topic)
        if qos:
            body += self._identifier()
        body += payload
        return bytes((_PUBLISH | qos << 1,)) + _length(len(body)) + body

    def disconnect(self) -> bytes:
        """Return DISCONNECT (section 3.14)."""
        return bytes((_DISCONNECT, 0))

    def ping(self, uptime_s: float) -> bytes:
        """Return PINGREQ when the keep-alive wants one, else b"" (section 3.1.2.10); raise `MqttError` for a dead peer."""
        if self._heard_s is None:
            self._heard_s = uptime_s
        silent_s = uptime_s - self._heard_s
        if silent_s > 1.5 * self._keep_alive_s:
            raise MqttError
        if silent_s > 0.75 * self._keep_alive_s and not self._pinged:
            self._pinged = True
            return bytes((_PINGREQ, 0))
        return b""

    # ---- receiving ---------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, uptime_s: float = 0.0) -> "list[tuple[Any, ...]]":
        """Take bytes from the broker; return what they complete. Raise `MqttError`, after which the client is dead."""
        if self._dead:
            raise MqttError
        self._heard_s = uptime_s
        self._pinged = False
        events: "list[tuple[Any, ...]]" = []
        view = memoryview(data)
        try:
            while view:
                if self._skip:
                    count = min(self._skip, len(view))
                    self._skip -= count
                    view = view[count:]
                    continue
                # Never more than one packet's bound at a time, whatever the transport hands over.
                count = min(len(view), _PACKET_MAX_BYTES - len(self._buffer))
                self._buffer.extend(view[:count])
                view = view[count:]
                while self._packet(events):
                    pass
        except MqttError:
            self._dead = True
            raise
        return events

    def _packet(self, events: "list[tuple[Any, ...]]") -> bool:
        """Take one whole packet off the buffer's front; return False when there is none yet."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        remaining = 0
        at = 1
        while True:
            if at == 5:
                raise MqttError  # section 2.2.3: four bytes at most
            if at >= len(buffer):
                return False
            digit = buffer[at]
            remaining |= (digit & 127) << (7 * (at - 1))
            at += 1
            if not digit & 128:
                break
        if at > 2 and digit == 0:
            raise MqttError  # a longer form of a shorter length
        kind = buffer[0]
        if kind & 0xF0 == _PUBLISH:
            if not self._connected:
                raise MqttError
            if remaining > self._max_payload + TOPIC_MAX_BYTES + 4:
                return self._oversized(events, at, remaining)
        elif remaining > 2 + _IN_FLIGHT_MAX:
            raise MqttError  # no other packet to a client is longer than a SUBACK of all our topics
        if len(buffer) < at + remaining:
            return False
        body = bytes(buffer[at : at + remaining])
        self._buffer = buffer[at + remaining :]
        self._handle(events, kind, body)
        return True

    def _oversized(self, events: "list[tuple[Any, ...]]", at: int, remaining: int) -> bool:
        if remaining > _SKIP_MAX_BYTES:
            raise MqttError
        buffer = self._buffer
        if len(buffer) < at + 2:
            return False
        length = int.from_bytes(buffer[at : at + 2], "big")
        if length > TOPIC_MAX_BYTES:
            raise MqttError
        qos = buffer[0] >> 1 & 3
        if len(buffer) < at + 4 + length:
            return False
        events.append(("too-long", _topic(bytes(buffer[at + 2 : at + 2 + length]))))
        if qos == 1:
            # Acknowledged, or it comes again for ever.
            self._acknowledge(bytes(buffer[at + 2 + length : at + 4 + length]))
        total = at + remaining
        have = min(total, len(buffer))
        self._skip = total - have
        self._buffer = buffer[have:]
        return True

    def _acknowledge(self, identifier: bytes) -> None:
        if identifier == b"\x00\x00":
            raise MqttError  # section 2.3.1
        self.answers.extend(bytes((_PUBACK, 2)) + identifier)

    def _handle(self, events: "list[tuple[Any, ...]]", kind: int, body: bytes) -> None:
        if kind == _CONNACK:
            if self._connected or len(body) != 2 or body[0] > 1:
                raise MqttError
            if body[1]:
                events.append(("denied", body[1]))
                return
            self._connected = True
            events.append(("connected",))
            return
        if not self._connected:
            raise MqttError  # section 3.2: CONNACK is first
        if kind & 0xF0 == _PUBLISH:
            self._published(events, kind, body)
        elif kind in (_PUBACK, _SUBACK):
            identifier = int.from_bytes(body[:2], "big")
            if (
                len(body) < 2
                or identifier not in self._waiting
                or (kind == _PUBACK) != (len(body) == 2)
            ):
                raise MqttError
            self._waiting.remove(identifier)
            if kind == _PUBACK:
                events.append(("puback", identifier))
            else:
                events.append(("suback", identifier, body[2:]))
        elif kind != _PINGRESP or body:
            raise MqttError

    def _published(self, events: "list[tuple[Any, ...]]", kind: int, body: bytes) -> None:
        qos = kind >> 1 & 3
        if qos > 1 or (qos == 0 and kind & 8):
            raise MqttError  # QoS 2 was never subscribed to; DUP is 0 with QoS 0 (section 3.3.1.1)
        length = int.from_bytes(body[:2], "big")
        start = 2 + length + (2 if qos else 0)
        if length > TOPIC_MAX_BYTES or len(body) < start:
            raise MqttError
        topic = _topic(body[2 : 2 + length])
        if qos:
            self._acknowledge(body[2 + length : start])
        payload = body[start:]
        if len(payload) > self._max_payload:
            events.append(("too-long", topic))
        else:
            events.append(("message", topic, payload))


def _topic(data: bytes) -> str:
    try:
        topic = data.decode()
    except (UnicodeError, ValueError):
        raise MqttError  # section 1.5.3
    if not topic or "\x00" in topic or "+" in topic or "#" in topic:
        raise MqttError  # section 4.7
    return topic
