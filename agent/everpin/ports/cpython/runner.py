"""`everpin agent run`: the runner on CPython, over blocking sockets with everpin's TLS context."""

import signal
import sys
import time

from ..clock import Clock, sleep
from ..device import Device
from ..dial import dial
from ..link import Link
from ..runner import Runner
from ..session import Session
from . import identity, systemd
from .config import AgentConfig, ConfigFileError
from .lines import emit
from .shared import opened
from .state_file import StateFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ...core.agent import Agent

_FEED_S = 5.0  # of systemd's watchdog
_CONNECT_TIMEOUT_S = 15.0


class CPythonPort:
    """Sockets, time and sleep of this machine, for one device folder."""

    def __init__(self, device: Device) -> None:
        self._device = device
        clock = Clock(device.time_source)
        self.now = clock.now
        self.uptime = clock.uptime
        self.sleep = sleep

    def open(self, agent: "Agent", host: str, port: int) -> Session:
        """Return a session that is up; raise OSError (a refusal carries `verdict`) or a `PeerError`."""
        context, _ = identity.context(agent, self._device)
        raw = dial(host, port, _CONNECT_TIMEOUT_S)
        try:
            sock = context.wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise
        return Session(Link(sock), agent, self.uptime)


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


class _Service:
    """What the runner tells the outside: log lines, the state file, systemd."""

    def __init__(self, agent: "Agent", config: AgentConfig) -> None:
        self._json = config.json
        self._state = StateFile(config.state_file, agent) if config.state_file else None
        self._fed = -_FEED_S

    def log(self, event: "dict[str, Any]") -> None:
        emit(event, self._json)
        if self._state is not None:
            self._state.event(event)

    def feed(self) -> None:
        if self._state is not None:
            self._state.step()
        if time.monotonic() - self._fed > _FEED_S:
            self._fed = time.monotonic()
            systemd.notify("WATCHDOG=1")


def main(args: "argparse.Namespace") -> int:
    """Run the agent of a device folder; `args` as ports/cpython/verbs.py has them."""
    try:
        config, device = opened(args, Device)
    except ConfigFileError as problem:
        print(f"everpin: {problem}", file=sys.stderr)
        return problem.status
    config.json = config.json or args.json
    signal.signal(signal.SIGTERM, _stop)
    service = _Service(device.agent, config)
    runner = Runner(device.agent, CPythonPort(device), service.log, service.feed)
    systemd.notify("READY=1")
    try:
        if args.once:
            done = runner.run_once(args.budget)
            emit({"event": "done", **done}, config.json)
            return 0 if done["online"] else 1
        runner.run()
    except KeyboardInterrupt:
        systemd.notify("STOPPING=1")
        runner.close()
        return 0
    finally:
        device.close()
    return 0
