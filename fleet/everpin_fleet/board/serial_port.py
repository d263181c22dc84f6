"""A serial port that is there and may be used, or one line that says what to do."""

import grp
import os
import stat
from pathlib import Path

from ..errors import OperatorError

_PATTERNS = ("ttyUSB*", "ttyACM*", "cu.usbserial*", "cu.usbmodem*", "cu.SLAB*", "cu.wchusb*")


def found() -> list[str]:
    """Return the ports that boards are seen at."""
    return sorted(str(path) for pattern in _PATTERNS for path in Path("/dev").glob(pattern))


def check(port: str) -> None:
    """Raise unless this process may open the port; a URL such as rfc2217://HOST:PORT is pyserial's own business."""
    if "://" in port:
        return
    try:
        held = Path(port).stat()
    except OSError as error:
        ports = (
            ", ".join(found()) or "none; is the board plugged in, with a cable that carries data?"
        )
        raise OperatorError(
            f"no such port ({error.strerror})", port, f"ports here: {ports}"
        ) from None
    if not stat.S_ISCHR(held.st_mode):
        raise OperatorError("this is no serial port", port, "a port is like /dev/ttyUSB0")
    if not os.access(port, os.R_OK | os.W_OK):
        try:
            group = grp.getgrgid(held.st_gid).gr_name
        except KeyError:
            group = str(held.st_gid)
        raise OperatorError(
            "this user may not use the port",
            port,
            f"no root is needed, but its group: sudo usermod -aG {group} $USER, and log in again",
        )
