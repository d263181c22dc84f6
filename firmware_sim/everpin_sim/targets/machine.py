"""One life of an emulated board: QEMU as a process, its console, and commands at MicroPython's prompt."""

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from ..build_mcu import Firmware
from .emulator import Emulator
from .protocol import TargetError

_ANSWER_S = 60.0


class Machine(Emulator):
    """A running board."""

    def __init__(
        self,
        firmware: Firmware,
        part: Path,
        log: Path,
        feed: Callable[[bytes], None],
        line: socket.socket | None = None,
        icount: str = "",
        extra: Sequence[str] = (),
    ) -> None:
        arguments = [
            *("-nic", "none", "-machine", f"{firmware.machine},memory-backend=psram"),
            *("-object", f"memory-backend-file,id=psram,size=16M,mem-path={part},share=on"),
            # For the exit code alone.
            *("-semihosting-config", "enable=on,target=native"),
        ]
        if line is not None:
            arguments += ["-chardev", f"socket,id=line,fd={line.fileno()}"]
            arguments += ["-serial", "chardev:line"]
        if icount:
            arguments += ["-icount", icount]
        super().__init__(
            "qemu-system-arm",
            [*arguments, "-kernel", str(firmware.elf), *extra],
            log,
            feed,
            () if line is None else (line,),
        )

    def prompt(self) -> bytes:
        """Wait for the prompt and take it over; return what was said before it."""
        said = self.until(b">>> ")
        self.say(b"\x01")
        self.until(b"raw REPL; CTRL-B to exit\r\n>")
        return said

    def start(self, code: str) -> None:
        """Run code at the prompt, without waiting for its end."""
        self.say(code.encode() + b"\x04")
        self.until(b"OK")

    def run(self, code: str, timeout_s: float = _ANSWER_S) -> str:
        """Run code at the prompt; return what it prints; raise `TargetError` with its traceback."""
        self.start(code)
        said = self.until(b"\x04", timeout_s)[:-1]
        wrong = self.until(b"\x04", timeout_s)[:-1]
        self.until(b">", timeout_s)
        if wrong:
            raise TargetError(wrong.decode(errors="replace").replace("\r\n", "\n"))
        return said.decode().replace("\r\n", "\n")
