"""One life of an emulated Pi: QEMU with a guest, a card and a network; from power-on, or from a snapshot of a machine that waits."""

import fcntl
import hashlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..build_pi import EMULATOR, Guest
from .card import Card
from .emulator import Emulator
from .gates import Gates
from .protocol import TargetError

RAM_MIB = 256
_BOOT_S = 180.0
_COMMON = "quiet loglevel=3 panic=-1 rdinit=/init"


def _drive(card: Path, log: Path | None) -> str:
    """Return the option for a card; each write and flush is also in the log, if there is to be one."""
    plain = {"driver": "file", "filename": str(card)}
    if log is None:
        return json.dumps({"node-name": "card", "driver": "raw", "file": plain})
    log.touch()
    logged = {
        "driver": "blklogwrites",
        # The log counts each write at once: whoever writes it may be killed.
        "log-super-update-interval": 1,
        "file": plain,
        "log": {"driver": "file", "filename": str(log)},
    }
    return json.dumps({"node-name": "card", **logged})


class PiMachine(Emulator):
    """A running Pi. It has booted when it says {"event": "ready"}; what it is to do then is said by `do`."""

    def __init__(
        self,
        guest: Guest,
        card: Path,
        log: Path,
        feed: Callable[[bytes], None],
        gates: Gates | None = None,
        write_log: Path | None = None,
        snapshot: Path | None = None,
        ram_mib: int = RAM_MIB,
    ) -> None:
        """Switch it on, or go on from a snapshot."""
        network = gates.network() if gates is not None else Gates(()).network()
        self._control, theirs = socket.socketpair()
        arguments = [
            *("-chardev", f"socket,id=control,fd={theirs.fileno()}"),
            *("-mon", "chardev=control,mode=control", "-no-reboot"),
            *("-kernel", str(guest.kernel), "-initrd", str(guest.initramfs)),
            *("-netdev", network),
        ]
        if guest.machine == "virt":
            arguments += [
                *("-machine", "virt,gic-version=2", "-cpu", "cortex-a53", "-m", str(ram_mib)),
                *("-append", f"console=ttyAMA0 random.trust_bootloader=on {_COMMON}"),
                *("-blockdev", _drive(card, write_log)),
                *("-device", "virtio-blk-device,drive=card"),
                *("-device", "virtio-net-device,netdev=net"),
            ]
        else:
            if write_log is not None or snapshot is not None:
                raise TargetError(f"{guest.machine} has no write log and no snapshots; virt has")
            arguments += [
                *("-machine", guest.machine, "-dtb", str(guest.device_tree)),
                *("-accel", "tcg,thread=single"),
                # The first serial port is the radio's, as on the board itself.
                *("-append", f"console=ttyS1,115200 {_COMMON}"),
                *("-drive", f"if=sd,format=raw,file={card}"),
                *("-device", "usb-net,netdev=net"),
            ]
        if snapshot is not None:
            arguments += ["-incoming", f"exec:cat '{snapshot}'"]
        self._booted = snapshot is not None
        serial = 0 if guest.machine == "virt" else 1
        super().__init__(EMULATOR, arguments, log, feed, (theirs,), serial)
        self._answers = self._control.makefile("rb")
        self._ask("qmp_capabilities")

    def kill(self) -> None:
        """The power is gone."""
        super().kill()
        self._answers.close()
        self._control.close()

    def do(self, **what: Any) -> None:
        """Tell the launcher what to do (firmware_sim/guest/start.py)."""
        self.say(json.dumps(what).encode() + b"\n")

    def wait_ready(self) -> None:
        """Wait until it has booted; raise `TargetError` when it does not."""
        # What is typed before a snapshot is in place, is lost with the console that it replaces.
        while self._booted:
            if self._ask("query-status")["status"] == "running":
                return
            time.sleep(0.005)
        self.until(b'"event": "ready"', _BOOT_S)

    # ---- snapshots ---------------------------------------------------------------------------------------------------

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask the emulator itself."""
        asked = json.dumps({"execute": command, "arguments": arguments})
        self._control.sendall(asked.encode() + b"\n")
        for line in self._answers:
            said = json.loads(line)
            if "error" in said:
                raise TargetError(f"{command}: {said['error'].get('desc')}")
            if "return" in said:
                found: dict[str, Any] = said["return"]
                return found
        raise TargetError(f"{command}: the emulator has ended")

    def save(self, path: Path) -> None:
        """Write a snapshot; the machine waits, and is to be ended."""
        self._ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        self._ask("migrate", uri=f"exec:cat > '{path}'")
        while (said := self._ask("query-migrate").get("status")) not in ("completed", "failed"):
            time.sleep(0.02)
        if said == "failed":
            raise TargetError("the emulator cannot write a snapshot")


def snapshot(guest: Guest, ram_mib: int = RAM_MIB) -> Path:
    """Return a snapshot of a guest that has booted and knows nothing of any device, made unless it is there."""
    version = subprocess.run([EMULATOR, "--version"], check=True, capture_output=True).stdout
    inputs = hashlib.sha256(version + str(ram_mib).encode() + Path(__file__).read_bytes())
    done = guest.folder / f"snapshot-{inputs.hexdigest()[:16]}"
    with (guest.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            with tempfile.TemporaryDirectory(prefix="everpin-pi-") as where:
                folder = Path(where)
                card = Card(folder / "card")
                machine = PiMachine(
                    guest, card.path, folder / "log", lambda _: None, ram_mib=ram_mib
                )
                try:
                    machine.wait_ready()
                    machine.save(folder / "snapshot")
                finally:
                    machine.kill()
                fresh = done.with_suffix(".new")
                shutil.copyfile(folder / "snapshot", fresh)
                fresh.replace(done)
    return done
