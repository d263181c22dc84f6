"""MQTT 3.1.1 packets as a middleman sees them: split off a stream, and made again, right or wrong on purpose."""

from collections.abc import Iterator
from dataclasses import dataclass

CONNECT, PUBLISH, SUBSCRIBE, SUBACK = 0x10, 0x30, 0x80, 0x90
_MAX_BYTES = 1 << 20


class Broken(Exception):
    """Bytes that are no MQTT."""


@dataclass
class Packet:
    """One packet: its first byte and what comes behind its length."""

    head: int
    body: bytes

    @property
    def kind(self) -> int:
        """Return its type, flags aside."""
        return self.head & 0xF0

    @property
    def raw(self) -> bytes:
        """Return its bytes."""
        return bytes((self.head,)) + length(len(self.body)) + self.body

    @property
    def topic(self) -> str:
        """Return the topic of a PUBLISH."""
        return self.body[2 : 2 + self._topic_bytes].decode("utf-8", "replace")

    @property
    def payload(self) -> bytes:
        """Return the payload of a PUBLISH."""
        return self.body[2 + self._topic_bytes + (2 if self.head & 6 else 0) :]

    @property
    def client_id(self) -> str:
        """Return the client id of a CONNECT (section 3.1.3)."""
        count = int.from_bytes(self.body[10:12], "big")
        return self.body[12 : 12 + count].decode("utf-8", "replace")

    @property
    def _topic_bytes(self) -> int:
        return int.from_bytes(self.body[:2], "big")

    def saying(self, payload: bytes) -> "Packet":
        """Return a PUBLISH with another payload."""
        return Packet(self.head, self.body[: len(self.body) - len(self.payload)] + payload)


def length(count: int) -> bytes:
    """Return a remaining length (section 2.2.3)."""
    out = bytearray()
    while True:
        count, digit = count >> 7, count & 127
        out.append(digit | (128 if count else 0))
        if not count:
            return bytes(out)


def publish(topic: str, payload: bytes) -> bytes:
    """Return a PUBLISH with QoS 0."""
    name = topic.encode()
    return Packet(PUBLISH, len(name).to_bytes(2, "big") + name + payload).raw


class Splitter:
    """Takes bytes as they come, gives whole packets; raises `Broken`."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that `data` completes."""
        self._held += data
        while len(self._held) >= 2:
            count, at = 0, 1
            while True:
                if at > 4:
                    raise Broken("a remaining length of more than four bytes")
                if at >= len(self._held):
                    return
                digit = self._held[at]
                count |= (digit & 127) << (7 * (at - 1))
                at += 1
                if not digit & 128:
                    break
            if count > _MAX_BYTES:
                raise Broken(f"a packet of {count} bytes")
            if len(self._held) < at + count:
                return
            packet = Packet(self._held[0], self._held[at : at + count])
            self._held = self._held[at + count :]
            yield packet
