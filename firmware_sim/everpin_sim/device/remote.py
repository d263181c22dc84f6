"""The oracle on a device of its own, a board or another machine: one medium, lives that the bench begins and ends.

It judges by the trust states that the same path has in process (states_main.py) instead of an uncut run of its own: any difference
is a failure. What it says goes to the bench, and how far a life has come is said before each step that may be its last. Device dialect.
"""

import json
from binascii import unhexlify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from everpin.core.record import Flash
    from everpin_sim.device.lives import Life, Path
    from everpin_sim.device.oracle import Oracle
else:
    from oracle import Oracle


class Part:
    """In the place of an emulated part: this device has one, and no second one to compare with."""

    full = dropped = None
    steps = 0

    def copy(self) -> "Part":
        """Return the same part: whoever boots it is the last to do so."""
        return self

    def restart(self) -> None:
        """The bench does that."""


class _Told:
    """The store's flash, with a line about the life under way before each step that may be its last."""

    def __init__(self, inner: "Flash", tell: "Any") -> None:
        self._inner = inner
        self._tell = tell
        self.size = inner.size
        self.sector = inner.sector
        self.read = inner.read
        self.sync = inner.sync

    def prog(self, offset: int, data: bytes) -> None:
        """Clear bits."""
        self._tell()
        self._inner.prog(offset, data)

    def erase(self, offset: int, length: int) -> None:
        """Set sectors to 0xFF."""
        self._tell()
        self._inner.erase(offset, length)


class _Medium:
    """The device's medium, as the oracle has it."""

    rots = False  # records do not lie where a sweep on the host would find them

    def __init__(self, judge: "Judge") -> None:
        self._judge = judge

    def make(self) -> "Part":
        """Make an erased region."""
        self._judge.make_region()
        return Part()

    def open(self, raw: "Part") -> "Flash":
        """Return the store's flash."""
        return _Told(self._judge.open_region(), self._judge.tell)

    def close(self) -> None:
        """Let go of it: who boots it next is another life."""
        self._judge.close_region()

    def another(self) -> "_Medium":
        """Return the same: see `Part.copy`."""
        return self


class Judge(Oracle):
    """The oracle of a device. A subclass says what its region is, and where lines go."""

    def __init__(self, path: "Path") -> None:
        self._path = path
        medium: "Any" = _Medium(self)
        self._medium = self._another = medium
        self._told: "tuple[int, int] | None" = None
        self.floor = 0
        self.op = 0
        said = json.loads(path.file("states.json"))
        self.after = said["after"]
        self.states = [
            (unhexlify(state), _numbers(numbers), op) for state, numbers, op in said["states"]
        ]

    def make_region(self) -> None:
        """Make an erased region."""
        raise NotImplementedError

    def open_region(self) -> "Flash":
        """Return the store's flash on the region."""
        raise NotImplementedError

    def close_region(self) -> None:
        """Let go of the region, where that takes anything."""

    def say(self, fields: "dict[str, Any]") -> None:
        """Say a line to the bench."""
        raise NotImplementedError

    def rested(self) -> None:
        """An operation has come to its end, `op`."""

    def tell(self) -> None:
        """Say how far it has come, if that is news."""
        now = (self.floor, self.op)
        if now != self._told:
            self._told = now
            self.say({"floor": now[0], "op": now[1]})

    def make(self) -> None:
        """Make the device as it is before the path."""
        self._make_origin()

    def _must_be(self, life: "Life", op: int) -> None:
        super()._must_be(life, op)
        self.tell()
        self.rested()


def _numbers(said: "Any") -> "tuple[Any, ...]":
    version, number, since, forbidden = said
    return version, tuple(number), since, [unhexlify(digest) for digest in forbidden]
