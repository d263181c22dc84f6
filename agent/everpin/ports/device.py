"""A device's folder: `flash.img` (the region) and `device.json` (paths of a client certificate, timing, time source).

One source for both interpreters: the runners and the command line open a device here.
"""

import json
import os

from ..core.agent import Agent
from ..core.sealing import DEVICE_KEY_BYTES
from ..core.store import REGION_BYTES, SECTOR, Store
from .fileflash import FileFlash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONFIG = "device.json"


class ConfigError(Exception):
    """A device folder that cannot be used: what, and where."""


class Device:
    """An open device folder: `flash`, `agent`, `client_cert` (a path or None), `client_key` (a path, DER from the sealed
    secrets, or None), `time_source` ("" when none).
    """

    def __init__(
        self, folder: str, writer: bool = True, device_key: "bytes | None" = None
    ) -> None:
        """Open a folder; `device_key` comes from where the board keeps it (eFuses, a secure element), else from the file named
        in the configuration.
        """
        config = read_config(folder)
        self.folder = folder
        self.client_cert = _path(folder, config.get("client_cert"))
        self.time_source = config.get("time_source") or ""
        where = _path(folder, config.get("flash") or "flash.img") or ""
        try:
            os.stat(where)
        except OSError:
            raise ConfigError("no flash image at " + where + "; provision the device first")
        self.flash = FileFlash(where, REGION_BYTES, SECTOR, writer)
        self.store = Store(self.flash)
        key = device_key if device_key is not None else _device_key(folder, config)
        self.agent = Agent(self.store, os.urandom, config.get("timing") or {}, key)
        secrets = self.agent.secrets
        self.client_key: "str | bytes | None" = _path(folder, config.get("client_key"))
        if self.client_key is None and secrets is not None:
            self.client_key = secrets.client_key

    def close(self) -> None:
        """Close the flash image, and give its lock back."""
        self.flash.close()


def _device_key(folder: str, config: "dict[str, Any]") -> "bytes | None":
    where = _path(folder, config.get("device_key"))
    if where is None:
        return None
    try:
        with open(where, "rb") as file:
            key = file.read()
    except OSError:
        return None  # lost: the agent goes on without identity and reports (DESIGN section 8)
    if len(key) != DEVICE_KEY_BYTES:
        raise ConfigError(where + " is no device key; it has 32 bytes")
    return key


def read_config(folder: str) -> "dict[str, Any]":
    """Return a device folder's configuration; raise `ConfigError`."""
    where = folder + "/" + CONFIG
    try:
        with open(where) as file:
            config = json.load(file)
    except OSError:
        raise ConfigError("cannot read " + where + "; is this a device's folder?")
    except ValueError:
        raise ConfigError(where + " is not JSON")
    if not isinstance(config, dict):
        raise ConfigError(where + " is not a JSON object")
    return config


def _path(folder: str, name: "Any") -> "str | None":
    if name is None:
        return None
    if not isinstance(name, str):
        raise ConfigError(folder + "/" + CONFIG + ": a path is not a string")
    return name if name.startswith("/") else folder + "/" + name
