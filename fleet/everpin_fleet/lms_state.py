"""Which leaves of an LMS key are used: one append-only file of JSON lines, each on the disk before what it permits is done.

    {"key": KID, "height": H, "levels": L}            the first line
    {"leaf": Q, "sha256": DIGEST, "time": T}          Q is used, for this message; written before the signature is computed
    {"tree": T, "public": KEY, "signature": S}        the top tree signed its leaf T: a lower tree's public key (two levels)
    {"leaf": Q, "signature": S}                       what was signed; written before the signature leaves
    {"skip": Q, "time": T}                            the operator says that all below Q are used
    {"torn": Q}                                       the line above was cut by a power failure: it counts as leaf Q

The library's randomizer makes a second signature of the same message another one, and two under one leaf are a forger's material.
So a signature is kept, and given out again as it is; a leaf whose signature was never kept is spent.
"""

import base64
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import OperatorError

# Another process signs for a second at most, and makes a lower tree for half a minute.
_LOCK_WAIT_S = 120
_LOCK_STEP_S = 0.05


@dataclass
class Used:
    """A used leaf: the digest of its message, and its signature unless that was cut off."""

    digest: bytes
    signature: bytes | None = None


@dataclass
class State:
    """What the file says, and the only way to add to it."""

    path: Path
    fd: int
    height: int
    levels: int
    first_free: int = 0  # above every leaf that the file names
    skipped: int = 0  # below it, what other copies of the key did is known and done with
    used: dict[int, Used] = field(default_factory=dict)
    tops: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)  # public key, signature
    torn: bool = False  # the last line was cut
    open_end: bool = False  # the last line has no end

    @property
    def total(self) -> int:
        """Return how many leaves there are."""
        return 1 << self.height * self.levels

    @property
    def next(self) -> int:
        """Return the leaf that would sign next.

        A lower tree that was begun without a kept signature of the top tree is spent with all its leaves: to sign its key again
        would use a leaf of the top tree twice.
        """
        leaf = self.first_free
        inside = leaf & ((1 << self.height) - 1)
        if self.levels == 2 and inside and leaf >> self.height not in self.tops:
            leaf = (leaf >> self.height) + 1 << self.height
        return min(leaf, self.total)

    def kept(self, digest: bytes) -> tuple[int, bytes] | None:
        """Return (leaf, signature) of a message that was signed, None when none was kept."""
        for leaf, item in self.used.items():
            if item.digest == digest and item.signature is not None:
                return leaf, item.signature
        return None

    def record(self, leaf: int, digest: bytes) -> None:
        """Say that a leaf is used. Only after this may it sign."""
        self._append({"leaf": leaf, "sha256": digest.hex(), "time": int(time.time())})
        self.used[leaf] = Used(digest)
        self.first_free = leaf + 1

    def keep(self, leaf: int, signature: bytes) -> None:
        """Keep a signature. Only after this may it leave."""
        self._append({"leaf": leaf, "signature": _text(signature)})
        self.used[leaf].signature = signature

    def keep_top(self, index: int, public: bytes, signature: bytes) -> None:
        """Keep the top tree's signature of a lower tree's public key."""
        self._append({"tree": index, "public": public.hex(), "signature": _text(signature)})
        self.tops[index] = public, signature

    def skip(self, leaf: int) -> None:
        """Say that every leaf below is used."""
        self._append({"skip": leaf, "time": int(time.time())})
        self.first_free = self.skipped = leaf

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        if self.torn:
            data = json.dumps({"torn": self.first_free - 1}).encode() + b"\n" + data
        if self.open_end:
            data = b"\n" + data
        try:
            while data:
                data = data[os.write(self.fd, data) :]
            os.fsync(self.fd)
            sync_folder(self.path)
        except OSError as error:
            raise OperatorError(
                f"a used leaf could not be recorded ({error.strerror}), so no signature was given out",
                str(self.path),
                "make room, then sign again",
            ) from None
        self.torn = self.open_end = False


