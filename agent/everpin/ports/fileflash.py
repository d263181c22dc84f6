"""The Flash protocol over one preallocated file: a Pi's disk, or a file on a board's littlefs.

NOR rules are kept although a file would allow more: a store that breaks them would work here and fail on the part.
"""

import os

from ..core.errors import FLASH, FlashError, MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ERASED = b"\xff"


class FileFlash:
    """A region of `size` bytes in the file at `path`. `sync` returns when the bytes are on the medium.

    A writer takes the file's lock where the system has locks (one writer, many readers): OSError when another one holds it.
    """

    def __init__(self, path: str, size: int, sector: int = 4096, writer: bool = True) -> None:
        self.size = size
        self.sector = sector
        self._file: "Any" = open(path, "r+b" if writer else "rb")  # noqa: SIM115 - open as long as the object is
        if writer:
            lock(self._file, path)
        if self._file.seek(0, 2) != size:
            self._file.close()
            raise FlashError(FLASH)

    def _bounds(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise MisuseError

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`."""
        self._bounds(offset, length)
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise FlashError(FLASH)
        return data  # type: ignore[no-any-return]

    def prog(self, offset: int, data: bytes) -> None:
        """Clear bits: write bytes where the flash is erased, or where they only clear more bits."""
        held = self.read(offset, len(data))
        for at in range(len(data)):
            if held[at] & data[at] != data[at]:
                raise MisuseError
        self._file.seek(offset)
        self._file.write(data)

    def erase(self, offset: int, length: int) -> None:
        """Set whole sectors to 0xFF."""
        self._bounds(offset, length)
        if offset % self.sector or length % self.sector:
            raise MisuseError
        self._file.seek(offset)
        for _ in range(length // 256):
            self._file.write(_ERASED * 256)

    def sync(self) -> None:
        """Return when everything written is on the medium."""
        self._file.flush()
        # MicroPython's flush is fsync on its unix port and a commit on littlefs; CPython's fills the page cache only.
        if hasattr(os, "fsync"):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file and give the lock back."""
        self._file.close()


def lock(file: "Any", path: str) -> None:
    try:
        import fcntl
    except ImportError:
        return  # MicroPython: one program, one agent
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise OSError(11, "another agent holds " + path + "; stop it first")


def create(path: str, size: int) -> None:
    """Make an erased region file: mode 0600, whole or not at all."""
    part = path + ".part"
    with open(part, "wb") as file:
        if hasattr(os, "chmod"):
            os.chmod(part, 0o600)
        for _ in range(size // 256):
            file.write(_ERASED * 256)
        file.flush()
        if hasattr(os, "fsync"):
            os.fsync(file.fileno())
    os.rename(part, path)
