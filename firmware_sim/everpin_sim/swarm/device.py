"""One device of a swarm: the real agent over flash in memory, its MQTT over a real socket, its faults, and a clock of its own.

Its monotonic time jumps over what it would wait for, so that its lag is in its own seconds, the same for equal seeds; the network's
answers are waited for in real time. What proves a server's key is TLS's business (weather.py); here each session begins with the
core's verdict on the chain that the device is shown.
"""

import contextlib
import errno
import random
import socket
from typing import Any

from everpin.core import mqtt
from everpin.core.agent import Agent
from everpin.core.errors import PeerError
from everpin.core.store import REGION_BYTES, Store

from ..device.cutflash import CutFlash, PowerCut
from ..little_fleet import HOST
from .faults import Plan
from .ground import Ground, name_of

NEWEST = (1, 2)
_TIMING = {"rescue_rounds": 2, "backoff_min_s": 5.0, "pull_every_s": 3600.0}
# A device whose session is quiet for good looks again after so long, its own time.
_QUIET_S = 600.0
# No pings: a device's own time jumps, the broker's does not.
_KEEP_ALIVE_S = 7200
# More turns than any life takes: what goes on after them goes round in circles.
_TURNS = 400


class Device:
    """A life: `start`, then `readable` and `writable` when its `sock` is, until `over`."""

    def __init__(self, ground: Ground, number: int, plan: Plan) -> None:
        self.name = name_of(number)
        self.plan = plan
        self.sock: socket.socket | None = None
        self.over = False
        self.pushed = False
        self.why = ""  # it is stranded
        self.fooled = ""  # it trusted an intruder
        self.lag_s: float | None = None  # from the push, or its waking, to acceptance
        self.confirmed_s: float | None = None  # and to confirmation
        self.met: set[str] = set()  # the faults that really came
        self.acked = False
        self._ground = ground
        # One stream for each length: how many reports went out, which the network decides, moves no back-off.
        self._random: dict[int, random.Random] = {}
        self._number = number
        self._flash = CutFlash(REGION_BYTES)
        self._flash.log = None
        self._flash.cached = False
        ground.fleet.provision(self._flash, self.name, ground.root, ground.first)
        self._flash.restart()
        self._uptime = 0.0
        self._pushed_at = 0.0
        self._turns = 0
        self._carrier = ""
        self._result = "nothing"
        self._up = False
        self._again = False
        self._reporting = False
        self._early: list[tuple[str, bytes | None]] = []
        self._agent = self._boot()

    def _boot(self) -> Agent:
        # The fleet's device key is cheap to derive, and its report key is what a report proves.
        key = self._ground.fleet.device_key(self.name)
        return Agent(Store(self._flash), self._draw, dict(_TIMING), key)

    def _draw(self, length: int) -> bytes:
        if length not in self._random:
            self._random[length] = random.Random(f"{self._ground.seed}/{self._number}/{length}")
        return self._random[length].randbytes(length)

    @property
    def up(self) -> bool:
        """Return whether a pinned session is up and subscribed."""
        return self._up

    @property
    def accepted(self) -> bool:
        """Return whether the newest document is in force."""
        return self._agent.number == NEWEST

    @property
    def confirmed(self) -> bool:
        """Return whether a completed handshake has confirmed it."""
        return self.accepted and self._agent.trust.confirmed(HOST)

    # ---- life --------------------------------------------------------------------------------------------------------

    def push(self) -> None:
        """The update is published from now on, and the server has its new key."""
        self.pushed = True
        if not self.plan.live:
            self.met.add("asleep")
        self._pushed_at = self._uptime
        plan = self.plan
        if plan.cut is not None:
            self._flash.cut = (self._flash.steps + plan.cut[0], plan.cut[1])
        if plan.full is not None:
            self._flash.full = self._flash.steps + plan.full
            self._flash.stays = True  # one step alone, and the store writes elsewhere
        if self._up and (plan.fail_dials or plan.intruders):
            self._lost()
        else:
            self._guarded(self._take_all)

    def go(self) -> None:
        """Go on until the network must answer, or it is over."""
        self._guarded(self._go)

    def _guarded(self, what: Any, *args: Any) -> None:
        try:
            what(*args)
        except PowerCut:
            self.met.add("cut")
            self._reboot()
            self._guarded(self._go)
        except (OSError, PeerError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.EADDRNOTAVAIL):
                self._end(f"this machine has no more sockets: {error}")
                return
            self._lost()
            self._guarded(self._go)

    def _reboot(self) -> None:
        self._hang_up()
        self._flash.restart()
        self._agent = self._boot()

    def _lost(self) -> None:
        """The network took the connection."""
        rescuing = self._carrier
        self._hang_up()
        if rescuing:
            self._agent.rescued(rescuing, self._result)
        else:
            self._agent.offline(0)

    def _hang_up(self, polite: bool = False) -> None:
        self._up = False
        self._again = False
        self._reporting = False
        self._carrier = ""
        self._early = []
        sock, self.sock = self.sock, None
        if sock is not None:
            with contextlib.suppress(OSError):
                if polite:
                    sock.send(self._client.disconnect())
            sock.close()

    def _now(self) -> tuple[int | None, str]:
        clocks = self.plan.clocks
        if not clocks:
            return 1_800_000_000 + int(self._uptime), "rtc"
        self.met.add("clock")
        clocks.append(clocks.pop(0))
        return clocks[0], "ntp"

    def _go(self) -> None:
        while not self.over:
            self._turns += 1
            if self._turns > _TURNS:
                self._end("it goes round in circles")
                return
            action = self._agent.poll(*self._now(), self._uptime)
            self._agent.drain()
            if action[0] == "wait":
                self._uptime += action[1] + 0.01
            elif action[0] == "pinned":
                if self._dial():
                    return
            elif action[0] == "rescue":
                self._carrier, self._result = action[1], "nothing"
                self._connect(None)
                return
            elif action[0] == "close":
                self._hang_up(True)
                self._agent.offline(0)
            elif action[0] == "pull":
                self._again = False
                self._send(self._client.subscribe(self._agent.topics()))
                return
            elif not self._online():
                return

    def _dial(self) -> bool:
        """Begin a pinned connection; return False when that has failed already."""
        plan = self.plan
        if plan.fail_dials and (self.pushed or not plan.live):
            plan.fail_dials -= 1
            self.met.add("unreachable")
            self._agent.offline(0)
            return False
        who = "genuine"
        if self.pushed and plan.intruders:
            # A stolen key that was pinned is refused from the document on that forbids it: before, nobody can know.
            if plan.intruders[0] != "stolen" or self.accepted:
                who = plan.intruders.pop(0)
                self.met.add("intruder")
        found = self._agent.verdict(HOST, self._ground.chains[who])
        if not found.accepted:
            if who == "genuine":
                self.why = self.why or f"it refuses its broker: {found.name}"
            self._agent.offline(found.why)
            return False
        if who != "genuine":
            self.fooled = self.fooled or f"it accepts {who}"
        self._agent.completed(found)
        self.why = ""
        if self.confirmed and self.confirmed_s is None:
            self.confirmed_s = round(self._uptime - self._pushed_at, 2)
        self._connect(self.name)
        return True

    def _online(self) -> bool:
        """Do what there is to do on a session that is up; return False when the network must answer."""
        if not self.pushed or not self._up:
            return False
        if self.confirmed:
            if not len(self._agent.events):
                self.acked = True
                self._end("")
                return False
            if not self._reporting:
                for topic, data in self._agent.outbox():
                    self._reporting = True
                    self._send(self._client.publish(topic, data))
            return False
        if self.accepted or self._again:
            # The handshake that confirms comes by itself, and what was refused by the flash or the rules is asked for again.
            self._uptime += _QUIET_S
            return True
        return False

    def _end(self, why: str) -> None:
        self._hang_up(True)
        self.over = True
        self.why = why
        self._judge()

    def stall(self, why: str) -> None:
        """The network does not answer any more."""
        if not self.over:
            self._end(self.why or why)

    def _judge(self) -> None:
        """Ask the agent as it would be after one more boot whom it trusts."""
        self._flash.restart()
        agent = self._agent = self._boot()
        if not self.why and not agent.verdict(HOST, self._ground.chains["genuine"]).accepted:
            self.why = "it refuses its broker in the end"
        for who in ("stranger", "stolen") if self.accepted else ("stranger",):
            if agent.verdict(HOST, self._ground.chains[who]).accepted:
                self.fooled = self.fooled or f"it accepts {who} in the end"

    # ---- the network -------------------------------------------------------------------------------------------------

    def _connect(self, client_id: str | None) -> None:
        own = client_id or self._draw(8).hex()
        user, password = (own, "password") if client_id else (None, None)
        self._client = mqtt.Client(own, _KEEP_ALIVE_S, user, password)
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.connect_ex((HOST, self._ground.port))

    def writable(self) -> None:
        """The connection is made, or refused."""
        self._guarded(self._hello)

    def _hello(self) -> None:
        if self.sock is None:
            return
        wrong = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if wrong:
            raise OSError(wrong, "connect")
        self._send(self._client.connect())

    def _send(self, data: bytes) -> None:
        if self.sock is not None and self.sock.send(data) != len(data):
            raise OSError(errno.EAGAIN, "a broker that takes nothing")

    def readable(self) -> None:
        """Something has come."""
        self._guarded(self._read)

    def _read(self) -> None:
        if self.sock is None:
            return
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise OSError(errno.ECONNRESET, "the broker closed")
        for at in range(0, len(data), 1024):  # as a device reads
            sock = self.sock
            self._events(self._client.receive(data[at : at + 1024], self._uptime))
            if self.sock is not sock:
                return  # the rest belonged to another connection
        if self.sock is not None:
            self._go()

    def _events(self, events: list[tuple[Any, ...]]) -> None:
        sock = self.sock
        if self._client.answers:
            self._send(bytes(self._client.answers))
            self._client.answers = bytearray()
        for event in events:
            if self.sock is not sock:
                return
            if event[0] == "connected":
                self._send(self._client.subscribe(self._agent.topics(bool(self._carrier))))
            elif event[0] == "denied":
                raise OSError(errno.ECONNREFUSED, "denied")
            elif event[0] == "suback":
                self._subscribed()
            elif event[0] == "message":
                self._early.append((event[1], event[2]))
            elif event[0] == "too-long":
                self._agent.too_long(event[1], self._carrier)
            if self._up or self._carrier:
                self._take_all()

    def _subscribed(self) -> None:
        if not self._carrier:
            if not self._up:
                self._up = True
                self._agent.online(HOST)
        elif not self._reporting:
            # Retained messages come before the answer to a second question.
            self._reporting = True
            self._send(self._client.subscribe(self._agent.topics(True)[:1]))
        else:
            self._take_all()
            carrier, result = self._carrier, self._result
            self._hang_up(True)
            self._agent.rescued(carrier, result)
            self._go()

    def _take_all(self) -> None:
        sock = self.sock
        # The push is known when the broker retains the update: what came of it before waits for that.
        while self.pushed and self._early and self.sock is sock:
            topic, payload = self._early.pop(0)
            self._take(topic, payload or b"")

    def _take(self, topic: str, payload: bytes) -> None:
        if not topic.endswith("/pins"):
            if "/ack/" in topic:
                self._reporting = False
            self._agent.receive(topic, payload, self._carrier)
            return
        around = self._ground.wrong(self.plan.around)
        self.met.update(["replay"] if around else (), ["duplicate"] if self.plan.times > 1 else ())
        for wrong in around[: len(around) // 2]:
            if not self.over:
                self._wrong(topic, wrong)
        for _ in range(self.plan.times):
            if self.over or self._true(topic, payload):
                return
        for wrong in around[len(around) // 2 :]:
            if not self.over:
                self._wrong(topic, wrong)

    def _true(self, topic: str, payload: bytes) -> bool:
        """Take the true document; return whether the session has ended of it."""
        became = self._agent.receive(topic, payload, self._carrier)
        if any(event["event"] == "flash-error" for event in self._agent.drain()):
            self.met.add("full")
            self._flash.full, self._flash.stays = None, False
        if became == "accepted":
            self._result = became
            self.lag_s = round(self._uptime - self._pushed_at, 2)
            if self.plan.drop:
                self.plan.drop = False
                self.met.add("lossy")
                raise OSError(errno.ECONNRESET, "lossy")
            if self.plan.reboot:
                self.plan.reboot = False
                self.met.add("reboot")
                self._reboot()
                self._go()
                return True
        elif became != "known":
            self._again = True
        return False

    def _wrong(self, topic: str, data: bytes) -> None:
        before = self._agent.trust_digest()
        became = self._agent.receive(topic, data, self._carrier)
        if became == "accepted" or self._agent.trust_digest() != before:
            self.fooled = self.fooled or "it took a document that was none"
            self._end("")
