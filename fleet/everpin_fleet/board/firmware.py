"""A firmware file: which chip it is for, and its partition table."""

import struct
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..errors import OperatorError
from . import partitions
from .boards import BOARDS, TABLE_BYTES, TABLE_OFFSET

# esp_image_header_t of ESP-IDF: the first byte, and where the chip's number is.
_MAGIC = 0xE9
_CHIP_AT = 12


@dataclass(frozen=True)
class Firmware:
    """What is to be written, from where the boot loader goes, and the table in it."""

    path: Path
    offset: int
    size: int
    table: list[partitions.Partition]


def load(path: Path, board: str) -> Firmware:
    """Return a combined firmware (boot loader, table, application); refuse another chip's."""
    data = files.read(path)
    wanted = BOARDS[board]
    if len(data) < 64 or data[0] != _MAGIC:
        raise OperatorError(
            "this is no firmware of an ESP32",
            str(path),
            "take the .bin of MicroPython's download page, or firmware.bin of a build",
        )
    (chip_id,) = struct.unpack_from("<H", data, _CHIP_AT)
    if chip_id != wanted.chip_id:
        names = [name for name, other in BOARDS.items() if other.chip_id == chip_id]
        raise OperatorError(
            f"this firmware is for {names[0] if names else f'chip {chip_id}'}, the board is {board}",
            str(path),
            "take the board's own firmware, or name the board with --board",
        )
    at = TABLE_OFFSET - wanted.bootloader
    table = partitions.from_binary(data[at : at + TABLE_BYTES], str(path))
    if not table:
        raise OperatorError(
            "there is no partition table in it: this is an application alone",
            str(path),
            "take firmware.bin, which has boot loader, table and application",
        )
    return Firmware(path, wanted.bootloader, len(data), table)
