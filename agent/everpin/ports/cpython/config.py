"""`/etc/everpin/agent.toml`: which device this machine is, for the verbs that systemd starts and for who asks about them."""

import os
import tomllib

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

DEFAULT = "/etc/everpin/agent.toml"
_MAX_BYTES = 64 * 1024
_KINDS = {"device": str, "json": bool, "state_file": str}


class ConfigFileError(Exception):
    """A configuration that cannot be used: which file and field, and what to do. `status` is the exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class AgentConfig:
    """What the file says: `device` (the folder), `json` (log lines as JSON), `state_file` ("" for none)."""

    def __init__(self, device: str, json: bool = False, state_file: str = "") -> None:
        self.device = device
        self.json = json
        self.state_file = state_file


def load(path: str) -> AgentConfig:
    """Return a file's configuration; raise `ConfigFileError`. Relative paths count from the file's own folder."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigFileError(
            f"{path}: {error.strerror}; `everpin agent install` writes one"
        ) from None
    try:
        if len(data) > _MAX_BYTES:
            raise ValueError("longer than 64 kB")
        said: dict[str, Any] = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigFileError(f"{path}: no TOML: {error}") from None
    for name, value in said.items():
        kind = _KINDS.get(name)
        if kind is None:
            raise ConfigFileError(f"{path}: {name}: no such field; known are {', '.join(_KINDS)}")
        if not isinstance(value, kind):
            wanted = "true or false" if kind is bool else "a string"
            raise ConfigFileError(f"{path}: {name}: say {wanted}")
    if not said.get("device"):
        raise ConfigFileError(f"{path}: device: name the device's folder")
    here = os.path.dirname(os.path.abspath(path))
    state = said.get("state_file") or ""
    return AgentConfig(
        os.path.join(here, said["device"]),
        said.get("json", False),
        os.path.join(here, state) if state else "",
    )


def chosen(args: "argparse.Namespace") -> AgentConfig:
    """Return what `--device` or `--config` say, else what the user's own file or the machine's does; raise `ConfigFileError`."""
    if args.device is not None:
        return AgentConfig(args.device)
    if args.config is not None:
        return load(args.config)
    configs = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for path in (configs + "/everpin/agent.toml", DEFAULT):
        if os.path.exists(path):
            return load(path)
    raise ConfigFileError(f"name the device's folder with --device; there is no {DEFAULT}", 2)
