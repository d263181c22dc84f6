"""MQTT 3.1.1 (OASIS) as bytes: a client that bounds everything a broker can send.

No socket and no clock: `receive` takes bytes and gives events, the other methods give bytes to send. Section numbers below
are those of the standard. What breaks the protocol raises `mqtt`, and the connection is over. A PUBLISH that is too long
is counted past and told as an event, so that one oversized retained message cannot keep a device from its broker for ever.

RAM: one buffer of `max_payload` + `max_topic` + 9 bytes, allocated once; nothing is ever allocated by an announced length. A
message costs its payload once more; the messages before the first SUBACK together cost at most four times `max_payload`.
"""

from ..compat import const
from . import errors, limits
from .errors import MisuseError, PeerError

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

# The longest of ours has 150 bytes (topics.py: two names of 64 and five levels).
TOPIC_MAX_BYTES = const(256)
# Of an oversized PUBLISH so much is counted past; a broker that announces more is left.
_SKIP_MAX_BYTES = const(1 << 20)
# SUBSCRIBE and PUBLISH that wait for their answer, and topics of one SUBSCRIBE.
_IN_FLIGHT_MAX = const(8)
_TOPICS_MAX = const(8)
# Events of one `receive`: a kilobyte holds 200 of the shortest messages, and each takes a hundred bytes of heap.
_EVENTS_MAX = const(64)
# What an event of an empty message takes on the heap, about.
_EVENT_BYTES = const(128)
_HEADER_MAX_BYTES = const(5)


def _packet(kind: int, *parts: bytes) -> bytes:
    """Return a packet with its remaining length in the shortest form (section 2.2.3)."""
    body = b"".join(parts)
    out = bytearray((kind,))
    count = len(body)
    while True:
        digit = count & 127
        count >>= 7
        out.append(digit | 128 if count else digit)
        if not count:
            break
    out.extend(body)
    return bytes(out)


def _string(text: str) -> bytes:
    data = text.encode()
    if len(data) > 0xFFFF:  # section 1.5.3; MicroPython's to_bytes would cut the length silently
        raise MisuseError
    return len(data).to_bytes(2, "big") + data


def _topic_name(topic: str) -> bytes:
    data = _string(topic)
    if not 2 < len(data) <= 2 + TOPIC_MAX_BYTES:
        raise MisuseError  # section 4.7.3: at least one character
    return data


