"""When the next dial or rescue is due: back-off with jitter, rescue after failed rounds and at a long interval even while pinned.

Time is monotonic milliseconds (`at`), set by the agent before each question; no clock of the day has a say. Whole numbers: a board's
floats have 24 bits, which after two years of uptime tell no seconds apart.
"""

from ..compat import const
from . import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_REPORT_GAP_MAX_MS = const(3600000)
_DAY_MS = const(86400000)
_SOON_LIVES = const(32)

# Seconds, unless named otherwise.
DEFAULTS: "dict[str, float]" = {
    "backoff_min_s": 5,
    "backoff_max_s": 900,
    # Failed rounds over all brokers before the first rescue.
    "rescue_rounds": 2,
    # Even while pinned: a thief of an active key, or an overwritten topic, would otherwise withhold for ever.
    "rescue_every_s": 7 * 86400,
    "carrier_budget_s": 30,
    # A live session subscribes again: a broker sends what it retains (MQTT 3.1.1 section 3.8.4), and has lost subscriptions before.
    "pull_every_s": 6 * 3600,
    # After an ack that named a newer document than the broker gave.
    "behind_s": 60,
    # A report without its ack is sent again, first after so long, then at doubled gaps up to an hour.
    "report_retry_s": 15,
    # Without a pinned session for so long, the fully released document is taken too.
    "wide_after_s": 86400,
}


def _ms(seconds: float) -> int:
    """Return whole milliseconds; exact for whole seconds, whatever a float holds."""
    whole = int(seconds)
    return whole * 1000 + int((seconds - whole) * 1000 + 0.5)


