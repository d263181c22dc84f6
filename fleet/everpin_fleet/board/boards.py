"""The boards that are known: what differs between the chips, and how large a flash is."""

import re
from dataclasses import dataclass

from ..errors import OperatorError

BLOCK = 4096
TABLE_OFFSET = 0x8000
TABLE_BYTES = 0xC00


@dataclass(frozen=True)
class Board:
    """`chip` as esptool names it, `chip_id` as image headers do (ESP-IDF, esp_app_format.h), `march` as mpy-cross does."""

    chip: str
    chip_id: int
    bootloader: int
    march: str


BOARDS = {
    "esp32": Board("esp32", 0, 0x1000, "xtensawin"),
    "esp32s2": Board("esp32s2", 2, 0x1000, "xtensawin"),
    "esp32s3": Board("esp32s3", 9, 0, "xtensawin"),
    "esp32c3": Board("esp32c3", 5, 0, "rv32imc"),
    "esp32c6": Board("esp32c6", 13, 0, "rv32imc"),
}
DEFAULT_FLASH = "4MB"


def flash_bytes(text: str) -> int:
    """Return the bytes of "4MB" and the like."""
    found = re.fullmatch(r"(\d{1,3})MB", text)
    if found is None or int(found[1]) not in (1, 2, 4, 8, 16, 32, 64, 128):
        raise OperatorError(f"{text!r} is no flash size", "--flash-size", "4MB, 8MB, 16MB …")
    return int(found[1]) << 20
