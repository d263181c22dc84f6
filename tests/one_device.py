"""A fleet of one device without any broker: what an application's tests need of the tools."""

import re
from pathlib import Path

import everpin
from everpin.ports.cpython import cli
from everpin_sim import pki


class OneDevice:
    """A provisioned device folder whose document pins `localhost` to an identity and one spare key."""

    def __init__(self, folder: Path, identity: pki.Identity) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._fleet = folder / "acme"
        self._where = ("--fleet", str(self._fleet))
        self._run("init", str(self._fleet), "--fleet", "acme", "--channel", "meters", "--broker",
                  "localhost:8883", "--rescue", "mqtts://localhost:8884")  # fmt: skip
        self._run("key", *self._where, "new", "ops", "--no-passphrase")
        self.pin(identity)
        self.pin(pki.Identity(identity.certificate, pki.new_key()))
        self._run("sign", *self._where, "--yes")
        self._run("provision", *self._where, "gateway")
        self.path = self._fleet / "devices" / "gateway"

    def _run(self, *argv: str) -> None:
        assert cli.main(list(argv)) == 0, argv

    def pin(self, identity: pki.Identity) -> None:
        """Pin an identity's key in the fleet's policy."""
        key = self._folder / "pinned.key"
        key.write_bytes(identity.key_pem())
        key.chmod(0o600)
        self._run("pin", *self._where, "add", "localhost", "--from", str(key))

    def forbid(self, pin: str) -> None:
        """Forbid a key in the fleet's policy, by its pin in base64."""
        path = self._fleet / "policy.toml"
        text, count = re.subn(
            r"^forbidden = \[\]", f'forbidden = ["{pin}"]', path.read_text(), flags=re.M
        )
        assert count == 1
        path.write_text(text)

    def unpin(self, pin: str) -> None:
        """Take a pin away in the fleet's policy."""
        self._run("pin", *self._where, "remove", "localhost", pin)

    def sign(self, *options: str) -> bytes:
        """Return the policy as the next document."""
        before = set((self._fleet / "pins").iterdir())
        self._run("sign", *self._where, "--yes", *options)
        (made,) = set((self._fleet / "pins").iterdir()) - before
        return made.read_bytes()

    def take(self, document: bytes) -> None:
        """Let the device's agent take a document, as a process of its own would."""
        device = everpin.Device(str(self.path))
        try:
            (topic,) = [item for item in device.agent.topics() if item.endswith("/pins")]
            number = device.agent.number
            device.agent.receive(topic, document)
            assert device.agent.number != number, device.agent.drain()
        finally:
            device.close()
