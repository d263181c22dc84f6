"""The story of `everpin demo`: one run, told in steps; each step adds lines that are true or not.

Everything is real: the broker, TLS, both interpreters, the operator's verbs, flash files (stage.py).
"""

import base64
import datetime
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any

from everpin.core import topics
from everpin.ports.cpython import spki_sources
from everpin_fleet.connect import Broker as Connection

from . import bad, fleet, pki
from .attacker import Attacker
from .stage import AWAKE, CHANNEL, DEVICES, FLEET, HOST, Stage
from .story_rows import Row, Run
from .targets.events import is_event, tells


class Untrue(Exception):
    """A line of the story is not true, and the rest would make no sense."""


class Story:
    """One run on a stage; `tell` is called with each line, `title` with each step's."""

    def __init__(
        self,
        stage: Stage,
        rescue: str,
        tell: Callable[[Row], None],
        title: Callable[[str], None],
        fail_fast: bool = False,
    ) -> None:
        self.run = Run(rescue)
        self._stage = stage
        self._tell = tell
        self._title = title
        self._fail_fast = fail_fast
        self._start = time.monotonic()
        self._step = 0

    # ---- telling -----------------------------------------------------------------------------------------------------

    def _line(
        self,
        device: str,
        what: str,
        ok: bool,
        verdict: str = "",
        number: Any = None,
        stop: bool = False,
    ) -> None:
        shown = "-".join(str(part) for part in number) if number else ""
        row = Row(
            self._step,
            device,
            what,
            verdict,
            shown,
            round(time.monotonic() - self._start, 1),
            bool(ok),
        )
        self.run.rows.append(row)
        self._tell(row)
        if not ok and (stop or self._fail_fast):
            raise Untrue

    def tell(self) -> Run:
        """Tell the whole story; a line that makes the rest senseless ends it."""
        try:
            for number, step in enumerate(
                (
                    self._everyone_connects,
                    self._attack,
                    self._update,
                    self._expiry,
                    self._mistakes,
                ),
                1,
            ):
                self._step = number
                step()
        except (Untrue, fleet.VerbFailed, RuntimeError) as problem:
            if not isinstance(problem, Untrue):
                self._line("demo", str(problem), False)
        finally:
            self._stage.close()
        return self.run

    # ---- 1 -----------------------------------------------------------------------------------------------------------

    def _everyone_connects(self) -> None:
        self._title("A broker under Alpha Root; four devices, each with a flash of its own")
        self._stage.open()
        for device in (*DEVICES, "static"):
            event = self._stage.wait(device, is_event("connected"), 0)
            number = event.get("number") if event else None
            self._line(
                device, "connects to the broker", event is not None, "accepted", number, stop=True
            )

    # ---- 2 -----------------------------------------------------------------------------------------------------------

    def _attack(self) -> None:
        self._title(
            "An attacker on the network, with a certificate for the broker's name from Alpha Root itself"
        )
        cert, key = pki.leaf(self._stage.alpha, "broker").save(self._stage.folder, "attacker")
        attacker = Attacker(
            cert, key, self._stage.folder / "client-ca.pem", self._stage.attack_port
        )
        self._stage.stack.callback(attacker.close)
        marks = self._stage.marks()
        self._stage.switch.switch(attacker.port)
        event = self._stage.wait("static", is_event("connected"), marks["static"])
        self._line("static", "connects to the attacker", event is not None, "accepted")
        for device in DEVICES:
            event = self._stage.wait(device, is_event("refused"), marks[device])
            self._line(
                device,
                "refuses the attacker",
                event is not None,
                event["error"] if event else "connected",
            )
        ids = attacker.client_ids()
        self._line(
            "attacker",
            "got application bytes from static alone",
            bool(ids) and set(ids) == {"static"},
            ",".join(sorted(set(ids))),
        )
        certificates = sum(caught.client_certificate for caught in attacker.log)
        self._line(
            "attacker",
            "got no client certificate",
            certificates == 0 and len(attacker.log) > 3,
            f"{len(attacker.log)} connections",
        )
        marks = self._stage.marks()
        self._stage.switch.switch(self._stage.broker.main)
        for device in (*DEVICES, "static"):
            event = self._stage.wait(device, is_event("connected"), marks[device])
            self._line(
                device,
                "is back at its broker",
                event is not None,
                "accepted",
                event and event.get("number"),
                stop=True,
            )
        # Once more, with everybody back: what the attacker has now is all it ever had.
        self._line(
            "attacker", "has nothing else to this end", set(attacker.client_ids()) == {"static"}
        )

    # ---- 3 -----------------------------------------------------------------------------------------------------------

    def _update(self) -> None:
        self._title(
            "meter sleeps; the operator adds the next key (under Beta Root), signs, publishes"
        )
        self._stage.children["meter"].stop()
        request = self._stage.folder / "next.csr"
        request.write_bytes(pki.request(self._stage.next, "broker"))
        marks = self._stage.marks()
        self._stage.pin(request, "backup")
        self._stage.sign_and_publish()
        for device in AWAKE:
            event = self._stage.wait(device, is_event("accepted", number=[1, 2]), marks[device])
            self._line(
                device,
                "accepts the document",
                event is not None,
                "accepted",
                event and event["number"],
                stop=True,
            )
            event = self._stage.wait(device, is_event("confirmed", number=[1, 2]), marks[device])
            self._line(
                device,
                "reconnects and confirms it",
                event is not None,
                "confirmed",
                event and event["number"],
                stop=True,
            )
            event = self._stage.wait(device, is_event("acked"), marks[device])
            self._line(device, "reports, and is acknowledged", event is not None, "acked")
        self._line(
            "demo",
            "all that before Alpha Root ends",
            datetime.datetime.now(datetime.UTC) < self._stage.ends,
            stop=True,
        )

    # ---- 4 -----------------------------------------------------------------------------------------------------------

    def _expiry(self) -> None:
        left = (self._stage.ends - datetime.datetime.now(datetime.UTC)).total_seconds()
        self._title(f"Alpha Root ends in {left:.0f} s; then the broker restarts with the new key")
        time.sleep(max(0.0, left + 1.1))
        marks = self._stage.marks()
        down = time.monotonic()
        self._stage.broker.restart(self._stage.second)
        self._stage.switch.switch(self._stage.broker.main)
        for device in AWAKE:
            event = self._stage.wait(device, is_event("connected"), marks[device])
            rescued = [
                item
                for item in self._stage.children[device].since(marks[device])
                if item["event"] == "rescue-end" and item["result"] == "accepted"
            ]
            if event is not None:
                self.run.downtime_s[device] = round(event["at"] - down, 1)
            self._line(
                device,
                "reconnects by the new key, without rescue",
                event is not None and not rescued,
                f"down {self.run.downtime_s.get(device, 0)} s",
                event and event["number"],
                stop=True,
            )
        event = self._stage.wait("static", is_event("refused"), marks["static"])
        again = event and self._stage.wait(
            "static", is_event("refused"), self._stage.children["static"].mark()
        )
        still_out = not any(
            item["event"] == "connected"
            for item in self._stage.children["static"].since(marks["static"])
        )
        self._line(
            "static", "is locked out", bool(again) and still_out, event["error"] if event else ""
        )
        self._wake()

    def _wake(self) -> None:
        seen = len(self._stage.broker.clients())
        asked = len(self._stage.mirror.requests)
        self._stage.spawn("meter")
        event = self._stage.wait("meter", is_event("refused"), 0)
        self._line(
            "meter",
            "wakes with the old pins; its broker is not pinned",
            event is not None,
            event["error"] if event else "",
            (1, 1),
        )
        event = self._stage.wait(
            "meter", is_event("accepted", number=[1, 2], via=self._stage.carrier), 0, 30
        )
        self._line(
            "meter",
            f"accepts the document in rescue ({self._stage.carrier.split(':')[0]})",
            event is not None,
            "accepted",
            event and event["number"],
            stop=True,
        )
        event = self._stage.wait("meter", is_event("connected"), 0)
        self._line(
            "meter",
            "returns pinned",
            event is not None,
            "accepted",
            event and event["number"],
            stop=True,
        )
        event = self._stage.wait("meter", is_event("confirmed", number=[1, 2]), 0)
        self._line(
            "meter", "confirms it", event is not None, "confirmed", event and event["number"]
        )
        if self.run.rescue == "mqtt":
            # lamp and gateway are online and stay so: whoever is new and anonymous is meter in rescue.
            named = [
                client for client, user in self._stage.broker.clients()[seen:] if user is None
            ]
            ok = bool(named) and not any("meter" in client for client in named)
            self._line(
                "meter",
                "sent no identity in rescue: a random client id, no user",
                ok,
                ",".join(named)[:24],
            )
        else:
            text = "\n".join(self._stage.mirror.requests[asked:])
            ok = (
                bool(text)
                and "meter-" not in text
                and "/meter " not in text
                and self._stage.passwords["meter"] not in text
            )
            ok = ok and "user-agent" not in text.lower() and "authorization" not in text.lower()
            self._line(
                "meter",
                "sent no identity in rescue: nothing but paths",
                ok,
                f"{len(self._stage.mirror.requests) - asked} requests",
            )

    # ---- 5 -----------------------------------------------------------------------------------------------------------

    def _mistakes(self) -> None:
        self._title("A signed document that pins nobody; then forged, replayed and foreign ones")
        keep = (self._stage.folder / "policy.toml").read_text()
        marks, reports = self._stage.marks(), self._stage.collector.mark()
        nobody = [
            base64.b64encode(hashlib.sha256(secrets.token_bytes(8)).digest()).decode()
            for _ in range(2)
        ]
        lines = [
            line
            for line in keep.splitlines()
            if not line.startswith(("[[hosts.pins]]", "sha256", "status", "note"))
        ]
        for digest in nobody:
            lines += ["[[hosts.pins]]", f'sha256 = "{digest}"']
        (self._stage.folder / "policy.toml").write_text("\n".join(lines) + "\n")
        self._stage.sign_and_publish("--no-overlap")
        for device in DEVICES:
            event = self._stage.wait(device, is_event("overlap", number=[1, 3]), marks[device])
            back = event and self._stage.wait(
                device, is_event("connected", number=[1, 3]), marks[device]
            )
            self._line(
                device,
                "stays connected by the last confirmed pins",
                bool(back),
                "overlap",
                (1, 3),
                stop=True,
            )
        for device in DEVICES:
            told = self._stage.collector.wait(tells(device, "overlap"), reports, 20)
            self._line(
                device, "its report names the document", told is not None, "reported", (1, 3)
            )
        (self._stage.folder / "policy.toml").write_text(keep)
        # Back to what is right, and the old key is retired with it.
        spki = spki_sources.load(str(self._stage.folder / "alpha-broker.pem"))[0][1]
        old = base64.b64encode(hashlib.sha256(spki).digest()).decode()
        fleet.verb("pin", "--fleet", str(self._stage.folder), "remove", HOST, old)
        marks = self._stage.marks()
        self._stage.sign_and_publish("--no-overlap")
        for device in DEVICES:
            event = self._stage.wait(device, is_event("confirmed", number=[1, 4]), marks[device])
            self._line(
                device,
                "confirms the next document",
                event is not None,
                "confirmed",
                (1, 4),
                stop=True,
            )
            self._stage.wait(device, is_event("connected", number=[1, 4]), marks[device])
        self._forgeries()

    def _forgeries(self) -> None:
        before = {device: self._stage.trust(device) for device in DEVICES}
        scratch = self._stage.folder / "thief"
        scratch.mkdir()
        thief = self._stage.stack.enter_context(
            Connection((HOST, int(self._stage.operator.rpartition(":")[2])), None)
        )
        for error, document in bad.all_of(self._stage.folder, scratch):
            marks = self._stage.marks()
            for device in DEVICES:
                topic = topics.pins(FLEET, CHANNEL, topics.bucket(FLEET, device))
                event = None
                # Not retained, so it is gone when a session ends in that very moment: thieves try again, too.
                for _ in range(5):
                    thief.publish({topic: document}, retain=False)
                    event = self._stage.wait(
                        device, is_event("document-refused"), marks[device], 4
                    )
                    if event is not None:
                        break
                name = event["error"] if event else "accepted"
                self._line(device, f"refuses: {error}", name == error, name, (1, 4))
        for device in DEVICES:
            self._line(
                device,
                "trust state is byte-identical",
                self._stage.trust(device) == before[device],
                "",
                (1, 4),
            )
