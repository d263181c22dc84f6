"""`everpin agent run`: the runner on CPython, over blocking sockets with everpin's TLS context."""

import json
import os
import signal
import sys
import time

from ...core.errors import FlashError
from ..clock import Clock, sleep
from ..device import ConfigError, Device
from ..dial import dial
from ..link import Link
from ..runner import Runner
from ..session import Session
from . import tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ...core.agent import Agent

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
        context = tls.ssl_context(agent, self._device.client_cert, self._device.client_key)
        raw = dial(host, port, _CONNECT_TIMEOUT_S)
        try:
            sock = context.wrap_socket(raw, server_hostname=host)
        except BaseException:
            raw.close()
            raise
        return Session(Link(sock), agent, self.uptime)


def _plain(value: "Any") -> "Any":
    return value.hex() if isinstance(value, bytes) else value


def _print(event: "dict[str, Any]", as_json: bool) -> None:
    if as_json:
        line = json.dumps(event, default=_plain, sort_keys=True)
    else:
        said = " ".join(
            f"{key}={value}"
            for key, value in sorted(event.items())
            if key not in ("event", "trust_digest")
        )
        line = f"{time.strftime('%H:%M:%S')} {event['event']} {said}"
    print(line, flush=True)


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(args: "argparse.Namespace") -> int:
    """Run the agent of a device folder (`args.device`); `args.json` and `args.once` as the command line has them."""
    try:
        device = Device(args.device)
    except ConfigError as error:
        print(f"everpin: {error}", file=sys.stderr)
        return 1
    except FlashError as error:
        print(
            f"everpin: {os.path.join(args.device, 'flash.img')}: {error.name}; provision the device again",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"everpin: {args.device}: {error.strerror or error}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _stop)
    runner = Runner(device.agent, CPythonPort(device), lambda event: _print(event, args.json))
    try:
        if args.once:
            done = runner.run_once(args.budget)
            _print({"event": "done", **done}, args.json)
            return 0 if done["online"] else 1
        runner.run()
    except KeyboardInterrupt:
        runner.close()
        return 0
    finally:
        device.close()
    return 0
