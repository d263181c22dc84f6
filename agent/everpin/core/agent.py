"""The agent: embeddable and sans-I/O. It says what to do next; whoever runs it does it and says how it went.

An application that has its own MQTT connection needs five calls: `topics`, `receive`, `outbox`, `verdict` and `completed`
(the TLS ports make the last two). everpin's own runner is one more caller, through `poll`.
"""

from . import (
    accept,
    cose,
    errors,
    journal,
    limits,
    log,
    peers,
    report,
    reporter,
    sealing,
    state,
    topics,
    verdict,
)
from .errors import FlashError, MisuseError, PeerError
from .schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .factory import Secrets
    from .host import Anchor
    from .store import Store
    from .verdict import Verdict


class Agent:
    """One device's agent over its store. `random(n)` gives n unpredictable bytes; `timing` overrides `schedule.DEFAULTS`.

    RAM: the parsed documents and base, the bounded event list and log; no document bytes are kept.
    """

    def __init__(
        self,
        store: "Store",
        random: "Callable[[int], bytes]",
        timing: "dict[str, float] | None" = None,
        device_key: "bytes | None" = None,
    ) -> None:
        self._store = store
        self.trust = store.load()
        self.device = store.device
        self.generation = 1
        self.state = state.IDLE
        self._schedule = Schedule(random, timing or {})
        self._log = log.Log()
        self._now: "int | None" = None
        self._source = ""
        self._uptime: "int | None" = None
        self._host = ""  # of the live session
        self._reconnect = False
        self._wide = False
        self._walked = 0  # roots taken on this connection
        self._pull = False
        # The device key, and what is sealed under it, may be lost or another board's; trust is not (DESIGN section 8).
        self.secrets: "Secrets | None" = None
        key = None
        if device_key is not None:
            key = sealing.report_key(device_key, store.fleet, store.device)
            self.secrets = sealing.open_secrets(
                device_key, store.fleet, store.device, store.sealed_secrets()
            )
            if self.secrets is None:
                self._say("secrets-sealed")
        self.reporter = reporter.Reporter(random, store.fleet, store.device, key)
        self.events = self.reporter.events
        self._peers = peers.Peers(store.factory().managed, self.events)
        journal.restore(store, self.events, self._schedule)
        if store.restored:
            # An older flash image was put back: what it has missed is fetched from whoever has it, soon.
            self._schedule.restored()
            self._say("flash-restored")
        if store.counter_failed:
            self._say("counter-error")
        self._heal()
        self.saves = True
        self._say("start", device=self.device, root=self.trust.root.version, number=self.number)

    # ---- facts -------------------------------------------------------------------------------------------------------

    @property
    def number(self) -> "tuple[int, int]":
        """Return (R, S) of the pins in force."""
        return self.trust.pins.number

    def trust_digest(self) -> bytes:
        """Return SHA-256 of the commit body: equal digests are the same trust state, byte for byte."""
        return self.trust.digest()

    def drain(self) -> "list[dict[str, Any]]":
        """Return and forget what happened since the last call, as maps with "event"."""
        return self._log.drain()

    def _say(self, event: str, **fields: "Any") -> None:
        fields["event"] = event
        fields["trust_digest"] = self.trust_digest().hex()
        self._log.say(fields)

    def _note(self, kind: int, where: str = "", code: int = 0, pin: "bytes | None" = None) -> None:
        self.events.note(kind, where, code, self.number, pin, self._now)

    # ---- what TLS ports ask (docs/architecture.md, Policy) -----------------------------------------------------------

    def verdict(
        self,
        host: str,
        chain: "list[bytes]",
        platform: "list[bytes] | None" = None,
        store: "Callable[[], list[Anchor]] | None" = None,
    ) -> "Verdict":
        """Return the verdict on a served chain; a refusal is noted for the next report. `verdict.Evidence` says what the rest is."""
        found = self._peers.decide(self.trust, host, chain, self.clock(), platform, store)
        found.generation = self.generation
        if not found.accepted:
            self._peers.note(self.trust, found, self._now)
            self._say("refused", host=found.host, error=found.name, code=found.why)
        return found

    def platform(self, host: str) -> bool:
        """Return whether the next connection to a host needs the runtime's own certificate check, with `anchors` beside its store."""
        return self._peers.platform(self.trust, host)

    def anchors(self) -> "list[Anchor]":
        """Return the trust anchors of the device, subject and SPKI each."""
        return self._peers.anchors(self.trust)

    def completed(self, found: "Verdict") -> None:
        """Take note of a completed handshake: an enforced match on a pin of the newest entry confirms the host, nothing else does."""
        if not found.accepted:
            raise MisuseError
        if found.generation != self.generation:
            return  # the policy changed during the handshake; the port asks again before the first byte
        if found.mode != verdict.ENFORCED:
            new = self._peers.note(self.trust, found, self._now)
            self._say(found.mode, host=found.host, number=self.number)
            if new:
                self.save()  # told though the power goes before the next session
            return
        if found.by != verdict.NEWEST:
            self._note(report.OVERLAP, found.entry, 0, found.pin)
            self._say("overlap", host=found.entry, number=self.number)
            return
        if self.trust.confirmed(found.entry):
            return
        trust = self.trust.confirm(found.entry, found.host)
        if self._commit(trust, None):
            self._note(report.CONFIRMED, found.entry, 0, found.pin)
            self._say("confirmed", host=found.entry, number=self.number)

    def clock(self) -> "int | None":
        """Return the time when its source is one that signed policy trusts with dates (DESIGN section 6)."""
        return self._now if self._source in self.trust.pins.sources else None

    # ---- documents ---------------------------------------------------------------------------------------------------

    def topics(self, rescue: bool = False) -> "list[str]":
        """Return the exact topics to subscribe to, or to ask a mirror for; in rescue none that names the device."""
        return topics.wanted(self.trust, self.device, self._wide, rescue)

    def receive(self, topic: str, payload: bytes, via: str = "") -> str:
        """Take one message from the pinned session, or from the rescue carrier `via`; return what became of it.

        "accepted" (pins), "root" (a root: subscribe to `topics()` again), "known", "acked", "ignored", or the name of the error.
        Bad bytes never raise and change nothing.
        """
        if not payload:
            return "ignored"  # DESIGN section 4, step 0: no information
        if topic == topics.ack(self.trust.fleet, self.device):
            return self._ack(payload)
        kind = topics.kind(topic, self.trust.fleet, self.trust.channel, self.device)
        if kind is None:
            return "ignored"
        try:
            trust, became = accept.document(
                self.trust, payload, self._now, self._source, via != "", kind
            )
        except PeerError as error:
            return self._refused(error.code, topic, via)
        if became == accept.ROOT_ACCEPTED:
            return self._took_root(trust, payload, via)
        if kind == cose.PINS and via in trust.pins.carriers and trust.earlier_carriers:
            trust = trust.delivered()
        if became == accept.KNOWN:
            if trust is not self.trust:
                self._commit(trust, None)
            return "known"
        if not self._commit(trust, payload):
            return errors.name_of(errors.FLASH)
        self._note(report.ACCEPTED)
        self._say("accepted", number=self.number, via=via or "pinned")
        # A live session is no proof of the new entry; a new handshake is.
        online = self.trust.pins.host(self._host) if self._host else None
        self._reconnect = online is not None and not self.trust.confirmed(online.name)
        self._schedule.news()
        return "accepted"

    def _took_root(self, trust: "Any", payload: bytes, via: str) -> str:
        if self._walked >= limits.ROOT_WALK_MAX:
            return "ignored"  # the next connection goes on
        if not self._commit(trust, payload):
            return errors.name_of(errors.FLASH)
        self._walked += 1
        # The next root has another topic, and pins that waited for this one come again.
        self._pull = True
        self.events.note(report.ROOT, "", 0, (self.trust.root.version, 0), None, self._now)
        self._say("root", version=self.trust.root.version, via=via or "pinned")
        return "root"

    def _refused(self, code: int, topic: str, via: str) -> str:
        if code == errors.ROOT_MISSING:
            # No attack, and no news for a report: the root it requires comes first, and it is asked for again.
            self._schedule.root_missing()
        else:
            self._note(report.REFUSED, "", code)
        name = errors.name_of(code)
        self._say("document-refused", error=name, code=code, topic=topic, via=via)
        return name

    def reset(self) -> bool:
        """Put the factory's documents in force again, in one commit; return whether that was done.

        Numbers, digests and the forbidden set stay (DESIGN section 3): the newest documents come back by their digest.
        """
        if not self._commit(self.trust.reset(self._store.first()), None):
            return False
        # Other roots are waited for now, and a live session rests on what is in force no more.
        self._pull = True
        self._reconnect = self.state == state.ONLINE
        self._say("reset", number=self.number)
        return True

    def too_long(self, topic: str, via: str = "") -> None:
        """Take note that a carrier announced more than a document can be; nothing of it was read."""
        self._refused(errors.TOO_LONG, topic, via)

    def _commit(self, trust: "Any", document: "bytes | None") -> bool:
        try:
            self._store.commit(trust, document)
        except (FlashError, OSError, MemoryError) as error:
            self._flash_failed(error)
            # Which of the two states the flash holds is for the flash to say.
            self.trust = self._store.load()
            self._heal()
            self.generation += 1
            return bool(self.trust_digest() == trust.digest())
        if self._store.counter_failed:
            self._say("counter-error")
        self.trust = trust
        self.generation += 1  # behind it: who sees this, in a thread of its own, asks the new one
        return True

    def _heal(self) -> None:
        try:
            self._store.heal()
        except (FlashError, OSError, MemoryError) as error:
            self._flash_failed(error)

    def _flash_failed(self, error: Exception) -> None:
        self._say("flash-error", error=getattr(error, "name", "os-error"))

    # ---- reports -----------------------------------------------------------------------------------------------------

    def outbox(self) -> "list[tuple[str, bytes]]":
        """Return the messages to publish on the pinned session, QoS 1, not retained: at most one report awaits its ack."""
        if not self.reporter.waiting() or not self._schedule.may_report():
            return []
        message = self.reporter.make(self.trust, self._peers.expired, self._uptime)
        self._schedule.reported()
        self._say("report-sent", counter=self.reporter.counter, events=len(self.events))
        return [message]

    def _ack(self, payload: bytes) -> str:
        try:
            number = self.reporter.take_ack(payload)
        except PeerError as error:
            self._say("ack-refused", error=error.name, code=error.code)
            return error.name
        if number is None:
            return "ignored"
        self._schedule.acked()
        self._say("acked", number=number)
        if number > self.trust.marks.number:
            # The bucket has a newer document than this broker gave us: look elsewhere, soon.
            self._schedule.behind(number)
        return "acked"

    # ---- life --------------------------------------------------------------------------------------------------------

    def tell(self, now: "int | None", source: str = "") -> None:
        """Say what time it is, for who asks for verdicts and never polls; `poll` does it by itself."""
        # DESIGN section 6: below the floor a clock is wrong, most often one that was never set.
        known = now is not None and now >= self.trust.marks.floor
        self._now = now if known else None
        self._source = source if known else ""
        new = self._peers.aged(self.trust, self.clock())
        if new is not None:
            self.generation += 1  # live sessions are judged again
            for name in new:
                self._note(report.EXPIRED, name)
                self._say("expired", host=name)

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
        self.tell(now, source)
        plan = self._schedule
        self._uptime = None if uptime is None else int(uptime)
        plan.advance(uptime if uptime is not None else now or 0)
        if self.state == state.ONLINE:
            if self._reconnect or plan.rescue_due():
                self._turn(state.CLOSE)
                return ("close",)
            if plan.pull_due() or self._pull:
                self._pull = False
                return ("pull",)
            return ("stay",)
        if self.state != state.IDLE:
            return ("close",) if self.state == state.CLOSING else ("stay",)
        self._wide = plan.wide()
        carrier = plan.next_carrier(self._carriers)
        if carrier is not None:
            self._turn(state.ASK)
            self._walked = 0
            self._say("rescue", carrier=carrier)
            return ("rescue", carrier, plan.carrier_budget_s)
        wait = plan.wait_s()
        if wait > 0:
            return ("wait", wait)
        self._peers.dialled = plan.next_broker(self.trust.brokers())
        self._turn(state.DIAL)
        return ("pinned",) + self._peers.dialled

    def _turn(self, event: str) -> None:
        self.state = state.after(self.state, event)

    def _carriers(self) -> "list[str]":
        return self.trust.carriers(self._store.first().pins.carriers)

    def online(self, host: str) -> None:
        """Say that a pinned session with `host` is up: TLS with its verdict, and MQTT connected."""
        self._turn(state.UP)
        self._host = host
        self._reconnect = False
        self._pull = False
        self._walked = 0
        self.reporter.lost()
        self._schedule.up()
        self._say("connected", host=host, number=self.number)
        self.save()  # failed rounds are over: a device that loses its power now must not wake in rescue

    def offline(self, why: int = 0) -> None:
        """Say that a connection was refused (`why`, a verdict's code), failed, or ended."""
        was = self.state
        self._turn(state.DOWN)
        self._host = ""
        self._reconnect = False
        if was == state.CONNECTING:
            self._schedule.failed(len(self.trust.brokers()), 30 <= why < 50)
        elif was != state.IDLE:
            self._schedule.lost(was == state.ONLINE)
        self.save()

    def rescued(self, carrier: str, result: str) -> None:
        """Say how asking a carrier ended: "accepted", "nothing", or an error's name."""
        self._turn(state.DONE)
        self._schedule.asked(result == "accepted")
        self._note(report.RESCUE)
        self._say("rescue-end", carrier=carrier, result=result)
        self.save()

    def save(self) -> None:
        """Write reports and back-off to flash when they changed, the day's budget allows it and `saves`; losing them loses no trust."""
        if not self.saves:
            return
        try:
            journal.save(self._store, self.events, self._schedule)
        except (FlashError, OSError, MemoryError) as error:
            self._flash_failed(error)
