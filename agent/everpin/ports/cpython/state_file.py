"""What a running agent lets others know, in a small file of /run: which session it has, and when it last had one.

It is for `everpin agent status` and for people: nothing is decided by it, and it is written on no flash.
"""

import contextlib
import json
import os
import time

from ...core import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.agent import Agent

_EVERY_S = 60.0
_MAX_BYTES = 4096


class StateFile:
    """Writes `path` when the session changes, and every minute; a file that cannot be written is done without."""

    def __init__(self, path: str, agent: "Agent") -> None:
        self._path = path
        self._agent = agent
        self._at = -_EVERY_S
        self._was = ""
        self._said: dict[str, Any] = {
            "pid": os.getpid(),
            "device": agent.device,
            "bootseed": agent.reporter.bootseed.hex(),
        }

    def event(self, event: "dict[str, Any]") -> None:
        """Take note of one of the agent's events."""
        if event["event"] == "connected":
            self._said["host"] = event["host"]
            self._said["since"] = int(time.time())

    def step(self) -> None:
        """Write the file when it is due."""
        is_now = self._agent.state
        due = time.monotonic() - self._at > _EVERY_S
        if is_now == self._was and not due:
            return
        if state.ONLINE in (is_now, self._was):
            self._said["last_contact"] = int(time.time())
        self._said["state"] = is_now
        self._said["fresh"] = self._agent.reporter.fresh
        self._was = is_now
        self._at = time.monotonic()
        part = self._path + ".new"
        with contextlib.suppress(OSError):
            with open(part, "w") as file:
                os.fchmod(
                    file.fileno(), 0o644
                )  # nothing here is secret, and the unit's umask is strict
                json.dump(self._said, file)
            os.replace(part, self._path)


def read(path: str) -> "dict[str, Any]":
    """Return what a running agent wrote there, {} when there is nothing that can be read or its process is gone.

    "running" says whether the process that wrote it is there.
    """
    try:
        with open(path, "rb") as file:
            said = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    pid = said.get("pid")
    said["running"] = isinstance(pid, int) and os.path.exists(f"/proc/{pid}")
    return said
