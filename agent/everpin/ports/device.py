"""A device's folder: `device.json` (what the region is, paths of a client certificate, timing, time source), and the region itself.

"flash" in `device.json` names a file ("flash.img", also where it says nothing), a partition of that size under Linux, or a folder
("sectors/": a file for each sector, for littlefs). A board's raw partition is no file: the application hands it over. One source for both interpreters: the runners and the
command line open a device here.
"""

import json
import os

from ..compat import const
from ..core.agent import Agent
from ..core.sealing import DEVICE_KEY_BYTES
from ..core.store import REGION_BYTES, SECTOR, Store
from .fileflash import FileFlash
from .sectorfiles import SectorFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..core.record import Flash
    from ..core.store import Counter

CONFIG = "device.json"
# The kind of a file in its mode, and that of a folder. A block device's has the folder's bit, too: a partition is opened as a file.
_KIND = const(0xF000)
_FOLDER = const(0x4000)


class ConfigError(Exception):
    """A device folder that cannot be used: what, and where."""


class Device:
    """An open device folder: `flash`, `agent`, `client_cert` (a path or None), `client_key` (a path, DER from the sealed
    secrets, or None), `time_source` ("" when none).
    """

    def __init__(
        self,
        folder: str,
        writer: bool = True,
        device_key: "bytes | None" = None,
        flash: "Any" = None,
        counter: "Counter | None" = None,
    ) -> None:
        """Open a folder; `device_key` comes from where the board keeps it (eFuses, a secure element), else from the file named
        in the configuration.

        `flash`: the region instead of the one that the configuration names, a block device such as `esp32.Partition` or an
        object with the four calls; it stays the application's. `counter`: the board's monotonic counter (core/store.py).
        """
        config = read_config(folder)
        self.folder = folder
        self.client_cert = _path(folder, config.get("client_cert"))
        self.time_source = config.get("time_source") or ""
        self._opened: "FileFlash | SectorFiles | None" = None
        if flash is None:
            self._opened = flash = open_flash(folder, config, writer)
        elif hasattr(flash, "ioctl"):
            from .micropython.blockflash import BlockFlash

            flash = BlockFlash(flash)
        if flash.size < REGION_BYTES:
            raise ConfigError(
                "the flash has %d bytes; a device needs %d" % (flash.size, REGION_BYTES)
            )
        self.flash: "Flash" = flash
        self.store = Store(self.flash, counter)
        key = device_key if device_key is not None else _device_key(folder, config)
        self.agent = Agent(self.store, os.urandom, config.get("timing") or {}, key)
        secrets = self.agent.secrets
        self.client_key: "str | bytes | None" = _path(folder, config.get("client_key"))
        if self.client_key is None and secrets is not None:
            self.client_key = secrets.client_key

    def close(self) -> None:
        """Close what was opened here, and give its lock back."""
        if self._opened is not None:
            self._opened.close()


def open_flash(
    folder: str, config: "dict[str, Any]", writer: bool = True
) -> "FileFlash | SectorFiles":
    """Return the region that a device folder's configuration names; raise `ConfigError`, or OSError where another holds it."""
    where = _path(folder, config.get("flash") or "flash.img") or ""
    try:
        is_folder = os.stat(where.rstrip("/"))[0] & _KIND == _FOLDER
    except OSError:
        raise ConfigError("no flash image at " + where + "; provision the device first")
    if is_folder:
        return SectorFiles(where.rstrip("/"), REGION_BYTES, SECTOR, writer)
    return FileFlash(where, REGION_BYTES, SECTOR, writer)


def region(folder: str) -> "FileFlash | SectorFiles":
    """Return a device folder's region to read from, also where nothing but its image is there; raise as `open_flash` does."""
    try:
        os.stat(folder + "/" + CONFIG)
    except OSError:
        return open_flash(folder, {}, False)
    return open_flash(folder, read_config(folder), False)


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