def sync_folder(path: Path) -> None:
    """Bring a file's name onto the disk."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def create(path: Path, kid: bytes, height: int, levels: int) -> None:
    """Make the state file of a new key."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OperatorError(
            "a state file without its key lies here",
            str(path),
            "choose another name, or move it away if that key is gone for ever",
        ) from None
    except OSError as error:
        raise OperatorError(str(error.strerror), str(path)) from None
    with os.fdopen(fd, "wb") as file:
        file.write(
            json.dumps({"key": kid.hex(), "height": height, "levels": levels}).encode() + b"\n"
        )
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path)


@contextmanager
def opened(path: Path, kid: bytes, height: int, levels: int) -> Iterator[State]:
    """Yield a key's state, locked against every other process; refuse one that is missing, damaged, or of another key."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND)
    except FileNotFoundError:
        raise OperatorError(
            "the state of this key is missing: nobody knows which of its leaves are used",
            str(path),
            "bring it back; if it is lost for ever, skip to a leaf above every one that was ever used",
        ) from None
    except OSError as error:
        raise OperatorError(str(error.strerror), str(path)) from None
    try:
        _lock(fd, path)
        if os.fstat(fd).st_mode & 0o022:
            raise OperatorError("others may write this state", str(path), f"chmod 600 {path}")
        with os.fdopen(os.dup(fd), "rb") as file:
            file.seek(0)
            data = file.read()
        state = State(path, fd, height, levels)
        _read(state, data, kid)
        yield state
    finally:
        os.close(fd)


def _lock(fd: int, path: Path) -> None:
    until = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise OperatorError(
                    "another process signs with this key", str(path), "try again when it is done"
                ) from None
            time.sleep(_LOCK_STEP_S)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read(state: State, data: bytes, kid: bytes) -> None:
    lines = [line for line in data.split(b"\n") if line]
    state.open_end = not data.endswith(b"\n")
    first = {"key": kid.hex(), "height": state.height, "levels": state.levels}
    for number, line in enumerate(lines):
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        try:
            if number == 0:
                if said != first:
                    raise OperatorError(
                        "this is the state of another key", str(state.path), "bring back its own"
                    )
            elif said is None:
                # What it would have said is unknown: it counts as the use of a leaf.
                state.first_free += 1
                state.torn = True
            else:
                _take(state, said)
        except (KeyError, TypeError, ValueError):
            raise OperatorError(
                f"line {number + 1} is damaged: which leaves are used is no longer certain",
                str(state.path),
                "bring back an undamaged copy that is not older than the last signature",
            ) from None
    if not lines:
        raise OperatorError("an empty state", str(state.path), "bring back its own")


def _take(state: State, said: Any) -> None:
    """Take one line; raise ValueError for one that cannot follow what was said before."""
    if state.torn != ("torn" in said):
        # A cut leaves its mark at the end, and the next writer says so: a broken line anywhere else is no cut.
        raise ValueError
    if "torn" in said:
        if said["torn"] != state.first_free - 1:
            raise ValueError
        state.torn = False
    elif "skip" in said:
        state.first_free = state.skipped = _rising(state, said["skip"])
    elif "tree" in said:
        if said["tree"] in state.tops or state.levels != 2:
            raise ValueError
        signature = base64.b64decode(said["signature"], validate=True)
        state.tops[int(said["tree"])] = bytes.fromhex(said["public"]), signature
    elif "sha256" in said:
        leaf = _rising(state, said["leaf"])
        if leaf == state.total:
            raise ValueError
        state.used[leaf] = Used(bytes.fromhex(said["sha256"]))
        state.first_free = leaf + 1
    elif state.used[said["leaf"]].signature is None:
        signature = base64.b64decode(said["signature"], validate=True)
        state.used[said["leaf"]].signature = signature
    else:
        raise ValueError


def _rising(state: State, leaf: Any) -> int:
    if not isinstance(leaf, int) or not state.first_free <= leaf <= state.total:
        raise ValueError
    return leaf


__all__ = ("State", "Used", "create", "opened", "sync_folder")
