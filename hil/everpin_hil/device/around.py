"""What there is around a device: endpoints, places that hold documents, a network, a clock, a trust store, a collector.

Device dialect.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Stuck(Exception):
    """The device does something for ever without time going on."""


class Around:
    """The surroundings that a tape describes and its steps change; the device in them is `world.World`'s."""

    def __init__(self, tape: "dict[str, Any]", files: "Callable[[str], bytes]") -> None:
        self._tape = tape
        self._files = files
        self.now: int = tape["start"]
        # Endpoints by "host:port", mirrors by URL.
        self._serves: "dict[str, str]" = {}
        self._places: "dict[str, dict[str, list[str]]]" = {}
        self._silent: "list[str]" = []
        self._denies: "list[str]" = []
        self._network = True
        self._front = ""  # the chain of somebody who stands before every TLS peer
        self._front_mirror = ""  # what every unverified carrier gives then
        self._clock: "int | None" = 0  # ahead of the world's by so much; None: never set
        self._source = tape["source"]
        self._store: "list[tuple[str, list[str]]]" = []
        self._collector: "dict[str, Any] | None" = None

    def skip(self, step: "dict[str, Any]") -> None:
        """Let a step's time go by without the device: what is around it changes, its own power and flash do not."""
        self.now = step["until"]
        for action in step["do"]:
            if action[0] not in ("power", "cut", "reset"):
                getattr(self, "_do_" + action[0])(*action[1:])

    def _do_silent(self, where: str, yes: bool) -> None:
        """A broker accepts sessions and delivers nothing."""
        if yes:
            self._silent.append(where)
        elif where in self._silent:
            self._silent.remove(where)

    def _do_clock(self, ahead: "int | None", source: str) -> None:
        self._clock, self._source = ahead, source

    def _do_store(self, roots: "list[tuple[str, list[str]]]") -> None:
        """The runtime's trust store holds these: [file, the chains that lead to it] each."""
        self._store = roots

    def _do_collector(self, how: "dict[str, Any] | None") -> None:
        """Who answers reports, and with which number and time; None: nobody."""
        self._collector = how

    def _time(self) -> "tuple[int | None, str]":
        return (None, "") if self._clock is None else (self.now + self._clock, self._source)

    def _chain(self, name: str) -> "list[bytes]":
        return [self._files(file) for file in self._tape["chains"][name]]
