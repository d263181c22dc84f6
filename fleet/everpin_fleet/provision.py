"""Provisioning: a device's flash image and configuration."""

import json
import time
from pathlib import Path

from everpin import crypto
from everpin.core import factory, store
from everpin.core.errors import FlashError, MisuseError, PeerError
from everpin.ports.fileflash import FileFlash, create

from . import documents, files
from .errors import OperatorError
from .policy import Policy


def report_key(folder: Path, fleet: str, device: str) -> bytes:
    """Return a device's report key: HKDF of the fleet's secret (RFC 5869), so that a collector needs one secret only."""
    master = files.read_secret(folder / "report.key")
    info = b"everpin/1 report\x00" + fleet.encode() + b"\x00" + device.encode()
    return crypto.hkdf_sha256(master, b"", info, 32)


def provision(
    folder: Path,
    policy: Policy,
    device: str,
    out: Path,
    force: bool = False,
    user: str | None = None,
    password_file: Path | None = None,
    client_cert: Path | None = None,
    client_key: Path | None = None,
    timing: dict[str, float] | None = None,
) -> tuple[int, int]:
    """Make `out/flash.img` and `out/device.json`; return the number of the pins burnt in."""
    image = out / "flash.img"
    if image.exists() and not force:
        raise OperatorError(
            "this device is provisioned", str(image), "--force makes it anew and forgets its state"
        )
    number, pins = documents.newest(folder)
    password = (
        None
        if password_file is None
        else files.read_secret(password_file).rstrip(b"\r\n").decode()
    )
    cert = None if client_cert is None else files.read(client_cert)
    key = None if client_key is None else files.read_secret(client_key)
    root = files.read(documents.root_path(folder))
    try:
        body = factory.encode(policy.fleet, policy.channel, device, root, pins, int(time.time()))
    except MisuseError:
        raise OperatorError(
            f"{device!r} is no device name", "", "1 to 64 bytes without spaces, '/', '+' or '#'"
        ) from None
    secrets = factory.encode_secrets(report_key(folder, policy.fleet, device), user, password)
    try:
        out.mkdir(parents=True, exist_ok=True)
        part = out / "flash.img.new"
        create(str(part), store.REGION_BYTES)
        flash = FileFlash(str(part), store.REGION_BYTES, store.SECTOR)
        store.provision(flash, body, secrets)
        store.Store(flash).load()  # the device's own code has the last word
        flash.close()
        part.replace(image)
    except (PeerError, FlashError) as error:
        raise OperatorError(
            f"the image is not one a device would start from ({error.name})", str(image)
        ) from None
    except OSError as error:
        raise OperatorError(str(error.strerror), str(out)) from None
    config: dict[str, object] = {"flash": "flash.img", "client_cert": None, "client_key": None}
    if cert is not None and key is not None:
        files.write(out / "client.pem", cert)
        files.write(out / "client.key", key, 0o600)
        config |= {"client_cert": "client.pem", "client_key": "client.key"}
    if timing:
        config["timing"] = timing
    files.write(out / "device.json", (json.dumps(config, indent=2) + "\n").encode())
    return number
