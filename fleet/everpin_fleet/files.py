"""Files, whole or not at all, and secrets for their owner alone."""

import os
import stat
from pathlib import Path

from .errors import OperatorError


def write(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file in one step: a cut leaves the old one or the new one."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Created with its mode: a secret is never readable for others, not even for a moment.
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            with os.fdopen(fd, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OperatorError(
            str(error.strerror), str(path), "is the folder there and writable?"
        ) from None


def read(path: Path) -> bytes:
    """Return a file's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperatorError(str(error.strerror), str(path)) from None


def read_secret(path: Path) -> bytes:
    """Return a secret file's bytes; refuse one that others may read."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise OperatorError(str(error.strerror), str(path)) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise OperatorError(
            f"others may read this secret (mode {stat.S_IMODE(mode):04o})",
            str(path),
            f"chmod 600 {path}",
        )
    return read(path)
