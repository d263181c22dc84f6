"""A playground: a real fleet, broker, mirror and collector, and devices of any target, until it is told to end.

Whoever owns its folder (0700) talks to it through a Unix socket in there: one JSON object a line, answered by one.
"""

import contextlib
import datetime
import json
import os
import secrets
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import fleet, pki
from .broker import Broker
from .child import Child
from .mirror import Mirror
from .ports import free, shut
from .targets import registry
from .targets.events import Event
from .targets.protocol import Target, TargetError

HOST = "127.0.0.1"
SOCKET = "control.sock"
FLEET, CHANNEL = "acme", "meters"
# A playground's patience: real devices wait longer (core/schedule.py).
_TIMING = {"backoff_min_s": 0.5, "backoff_max_s": 5.0, "report_retry_s": 3.0, "pull_every_s": 30.0}
_REQUEST_MAX_BYTES = 4096
_ANSWER_S = 60.0
_LOOK_S = 0.1

Hear = Callable[[str, Event], None]


class NoPlayground(Exception):
    """There is none to talk to, or none can be made there: the text says why, and what to do."""


def default_folder() -> Path:
    """Return where a playground is when nothing else is said."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "everpin-sim" if base else Path(f"/tmp/everpin-sim-{os.getuid()}")  # noqa: S108 - checked to be ours alone


def private(folder: Path) -> Path:
    """Return a folder that is this user's alone, made when it is lacking; raise `NoPlayground`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as problem:
        raise NoPlayground(f"{folder}: {problem.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NoPlayground(
            f"{folder} is not a folder of yours alone (mode 0700); say another by --dir"
        )
    if len(str(folder / SOCKET).encode()) > 100:
        raise NoPlayground(f"{folder}: too long a path for a socket; say another by --dir")
    return folder


