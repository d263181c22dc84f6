"""One life of an emulated board: QEMU as a process, its console, and commands at MicroPython's prompt."""

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..build_mcu import Firmware
from .protocol import TargetError

_NO_LINE = "null"
_ANSWER_S = 60.0


class Machine:
    """A running board. `feed` gets each line of its console; the whole goes to `log`.

    It dies with the thread that made it, for QEMU never ends by itself: make it in one that stays.
    """

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
        if shutil.which("qemu-system-arm") is None:
            raise TargetError(
                "qemu-system-arm is lacking; to install: apt-get install qemu-system-arm"
            )
        self._feed = feed
        self._text = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        self._console, theirs = socket.socketpair()
        fds = [theirs.fileno()] + ([line.fileno()] if line is not None else [])
        command = [
            *("setpriv", "--pdeathsig", "KILL"),
            *(
                "qemu-system-arm",
                "-nodefaults",
                "-nic",
                "none",
                "-display",
                "none",
                "-monitor",
                "none",
            ),
            *("-machine", f"{firmware.machine},memory-backend=psram"),
            *("-object", f"memory-backend-file,id=psram,size=16M,mem-path={part},share=on"),
            # For the exit code alone.
            *("-semihosting-config", "enable=on,target=native"),
            *("-chardev", f"socket,id=console,fd={fds[0]}", "-serial", "chardev:console"),
        ]
        if line is not None:
            command += ["-chardev", f"socket,id=line,fd={fds[1]}", "-serial", "chardev:line"]
        if icount:
            command += ["-icount", icount]
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [*command, "-kernel", str(firmware.elf), *extra],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=fds,
        )
        theirs.close()
        if line is not None:
            line.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := self._console.recv(65536):
                self._log.write(data)
                self._log.flush()
                *lines, rest = (rest + data).split(b"\n")
                for each in lines:
                    self._feed(each)
                with self._changed:
                    self._text += data
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def alive(self) -> bool:
        """Return whether it runs."""
        return self._process.poll() is None

    @property
    def closed(self) -> bool:
        """Return whether its console is: it has gone away, or is about to."""
        return self._ended

    def ended(self, timeout_s: float = _ANSWER_S) -> int:
        """Wait until it ends by itself; return its exit code (control.h). Raise `TargetError` when it does not."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TargetError("the board does not end") from None
        self._reader.join()
        return code

    def kill(self) -> None:
        """The power is gone."""
        if self.alive:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._console.close()
        self._log.close()

    # ---- the prompt --------------------------------------------------------------------------------------------------

    def _until(self, wanted: bytes, timeout_s: float) -> bytes:
        """Return, and forget, what the console says up to `wanted`."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while wanted not in self._text:
                left = until - time.monotonic()
                if self._ended or left <= 0 or not self._changed.wait(left):
                    why = "ended" if self._ended else "says nothing more"
                    tail = bytes(self._text[-600:]).decode(errors="replace")
                    raise TargetError(f"the board {why}: {tail}")
            end = self._text.index(wanted) + len(wanted)
            found = bytes(self._text[:end])
            del self._text[:end]
        return found

    def prompt(self) -> bytes:
        """Wait for the prompt and take it over; return what was said before it."""
        said = self._until(b">>> ", _ANSWER_S)
        self._console.sendall(b"\x01")
        self._until(b"raw REPL; CTRL-B to exit\r\n>", _ANSWER_S)
        return said

    def start(self, code: str) -> None:
        """Run code at the prompt, without waiting for its end."""
        self._console.sendall(code.encode() + b"\x04")
        self._until(b"OK", _ANSWER_S)

    def run(self, code: str, timeout_s: float = _ANSWER_S) -> str:
        """Run code at the prompt; return what it prints; raise `TargetError` with its traceback."""
        self.start(code)
        said = self._until(b"\x04", timeout_s)[:-1]
        wrong = self._until(b"\x04", timeout_s)[:-1]
        self._until(b">", timeout_s)
        if wrong:
            raise TargetError(wrong.decode(errors="replace").replace("\r\n", "\n"))
        return said.decode().replace("\r\n", "\n")