class Schedule:
    """What is due when. `rounds` and `refused` survive a deep sleep in the journal; the rest starts anew at boot."""

    def __init__(self, random: "Callable[[int], bytes]", timing: "dict[str, float]") -> None:
        values = dict(DEFAULTS)
        values.update(timing)
        self._random = random
        self._min_ms = _ms(values["backoff_min_s"])
        self._max_ms = _ms(values["backoff_max_s"])
        self._rescue_rounds = int(values["rescue_rounds"])
        self._every_ms = _ms(values["rescue_every_s"])
        self._behind_ms = _ms(values["behind_s"])
        self._pull_every_ms = _ms(values["pull_every_s"])
        self._wide_after_ms = _ms(values["wide_after_s"])
        self._report_retry_ms = _ms(values["report_retry_s"])
        self.carrier_budget_s = values["carrier_budget_s"]
        self.at = 0
        self._shift = 0
        self.rounds = 0  # failed rounds over all brokers, since the last pinned session
        self.refused = False  # a verdict refused a broker since then
        self.dirty = False
        self._broker = 0  # whose turn it is
        self._tried = 0  # in this round
        self._next_dial: "int | None" = None
        self._queue: "list[str] | None" = None  # carriers still to ask; None outside a rescue
        self._asked_for_round = 0  # the round after which the last rescue ran
        self._rescue_at: "int | None" = None
        self._behind: "tuple[int, int] | None" = None
        self._last_up: "int | None" = None
        self._pull_at = 0
        self._asked_root_at = -self._behind_ms
        self._report_at = 0
        self._report_gap_ms = self._report_retry_ms
        self._writes = 0
        self._write_day = 0

    def advance(self, at_s: float) -> None:
        """Take the time as a caller has it; where that was set back (a time of day, not a monotonic one), go on from here."""
        at = _ms(at_s)
        self._shift = max(self._shift, self.at - at)
        self.at = at + self._shift

    def _jitter(self, span_ms: int) -> int:
        """Return `span_ms`, more or less by up to a quarter."""
        return span_ms * (98304 + int.from_bytes(self._random(2), "big")) // 131072

    def restore(self, rounds: object, refused: object) -> None:
        """Take back what a journal held; anything else is passed over."""
        if isinstance(rounds, int) and 0 <= rounds < 1 << 16:
            # The rescue that was due is due still: the device that wakes has not been asked since.
            self.rounds = rounds
        self.refused = refused is True

    # ---- what is due -------------------------------------------------------------------------------------------------

    def rescue_due(self) -> bool:
        """Return whether a rescue is due by interval, or by an ack that named a newer document."""
        if self._rescue_at is None:
            self._rescue_at = self.at + self._first()
        return self.at >= self._rescue_at

    def _first(self) -> int:
        """Return the milliseconds from boot to the first rescue by interval.

        Anywhere in the interval, and in one life of `_SOON_LIVES` soon: what reboots or sleeps more often than the interval is long
        comes to its rescue as well, without a write for each wake.
        """
        drawn = int.from_bytes(self._random(2), "big")
        if drawn % _SOON_LIVES == _SOON_LIVES - 1:
            return self._jitter(self._behind_ms)
        return self._every_ms * (65536 - drawn) // 65536

    def pull_due(self) -> bool:
        """Return whether the session shall subscribe again, and count that as done."""
        if self.at < self._pull_at:
            return False
        self._pull_at = self.at + self._jitter(self._pull_every_ms)
        return True

    def wide(self) -> bool:
        """Return whether the fully released document is taken too: refused by a verdict, or long without a session."""
        if self._last_up is None:
            self._last_up = self.at
        return self.refused or self.at - self._last_up > self._wide_after_ms

    def next_carrier(self, carriers: "Callable[[], list[str]]") -> "str | None":
        """Return the carrier whose turn it is, None when no rescue is due or the last one is over."""
        if self._queue is None:
            after_failure = (
                self.rounds >= self._rescue_rounds and self.rounds != self._asked_for_round
            )
            if not after_failure and not self.rescue_due():
                return None
            self._queue = carriers()
        if self._queue:
            return self._queue.pop(0)
        self._queue = None
        self._asked_for_round = self.rounds
        self._rescue_at = self.at + self._jitter(self._every_ms)
        return None

    def wait_s(self) -> float:
        """Return the seconds until the next dial, 0 when it is due."""
        return 0.0 if self._next_dial is None else max(0, self._next_dial - self.at) / 1000

    def next_broker(self, brokers: "list[tuple[str, int]]") -> "tuple[str, int]":
        """Return the broker whose turn it is."""
        return brokers[self._broker % len(brokers)]

    # ---- what happened -----------------------------------------------------------------------------------------------

    def up(self) -> None:
        """A pinned session is up."""
        self.dirty = self.dirty or self.rounds != 0 or self.refused
        self.rounds = 0
        self.refused = False
        self._asked_for_round = 0
        self._tried = 0
        self._next_dial = None
        self._last_up = self.at
        self._pull_at = self.at + self._jitter(self._pull_every_ms)
        self.acked()  # what an earlier session sent may be lost with it

    def lost(self, by_itself: bool) -> None:
        """A session ended; where nobody asked for that, dial after a short jittered while, or a broker's restart meets its fleet at once."""
        self._last_up = self.at  # it was up until now, however long ago it began
        if by_itself:
            self._next_dial = self.at + self._jitter(self._min_ms)

    def failed(self, brokers: int, refused: bool) -> None:
        """A dial failed; `refused` when it was a verdict that refused."""
        self._broker += 1
        self._tried += 1
        if refused and not self.refused:
            self.refused = True
            self.dirty = True
        if self._tried < brokers:
            return
        self._tried = 0
        self.rounds += 1
        self.dirty = True
        self._next_dial = self.at + self._jitter(
            min(self._max_ms, self._min_ms << min(self.rounds - 1, 16))
        )

    def asked(self, accepted: bool) -> None:
        """A carrier was asked; a document that was accepted makes the next dial due once all were."""
        if accepted:
            self._next_dial = None

    def restored(self) -> None:
        """An older flash image was put back: a rescue is due soon."""
        self._rescue_at = self.at + self._jitter(self._behind_ms)

    def root_missing(self) -> None:
        """A document waits for a root: the session subscribes again, once in `behind_s` seconds."""
        self._pull_at = min(self._pull_at, max(self.at, self._asked_root_at + self._behind_ms))
        self._asked_root_at = self._pull_at

    def news(self) -> None:
        """A document was accepted."""
        self._behind = None

    def behind(self, number: "tuple[int, int]") -> None:
        """An authentic ack named a newer document: a rescue is due soon, once for each number."""
        if self._behind != number:
            self._behind = number
            self._rescue_at = self.at + self._jitter(self._behind_ms)

    # ---- reports -----------------------------------------------------------------------------------------------------

    def may_report(self) -> bool:
        """Return whether a report may go out: none awaits its ack, or one has waited long enough to be sent again."""
        return self.at >= self._report_at

    def reported(self) -> None:
        """A report went out."""
        self._report_at = self.at + self._jitter(self._report_gap_ms)
        self._report_gap_ms = min(2 * self._report_gap_ms, _REPORT_GAP_MAX_MS)

    def acked(self) -> None:
        """No report awaits its ack any more."""
        self._report_at = self.at
        self._report_gap_ms = self._report_retry_ms

    # ---- the day's flash writes --------------------------------------------------------------------------------------

    def may_write(self) -> bool:
        """Return whether today's budget of journal writes allows one more."""
        if self.at - self._write_day >= _DAY_MS:
            self._write_day = self.at
            self._writes = 0
        return self._writes < limits.REPORT_WRITES_PER_DAY

    def writes(self) -> None:
        """Count a journal write."""
        self._writes += 1
