"""A part of a swarm in a process of its own: `python -m everpin_sim.swarm.worker CONFIG.json FIRST LAST OUT.jsonl`.

Prints JSON lines: {"live": n} as its devices come up before the push, {"done": n} after it. Goes on with the push when a line comes
on standard input.
"""

import json
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

from .device import Device
from .faults import draw
from .ground import Ground, load

# Devices of one worker that are not live from the start have their lives so many at a time.
_AT_A_TIME = 400
# A broker that has not answered for so long does not answer.
_STALL_S = 60.0
_TELL_EVERY_S = 0.5


class Worker:
    """Lets devices live: those that are live at the push all at once, the others in turn."""

    def __init__(self, ground: Ground, config: dict[str, Any], numbers: range, out: Path) -> None:
        self._ground = ground
        self._plans = {
            number: draw(ground.seed, number, config["shares"], number < config["live_max"])
            for number in numbers
        }
        self._out = out.open("w")
        self._epoll = select.epoll()
        # The kernel forgets a socket that is closed; its number may be another device's a moment later.
        self._by_fd: dict[int, tuple[Device, socket.socket]] = {}
        self._since: dict[Device, float] = {}
        self.done = 0
        self._told = 0.0

    def _begin(self, number: int) -> Device:
        device = Device(self._ground, number, self._plans[number])
        self._since[device] = time.monotonic()
        return device

    def _watch(self, device: Device, before: socket.socket | None) -> None:
        self._since[device] = time.monotonic()
        if device.over:
            self._write(device)
        elif device.sock is not None and device.sock is not before:
            fd = device.sock.fileno()
            self._by_fd[fd] = (device, device.sock)
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLOUT)

    def _turn(self) -> None:
        """Wait a little for the network, and let devices go on."""
        batch = [
            (fd, flags, *self._by_fd[fd])
            for fd, flags in self._epoll.poll(0.2)
            if fd in self._by_fd
        ]
        for fd, flags, device, sock in batch:
            if device.sock is not sock:
                continue
            if flags & select.EPOLLOUT:
                self._epoll.modify(fd, select.EPOLLIN)
                device.writable()
            else:
                device.readable()
            self._watch(device, sock)

    def _stalled(self) -> None:
        late = time.monotonic() - _STALL_S
        for device, since in list(self._since.items()):
            if since < late:
                device.stall("the broker does not answer")
                self._write(device)

    def _write(self, device: Device) -> None:
        if self._since.pop(device, None) is None:
            return
        self.done += 1
        said = {
            "device": device.name,
            "faults": device.plan.faults,
            "met": sorted(device.met),
            "accepted": device.accepted,
            "confirmed": device.confirmed,
            "reported": device.acked,
            "lag_s": device.lag_s,
            "confirmed_s": device.confirmed_s,
            "why": device.why,
            "fooled": device.fooled,
        }
        self._out.write(json.dumps(said) + "\n")

    def _tell(self, what: str, count: int, at_once: bool = False) -> None:
        if at_once or time.monotonic() > self._told + _TELL_EVERY_S:
            self._told = time.monotonic()
            print(json.dumps({"event": what, "count": count}), flush=True)

    def before(self) -> list[Device]:
        """Bring up the devices that are live at the push; return them."""
        found: list[Device] = []
        waiting = [number for number, plan in self._plans.items() if plan.live]
        while waiting or any(not device.up and not device.over for device in found):
            pending = sum(not device.up and not device.over for device in found)
            for number in waiting[: _AT_A_TIME - pending]:
                waiting.remove(number)
                device = self._begin(number)
                found.append(device)
                device.go()
                self._watch(device, None)
            self._turn()
            self._stalled()
            self._tell("live", sum(device.up for device in found))
        self._tell("live", sum(device.up for device in found), True)
        return found

    def after(self, live: list[Device]) -> None:
        """Let all devices live until they are over."""
        for device in live:
            if not device.over:
                before = device.sock
                device.push()
                device.go()
                self._watch(device, before)
        waiting = [number for number, plan in self._plans.items() if not plan.live]
        while waiting or self._since:
            while waiting and len(self._since) < _AT_A_TIME:
                device = self._begin(waiting.pop())
                device.push()
                device.go()
                self._watch(device, None)
            self._turn()
            self._stalled()
            self._tell("done", self.done)
        self._out.close()
        self._tell("done", self.done, True)


def main(config_file: str, first: int, last: int, out: str) -> None:
    """Run a part of the swarm."""
    config = json.loads(Path(config_file).read_text())
    worker = Worker(load(config), config, range(first, last), Path(out))
    live = worker.before()
    print(json.dumps({"event": "ready"}), flush=True)
    sys.stdin.readline()
    worker.after(live)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
