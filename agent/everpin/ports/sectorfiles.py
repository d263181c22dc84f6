"""The Flash protocol over a folder with one small file for each sector: for littlefs, where writing into the middle of one
large file copies everything behind it. An absent file is an erased sector; a short one is erased behind its end.
"""

import os

from ..core.errors import FLASH, FlashError, MisuseError
from .fileflash import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..core.record import Flash

_PART = "part"
_LOCK = "lock"


class SectorFiles:
    """A region of `size` bytes in the folder `path`. What is written to one sector in one call is there whole or not at all.

    NOR rules are kept although files would allow more. A writer takes a lock where the system has locks: OSError when another
    one holds it. RAM: what is read, and one open file.
    """

    def __init__(self, path: str, size: int, sector: int = 4096, writer: bool = True) -> None:
        self.size = size
        self.sector = sector
        self._path = path
        self._written: "set[int]" = set()
        for name in os.listdir(path):
            if name.isdigit():
                self._written.add(int(name))
        if self._written and max(self._written) * sector >= size:
            raise FlashError(FLASH)
        # The sector whose file was read last, and that file: a ring is read page by page.
        self._held = -1
        self._file: "Any" = None
        self._lock: "Any" = None
        if writer and hasattr(os, "fsync"):  # a disk's files; on a board there is one program
            self._lock = open(path + "/" + _LOCK, "wb")  # noqa: SIM115 - open as long as the object is
            lock(self._lock, path)

    def _name(self, number: int) -> str:
        return self._path + "/" + str(number)

    def _bounds(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise MisuseError

    def _forget(self) -> None:
        """Close the file that was read last: what it says may change."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._held = -1

    def _read(self, number: int, inside: int, count: int) -> bytes:
        """Return what the file of a sector has there: less than `count` bytes where it ends before."""
        if number not in self._written:
            return b""
        if number != self._held:
            self._forget()
            self._file = open(self._name(number), "rb")  # noqa: SIM115 - closed by _forget
            self._held = number
        self._file.seek(inside)
        return self._file.read(count)  # type: ignore[no-any-return]

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`."""
        self._bounds(offset, length)
        number, inside = divmod(offset, self.sector)
        if inside + length <= self.sector:
            found = self._read(number, inside, length)
            return found + b"\xff" * (length - len(found))
        out = bytearray(length)
        at = 0
        while at < length:
            number, inside = divmod(offset + at, self.sector)
            count = min(length - at, self.sector - inside)
            found = self._read(number, inside, count)
            out[at : at + count] = found + b"\xff" * (count - len(found))
            at += count
        return bytes(out)

    def prog(self, offset: int, data: bytes) -> None:
        """Clear bits: write bytes where the flash is erased, or where they only clear more bits."""
        held = self.read(offset, len(data))
        for at in range(len(data)):
            if held[at] & data[at] != data[at]:
                raise MisuseError
        self._forget()
        at = 0
        while at < len(data):
            number, inside = divmod(offset + at, self.sector)
            count = min(len(data) - at, self.sector - inside)
            self._write(number, inside, data[at : at + count])
            at += count

    def _write(self, number: int, inside: int, data: bytes) -> None:
        name = self._name(number)
        if hasattr(os, "fsync"):
            # A disk's files: a copy takes the old one's place once it is on the medium.
            old = self._read(number, 0, self.sector)
            self._forget()
            new = old[:inside] + b"\xff" * (inside - len(old)) + data + old[inside + len(data) :]
            part = self._path + "/" + _PART
            with open(part, "wb") as file:
                file.write(new)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, name)
        else:
            # littlefs commits a file when it is closed, whole or not at all.
            with open(name, "r+b" if number in self._written else "wb") as file:
                end = file.seek(0, 2)
                if end < inside:
                    file.write(b"\xff" * (inside - end))
                file.seek(inside)
                file.write(data)
        self._written.add(number)

    def erase(self, offset: int, length: int) -> None:
        """Set whole sectors to 0xFF."""
        self._bounds(offset, length)
        if offset % self.sector or length % self.sector:
            raise MisuseError
        self._forget()
        for number in range(offset // self.sector, (offset + length) // self.sector):
            if number in self._written:
                os.remove(self._name(number))
                self._written.remove(number)

    def sync(self) -> None:
        """Return when everything written is on the medium."""
        if hasattr(os, "fsync"):
            folder = os.open(self._path, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        elif hasattr(os, "sync"):
            os.sync()

    def close(self) -> None:
        """Close what is open and give the lock back."""
        self._forget()
        if self._lock is not None:
            self._lock.close()


def create(path: str) -> None:
    """Make the folder of an erased region, for its owner alone."""
    os.mkdir(path)
    if hasattr(os, "chmod"):
        os.chmod(path, 0o700)


def copy_from(source: "Flash", path: str) -> None:
    """Make the folder of a region that holds what another one does: a board's, from the image that provisioning has made."""
    create(path)
    for number in range(source.size // source.sector):
        data = source.read(number * source.sector, source.sector).rstrip(b"\xff")
        if data:
            with open(path + "/" + str(number), "wb") as file:
                file.write(data)
