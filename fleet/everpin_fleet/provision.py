"""Provisioning: a device's flash image and configuration."""

import json
import os
import shutil
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from everpin import crypto
from everpin.core import factory, sealing, store
from everpin.core.errors import FlashError, MisuseError, PeerError
from everpin.ports import sectorfiles
from everpin.ports.fileflash import FileFlash, create

from . import archive, files
from .errors import OperatorError
from .policy import Policy
from .policy_hosts import anchor_of

MASTER = "master.key"


def device_key(folder: Path, fleet: str, device: str) -> bytes:
    """Return a device's key: HKDF of the fleet's master secret (RFC 5869), so that the operator keeps one secret only."""
    master = files.read_secret(folder / MASTER)
    info = b"everpin/1 device\x00" + fleet.encode() + b"\x00" + device.encode()
    return crypto.hkdf_sha256(master, b"", info, sealing.DEVICE_KEY_BYTES)


def report_key(folder: Path, fleet: str, device: str) -> bytes:
    """Return the key of a device's reports."""
    return sealing.report_key(device_key(folder, fleet, device), fleet, device)


def _key_der(path: Path) -> bytes:
    """Return a private key file as PKCS#8 DER."""
    data = files.read_secret(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError):
        raise OperatorError(
            "this is no private key in PEM without a passphrase", str(path)
        ) from None
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _line(path: Path | None) -> str | None:
    """Return what a secret file's one line says."""
    if path is None:
        return None
    try:
        return files.read_secret(path).rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise OperatorError("this is no text", str(path)) from None


def _as_sectors(image: Path, place: Path) -> None:
    """Turn an image into a file for each sector: littlefs copies what lies behind a write in one large file."""
    part = place.with_name("sectors.new")
    shutil.rmtree(part, ignore_errors=True)
    flash = FileFlash(str(image), store.REGION_BYTES, store.SECTOR, False)
    sectorfiles.copy_from(flash, str(part))
    flash.close()
    shutil.rmtree(place, ignore_errors=True)
    part.replace(place)
    image.unlink()


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
    wifi_ssid: str | None = None,
    wifi_password_file: Path | None = None,
    sectors: bool = False,
    managed: tuple[Path, ...] = (),
) -> tuple[int, int]:
    """Make `out/flash.img` (or `out/sectors/`, for a board's littlefs) and `out/device.json`; return the number of the pins burnt in.

    `managed` are certificates of inspection CAs: the device may meet them where the signed policy says so, and nothing changes that.
    """
    image, folder_of_sectors = out / "flash.img", out / "sectors"
    for held in (image, folder_of_sectors):
        if held.exists() and not force:
            raise OperatorError(
                "this device is provisioned",
                str(held),
                "--force makes it anew and forgets its state",
            )
    number, pins = archive.newest(folder)
    password = _line(password_file)
    wifi = None if wifi_ssid is None else (wifi_ssid, _line(wifi_password_file) or "")
    cert = None if client_cert is None else files.read(client_cert)
    key = None if client_key is None else _key_der(client_key)
    root = files.read(archive.root_path(folder, number[0]))
    inspection = [(item.subject, item.spki) for item in map(anchor_of, managed)]
    now = int(time.time())
    try:
        body = factory.encode(policy.fleet, policy.channel, device, root, pins, now, inspection)
    except MisuseError:
        raise OperatorError(
            f"{device!r} is no device name", "", "1 to 64 bytes without spaces, '/', '+' or '#'"
        ) from None
    secret = device_key(folder, policy.fleet, device)
    sealed = sealing.seal(
        secret,
        policy.fleet,
        device,
        os.urandom(sealing.NONCE_BYTES),
        factory.encode_secrets(factory.Secrets(user, password, key, wifi)),
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        part = out / "flash.img.new"
        create(str(part), store.REGION_BYTES)
        flash = FileFlash(str(part), store.REGION_BYTES, store.SECTOR)
        store.provision(flash, body, sealed)
        store.Store(flash).load()  # the device's own code has the last word
        flash.close()
        if sectors:
            _as_sectors(part, folder_of_sectors)
        else:
            part.replace(image)
    except (PeerError, FlashError) as error:
        raise OperatorError(
            f"the image is not one a device would start from ({error.name})", str(image)
        ) from None
    except OSError as error:
        raise OperatorError(str(error.strerror), str(out)) from None
    files.write(out / "device.key", secret, 0o600)
    config: dict[str, object] = {
        "flash": "sectors" if sectors else "flash.img",
        "device_key": "device.key",
    }
    if cert is not None:
        files.write(out / "client.pem", cert)
        config["client_cert"] = "client.pem"
    if timing:
        config["timing"] = timing
    files.write(out / "device.json", (json.dumps(config, indent=2) + "\n").encode())
    return number
