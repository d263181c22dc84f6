"""One life of a sweep on this board: everpin_sim/mcu_cuts.py calls a function at the prompt, and the lines here are its answer.

What a device must be worth, the oracle of everpin_sim/device says, by the trust states that the same path has in process. The power
cut is the flash's own: when it comes, nothing here runs any more.
"""

import json
from hashlib import sha256

import board
import lives
import onboard
import remote
from lives import Failed

from everpin import crypto


class _Path(lives.Path):
    """An update path whose files lie in the board's window."""

    def __init__(self, name, ops):
        self._window = dict(onboard.files())
        super().__init__("", name, ops or None)

    def _read(self, name):
        return bytes(self._window[name])


class _Judge(remote.Judge):
    """The oracle over this board's medium, with a phase for each step and each operation."""

    def make_region(self):
        onboard.make()

    def open_region(self):
        return onboard.Marked(onboard.flash())

    def say(self, fields):
        _say(**fields)

    def rested(self):
        board.phase(board.PHASE_OPERATION)


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
    judge = _Judge(_Path(name, ops))
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
    _do(name, ops, lambda judge: judge.live(remote.Part()))


def judge(name, floor, op, ops=0):
    """Boot after a cut in operation `op`, when state `floor` was committed last; recover, and live on to the path's end."""
    _do(name, ops, lambda judge: judge.finish((remote.Part(), floor, op, False)))
