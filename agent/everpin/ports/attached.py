"""An agent on an application's own MQTT connection: one connection carries both. One source for both interpreters.

The application's MQTT library makes the connection, over the TLS context of its interpreter (`ssl_context` on CPython,
`micropython.tls.PinnedContext`), whose policy this is. It calls `connected`, `message` and `disconnected` from the library's
callbacks, and `step` every second or so.
"""

from . import fetch
from .clock import Clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..core.host import Anchor
    from ..core.verdict import Verdict
    from .device import Device

# A library that has not said within so many seconds how its connecting went has not got through.
_DIAL_S = 60.0


class NoLock:
    """The lock of a program with one thread."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *unused: object) -> None:
        pass


class Attached:
    """An agent whose session is somebody else's.

    `client` is the library's: `client.subscribe(topic, 1)` and `client.publish(topic, payload, qos=1)` are called on it. `drop()`
    breaks the live connection, so that the library makes a new one; `check()` raises OSError when the policy as it is now accepts
    its peer no longer. `lock` guards the agent where the library has threads.
    """

    def __init__(
        self,
        device: "Device",
        drop: "Callable[[], None]",
        client: "Any" = None,
        lock: "Any" = None,
        check: "Callable[[], None] | None" = None,
    ) -> None:
        self._agent = device.agent
        self._check = check
        self._checked = 0  # the generation under which the live connection was looked at
        self.client = client
        self._drop = drop
        self._lock: "Any" = NoLock() if lock is None else lock
        self._clock = Clock(device.time_source)
        self._topics: "list[str]" = []
        self._up = False
        self._failed = False
        self._why = 0
        self._host = ""
        self._dial_at = 0.0

    # ---- the policy that the TLS context asks --------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Return the agent's."""
        return self._agent.generation

    def platform(self, host: str) -> bool:
        """Return whether the next connection to a host needs the runtime's own certificate check."""
        with self._lock:
            return self._agent.platform(host)

    def clock(self) -> "int | None":
        """Return the time, when the policy trusts its source with dates."""
        return self._agent.clock()

    def anchors(self) -> "list[Anchor]":
        """Return the device's trust anchors."""
        return self._agent.anchors()

    def verdict(
        self,
        host: str,
        chain: "list[bytes]",
        platform: "list[bytes] | None" = None,
        store: "Any" = None,
    ) -> "Verdict":
        """Return the agent's verdict."""
        with self._lock:
            found = self._agent.verdict(host, chain, platform, store)
            self._host = host
            self._why = found.why
            if not found.accepted and not self._up:
                self._failed = True
            return found

    def completed(self, verdict: "Verdict") -> None:
        """Tell the agent."""
        with self._lock:
            self._agent.completed(verdict)

    # ---- what the library's callbacks say -------------------------------------------------------------------------------

    def connected(self) -> None:
        """The library's MQTT session is up."""
        with self._lock:
            if self._up:
                self.disconnected()  # a library that did not tell
            self._agent.online(self._host)
            self._up = True
            self._failed = False
            self._pull()

    def _pull(self) -> None:
        self._topics = self._agent.topics()
        for topic in self._topics:
            self.client.subscribe(topic, 1)

    def disconnected(self) -> None:
        """The session is over."""
        with self._lock:
            if self._up:
                self._up = False
                self._agent.offline(self._why)

    def failed(self) -> None:
        """The library could not connect."""
        with self._lock:
            self._failed = not self._up

    def message(self, topic: str, payload: bytes) -> bool:
        """Take a message when it is everpin's; return whether it was."""
        with self._lock:
            if topic not in self._topics:
                return False
            self._agent.receive(topic, bytes(payload))
            return True

    # ---- the application's loop ----------------------------------------------------------------------------------------

    def step(self) -> "list[dict[str, Any]]":
        """Do what is due (a rescue takes its budget of seconds); return what happened since the last call."""
        with self._lock:
            now, source = self._clock.now()
            uptime = self._clock.uptime()
            action = self._agent.poll(now, source, uptime)
            if action[0] == "pinned":
                self._dial_at = uptime
            elif action[0] == "close":
                # The library sees its connection end and dials again by itself: the new handshake confirms.
                self._drop()
            elif action[0] == "rescue":
                fetch.visit(self._agent, action[1], action[2])
            elif self._up:
                if action[0] == "pull":
                    self._pull()
                for topic, payload in self._agent.outbox():
                    self.client.publish(topic, payload, qos=1)
            if action[0] != "close" and self._up and self._checked != self._agent.generation:
                # What was forbidden ends an idle connection too, and not by the library's next ping.
                self._checked = self._agent.generation
                try:
                    if self._check is not None:
                        self._check()
                except OSError:
                    self._drop()
            if self._agent.state == "connecting" and (
                self._failed or uptime - self._dial_at > _DIAL_S
            ):
                self._failed = False
                self._agent.offline(self._why)
                self._why = 0
            return self._agent.drain()
