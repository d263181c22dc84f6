"""One life of a sweep on this board: everpin_sim/mcu_cuts.py calls a function at the prompt, and the lines here are its answer.

What a device must be worth, the oracle of everpin_sim/device says, by the trust states that the same path has in process. The power
cut is the flash's own: when it comes, nothing here runs any more.
"""

import json
from hashlib import sha256

import board
import lives
import onboard
from lives import Failed
from oracle import Oracle

from everpin import crypto


class _Path(lives.Path):
    """An update path whose files lie in the board's window."""

    def __init__(self, name, ops):
        self._window = dict(onboard.files())
        super().__init__("", name, ops or None)

    def _read(self, name):
        return bytes(self._window[name])


class _Part:
    """In the place of an emulated part: this board has one, and no second one to compare with."""

    full = dropped = None
    steps = 0

    def copy(self):
        """Return the same part: whoever boots it is the last to do so."""
        return self

    def restart(self):
        """The bench does that."""


class _Told(onboard.Marked):
    """The store's flash, with a line about the life under way before each step that may be its last."""

    def __init__(self, inner, tell):
        super().__init__(inner)
        self._tell = tell

    def prog(self, offset, data):
        self._tell()
        super().prog(offset, data)

    def erase(self, offset, length):
        self._tell()
        super().erase(offset, length)


class _Medium:
    """The board's medium, as the oracle has it."""

    rots = False  # records do not lie on a littlefs where a sweep would find them
    tell = None

    def make(self):
        """Make an erased region."""
        onboard.make()
        return _Part()

    def open(self, raw):
        """Return the store's flash."""
        return _Told(onboard.flash(), self.tell)

    def close(self):
        """Nothing is held."""

    def another(self):
        """Return the same: see `_Part.copy`."""
        return self


class _Judge(Oracle):
    """The oracle, with the states of the path in process instead of an uncut run of its own."""

    def __init__(self, name, ops):
        path = _Path(name, ops)
        self._path = path
        self._medium = self._another = _Medium()
        self._medium.tell = self._tell
        self._told = None
        self.floor = self.op = 0
        said = json.loads(path.file("states.json"))
        self.after = said["after"]
        self.states = [
            (bytes.fromhex(state), _numbers(numbers), op) for state, numbers, op in said["states"]
        ]

    def _tell(self):
        now = (self.floor, self.op)
        if now != self._told:
            self._told = now
            _say(floor=now[0], op=now[1])

    def make(self):
        self._make_origin()

    def _must_be(self, life, op):
        super()._must_be(life, op)
        self._tell()
        board.phase(board.PHASE_OPERATION)


def _numbers(said):
    version, number, since, forbidden = said
    return version, tuple(number), since, [bytes.fromhex(digest) for digest in forbidden]


def _say(**fields):
    print("\n" + json.dumps(fields))


# ---- signatures: each is checked by this board once; in its other lives the bench hands it what it found then ---------------------

_verify = crypto.verify


def _remember(path):
    known = path.file("signatures")
    found = {known[at : at + 32]: known[at + 32] for at in range(0, len(known), 33)}

    def verify(alg, public_key, message, signature):
        digest = sha256()
        for part in (bytes((-alg & 0xFF,)), public_key, message, signature):
            digest.update(len(part).to_bytes(4, "big"))
            digest.update(part)
        key = digest.digest()
        if key not in found:
            found[key] = _verify(alg, public_key, message, signature)
            _say(signature=key.hex(), valid=bool(found[key]))
        return bool(found[key])

    crypto.verify = verify


# ---- what the bench calls -----------------------------------------------------------------------------------------------


def _do(name, ops, what):
    judge = _Judge(name, ops)
    _remember(judge._path)
    try:
        what(judge)
    except Failed as failed:
        _say(failed=[failed.what, str(failed)])
        return
    _say(done=True)


def origin(name, ops=0):
    """Make the device as it is before the path."""
    _do(name, ops, _Judge.make)


def live(name, ops=0):
    """Live through the path."""
    _do(name, ops, lambda judge: judge.live(_Part()))


def judge(name, floor, op, ops=0):
    """Boot after a cut in operation `op`, when state `floor` was committed last; recover, and live on to the path's end."""
    _do(name, ops, lambda judge: judge.finish((_Part(), floor, op, False)))
