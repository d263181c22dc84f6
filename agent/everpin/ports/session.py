"""An MQTT session over a link: CONNECT, SUBSCRIBE, messages in and reports out. One source for both interpreters.

The link is a TLS socket that has had its verdict (or, in rescue, an unverified one); `core.mqtt` bounds all that arrives.
"""

from ..compat import const
from ..core import errors, mqtt
from ..core.errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..core.agent import Agent

    class Link(Protocol):
        """A connected stream: `receive` gives None when nothing came within `wait_s`, b"" at the end; OSError when lost."""

        def receive(self, wait_s: float) -> "bytes | None": ...
        def send(self, data: bytes) -> None: ...
        def close(self) -> None: ...


_KEEP_ALIVE_S = const(60)
# A broker that takes longer to answer CONNECT or SUBSCRIBE is no use.
_ANSWER_S = const(15)
_TICK_S = 0.25


class MqttSession:
    """A session that is up when the constructor returns; OSError or a `PeerError` when it does not come up or is lost."""

    def __init__(
        self,
        link: "Link",
        client_id: str,
        user: "str | None",
        password: "str | None",
        topics: "list[str]",
        uptime: "Callable[[], float]",
        answer_s: float = _ANSWER_S,
    ) -> None:
        self._link = link
        self._uptime = uptime
        self._client = mqtt.Client(client_id, _KEEP_ALIVE_S, user, password)
        # What came before the subscription was answered: brokers may send retained messages first (section 3.8.4); the
        # client bounds it.
        self._early: "list[tuple[str, bytes | None]]" = []
        try:
            link.send(self._client.connect())
            self._await("connected", answer_s)
            self.subscribe(topics)
            self._await("suback", answer_s)
        except (OSError, PeerError):
            link.close()
            raise

    def _await(self, wanted: str, answer_s: float) -> None:
        # Differences alone: after years of uptime a board's floats have no seconds (core/schedule.py).
        began = self._uptime()
        while True:
            for event in self._read(_TICK_S):
                if event[0] == wanted:
                    return
                if event[0] == "denied":
                    raise PeerError(errors.MQTT)
            if self._uptime() - began > answer_s:
                raise PeerError(errors.MQTT)

    def _read(self, wait_s: float) -> "list[tuple[str, ...]]":
        data = self._link.receive(wait_s)
        if data is None:
            return []
        if not data:
            raise OSError(104)  # ECONNRESET: the peer is gone
        events = self._client.receive(data, self._uptime())
        if self._client.answers:
            self._link.send(bytes(self._client.answers))
            self._client.answers = bytearray()
        for event in events:
            if event[0] == "message":
                self._early.append((event[1], event[2]))
            elif event[0] == "too-long":
                self._early.append((event[1], None))
        return events

    def subscribe(self, topics: "list[str]") -> None:
        """Ask for topics with QoS 1; what the broker retains of them comes in `tick`."""
        self._link.send(self._client.subscribe(topics))

    def tick(self, wait_s: float) -> "list[tuple[str, bytes | None]]":
        """Return the messages that came within `wait_s`: (topic, payload), payload None for one above the cap."""
        ping = self._client.ping(self._uptime())
        if ping:
            self._link.send(ping)
        if not self._early:
            self._read(wait_s)
        found, self._early = self._early, []
        return found

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1, not retained."""
        self._link.send(self._client.publish(topic, payload))

    def close(self) -> None:
        """Say good-bye and close."""
        try:
            self._link.send(self._client.disconnect())
        finally:
            self._link.close()


class Session(MqttSession):
    """The pinned session of an agent: its identity, its credentials, its topics."""

    def __init__(self, link: "Link", agent: "Agent", uptime: "Callable[[], float]") -> None:
        secrets = agent.secrets
        user = None if secrets is None else secrets.user
        password = None if secrets is None else secrets.password
        super().__init__(link, agent.device, user, password, agent.topics(), uptime)
