"""The chip's boot loader, by esptool: which chip, what its flash holds, writing it."""

import re
import tempfile
from pathlib import Path

from ..errors import OperatorError
from . import tools
from .boards import Board, flash_bytes

# (what esptool says, what happened, what to do)
_ERRORS = (
    (
        r"(This chip is [\w-]+, not [\w-]+)",
        "{0}",
        "name the board with --board, and take its own firmware",
    ),
    (
        r"lock port|port is busy|Resource temporarily unavailable",
        "another program holds the port",
        "close it: a terminal, an IDE",
    ),
    (
        r"Failed to connect|No serial data received|Wrong boot mode|No more data to read|serial noise",
        "the chip's boot loader does not answer",
        "hold BOOT, press and let go of RESET, and try again; a charging cable has no data lines",
    ),
    (
        r"MD5 of file does not match|digest .*mismatch",
        "the flash does not hold what was written to it",
        "try again with --baud 115200; if that fails too, the flash is worn or broken",
    ),
)


class Esptool:
    """esptool on one port, for one kind of board; `stay`: the chip stays in its boot loader, where nothing of the board runs."""

    def __init__(
        self, port: str, board: Board, baud: int, silent_s: float, stay: bool = False
    ) -> None:
        self.port = port
        self._board = board
        self._baud = baud
        self._silent_s = silent_s
        self._after = ["--after", "no-reset"] if stay else []

    def argv(self, *command: str) -> list[str]:
        """Return the command line of one esptool command."""
        return tools.command(
            "esptool", "--chip", self._board.chip, "--port", self.port, "--baud", str(self._baud), *self._after, *command
        )  # fmt: skip

    def _run(self, tell: tools.Tell, *command: str) -> str:
        said = tools.run(self.argv(*command), self._silent_s, tell)
        if said.status == 0:
            return said.text
        for pattern, what, then in _ERRORS:
            found = re.search(pattern, said.text, re.IGNORECASE)
            if found is not None:
                raise OperatorError(what.format(*found.groups()), self.port, then)
        raise OperatorError(f"esptool {command[0]} failed: {said.last()}", self.port)

    def flash_bytes(self, tell: tools.Tell) -> int:
        """Return the size of the chip's flash; refuse another chip."""
        text = self._run(tell, "flash-id")
        found = re.search(r"flash size: (\w+)", text)
        if found is None:
            raise OperatorError("esptool does not know this flash's size", self.port)
        return flash_bytes(found[1])

    def read(self, offset: int, size: int, tell: tools.Tell) -> bytes:
        """Return bytes of the flash."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "read"
            self._run(tell, "read-flash", hex(offset), hex(size), str(out))
            data = out.read_bytes()
        if len(data) != size:
            raise OperatorError(f"esptool read {len(data)} bytes of {size}", self.port)
        return data

    def write_command(self, writes: dict[int, Path]) -> list[str]:
        """Return the arguments that write files at offsets; esptool compares digests behind each."""
        return [
            "write-flash",
            *(item for at, path in writes.items() for item in (hex(at), str(path))),
        ]

    def write(self, writes: dict[int, Path], tell: tools.Tell) -> None:
        """Write files at offsets."""
        self._run(tell, *self.write_command(writes))
