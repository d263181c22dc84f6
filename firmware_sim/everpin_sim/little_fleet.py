"""A fleet with one signer, for simulations: its documents, its devices' folders and regions. Nothing of the fleet's tools is in it."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everpin.core import sealing, store
from everpin.ports.fileflash import FileFlash, create

from . import documents
from .documents import T0, Signer, dumps

HOST = "127.0.0.1"
CHANNEL = "meters"
_BUCKETS = 64

if TYPE_CHECKING:
    from everpin.core.record import Flash


class LittleFleet:
    """`front` is its broker's port, `carriers` its rescue carriers, on loopback."""

    def __init__(self, name: str, front: int, carriers: list[str]) -> None:
        self.name = name
        self._front = front
        self._carriers = carriers
        self._signer = Signer("ops " + name)

    # ---- documents ---------------------------------------------------------------------------------------------------

    def root(self) -> bytes:
        """Return the first root."""
        one = [[1, [0]]]
        body = {1: 1, 2: [self._signer.cose], 3: {1: one, 2: one}}
        return documents.signed(documents.ROOT, "", body, [self._signer], T0, self.name)

    def pins(
        self,
        s: int,
        *pins: bytes,
        by: Signer | None = None,
        forbidden: tuple[bytes, ...] = (),
        fields: dict[int, Any] | None = None,
        body: dict[int, Any] | None = None,
    ) -> bytes:
        """Return document (1, s) with pins for the broker; `fields` are more of its host, `body` more of the document."""
        host = {1: HOST, 2: 3, 3: [[pin, 1] for pin in pins]} | (fields or {})
        said = {1: 1, 2: s, 3: [host], 5: [[HOST, self._front]], 6: self._carriers}
        if forbidden:
            said[-2] = list(forbidden)
        said |= body or {}
        who = [by or self._signer]
        return documents.signed(documents.PINS, CHANNEL, said, who, T0 + s, self.name)

    def poser(self) -> Signer:
        """Return a stranger's key that goes by the name of the fleet's own."""
        stranger = Signer("stranger")
        stranger.kid = self._signer.kid
        return stranger

    # ---- topics ------------------------------------------------------------------------------------------------------

    def bucket(self, device: str) -> int:
        """Return a device's bucket."""
        return hashlib.sha256(f"{self.name}\0{device}".encode()).digest()[0] % _BUCKETS

    def topic(self, device: str | int) -> str:
        """Return the topic of a device's bucket, or of a bucket."""
        bucket = device if isinstance(device, int) else self.bucket(device)
        return f"everpin/1/{self.name}/{CHANNEL}/{bucket}/pins"

    @property
    def released(self) -> str:
        """Return the topic of the document that is fully released."""
        return f"everpin/1/{self.name}/{CHANNEL}/pins"

    # ---- devices -----------------------------------------------------------------------------------------------------

    def device_key(self, device: str) -> bytes:
        """Return a device's key."""
        return hashlib.sha256(f"key {self.name} {device}".encode()).digest()

    def provision(self, flash: "Flash", device: str, root: bytes, pins: bytes) -> None:
        """Write a device's fresh region."""
        made = {1: 1, 2: self.name, 3: CHANNEL, 4: device, 5: root, 6: pins, 7: T0}
        secrets = dumps({2: device, 3: "password"})
        sealed = sealing.seal(self.device_key(device), self.name, device, b"n" * 13, secrets)
        store.provision(flash, dumps(made), sealed)

    def folder(
        self, folder: Path, device: str, pins: bytes, config: dict[str, Any] | None = None
    ) -> Path:
        """Make a device's folder; `config` is more of its device.json."""
        folder.mkdir(parents=True)
        image = str(folder / "flash.img")
        create(image, store.REGION_BYTES)
        flash = FileFlash(image, store.REGION_BYTES, store.SECTOR)
        self.provision(flash, device, self.root(), pins)
        flash.close()
        key = folder / "device.key"
        key.touch(mode=0o600)
        key.write_bytes(self.device_key(device))
        said = {"device_key": "device.key"} | (config or {})
        (folder / "device.json").write_text(json.dumps(said))
        return folder
