"""The runner: does what the agent says, and says how it went. One source for both interpreters.

What differs between them comes in by `Port`: how a pinned session is opened, what time it is, how to sleep.
"""

from ..core.errors import PeerError
from . import fetch
from .fetch import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..core.agent import Agent

    class Session(Protocol):
        """A pinned MQTT session that is up; each call raises OSError or a `PeerError` when it is lost."""

        def subscribe(self, topics: "list[str]") -> None: ...
        def tick(self, wait_s: float) -> "list[tuple[str, bytes | None]]": ...
        def publish(self, topic: str, payload: bytes) -> None: ...
        def close(self) -> None: ...

    class Port(Protocol):
        """What an interpreter brings."""

        def open(self, agent: Agent, host: str, port: int) -> Session: ...
        def now(self) -> "tuple[int | None, str]": ...
        def uptime(self) -> float: ...
        def sleep(self, seconds: float) -> None: ...


# Seconds of one wait on the socket; how quickly a stop or a due time is noticed.
_TICK_S = 0.2
# A session that was quiet for so long is settled, and `run_once` ends it: with nothing left to say, and with a report unacknowledged.
_SETTLE_S = 2.0
_ACK_WAIT_S = 10.0


class Runner:
    """Runs one agent. `log` gets each event as a map; `feed` is called in every step (a watchdog's hook)."""

    def __init__(
        self,
        agent: "Agent",
        port: "Port",
        log: "Callable[[dict[str, Any]], None]",
        feed: "Callable[[], None] | None" = None,
    ) -> None:
        self._agent = agent
        self._port = port
        self._log = log
        self._feed = feed
        self._session: "Session | None" = None
        self._quiet_since = 0.0

    def step(self) -> float:
        """Do one thing that is due; return the seconds for which nothing is."""
        agent = self._agent
        now, source = self._port.now()
        action = agent.poll(now, source, self._port.uptime())
        wait = 0.0
        if action[0] == "pinned":
            self._dial(action[1], action[2])
        elif action[0] == "rescue":
            fetch.visit(self._agent, action[1], action[2])
        elif action[0] == "close":
            self._end(0)
        elif action[0] == "wait":
            wait = action[1]
        elif self._session is not None:
            self._tick(self._session, action[0] == "pull")
        self._flush()
        if self._feed is not None:
            self._feed()
        return wait

    def run(self) -> None:
        """Run for ever."""
        while True:
            self._port.sleep(min(self.step(), 1.0))

    def run_once(self, budget_s: float) -> "dict[str, Any]":
        """Run until the device is up to date and its reports are acknowledged, or the budget is spent: for deep sleepers.

        Returns {"online": whether a pinned session was had, "pending": events not yet acknowledged, "wake_s": when to
        wake again, by the agent's back-off}.
        """
        # One small write for a wake (DESIGN section 7), at its end.
        self._agent.saves = False
        start = self._port.uptime()
        online = False
        wait = 0.0
        while self._port.uptime() - start < budget_s:
            wait = self.step()
            if self._session is not None:
                online = True
                quiet = self._port.uptime() - self._quiet_since
                if quiet > (_ACK_WAIT_S if len(self._agent.events) else _SETTLE_S):
                    break
            elif wait > budget_s - (self._port.uptime() - start):
                break  # the next thing is due after this wake
            self._port.sleep(min(wait, 1.0))
        if self._session is not None:
            self._end(0)
        self._agent.saves = True
        self._agent.save()
        self._flush()
        return {"online": online, "pending": len(self._agent.events), "wake_s": wait}

    def close(self) -> None:
        """End the session and save the journal."""
        if self._session is not None:
            self._end(0)
        self._agent.save()
        self._flush()

    def _flush(self) -> None:
        for event in self._agent.drain():
            self._log(event)

    def _dial(self, host: str, port: int) -> None:
        try:
            self._session = self._port.open(self._agent, host, port)
        except (OSError, PeerError) as error:
            refused = getattr(error, "verdict", None)
            if refused is None:
                self._log(
                    {"event": "unreachable", "host": host, "port": port, "error": describe(error)}
                )
            self._agent.offline(0 if refused is None else refused.why)
            return
        self._quiet_since = self._port.uptime()
        self._agent.online(host)

    def _tick(self, session: "Session", pull: bool) -> None:
        try:
            if pull:
                session.subscribe(self._agent.topics())
            for topic, payload in session.tick(_TICK_S):
                self._quiet_since = self._port.uptime()
                if payload is None:
                    self._agent.too_long(topic)
                else:
                    self._agent.receive(topic, payload)
            for topic, data in self._agent.outbox():
                self._quiet_since = self._port.uptime()
                session.publish(topic, data)
        except (OSError, PeerError) as error:
            self._log({"event": "lost", "error": describe(error)})
            self._end(getattr(getattr(error, "verdict", None), "why", 0))

    def _end(self, why: int) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except (OSError, PeerError):
                pass  # it is gone, which is what was wanted
        self._agent.offline(why)
