"""The stage of `everpin demo`: a fleet's operator, PKI, broker, mirror, collector and devices, all of them real and on loopback.

What happens there, and whether it held, is story.py's.
"""

import contextlib
import datetime
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from . import fleet, pki
from .broker import Broker
from .child import Child, Event
from .mirror import Mirror
from .ports import free
from .story_devices import Device, Devices, Running
from .switchboard import Switchboard

HOST = "127.0.0.1"
FLEET, CHANNEL = "acme", "meters"
# On MicroPython, on MicroPython, on CPython with a TLS client certificate.
DEVICES = ("meter", "lamp", "gateway")
AWAKE = ("lamp", "gateway")
# A demo's patience: real devices wait longer (core/schedule.py).
TIMING = {
    "backoff_min_s": 0.4,
    "backoff_max_s": 2.0,
    "rescue_rounds": 2,
    "carrier_budget_s": 8,
    "report_retry_s": 2.0,
    # amqtt forgets a subscription now and then when a client comes back before its old connection is gone.
    "pull_every_s": 3.0,
}


class Stage:
    """All that a run needs, in a folder of its own; nothing runs before `open`.

    `alpha`, `beta`: the roots, the first ending at `ends`; `first`, `second`: the broker's certificates under them; `next`: the
    second's key; `children`: every device by name; `on`: those of them with an agent.
    """

    def __init__(
        self, folder: Path, broker: str, devices: Devices, rescue: str, lifetime_s: float
    ) -> None:
        self.folder = folder
        self.stack = contextlib.ExitStack()
        self._devices = devices
        self.children: dict[str, Running] = {}
        self.on: dict[str, Device] = {}  # those with an agent
        front, main, rescue_port, operator, attack, mirror = free(6)
        self._ports = (front, rescue_port, mirror)
        self.front, self.operator = front, f"{HOST}:{operator}"
        self.mirror_folder = folder / "mirror"
        self.mirror_folder.mkdir()
        self.passwords = {name: secrets.token_hex(12) for name in (*DEVICES, "static")}
        # Alpha Root's real end, to the second; all certificates below it end with it.
        self.ends = datetime.datetime.now(datetime.UTC).replace(
            microsecond=0
        ) + datetime.timedelta(seconds=lifetime_s)
        far = self.ends + datetime.timedelta(days=3650)
        self.alpha = pki.root("Alpha Root", self.ends)
        self.beta = pki.root("Beta Root", far)
        self._spare, self.next = pki.new_key(), pki.new_key()
        client_ca = pki.root("Fleet Client CA", far)
        self.first = pki.leaf(self.alpha, "broker")
        self.second = pki.leaf(self.beta, "broker", self.next)
        self._client = pki.leaf(client_ca, "gateway", client=True)
        (folder / "client-ca.pem").write_bytes(client_ca.pem())
        self.broker = Broker(
            broker,
            folder,
            (main, rescue_port, operator),
            self.passwords,
            folder / "client-ca.pem",
        )
        self.carrier = (
            f"mqtts://{HOST}:{rescue_port}" if rescue == "mqtt" else f"http://{HOST}:{mirror}"
        )
        self.attack_port, self._mirror_port = attack, mirror

    def wait(
        self, device: str, fits: Callable[[Event], bool], since: int, timeout_s: float = 20.0
    ) -> Event | None:
        """Return the first event since a mark that fits, None when none comes."""
        return self.children[device].wait(fits, since, timeout_s)

    def marks(self) -> dict[str, int]:
        """Return where each device's events are now, by device."""
        return {name: child.mark() for name, child in self.children.items()}

    def spawn(self, device: str) -> None:
        """Start a device, or start it again."""
        home, log = self.folder / "devices" / device, self.folder / f"{device}.log"
        self.on[device] = self._devices.spawn(device, home, log, self._ports)
        self.children[device] = self.on[device]

    def pin(self, source: Path, status: str) -> None:
        """Pin a key in the operator's policy."""
        fleet.verb(
            "pin", "--fleet", str(self.folder), "add", HOST, "--from", str(source), "--status", status
        )  # fmt: skip

    def sign_and_publish(self, *how: str) -> None:
        """Sign the policy as the next document; publish it at the broker and the mirror."""
        fleet.verb("sign", "--fleet", str(self.folder), "--yes", *how)
        self._publish()

    def _publish(self) -> None:
        fleet.verb(
            "publish", "--fleet", str(self.folder), "--broker", self.operator, "--insecure-plain",
            "--mirror", str(self.mirror_folder),
        )  # fmt: skip

    def _provision(self) -> None:
        folder = self.folder
        cert, _key = self.first.save(folder, "alpha-broker")
        (folder / "spare.key").touch(mode=0o600)
        (folder / "spare.key").write_bytes(pki.key_pem(self._spare))
        (folder / "alpha-root.pem").write_bytes(self.alpha.pem())
        client_cert, client_key = self._client.save(folder, "client")
        where = ("--fleet", str(folder))
        fleet.verb(
            "init", str(folder), "--fleet", FLEET, "--channel", CHANNEL,
            "--broker", f"{HOST}:{self.front}", "--rescue", self.carrier,
        )  # fmt: skip
        fleet.verb("key", *where, "new", "ops", "--no-passphrase")
        self.pin(cert, "active")
        self.pin(folder / "spare.key", "backup")
        fleet.verb("sign", *where, "--yes")
        for device in DEVICES:
            password = fleet.secret_file(folder / f"{device}.password", self.passwords[device])
            mutual = (
                ("--client-cert", str(client_cert), "--client-key", str(client_key))
                if device == "gateway"
                else ()
            )
            fleet.verb(
                "provision",
                *where,
                device,
                "--mqtt-user",
                device,
                "--mqtt-password-file",
                str(password),
                *mutual,
            )
            config = folder / "devices" / device / "device.json"
            config.write_text(json.dumps(json.loads(config.read_text()) | {"timing": TIMING}))

    # ---- opening and closing -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Provision the devices and start everything."""
        self._provision()
        self.broker.start(self.first)
        self.stack.callback(self.broker.stop)
        self.switch = Switchboard(self.front)
        self.stack.callback(self.switch.close)
        self.switch.switch(self.broker.main)
        self.mirror = Mirror(self.mirror_folder, self._mirror_port)
        self.stack.callback(self.mirror.close)
        self._publish()
        self.collector = self._collect()
        for device in DEVICES:
            self.spawn(device)
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "STATIC_PASSWORD": self.passwords["static"]}
        static = [
            sys.executable,
            "-m",
            "everpin_sim.static_device",
            HOST,
            str(self.front),
            str(self.folder / "alpha-root.pem"),
        ]
        self.children["static"] = Child(static, env, self.folder / "static.log")

    def _collect(self) -> Child:
        command = [
            sys.executable, "-m", "everpin.ports.cpython.cli", "reports", "--fleet", str(self.folder),
            "--broker", self.operator, "--insecure-plain", "--json",
        ]  # fmt: skip
        child = Child(
            command, {**os.environ, "PYTHONUNBUFFERED": "1"}, self.folder / "collector.log"
        )
        self.stack.callback(child.stop)
        return child

    def close(self) -> None:
        """Stop everything that was started."""
        for child in self.children.values():
            child.stop()
        self.stack.close()

    def trust(self, device: str) -> str:
        """Return a digest of all of a flash image that holds trust: pins, base and commit; not the journal of reports."""
        return hashlib.sha256(self.on[device].image()[:110592]).hexdigest()