class Client:
    """One connection's client side; see the module for bounds.

    Events of `receive`: ("connected",), ("denied", return code), ("message", topic, payload), ("too-long", topic),
    ("suback", packet id, codes), ("puback", packet id). What must be answered is in `answers` afterwards.
    `uptime_s` is monotonic seconds.
    """

    def __init__(
        self,
        client_id: str,
        keep_alive_s: int = 60,
        user: "str | None" = None,
        password: "str | None" = None,
        max_payload: int = limits.DOCUMENT_MAX_BYTES,
        max_topic: int = TOPIC_MAX_BYTES,
    ) -> None:
        self._client_id = client_id
        self._keep_alive_s = keep_alive_s
        self._user = user
        self._password = password
        self._max_payload = max_payload
        self._max_topic = max_topic
        # Fixed header, topic with its length, packet id, payload.
        self._buffer = memoryview(bytearray(_HEADER_MAX_BYTES + 2 + max_topic + 2 + max_payload))
        self._have = 0
        self._skip = 0
        self._connected = False
        self._dead = False
        self._next_id = 0
        # Packet id of each SUBSCRIBE and PUBLISH without its answer -> topics asked for, 0 for a PUBLISH.
        self._waiting: "dict[int, int]" = {}
        self._subscribed = False
        self._early_left = 4 * (max_payload + _EVENT_BYTES)
        self.answers = bytearray()
        # When the last PINGREQ went out; at first, when the connection began.
        self._ping_s: "float | None" = None
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
        head = _string("MQTT") + bytes((4, flags)) + self._keep_alive_s.to_bytes(2, "big")
        return _packet(_CONNECT, head, tail)

    def _identifier(self, topics: int) -> bytes:
        if len(self._waiting) >= _IN_FLIGHT_MAX:
            raise PeerError(errors.MQTT)  # the broker acknowledges nothing
        self._next_id = self._next_id % 0xFFFF + 1
        while self._next_id in self._waiting:  # section 2.3.1: one in use is not given again
            self._next_id = self._next_id % 0xFFFF + 1
        self._waiting[self._next_id] = topics
        return self._next_id.to_bytes(2, "big")

    def subscribe(self, topics: "list[str]", qos: int = 1) -> bytes:
        """Return SUBSCRIBE for one to eight topics (section 3.8)."""
        if not 1 <= len(topics) <= _TOPICS_MAX or qos not in (0, 1):
            raise MisuseError
        body = b""
        for topic in topics:
            body += _topic_name(topic) + bytes((qos,))
        return _packet(_SUBSCRIBE, self._identifier(len(topics)), body)

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> bytes:
        """Return PUBLISH (section 3.3); raise `mqtt` when eight packets already wait for the broker's answer."""
        if qos not in (0, 1):
            raise MisuseError
        name = _topic_name(topic)
        identifier = self._identifier(0) if qos else b""
        return _packet(_PUBLISH | qos << 1 | (1 if retain else 0), name, identifier, payload)

    def disconnect(self) -> bytes:
        """Return DISCONNECT (section 3.14)."""
        return bytes((_DISCONNECT, 0))

    def ping(self, uptime_s: float) -> bytes:
        """Return PINGREQ when the keep-alive wants one, else b"" (section 3.1.2.10); raise `mqtt` for a dead peer.

        Pings keep their beat whatever arrives: the broker counts what we send, and a QoS 0 stream is never answered.
        """
        if self._ping_s is None:
            self._ping_s = uptime_s
        if not self._keep_alive_s or uptime_s - self._ping_s <= 0.75 * self._keep_alive_s:
            return b""
        if self._pinged:
            self._dead = True
            raise PeerError(errors.MQTT)  # not a byte since the last one
        self._ping_s = uptime_s
        self._pinged = True
        return bytes((_PINGREQ, 0))

    # ---- receiving ---------------------------------------------------------------------------------------------------

    def receive(
        self, data: "bytes | bytearray | memoryview", uptime_s: float = 0.0
    ) -> "list[tuple[Any, ...]]":
        """Take bytes from the broker; return what they complete. Raise `mqtt`, after which the client is dead."""
        if self._dead:
            raise PeerError(errors.MQTT)
        if self._ping_s is None:
            self._ping_s = uptime_s
        self._pinged = False
        events: "list[tuple[Any, ...]]" = []
        try:
            self._read(memoryview(data), events)
        except PeerError:
            self._dead = True
            raise
        return events

    def _read(self, view: memoryview, events: "list[tuple[Any, ...]]") -> None:
        buffer = self._buffer
        taken = 0
        while taken < len(view) and not self._dead:
            if self._skip:
                count = min(self._skip, len(view) - taken)
                self._skip -= count
                taken += count
                continue
            # There is always room: a packet that would not fit is refused or counted past by its header.
            count = min(len(view) - taken, len(buffer) - self._have)
            buffer[self._have : self._have + count] = view[taken : taken + count]
            self._have += count
            taken += count
            at = 0
            while not self._dead:
                end = self._take(events, at)
                if end == at:
                    break
                if len(events) > _EVENTS_MAX:
                    raise PeerError(errors.MQTT)
                at = end
            if at:
                self._have -= at
                buffer[: self._have] = buffer[at : at + self._have]

    def _take(self, events: "list[tuple[Any, ...]]", start: int) -> int:
        """Take the packet that begins at `start`; return where it ends, `start` when more of it must come first."""
        buffer = self._buffer
        have = self._have
        if start == have:
            return start
        kind = buffer[start]
        self._admit(kind)
        remaining = 0
        at = start + 1
        while True:
            if at == start + _HEADER_MAX_BYTES:
                raise PeerError(errors.MQTT)  # section 2.2.3: four bytes at most
            if at >= have:
                return start
            digit = buffer[at]
            remaining |= (digit & 127) << (7 * (at - start - 1))
            at += 1
            if not digit & 128:
                break
        if at > start + 2 and digit == 0:
            raise PeerError(errors.MQTT)  # one encoding only: a longer form of a shorter length
        if kind & 0xF0 == _PUBLISH:
            if remaining > 4 + self._max_topic + self._max_payload:
                return self._oversized(events, start, at, remaining)
        elif kind == _PINGRESP:
            if remaining:
                raise PeerError(errors.MQTT)
        elif kind == _SUBACK:
            if not 3 <= remaining <= 2 + _TOPICS_MAX:
                raise PeerError(errors.MQTT)
        elif remaining != 2:  # CONNACK, PUBACK
            raise PeerError(errors.MQTT)
        end = at + remaining
        if end > have:
            return start
        if kind & 0xF0 == _PUBLISH:
            self._published(events, kind, at, end)
        elif kind != _PINGRESP:
            self._answered(events, kind, bytes(buffer[at:end]))
        return end

    def _admit(self, kind: int) -> None:
        """Refuse by its first byte what a broker may not send now."""
        if (kind == _CONNACK) == self._connected:
            raise PeerError(errors.MQTT)  # section 3.2: CONNACK is first, and comes once
        if kind & 0xF0 == _PUBLISH:
            qos = kind >> 1 & 3
            if qos > 1 or (qos == 0 and kind & 8):
                raise PeerError(
                    errors.MQTT
                )  # QoS 2 was never subscribed to; DUP is 0 with QoS 0 (section 3.3.1.1)
        elif kind not in (_CONNACK, _PUBACK, _SUBACK, _PINGRESP):
            raise PeerError(
                errors.MQTT
            )  # a client's packet, reserved flags (section 2.2.2), or an answer to what is never asked

    def _oversized(
        self, events: "list[tuple[Any, ...]]", start: int, at: int, remaining: int
    ) -> int:
        if remaining > _SKIP_MAX_BYTES:
            raise PeerError(errors.MQTT)
        end = self._topic_end(at, self._have)
        body = end + (2 if self._buffer[start] & 6 else 0)
        if not end or self._have < body:
            return start
        topic = _topic(bytes(self._buffer[at + 2 : end]))
        self._early(len(topic))
        # Acknowledged, or it comes again for ever.
        self._acknowledge(end, body)
        events.append(("too-long", topic))
        have = min(at + remaining, self._have)
        self._skip = at + remaining - have
        return have

    def _published(self, events: "list[tuple[Any, ...]]", kind: int, at: int, stop: int) -> None:
        end = self._topic_end(at, stop)
        body = end + (2 if kind & 6 else 0)
        if not end or body > stop:
            raise PeerError(errors.MQTT)
        topic = _topic(bytes(self._buffer[at + 2 : end]))
        too_long = stop - body > self._max_payload
        self._early(len(topic) + (0 if too_long else stop - body))
        self._acknowledge(end, body)
        if too_long:
            events.append(("too-long", topic))
        else:
            events.append(("message", topic, bytes(self._buffer[body:stop])))

    def _topic_end(self, at: int, stop: int) -> int:
        """Return where the topic of a PUBLISH ends, 0 when that is beyond `stop`."""
        if at + 2 > stop:
            return 0
        length = self._buffer[at] << 8 | self._buffer[at + 1]
        if length > self._max_topic:
            raise PeerError(errors.MQTT)  # nothing that long was subscribed to
        end = at + 2 + length
        return end if end <= stop else 0

    def _early(self, count: int) -> None:
        """Bound what comes before the first SUBACK (section 3.8.4 allows it): who awaits that must keep it all."""
        if not self._subscribed:
            self._early_left -= count + _EVENT_BYTES
            if self._early_left < 0:
                raise PeerError(errors.MQTT)

    def _acknowledge(self, start: int, stop: int) -> None:
        if start == stop:
            return  # QoS 0
        identifier = bytes(self._buffer[start:stop])
        if identifier == b"\x00\x00":
            raise PeerError(errors.MQTT)  # section 2.3.1
        self.answers.extend(bytes((_PUBACK, 2)) + identifier)

    def _answered(self, events: "list[tuple[Any, ...]]", kind: int, body: bytes) -> None:
        if kind == _CONNACK:
            # Session present without a stored session breaks section 3.2.2.2, and harms nobody.
            if body[0] > 1:
                raise PeerError(errors.MQTT)
            if body[1]:
                events.append(("denied", body[1]))
                self._dead = True  # section 3.2.2.3: the broker closes
                return
            self._connected = True
            events.append(("connected",))
            return
        identifier = body[0] << 8 | body[1]
        asked = self._waiting.pop(identifier, -1)
        if kind == _PUBACK:
            if asked:
                raise PeerError(errors.MQTT)
            events.append(("puback", identifier))
            return
        codes = body[2:]
        if asked < 1 or len(codes) != asked:
            raise PeerError(errors.MQTT)  # section 3.9.3: one code for each topic
        for code in codes:
            if code not in (0, 1, 2, 0x80):
                raise PeerError(errors.MQTT)
        self._subscribed = True
        events.append(("suback", identifier, codes))


def _topic(data: bytes) -> str:
    """Return a topic name (sections 1.5.3, 4.7); raise `mqtt` for what is none."""
    try:
        topic = data.decode()
    except (UnicodeError, ValueError):
        raise PeerError(errors.MQTT)
    size = 0
    for character in topic:
        point = ord(character)
        # Neither NUL, nor wildcards, nor surrogates, which MicroPython's decoder lets pass.
        if point == 0 or character in "+#" or 0xD800 <= point <= 0xDFFF or point > 0x10FFFF:
            raise PeerError(errors.MQTT)
        size += 1 if point < 0x80 else 2 if point < 0x800 else 3 if point < 0x10000 else 4
    # It lets overlong forms pass as well, and those are longer (RFC 3629 section 3).
    if not topic or size != len(data):
        raise PeerError(errors.MQTT)
    return topic
