"""The memory card of an emulated Pi: a region of the store on a partition of its own, and the device's folder on the next."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from everpin.core.store import REGION_BYTES

SECTOR = 512
# A size that the emulator's SD controller takes: a power of two.
CARD_BYTES = 4 << 20
REGION_AT = 1 << 20
_FOLDER_AT = 2 << 20
_LINUX = 0x83


def _partition(start: int, length: int) -> bytes:
    # Cylinders, heads and sectors as written where they do not fit.
    chs = b"\xfe\xff\xff"
    numbers = (start // SECTOR).to_bytes(4, "little") + (length // SECTOR).to_bytes(4, "little")
    return bytes((0,)) + chs + bytes((_LINUX,)) + chs + numbers


class Card:
    """A card in the file at `path`, made new and erased where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            table = _partition(REGION_AT, REGION_BYTES)
            table += _partition(_FOLDER_AT, CARD_BYTES - _FOLDER_AT)
            with path.open("wb") as file:
                file.write(bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa")
                file.truncate(CARD_BYTES)
            self.write(b"\xff" * REGION_BYTES)

    def _put(self, offset: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def write(self, region: bytes) -> None:
        """Write the region."""
        if len(region) != REGION_BYTES:
            raise ValueError(f"a region has {REGION_BYTES} bytes, not {len(region)}")
        self._put(REGION_AT, region)

    def region(self) -> bytes:
        """Return the region."""
        with self.path.open("rb") as file:
            file.seek(REGION_AT)
            return file.read(REGION_BYTES)

    def put_files(self, files: Mapping[str, bytes]) -> None:
        """Put the device's folder on the card, in place of what was there."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, data in sorted(files.items()):
                item = tarfile.TarInfo(name)
                item.size, item.mode = len(data), 0o600
                tar.addfile(item, io.BytesIO(data))
        if len(packed.getvalue()) > CARD_BYTES - _FOLDER_AT:
            raise ValueError("the card is too small for these files")
        self._put(_FOLDER_AT, packed.getvalue())
