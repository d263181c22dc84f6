"""QEMU as a process of ours: its console's lines as they come, and its end."""

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from .protocol import TargetError

_ANSWER_S = 60.0


class Emulator:
    """A running QEMU. `feed` gets each line of its console; the whole goes to `log`.

    It dies with the thread that made it, for QEMU never ends by itself: make it in one that stays.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        log: Path,
        feed: Callable[[bytes], None],
        inherited: Collection[socket.socket] = (),
        serial: int = 0,
    ) -> None:
        """Start it; `inherited` are sockets that arguments name by their descriptors: closed here.

        `serial` is the number of the serial port that is the console; those before it lead nowhere.
        """
        if shutil.which(program) is None:
            raise TargetError(f"{program} is lacking; to install: apt-get install qemu-system-arm")
        self._feed = feed
        self._text = bytearray()
        self._changed = threading.Condition()
        self._ended = False
        self._console, theirs = socket.socketpair()
        command = [
            *("setpriv", "--pdeathsig", "KILL"),
            *(program, "-nodefaults", "-display", "none", "-monitor", "none"),
            *("-serial", "null") * serial,
            *("-chardev", f"socket,id=console,fd={theirs.fileno()}", "-serial", "chardev:console"),
            *arguments,
        ]
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[sock.fileno() for sock in (theirs, *inherited)],
        )
        for sock in (theirs, *inherited):
            sock.close()
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
    def pid(self) -> int:
        """Return its process."""
        return self._process.pid

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

    def say(self, text: bytes) -> None:
        """Type on its console."""
        self._console.sendall(text)

    def until(self, wanted: bytes, timeout_s: float = _ANSWER_S) -> bytes:
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
