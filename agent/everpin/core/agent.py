"""The agent: embeddable and sans-I/O. It says what to do next; whoever runs it does it and says how it went.

An application that has its own MQTT connection needs five calls: `topics`, `receive`, `outbox`, `verdict` and `completed`
(the TLS ports make the last two). everpin's own runner is one more caller, through `poll`.
"""

from hashlib import sha256

from . import accept, cbor, errors, report, state, topics, verdict
from .errors import FlashError, MisuseError, PeerError
from .schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .store import Store
    from .verdict import Verdict

# Journal keys.
_EVENTS = 1
_ROUNDS = 2
_REFUSED = 3

# Log entries that wait for the runner; the oldest go.
_LOG_MAX = 64


class Agent:
    """One device's agent over its store. `random(n)` gives n unpredictable bytes; `timing` overrides `schedule.DEFAULTS`.

    RAM: the parsed documents and base, the bounded event list and log; no document bytes are kept.
    """

    def __init__(
        self,
        store: "Store",
        random: "Callable[[int], bytes]",
        timing: "dict[str, float] | None" = None,
    ) -> None:
        self._store = store
        self._random = random
        self.trust = store.load()
        # The key that reports rest on may be lost; trust is not (DESIGN section 8).
        self.secrets = store.secrets()
        self.device = store.factory.device
        self.generation = 1
        self.state = state.IDLE
        self.events = report.Events()
        self._schedule = Schedule(random, timing or {})
        self._log: "list[dict[str, Any]]" = []
        self._now: "int | None" = None
        self._source = ""
        self._host = ""  # of the live session
        self._reconnect = False
        self._wide = False
        self._epoch = random(8)
        self._counter = 0
        self._sent: "tuple[bytes, list[dict[int, Any]]] | None" = None
        self._fresh = False
        self._restore_journal()
        try:
            store.heal()
        except (FlashError, OSError) as error:
            self._flash_failed(error)
        self._say("start", device=self.device, root=self.trust.root.version, number=self.number)

    # ---- facts -------------------------------------------------------------------------------------------------------

    @property
    def number(self) -> "tuple[int, int]":
        """Return (R, S) of the pins in force."""
        return self.trust.pins.number

    def trust_digest(self) -> bytes:
        """Return SHA-256 of the commit body: equal digests are the same trust state, byte for byte."""
        return sha256(self.trust.marks.encode()).digest()

    def drain(self) -> "list[dict[str, Any]]":
        """Return and forget what happened since the last call, as maps with "event"."""
        found, self._log = self._log, []
        return found

    def _say(self, event: str, **fields: "Any") -> None:
        fields["event"] = event
        fields["trust_digest"] = self.trust_digest().hex()
        self._log.append(fields)
        if len(self._log) > _LOG_MAX:
            self._log.pop(0)

    # ---- what TLS ports ask (docs/architecture.md, Policy) -----------------------------------------------------------

    def verdict(self, host: str, chain: "list[bytes]") -> "Verdict":
        """Return the verdict on a served chain; a refusal is noted for the next report."""
        found = verdict.decide(self.trust, host, chain)
        found.generation = self.generation
        if not found.accepted:
            self.events.note(
                report.PIN_FAILURE, found.host, found.why, self.number, found.pin, self._now
            )
            self._say("refused", host=found.host, error=found.name, code=found.why)
        return found

    def completed(self, found: "Verdict") -> None:
        """Take note of a completed handshake: an enforced match on a pin of the newest entry confirms the host."""
        if not found.accepted:
            raise MisuseError
        if found.generation != self.generation:
            return  # the policy changed during the handshake; the port asks again before the first byte
        if found.by != verdict.NEWEST:
            self.events.note(report.OVERLAP, found.entry, 0, self.number, found.pin, self._now)
            self._say("overlap", host=found.entry, number=self.number)
            return
        if self.trust.confirmed(found.entry):
            return
        trust = self.trust.confirm(found.entry)
        if self._commit(trust, None):
            self.events.note(report.CONFIRMED, found.entry, 0, self.number, found.pin, self._now)
            self._say("confirmed", host=found.entry, number=self.number)

    # ---- documents ---------------------------------------------------------------------------------------------------

    def topics(self, rescue: bool = False) -> "list[str]":
        """Return the exact topics to subscribe to, or to ask a mirror for; in rescue none that names the device."""
        fleet = self.trust.fleet
        channel = self.trust.channel
        found = topics.next_roots(fleet, self.trust.root.version)
        # A bucket holds one device in 64: no identity.
        found.append(topics.pins(fleet, channel, topics.bucket(fleet, self.device)))
        if self._wide:
            found.append(topics.pins(fleet, channel))
        if not rescue:
            found.append(topics.ack(fleet, self.device))
        return found

    def receive(self, topic: str, payload: bytes, via: str = "") -> str:
        """Take one message from the pinned session, or from the rescue carrier `via`; return what became of it.

        "accepted", "known", "acked", "ignored", or the name of the error. Bad bytes never raise and change nothing.
        """
        if not payload:
            return "ignored"  # DESIGN section 4, step 0: no information
        fleet = self.trust.fleet
        channel = self.trust.channel
        if topic == topics.ack(fleet, self.device):
            return self._ack(payload)
        own = topics.pins(fleet, channel, topics.bucket(fleet, self.device))
        if topic != own and topic != topics.pins(fleet, channel):
            return "ignored"
        try:
            trust = accept.pins_document(self.trust, payload, self._now, self._source, via != "")
        except PeerError as error:
            self.events.note(report.REFUSED, "", error.code, self.number, None, self._now)
            self._say("document-refused", error=error.name, code=error.code, topic=topic, via=via)
            return error.name
        if trust is None:
            return "known"
        if via in trust.pins.carriers:
            trust = trust.delivered()
        if not self._commit(trust, payload):
            return errors.name_of(errors.FLASH)
        self.events.note(report.ACCEPTED, "", 0, self.number, None, self._now)
        self._say("accepted", number=self.number, via=via or "pinned")
        # A live session is no proof of the new entry; a new handshake is.
        online = self.trust.pins.host(self._host) if self._host else None
        self._reconnect = online is not None and not self.trust.confirmed(online.name)
        self._schedule.news()
        return "accepted"

    def too_long(self, topic: str, via: str = "") -> None:
        """Take note that a carrier announced more than a document can be; nothing of it was read."""
        code = 3
        self.events.note(report.REFUSED, "", code, self.number, None, self._now)
        self._say("document-refused", error=errors.name_of(code), code=code, topic=topic, via=via)

    def _commit(self, trust: "Any", document: "bytes | None") -> bool:
        try:
            self._store.commit(trust, document)
        except (FlashError, OSError) as error:
            self._flash_failed(error)
            # Which of the two states the flash holds is for the flash to say.
            self.trust = self._store.load()
            self.generation += 1
            return False
        self.trust = trust
        self.generation += 1
        return True

    def _flash_failed(self, error: Exception) -> None:
        self._say("flash-error", error=getattr(error, "name", "os-error"))

    # ---- reports -----------------------------------------------------------------------------------------------------

    def outbox(self) -> "list[tuple[str, bytes]]":
        """Return the messages to publish on the pinned session, QoS 1, not retained: at most one report awaits its ack."""
        if self.secrets is None or not len(self.events) or not self._schedule.may_report():
            return []
        events = self.events.copy()
        nonce = self._random(16)
        self._counter += 1
        self._sent = (nonce, events)
        data = report.make(
            self.secrets.report_key,
            self.trust.fleet,
            self.device,
            self._epoch,
            self._counter,
            self.number,
            self.trust.root.version,
            events,
            nonce,
            self._fresh,
        )
        self._schedule.reported()
        self._say("report-sent", counter=self._counter, events=len(events))
        return [(topics.report(self.trust.fleet, self.device), data)]

    def _ack(self, payload: bytes) -> str:
        if self.secrets is None or self._sent is None:
            return "ignored"
        nonce, events = self._sent
        try:
            number = report.open_ack(
                self.secrets.report_key, self.trust.fleet, self.device, payload, nonce
            )
        except PeerError as error:
            self._say("ack-refused", error=error.name, code=error.code)
            return error.name
        self._sent = None
        self._schedule.acked()
        self._fresh = True
        self.events.forget(events)
        self._say("acked", number=number)
        if number > self.trust.marks.number:
            # The bucket has a newer document than this broker gave us: look elsewhere, soon.
            self._schedule.behind(number)
        return "acked"

    # ---- life --------------------------------------------------------------------------------------------------------

    def poll(
        self, now: "int | None" = None, source: str = "", uptime: "float | None" = None
    ) -> "tuple[Any, ...]":
        """Return what to do next. `now`: Unix seconds by `source`, None without a clock; `uptime`: monotonic seconds.

        ("pinned", host, port)     make a pinned connection, then call `online` or `offline`
        ("stay",)                  go on with what is under way
        ("pull",)                  subscribe to `topics()` on the live session, again
        ("close",)                 end the live session, then call `offline`
        ("rescue", carrier, s)     ask a carrier for `topics(rescue=True)` within s seconds, then call `rescued`
        ("wait", s)                nothing is due for s seconds
        """
        # DESIGN section 6: below the floor a clock is wrong, most often one that was never set.
        known = now is not None and now >= self.trust.marks.floor
        self._now = now if known else None
        self._source = source if known else ""
        at = uptime if uptime is not None else float(now or 0)
        plan = self._schedule
        plan.at = at
        if self.state == state.ONLINE:
            if self._reconnect or plan.rescue_due():
                self._turn(state.CLOSE)
                return ("close",)
            return ("pull",) if plan.pull_due() else ("stay",)
        if self.state != state.IDLE:
            return ("close",) if self.state == state.CLOSING else ("stay",)
        self._wide = plan.wide()
        carrier = plan.next_carrier(self._carriers)
        if carrier is not None:
            self._turn(state.ASK)
            self._say("rescue", carrier=carrier)
            return ("rescue", carrier, plan.carrier_budget_s)
        wait = plan.wait_s()
        if wait > 0:
            return ("wait", wait)
        host, port = plan.next_broker(self._brokers())
        self._turn(state.DIAL)
        return ("pinned", host, port)

    def _turn(self, event: str) -> None:
        self.state = state.after(self.state, event)

    def _brokers(self) -> "list[tuple[str, int]]":
        found = list(self.trust.pins.brokers)
        for broker in self.trust.earlier_brokers:
            if broker not in found:
                found.append(broker)
        return found

    def _carriers(self) -> "list[str]":
        # In force, earlier ones and the factory's together (DESIGN section 7, Rescue).
        found = list(self.trust.pins.carriers)
        try:
            factory = accept.stored_pins(self._store.factory.pins).carriers
        except PeerError:
            factory = []
        for url in self.trust.earlier_carriers + factory:
            if url not in found:
                found.append(url)
        return found

    def online(self, host: str) -> None:
        """Say that a pinned session with `host` is up: TLS with its verdict, and MQTT connected."""
        self._turn(state.UP)
        self._host = host
        self._reconnect = False
        self._sent = None  # what an earlier session sent may be lost with it
        self._schedule.up()
        self._say("connected", host=host, number=self.number)

    def offline(self, why: int = 0) -> None:
        """Say that a connection was refused (`why`, a verdict's code), failed, or ended."""
        was = self.state
        self._turn(state.DOWN)
        self._host = ""
        self._reconnect = False
        if was == state.CONNECTING:
            self._schedule.failed(len(self._brokers()), 30 <= why < 50)
        elif was == state.ONLINE:
            self._schedule.lost()
        self.save()

    def rescued(self, carrier: str, result: str) -> None:
        """Say how asking a carrier ended: "accepted", "nothing", or an error's name."""
        self._turn(state.DONE)
        self._schedule.asked(result == "accepted")
        self.events.note(report.RESCUE, "", 0, self.number, None, self._now)
        self._say("rescue-end", carrier=carrier, result=result)
        self.save()

    # ---- the journal -------------------------------------------------------------------------------------------------

    def _restore_journal(self) -> None:
        try:
            data = self._store.load_journal()
            fields = cbor.loads(data) if data else {}
        except PeerError:
            fields = {}
        if isinstance(fields, dict):
            self.events.restore(fields.get(_EVENTS))
            self._schedule.restore(fields.get(_ROUNDS), fields.get(_REFUSED))

    def save(self) -> None:
        """Write reports and back-off to flash when they changed and the day's budget allows; losing them loses no trust."""
        plan = self._schedule
        if not (self.events.dirty or plan.dirty) or not plan.may_write():
            return
        body = cbor.dumps(
            {_EVENTS: self.events.copy(), _ROUNDS: plan.rounds, _REFUSED: plan.refused}
        )
        try:
            self._store.save_journal(body)
        except (FlashError, OSError) as error:
            self._flash_failed(error)
            return
        plan.wrote()
        self.events.dirty = False
