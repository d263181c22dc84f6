"""Device folders for tests of programs that run on a device, made without the fleet tool; and the writer that keeps them up to date."""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from documents import DEVICE_KEY, T0, Fleet, Ground, host, seal
from everpin.core import spki, store, topics
from everpin.ports.device import Device
from everpin.ports.fileflash import FileFlash, create
from everpin_sim import pki


def pin(identity: pki.Identity) -> bytes:
    """Return the pin of a certificate's key."""
    return spki.pin(identity.certificate.public_bytes(serialization.Encoding.DER))


def spare(number: int = 0) -> bytes:
    """Return a pin whose key nobody has."""
    return bytes([number]) * 32


def document(fleet: Fleet, s: int, name: str, *pins: bytes, **body: Any) -> bytes:
    """Return a `pins` document with one host, which is its broker."""
    said = {5: [[name, 8883]], 6: ["http://mirror.example/pins"]} | body.pop("body", {})
    return fleet.pins(s, [host(name, *pins, fields=body.pop("fields", {}))], body=said)


def make(
    folder: Path,
    fleet: Fleet | Ground,
    pins: bytes,
    client: pki.Identity | None = None,
    root: bytes = b"",
) -> Path:
    """Provision a device of a fleet, a `Ground`'s with its `root`; `client` is its TLS identity, the key sealed in the image."""
    folder.mkdir()
    create(str(folder / "flash.img"), store.REGION_BYTES)
    flash = FileFlash(str(folder / "flash.img"), store.REGION_BYTES, store.SECTOR)
    secrets: dict[int, Any] = {2: "meter-1", 3: "password"}
    said: dict[str, Any] = {"device_key": "device.key"}
    if client is not None:
        (folder / "client.pem").write_bytes(client.pem())
        said["client_cert"] = "client.pem"
        secrets[4] = client.key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    factory = (
        fleet.factory(pins=pins, build_time=T0)
        if isinstance(fleet, Fleet)
        else fleet.factory(root, pins)
    )
    store.provision(
        flash,
        factory,
        seal(DEVICE_KEY, fleet.name, "meter-1", secrets),
    )
    flash.close()
    key = folder / "device.key"
    key.touch(mode=0o600)
    key.write_bytes(DEVICE_KEY)
    (folder / "device.json").write_text(json.dumps(said))
    return folder


class Writer:
    """The agent of a device folder, as `everpin agent run` has it: the one that writes."""

    def __init__(self, folder: Path) -> None:
        self.device = Device(str(folder))
        self.agent = self.device.agent

    def take(self, data: bytes) -> str:
        """Hand over a document on the device's bucket; return what became of it."""
        trust = self.agent.trust
        bucket = topics.bucket(trust.fleet, self.agent.device)
        return self.agent.receive(topics.pins(trust.fleet, trust.channel, bucket), data)

    def meet(self, name: str, identity: pki.Identity) -> None:
        """Do what a TLS port does in a completed handshake."""
        chain = [identity.certificate.public_bytes(serialization.Encoding.DER)]
        found = self.agent.verdict(name, chain)
        assert found.accepted, found.name
        self.agent.completed(found)

    def close(self) -> None:
        """Give the lock back."""
        self.device.close()
