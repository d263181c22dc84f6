"""A device in a world of simulated time: brokers, carriers, a collector, a network and a clock, all driven by a tape.

The device is the agent with its store on flash under a power fuse; the rest is played. Nothing is judged here: what happens is told as
facts, and the host judges them (everpin_hil/judge.py). Device dialect: the same file runs on CPython, MicroPython and a board.
"""

from binascii import unhexlify

from everpin.core import eat, report, sealing, topics, verdict
from everpin.core.agent import Agent
from everpin.core.errors import PeerError
from everpin.core.store import Store, provision

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from everpin_hil.device.around import Around, Stuck
    from everpin_hil.device.fused import FusedFlash
    from everpin_hil.device.seeded import Random, Signatures
    from everpin_sim.device.cutflash import CutFlash, PowerCut

    Fused = CutFlash | FusedFlash
    Tell = Callable[[dict[str, Any]], None]
else:
    from around import Around, Stuck
    from cutflash import PowerCut
    from seeded import Random, Signatures

# Seconds that a visit to a carrier takes.
_VISIT_S = 5
# More steps than this at one instant are a loop.
_SPINS = 400
# Events of the agent that are told as they are.
_TOLD = (
    "root",
    "confirmed",
    "overlap",
    "expired",
    "reset",
    "flash-restored",
    "flash-error",
    verdict.REPORT_ONLY,
    verdict.TRUST_STORE,
    verdict.MANAGED,
    verdict.UNLISTED,
)


