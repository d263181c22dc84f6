"""Partition tables of ESP-IDF, as CSV and as the board has them; and where MicroPython's file system lies in one."""

import struct
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..errors import OperatorError
from .boards import BLOCK, TABLE_BYTES, TABLE_OFFSET

_APP = 0
_TYPES = {"app": _APP, "data": 1}
_APP_ALIGN = 0x10000
# What a table has room for: 3,072 bytes with its digest.
_MAX_ENTRIES = 95
_MAGIC = b"\xaa\x50"
_END_OF_ADDRESSES = 1 << 32

NAME = "vfs"
# MicroPython 1.26 and later for boards of 4 MB and more: no file system in it. The firmware adds one behind the last partition, up to the
# end of the flash. Older firmware has the same place in its table by name.
DEFAULT = """\
nvs,      data, nvs,     0x9000,  0x6000
phy_init, data, phy,     0xf000,  0x1000
factory,  app,  factory, 0x10000, 0x1F0000
"""


@dataclass(frozen=True)
class Partition:
    """One line of a table."""

    name: str
    is_app: bool
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Return the first byte behind it."""
        return self.offset + self.size


def _number(text: str, where: str) -> int:
    scale = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:].upper(), 1)
    try:
        value = int(text[:-1] if scale > 1 else text, 0) * scale
    except ValueError:
        value = -1
    if not 0 <= value < _END_OF_ADDRESSES:
        raise OperatorError(f"{text!r} is no offset or size", where, "0x10000, 64K or 1M")
    return value


def from_csv(text: str, source: str) -> list[Partition]:
    """Return a table's partitions; an empty offset is the next one that is aligned (ESP-IDF, "Partition Tables")."""
    table: list[Partition] = []
    after = TABLE_OFFSET + BLOCK
    for line_number, line in enumerate(text.splitlines(), 1):
        fields = [field.strip() for field in line.split("#")[0].split(",")]
        if fields == [""]:
            continue
        where = f"{source}, line {line_number}"
        if len(fields) < 5 or not fields[0] or len(table) == _MAX_ENTRIES:
            raise OperatorError(
                "this is no line of a partition table", where, "name, type, subtype, offset, size"
            )
        is_app = (
            _TYPES[fields[1]] if fields[1] in _TYPES else _number(fields[1] or "?", where)
        ) == _APP
        align = _APP_ALIGN if is_app else BLOCK
        offset = _number(fields[3], where) if fields[3] else -(-after // align) * align
        table.append(Partition(fields[0], is_app, offset, _number(fields[4] or "?", where)))
        after = table[-1].end
    return _checked(table, source)


def from_file(path: Path | None) -> list[Partition]:
    """Return the table of a CSV file, MicroPython's own for None."""
    if path is None:
        return from_csv(DEFAULT, "the default table")
    try:
        text = files.read(path).decode()
    except UnicodeDecodeError:
        raise OperatorError("this is no text", str(path), "a partition table as CSV") from None
    return from_csv(text, str(path))


def from_binary(data: bytes, source: str) -> list[Partition]:
    """Return the table that a board, or a firmware, holds; an empty one where the flash is erased."""
    table: list[Partition] = []
    for at in range(0, min(len(data), TABLE_BYTES) - 31, 32):
        magic, kind, _, offset, size, name = struct.unpack("<2sBBII16s", data[at : at + 28])
        if magic != _MAGIC:
            break
        label = name.split(b"\0")[0].decode("ascii", "replace")
        table.append(Partition(label, kind == _APP, offset, size))
    return _checked(table, source)


def _checked(table: list[Partition], source: str) -> list[Partition]:
    end = TABLE_OFFSET + BLOCK
    for part in sorted(table, key=lambda part: part.offset):
        if part.offset < end or part.size == 0 or part.offset % BLOCK:
            raise OperatorError(
                f"partition {part.name!r} overlaps what lies before it, is empty, or begins inside a block of {BLOCK} bytes",
                source,
            )
        end = part.end
    return table


def file_system(table: list[Partition], flash_bytes: int, source: str) -> Partition:
    """Return where MicroPython has its file system (ports/esp32: flashbdev.py, main.c)."""
    by_name = {part.name: part for part in table}
    found = by_name.get(NAME)
    if found is None and "ffat" in by_name:
        raise OperatorError(
            "this table is TinyUF2's, whose file system is FAT",
            source,
            "flash MicroPython's own firmware",
        )
    if found is None:
        if not table:
            raise OperatorError("there is no partition table", source, "write a firmware first")
        end = max(part.end for part in table)
        found = Partition(NAME, False, end, flash_bytes - end)
    if found.size < 2 * BLOCK or found.size % BLOCK or found.end > flash_bytes:
        raise OperatorError(
            f"no room for a file system: {found.size} bytes at {found.offset:#x} of {flash_bytes}",
            source,
            "is --flash-size the board's?",
        )
    return found
