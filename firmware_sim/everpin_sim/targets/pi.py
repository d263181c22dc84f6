"""The agent on an emulated Raspberry Pi: Linux and CPython as on the board, the store on a partition of its card, no clock of its own."""

import json
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..build_pi import Guest
from .card import Card
from .gates import Gates
from .pi_machine import RAM_MIB, PiMachine, snapshot
from .protocol import Target, TargetError

_HOME = "/var/lib/everpin"
_AGENT = ("agent", "run", "--config", "/etc/everpin/agent.toml")


class Pi(Target):
    """A Pi made from a device's folder as `everpin provision` writes it. `ports` are those of loopback that it reaches.

    `names` are addresses of loopback by name, beside localhost. On `virt` it goes on from a snapshot of a Pi that has booted, unless
    it is to boot `cold`. `write_log` is a file that gets each write to the card, anew at each power-on.
    """

    name = "pi"

    def __init__(
        self,
        home: Path,
        guest: Guest,
        ports: Collection[int] = (),
        names: Mapping[str, str] | None = None,
        cold: bool = False,
        write_log: Path | None = None,
        ram_mib: int = RAM_MIB,
    ) -> None:
        super().__init__()
        self.guest = guest
        self.home = home
        self.gates = Gates(ports)
        self._names = dict(names or {})
        self._cold = cold or guest.machine != "virt"
        self._write_log = write_log
        self._ram = ram_mib
        self._clock: tuple[int, float] | None = (int(time.time()), time.monotonic())
        self._machine: PiMachine | None = None
        # A card that was there has its region already.
        self._provisioned = (home / "pi.card").exists()
        self.card = Card(home / "pi.card")
        self._key_name = str(self._config().get("device_key") or "")
        if self._key_name and (home / self._key_name).exists():
            self.device_key = (home / self._key_name).read_bytes()

    def _config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "device.json").read_text())
        return found

    # ---- lives -------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Boot; the agent runs for ever. The first time, the device's folder is put on its card before that."""
        self.start(argv=_AGENT)

    def start(
        self, argv: Collection[str], run: str = "", files: Mapping[str, bytes] | None = None
    ) -> PiMachine:
        """Boot and run `everpin ARGV…`, or a program among `files`, which has the console; return the machine."""
        self._off("power_on")
        config, found = self._config(), dict(files or {})
        config["flash"] = "/dev/region"
        for field in ("device_key", "client_cert", "client_key"):
            if isinstance(config.get(field), str):
                path = self.home / config[field]
                config[field] = path.name
                if path.exists():
                    found[path.name] = path.read_bytes()
        found["device.json"] = json.dumps(config).encode()
        self.card.put_files(found)
        if not self._provisioned:
            self.card.write((self.home / "flash.img").read_bytes())
            self._provisioned = True
        if self._write_log is not None:
            self._write_log.unlink(missing_ok=True)
        machine = PiMachine(
            self.guest,
            self.card.path,
            self.home / "pi.log",
            self.feed,
            self.gates,
            self._write_log,
            None if self._cold else snapshot(self.guest, self._ram),
            self._ram,
        )
        self._machine = machine
        machine.wait_ready()
        asked: dict[str, Any] = {"argv": list(argv), "hosts": self._names}
        if run:
            asked |= {"run": f"{_HOME}/{run}", "console": True}
        machine.do(do="start", clock=self._unix(), seed=os.urandom(64).hex(), **asked)
        return machine

    def _off(self, what: str) -> None:
        if self.alive:
            raise TargetError(f"{what}: the power is on")
        self.cut()

    @property
    def alive(self) -> bool:
        """Return whether it runs."""
        return self._machine is not None and self._machine.alive

    @property
    def machine(self) -> PiMachine:
        """Return the running machine."""
        if self._machine is None:
            raise TargetError("the power is off")
        return self._machine

    def cut(self) -> None:
        """The power is gone: what was written to the card stays, what the guest only held for it does not."""
        machine, self._machine = self._machine, None
        if machine is not None:
            machine.kill()

    def close(self) -> None:
        """End it, and its network."""
        self.cut()
        self.gates.close()

    # ---- flash -------------------------------------------------------------------------------------------------------

    def flash_in(self, image: bytes) -> None:
        """Put a region's image on the card."""
        self._off("flash_in")
        self.card.write(image)
        self._provisioned = True

    def flash_out(self) -> bytes:
        """Return the region's image."""
        self._off("flash_out")
        return self.card.region()

    def snapshot(self) -> bytes:
        """Return the region's image as it is now, which with the power on is what a cut would leave."""
        return self.card.region()

    # ---- surroundings ------------------------------------------------------------------------------------------------

    def set_clock(self, unix: int | None) -> None:
        """Set the clock to Unix seconds, running on from there; None: it was never set."""
        self._clock = None if unix is None else (unix, time.monotonic())
        if self._machine is not None:
            self._machine.do(do="clock", unix=unix)

    def _unix(self) -> int | None:
        if self._clock is None:
            return None
        unix, since = self._clock
        return unix + int(time.monotonic() - since)

    def network(self, on: bool) -> None:
        """Plug the network in or out."""
        self.gates.switch(on)
