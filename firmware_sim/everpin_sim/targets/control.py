"""The control page of the emulated boards, read from their header: its constants, and its structure as a view of mapped memory."""

import contextlib
import ctypes
import mmap
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TYPES = {"uint8_t": ctypes.c_uint8, "uint16_t": ctypes.c_uint16, "uint32_t": ctypes.c_uint32}
_DEFINE = re.compile(r"^#define (\w+) (\d+)\b", re.MULTILINE)
_FIELD = re.compile(r"^ {4}(uint(?:8|16|32)_t) (\w+)(?:\[(\d+)\])?;", re.MULTILINE)


class Layout:
    """What the header says. `constants` are its numbers by name, `page` its structure: both compilers align alike."""

    def __init__(self, header: Path) -> None:
        text = header.read_text()
        self.constants = {name: int(value) for name, value in _DEFINE.findall(text)}
        fields: list[tuple[str, Any]] = []
        for kind, name, count in _FIELD.findall(text):
            fields.append((name, _TYPES[kind] * int(count) if count else _TYPES[kind]))
        self.page: Any = type("Page", (ctypes.LittleEndianStructure,), {"_fields_": fields})

    def __getitem__(self, name: str) -> int:
        return self.constants[name]


class Part:
    """The file that is a board's flash, window and control page, mapped: what is written here the board sees at once."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Open a part, made new and erased where there is none."""
        self.path = path
        self.layout = layout
        if not path.exists():
            with path.open("wb") as file:
                file.write(b"\xff" * layout["FLASH_BYTES"])
                file.truncate(layout["FILE_BYTES"])
            fresh = True
        else:
            fresh = False
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), layout["FILE_BYTES"])
        self.page: Any = layout.page.from_buffer(self._map, layout["CONTROL_OFFSET"])
        if fresh:
            self.page.magic = layout["CONTROL_MAGIC"]
            self.page.first_boot = 1

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the part."""
        return self._map[offset : offset + length]

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes of the part, whatever stands there: a programmer's socket, not the board's own flash controller."""
        self._map[offset : offset + len(data)] = data

    def pass_files(self, files: Mapping[str, bytes]) -> None:
        """Put files into the window: length of the name, name, length of the data, data; a zero behind the last."""
        packed = b"".join(
            len(item).to_bytes(4, "little") + item
            for pair in files.items()
            for item in (pair[0].encode(), pair[1])
        )
        if len(packed) + 4 > self.layout["WINDOW_BYTES"]:
            raise ValueError("the window is too small for these files")
        self.write(self.layout["WINDOW_OFFSET"], packed + bytes(4))

    def image(self) -> bytes:
        """Return the flash, all of it."""
        return self.read(0, self.layout["FLASH_BYTES"])

    def set_bytes(self, name: str, data: bytes) -> None:
        """Set a field of bytes of the page."""
        field = getattr(self.page, name)
        field[:] = data.ljust(len(field), b"\0")

    def close(self) -> None:
        """Unmap it."""
        self.page = None  # it holds the map
        with contextlib.suppress(BufferError):  # so does who holds the page: a traceback, say
            self._map.close()