def ask(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the playground in a folder answers; raise `NoPlayground`."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_ANSWER_S)
            sock.connect(str(folder / SOCKET))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as file:
                found: dict[str, Any] = json.loads(file.readline())
                return found
    except (OSError, ValueError):
        raise NoPlayground(
            f"no playground runs in {folder}: start one with everpin sim run, or say where by --dir"
        ) from None


@dataclass
class _Member:
    """One device of the playground."""

    target: Target
    log: Path
    mark: int = 0
    clock: str = "now"
    net: bool = True


class Playground:
    """Made, it runs; `serve` hears its devices until `stop` is asked for, or a time is over."""

    def __init__(self, folder: Path, target: str, count: int, agent: Path, broker: str) -> None:
        self.folder = private(folder)
        with contextlib.suppress(NoPlayground):
            ask(self.folder, {"do": "status"})
            raise TargetError(
                f"a playground runs in {folder} already: everpin sim stop --dir {folder}"
            )
        self._target = target
        self._stack = contextlib.ExitStack()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        # A folder for each playground: what an earlier one left is for its owner to look at, or to delete.
        self.run = self.folder / time.strftime("%Y%m%d-%H%M%S")
        self.fleet = self.run / FLEET
        self.logs = self.run / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.members: dict[str, _Member] = {}
        try:
            self._surroundings(broker, [f"meter-{number}" for number in range(1, count + 1)])
            for name in self._names:
                home = self.fleet / "devices" / name
                made = registry.open_device(target, home, agent, self._ports)
                self._stack.callback(made.close)
                self.members[name] = _Member(made, self.logs / f"{name}.log")
            for member in self.members.values():
                member.target.power_on()
            self._listen()
        except BaseException:
            self.close()
            raise

    def _surroundings(self, kind: str, names: list[str]) -> None:
        """Make the fleet with the operator's own verbs, and start broker, mirror and collector."""
        main, rescue, operator, mirror = free(4)
        self._names, self._ports = names, (main, rescue, mirror)
        self.operator = f"{HOST}:{operator}"
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
        root, spare = pki.root("Root", until), pki.new_key()
        served = pki.leaf(root, "broker")
        cert, _ = served.save(self.run, "served")
        fleet.secret_file(self.run / "spare.key", pki.key_pem(spare).decode())
        (self.run / "client-ca.pem").write_bytes(root.pem())
        where = ("--fleet", str(self.fleet))
        fleet.verb(
            "init", str(self.fleet), "--fleet", FLEET, "--channel", CHANNEL, "--broker", f"{HOST}:{main}",
            "--rescue", f"http://{HOST}:{mirror}",
        )  # fmt: skip
        fleet.verb("key", *where, "new", "ops", "--no-passphrase")
        for source, status in ((cert, "active"), (self.run / "spare.key", "backup")):
            fleet.verb("pin", *where, "add", HOST, "--from", str(source), "--status", status)
        fleet.verb("sign", *where, "--yes")
        passwords = {name: secrets.token_hex(12) for name in names}
        for name in names:
            file = fleet.secret_file(self.run / f"{name}.password", passwords[name])
            fleet.verb(
                "provision", *where, name, "--mqtt-user", name, "--mqtt-password-file", str(file)
            )
            config = self.fleet / "devices" / name / "device.json"
            config.write_text(json.dumps(json.loads(config.read_text()) | {"timing": _TIMING}))
        broker = Broker(
            kind, self.run, (main, rescue, operator), passwords, self.run / "client-ca.pem"
        )
        broker.start(served)
        self._stack.callback(broker.stop)
        self.mirror = self.run / "mirror"
        self.mirror.mkdir()
        self._stack.callback(Mirror(self.mirror, mirror).close)
        fleet.verb(
            "publish", *where, "--broker", self.operator, "--insecure-plain", "--mirror", str(self.mirror),
        )  # fmt: skip
        command = [
            sys.executable, "-m", "everpin.ports.cpython.cli", "reports", *where, "--broker", self.operator,
            "--insecure-plain", "--json",
        ]  # fmt: skip
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._stack.callback(Child(command, env, self.logs / "collector.log").stop)

    # ---- hearing -----------------------------------------------------------------------------------------------------

    def serve(self, hear: Hear, seconds: float | None = None) -> None:
        """Call `hear` with each event of each device until the end."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._ended.wait(_LOOK_S) and (until is None or time.monotonic() < until):
            self._look(hear)
        self._look(hear)

    def _look(self, hear: Hear) -> None:
        for name, member in self.members.items():
            events = member.target.since(member.mark)
            member.mark += len(events)
            with member.log.open("a") as log:
                for event in events:
                    log.write(json.dumps(event) + "\n")
                    hear(name, event)

    def close(self) -> None:
        """End everything."""
        self._ended.set()
        self._stack.close()

    # ---- being told --------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        path = self.folder / SOCKET
        path.unlink(missing_ok=True)  # of a playground that was killed: none answered there
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(8)
        self._stack.callback(path.unlink, missing_ok=True)
        self._stack.callback(shut, listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), sock:
                sock.settimeout(5)
                with sock.makefile("rb") as file:
                    line = file.readline(_REQUEST_MAX_BYTES)
                sock.sendall(json.dumps(self.answer(line)).encode() + b"\n")

    def answer(self, line: bytes) -> dict[str, Any]:
        """Do what a line asks; return {"ok": true, …} or {"ok": false, "error": why}."""
        try:
            request = json.loads(line)
            with self._lock:
                return {"ok": True} | self._do(request)
        except TargetError as problem:
            return {"ok": False, "error": str(problem)}
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            return {"ok": False, "error": f"not understood: {problem!r}"}

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request["do"]
        if do == "status":
            return {
                "devices": {name: self._status(name) for name in self.members},
                "run": str(self.run),
                "operator": self.operator,
            }
        if do == "stop":
            self._ended.set()
            return {}
        name = request["device"]
        member = self.members.get(name)
        if member is None:
            raise TargetError(f"{name}: no such device; there are {', '.join(self.members)}")
        if do == "cut":
            member.target.cut()
        elif do == "on":
            member.target.power_on()
        elif do == "reset":
            member.target.reset()
        elif do == "clock":
            unix = request["unix"]
            member.target.set_clock(None if unix is None else int(unix))
            member.clock = "unset" if unix is None else str(int(unix))
        elif do == "net":
            member.net = bool(request["on"])
            member.target.network(member.net)
        else:
            raise TargetError(f"{do}: no such command")
        return {"device": name} | self._status(name)

    def _status(self, name: str) -> dict[str, Any]:
        member = self.members[name]
        said = [event for event in member.target.since(0) if "number" in event]
        return {
            "target": self._target,
            "power": member.target.alive,
            "net": member.net,
            "clock": member.clock,
            "number": said[-1]["number"] if said else None,
            "last": said[-1]["event"] if said else None,
        }
