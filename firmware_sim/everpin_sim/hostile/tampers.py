"""What a broker that nobody should trust does to what it carries, by name. It has the genuine key: its TLS is accepted.

A tamper is made anew for each connection; `down` is asked about each packet from the true broker to the device and returns
what the device gets instead: bytes, sent as they are.
"""

import time
from collections.abc import Iterable, Iterator
from typing import ClassVar

from .wire import PUBLISH, SUBACK, Packet, publish


class Tamper:
    """Changes nothing. `old` are documents that were good once, `forged` one of a stranger's, each (topic, payload)."""

    gap_s: ClassVar[float] = 0.0  # between the bytes that the device gets

    def __init__(self, old: list[tuple[str, bytes]], forged: bytes) -> None:
        self._old = old
        self._forged = forged
        self.touched = 0

    def down(self, packet: Packet) -> Iterable[bytes]:
        """Return what the device gets instead of a packet."""
        if packet.kind == PUBLISH and "/ack/" not in packet.topic:
            self.touched += 1
            return self.document(packet)
        return [packet.raw]

    def document(self, packet: Packet) -> Iterable[bytes]:
        """Return what the device gets instead of a document."""
        return [packet.raw]


class Replay(Tamper):
    """Documents of the past before and after each, retained as if they were the newest."""

    def document(self, packet: Packet) -> Iterable[bytes]:
        old = [packet.saying(data).raw for topic, data in self._old if topic == packet.topic]
        return [*old, packet.raw, *old]


class Reorder(Tamper):
    """The newest first, then older and older ones; roots after what needs them."""

    def __init__(self, old: list[tuple[str, bytes]], forged: bytes) -> None:
        super().__init__(old, forged)
        self._held: list[bytes] = []

    def document(self, packet: Packet) -> Iterable[bytes]:
        self._held.append(packet.raw)
        old = [packet.saying(data).raw for topic, data in self._old if topic == packet.topic]
        return list(reversed([*old, *self._held]))


class Duplicate(Tamper):
    """Each document five times."""

    def document(self, packet: Packet) -> Iterable[bytes]:
        return [packet.raw] * 5


class Truncate(Tamper):
    """Half of each document, in a packet that is whole."""

    def document(self, packet: Packet) -> Iterable[bytes]:
        return [packet.saying(packet.payload[: len(packet.payload) // 2]).raw]


class Withhold(Tamper):
    """No document at all."""

    def document(self, packet: Packet) -> Iterable[bytes]:
        return []


class Delete(Tamper):
    """Each document as a deleted one is told: an empty payload."""

    def document(self, packet: Packet) -> Iterable[bytes]:
        return [packet.saying(b"").raw]


class Forge(Tamper):
    """A stranger's document with a higher number before each, then the true one with a bit turned."""

    def document(self, packet: Packet) -> Iterable[bytes]:
        turned = bytearray(packet.payload)
        turned[len(turned) // 2] ^= 1
        return [packet.saying(self._forged).raw, packet.saying(bytes(turned)).raw]


class _AfterSuback(Tamper):
    """Does its wrong as soon as the subscription is answered, and carries no document."""

    def down(self, packet: Packet) -> Iterable[bytes]:
        if packet.kind == SUBACK:
            self.touched += 1
            return self._with(packet)
        return [] if packet.kind == PUBLISH else [packet.raw]

    def _with(self, packet: Packet) -> Iterator[bytes]:
        yield packet.raw
        yield from self.wrong()

    def wrong(self) -> Iterable[bytes]:
        """Return what comes after SUBACK; it may go on for ever."""
        return []


class Flood(_AfterSuback):
    """Rubbish on the device's own topic, without end."""

    def wrong(self) -> Iterator[bytes]:
        topic = self._old[0][0] if self._old else "everpin/1/x/pins"
        while True:
            yield publish(topic, b"\xa5" * 8000) * 4


class Announce(_AfterSuback):
    """A message of 256 MiB, announced and begun."""

    def wrong(self) -> Iterable[bytes]:
        return [b"\x30\xff\xff\xff\x7f\x00\x03a/b" + b"z" * 60000]


class Oversized(_AfterSuback):
    """Messages of 900 kB, whole: each must be counted past."""

    def wrong(self) -> Iterable[bytes]:
        return [publish("a/b", b"z" * 900_000)] * 3


class Garbage(_AfterSuback):
    """Bytes that are no MQTT."""

    def wrong(self) -> Iterable[bytes]:
        return [b"\xff\x00\xaa" * 500]


class Drip(Tamper):
    """All of it, one byte a second."""

    gap_s = 1.0

    def down(self, packet: Packet) -> Iterable[bytes]:
        self.touched += 1
        return [packet.raw]


class Hang(_AfterSuback):
    """The subscription is answered, then nothing more is said and nothing taken."""

    def wrong(self) -> Iterator[bytes]:
        while True:
            time.sleep(0.2)
            yield b""


TAMPERS: dict[str, type[Tamper]] = {
    "replay": Replay,
    "reorder": Reorder,
    "duplicate": Duplicate,
    "truncate": Truncate,
    "withhold": Withhold,
    "delete": Delete,
    "forge": Forge,
    "flood": Flood,
    "announce": Announce,
    "oversized": Oversized,
    "rubbish": Garbage,
    "drip": Drip,
    "hang": Hang,
}