class World(Around):
    """One device and all that is around it. `tell` gets each fact; `files` reads a file of the tape; `flash` is the erased medium."""

    def __init__(
        self,
        tape: "dict[str, Any]",
        files: "Callable[[str], bytes]",
        tell: "Tell",
        flash: "Fused",
    ) -> None:
        Around.__init__(self, tape, files)
        self._say = tell
        self._names = {file: name for name, file in tape["documents"].items()}
        self._look_s: int = tape["look_s"]  # between two looks at a live session
        self._reboots_s: int = tape["reboots_s"]  # 0: it runs on
        Signatures().use()
        self.flash = flash
        self._key = unhexlify(tape["device_key"])
        if not tape.get("held"):
            provision(self.flash, files(tape["factory"]), b"")
        self._power = True
        self._last: "dict[str, Any]" = {}
        self._session: "tuple[str, str, int] | None" = None
        self._boots = 0
        self.agent: "Agent" = self._boot()

    # ---- telling -----------------------------------------------------------------------------------------------------

    def _fact(self, what: str, **fields: "Any") -> None:
        fields["t"] = self.now
        fields["f"] = what
        self._say(fields)

    def _once(self, what: str, key: "Any", **fields: "Any") -> None:
        """Tell a fact unless it is what was told last of its kind: a device that is cut off says the same for months."""
        if self._last.get(what) != key:
            self._last[what] = key
            self._fact(what, **fields)

    # ---- power -------------------------------------------------------------------------------------------------------

    def _boot(self) -> "Agent":
        for _ in range(20):
            self.flash.restart()
            self._session = None
            self._boots += 1
            self._booted = self.now
            random = Random(self._tape["seed"], self._boots)
            try:
                agent = Agent(Store(self.flash), random, self._tape["timing"], self._key)
                self._fact("boot", number=list(agent.number), root=agent.trust.root.version)
                return agent
            except PowerCut:
                self._fact("cut")
        raise Stuck("it never comes up")

    def _cut(self) -> None:
        self._fact("cut")
        if self._session is not None:
            self._fact("offline", why="power")
        self.agent = self._boot()

    # ---- what the tape does ------------------------------------------------------------------------------------------

    def act(self, step: "dict[str, Any]") -> None:
        """Do one step: time goes on to it, its actions, time goes on until its end, then its questions."""
        self.run(step["at"])
        self._fact("step", n=step["n"], say=step["say"])
        self._last = {}
        for action in step["do"]:
            try:
                getattr(self, "_do_" + action[0])(*action[1:])
            except PowerCut:
                self._cut()
        self.run(step["until"])
        for where, chain in step["ask"]:
            self._ask(where, chain)
        self._state(step["n"])

    def _do_serve(self, where: str, chain: str) -> None:
        """An endpoint serves a chain from now on, "" for none: its sessions end."""
        self._serves[where] = chain
        if self._session is not None and self._session[0] == where:
            self._lose("restarted")

    def _do_network(self, on: bool) -> None:
        self._network = on
        if not on and self._session is not None:
            self._lose("network")

    def _do_front(self, chain: str, mirror: str) -> None:
        """Somebody stands before every peer: TLS with that chain, unverified carriers with what `mirror` holds. "": he leaves."""
        self._front, self._front_mirror = chain, mirror
        if self._session is not None:
            self._lose("network")

    def _do_retain(self, where: str, documents: "list[list[str]]", only: bool) -> None:
        """A place holds documents, [topic, file] each, and pushes them; `only`: nothing else any more."""
        place = self._places.setdefault(where, {})
        if only:
            place.clear()
        for topic, file in documents:
            place[topic] = [file]
        # All of it lies there before the first is pushed: the device may lose its power at any.
        for topic, file in documents:
            online = self._session is not None and self._session[0] == where
            if online and where not in self._silent and topic in self.agent.topics():
                self._give(topic, file, "")

    def _do_send(self, where: str, topic: str, files: "list[str]") -> None:
        """A broker sends messages one after another, retained or not."""
        if self._session is not None and self._session[0] == where:
            for file in files:
                self._give(topic, file, "")

    def _do_deny(self, places: "list[str]") -> None:
        """These brokers refuse the device, whose identity they do not accept."""
        self._denies = places
        if self._session is not None and self._session[0] in places:
            self._lose("denied")

    def _do_power(self, on: bool) -> None:
        if self._session is not None:
            self._fact("offline", why="power")
            self._session = None
        # Whatever was not synced is gone.
        self.flash.lose()
        self._power = on
        if on:
            self.agent = self._boot()
        else:
            self._fact("off")

    def _do_cut(self, ops: int, kind: str) -> None:
        """The power goes in the flash operation after `ops` more of them."""
        self.flash.cut = (self.flash.steps + ops, kind)

    def _do_reset(self) -> None:
        self.agent.reset()
        self._drain()

    # ---- time --------------------------------------------------------------------------------------------------------

    def run(self, until: int) -> None:
        """Let the device live until then."""
        spins = 0
        while self.now < until:
            if not self._power:
                self.now = until
                return
            if self._reboots_s and self.now - self._booted >= self._reboots_s:
                self._do_power(True)
            try:
                wait = self._step()
            except PowerCut:
                self._cut()
                wait = 1
            spins = 0 if wait else spins + 1
            if spins > _SPINS:
                raise Stuck("it goes round without time going on")
            self.now = min(until, self.now + wait)

    def _step(self) -> int:
        """Do what the agent says; return the seconds until it is asked again."""
        now, source = self._time()
        action = self.agent.poll(now, source, self.now - self._booted)
        wait = 0
        if action[0] == "pinned":
            self._dial(action[1], action[2])
        elif action[0] == "rescue":
            wait = self._visit(action[1])
        elif action[0] == "close":
            self._lose("asked")
        elif action[0] == "wait":
            wait = int(action[1]) + 1
        elif self._session is not None:
            wait = self._look(action[0] == "pull")
        else:
            wait = 1
        self._drain()
        return wait

    def _lose(self, why: str, code: int = 0) -> None:
        self._session = None
        if why != "asked":
            self._fact("offline", why=why)
        self.agent.offline(code)

    def _judge(self, host: str, chain: str) -> "Any":
        """Return the verdict, as a TLS port asks for it."""
        now, source = self._time()
        self.agent.tell(now, source)
        platform: "list[bytes] | None" = None
        if self.agent.platform(host):
            # What the runtime's own check finds in its store; the signed anchors, which it has beside them, are the agent's to look at.
            platform = []
            for root, chains in self._store:
                if chain in chains:
                    platform = self._chain(chain) + [self._files(root)]
        return self.agent.verdict(host, self._chain(chain), platform)

    def _dial(self, host: str, port: int) -> None:
        where = "%s:%d" % (host, port)
        chain = self._serves.get(where, "")
        if self._front and chain:
            chain = self._front
        if not self._network or not chain:
            self._once("unreachable", where, where=where)
            self.agent.offline()
            return
        found = self._judge(host, chain)
        if not found.accepted:
            self._once(
                "refused", (where, chain, found.why), where=where, chain=chain, why=found.name
            )
            self.agent.offline(found.why)
            return
        self.agent.completed(found)
        if where in self._denies and not self._front:
            self._once("denied", where, where=where)
            self.agent.offline()
            return
        self.agent.online(host)
        self._session = (where, chain, self.agent.generation)
        for what in ("refused", "unreachable", "denied"):
            self._last.pop(what, None)
        self._fact(
            "online", where=where, chain=chain, by=found.by, mode=found.mode, usage=found.usage
        )
        if not self._front:
            self._deliver(where)

    def _deliver(self, where: str) -> None:
        """Give what a broker retains for the topics that are subscribed to."""
        if where in self._silent:
            return
        place = self._places.get(where, {})
        for topic in self.agent.topics():
            for file in place.get(topic, ()):
                self._give(topic, file, "")

    def _give(self, topic: str, file: str, via: str) -> str:
        became = self.agent.receive(topic, self._files(file), via)
        name = self._names.get(file, file)
        self._once("document " + name + via, became, name=name, became=became, via=via or "pinned")
        self._drain()
        return became

    def _look(self, pull: bool) -> int:
        """A live session: judge it again where the policy changed, take and send what there is."""
        if self._session is None:
            return 1
        where, chain, generation = self._session
        if generation != self.agent.generation:
            found = self._judge(where.rsplit(":", 1)[0], chain)
            if not found.accepted:
                self._fact("refused", where=where, chain=chain, why=found.name)
                self._lose("verdict", found.why)
                return 0
            self._session = (where, chain, self.agent.generation)
        if pull and not self._front:
            self._deliver(where)
            return 1
        if self._session is not None:
            for _, data in self.agent.outbox():
                self._collect(data)
        return self._look_s

    def _collect(self, data: bytes) -> None:
        fleet, device = self.agent.trust.fleet, self.agent.device
        key = sealing.report_key(self._key, fleet, device)
        try:
            said = report.open_report(key, fleet, device, data)
        except PeerError as error:
            self._fact("bad-report", why=error.name)
            return
        self._fact("report", events=[report.KINDS[event[1]] for event in said[6]])
        how = self._collector
        if how is not None:
            number = how["number"] or list(self.agent.number)
            when = how["time"] or self.now
            ack = report.make_ack(key, fleet, device, said[eat.NONCE], tuple(number), when)
            self.agent.receive(topics.ack(fleet, device), ack)

    def _visit(self, carrier: str) -> int:
        """Ask a carrier, as ports/fetch.py does."""
        place = self._places.get(carrier)
        if self._front_mirror:
            place = self._places.get(self._front_mirror)
        result = "nothing"
        if not self._network or place is None:
            result = "unreachable"
        else:
            asked: "list[str]" = []
            while asked != self.agent.topics(True):
                asked = self.agent.topics(True)
                for topic in asked:
                    for file in place.get(topic, ()):
                        became = self._give(topic, file, carrier)
                        news = became not in ("known", "ignored")
                        if became == "accepted" or (result == "nothing" and news):
                            result = became
        self.agent.rescued(carrier, result)
        self._once("rescue", (carrier, result), carrier=carrier, result=result)
        return _VISIT_S

    # ---- questions ---------------------------------------------------------------------------------------------------

    def _ask(self, where: str, chain: str) -> None:
        found = self._judge(where, chain)
        self._drain()
        self._fact(
            "asked",
            host=where,
            chain=chain,
            accepted=found.accepted,
            why=found.name,
            by=found.by,
            mode=found.mode,
        )

    def _state(self, step: int) -> None:
        trust = self.agent.trust
        session = self._session
        self._fact(
            "state",
            n=step,
            power=self._power,
            online=None if session is None else session[1],
            where=None if session is None else session[0],
            number=list(trust.pins.number),
            root=trust.root.version,
            floor=trust.marks.floor,
            unconfirmed=trust.unconfirmed(),
            forbidden=len(trust.marks.forbidden),
            digest=self.agent.trust_digest().hex(),
        )

    def _drain(self) -> None:
        for event in self.agent.drain():
            if event["event"] in _TOLD:
                name = event.pop("event")
                event.pop("trust_digest", None)
                self._once(name, sorted(event.items()), about=event)

    def boot_again(self) -> "tuple[bytes, bytes]":
        """Return the trust digest that the device has, and the one that a second device would boot with from the same flash."""
        self.flash.lose()
        copy = self.flash.copy()
        return self.agent.trust_digest(), Agent(Store(copy), Random("0", 0)).trust_digest()
