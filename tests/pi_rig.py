"""A fleet with a real broker on loopback and one device, to be an emulated Pi: what its tests begin with."""

import datetime
import shutil
from pathlib import Path

import pytest

from everpin_sim import build_pi, debian, fleet, pki
from everpin_sim.broker import Broker
from everpin_sim.ports import free

_USER = "gateway"


def guest(machine: str = "virt", agent: Path | None = None) -> build_pi.Guest:
    """Return a guest with this agent or a copy; skip, saying why, where it cannot be made."""
    lacking = debian.lacking(build_pi.NEEDED)
    if lacking:
        pytest.skip(f"lacking here: {', '.join(lacking)} (tools/setup.sh boards installs it)")
    try:
        return build_pi.build(machine, agent)
    except debian.NotAvailable as problem:
        pytest.skip(str(problem))


class Rig:
    """An operator's folder whose document pins the running broker's key and a spare; `home` is the device's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._where = ("--fleet", str(folder / "acme"))
        main, rescue, self._operator = free(3)
        self.port = main
        self.issuer = issuer = pki.root(
            "Some Root", datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
        )
        self._leaf = pki.leaf(issuer, "broker")
        (folder / "ca.pem").write_bytes(issuer.pem())
        self.broker = Broker(
            "amqtt", folder, (main, rescue, self._operator), {_USER: "secret"}, folder / "ca.pem"
        )
        cert, _ = self._leaf.save(folder, "first")
        fleet.verb(
            "init", str(folder / "acme"), "--fleet", "acme", "--channel", "meters",
            "--broker", f"localhost:{main}", "--rescue", f"mqtts://localhost:{rescue}",
        )  # fmt: skip
        fleet.verb("key", *self._where, "new", "ops", "--no-passphrase")
        self.pin(cert)
        self.new_key("second")
        fleet.verb("sign", *self._where, "--yes")
        password = fleet.secret_file(folder / "password", "secret")
        fleet.verb(
            "provision", *self._where, "gateway", "--mqtt-user", _USER, "--mqtt-password-file", str(password)
        )  # fmt: skip
        self.home = folder / "acme" / "devices" / "gateway"
        self.ports = (main, rescue)

    def start(self) -> None:
        """Start the broker."""
        self.broker.start(self._leaf)

    def pin(self, source: Path) -> None:
        """Pin a key in the policy."""
        fleet.verb("pin", *self._where, "add", "localhost", "--from", str(source))

    def new_key(self, name: str) -> None:
        """Pin a fresh key that nobody serves."""
        path = self.folder / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(pki.key_pem(pki.new_key()))
        self.pin(path)

    def publish(self) -> None:
        """Sign the policy as the next document, and publish."""
        fleet.verb("sign", *self._where, "--yes")
        where = ("--broker", f"127.0.0.1:{self._operator}", "--insecure-plain")
        fleet.verb("publish", *self._where, *where)

    def close(self) -> None:
        """Stop the broker."""
        self.broker.stop()
        shutil.rmtree(self.folder / "acme", ignore_errors=True)
