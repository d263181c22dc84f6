"""Lives of a sweep on an emulated Pi: everpin_sim/pi_cuts.py says on the console what is to be lived, a JSON map a line.

    {"what": "origin" | "live" | "judge", "path": name, "ops": n, "floor": state, "op": operation, "rest": operation}

Each is a process of its own over the partition, which the bench may have written in between. What a device must be worth, the oracle
of everpin_sim/device says, by the trust states that the same path has in process.
"""

import json
import os
import sys
import termios
import time
import traceback

import lives
import remote

from everpin.core.store import REGION_BYTES
from everpin.ports.fileflash import FileFlash

_HERE = os.path.dirname(os.path.abspath(__file__))
_REGION = "/dev/region"


def say(fields):
    """Say a line; it has left this machine when this returns, whatever happens to the power then."""
    print(json.dumps(fields), flush=True)
    termios.tcdrain(1)


def _written():
    """Return how many sectors of the partition have been written since power-on (Documentation/block/stat.rst)."""
    name = os.path.basename(os.path.realpath(_REGION))
    with open(f"/sys/class/block/{name}/stat") as file:
        return int(file.read().split()[6])


class _Synced(FileFlash):
    """The agent's own flash on this machine. Nothing is on the card before a `sync`: each says which sectors are its own."""

    def sync(self):
        say({"sync": _written()})
        super().sync()


class _Judge(remote.Judge):
    """The oracle over the partition."""

    rests = -1
    _flash = None

    def make_region(self):
        with open(_REGION, "r+b") as file:
            file.write(b"\xff" * REGION_BYTES)
            os.fsync(file.fileno())

    def open_region(self):
        self._flash = _Synced(_REGION, REGION_BYTES)
        return self._flash

    def close_region(self):
        if self._flash is not None:
            self._flash.close()

    def say(self, fields):
        say(fields)

    def rested(self):
        if self.op == self.rests:
            say({"rests": self.op})
            time.sleep(3600)  # the power goes here


def _do(asked):
    judge = _Judge(lives.Path(_HERE, asked["path"], asked["ops"] or None))
    if asked["what"] == "origin":
        judge.make()
    elif asked["what"] == "live":
        judge.rests = asked.get("rest", -1)
        judge.live(remote.Part())
        say({"sync": _written()})
    else:
        judge.finish((remote.Part(), asked["floor"], asked["op"], False))


def _child(asked):
    try:
        _do(asked)
        said = {"done": True}
    except lives.Failed as failed:
        said = {"failed": [failed.what, str(failed)]}
    except Exception:  # noqa: BLE001 - whatever it is, the device is bricked
        said = {"failed": ["bricked", traceback.format_exc()]}
    say(said)


def main():
    """Live whatever is asked for."""
    say({"event": "at-your-service"})
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            say({"failed": ["bricked", "its process ended"]})


main()
