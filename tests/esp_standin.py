"""A board on a serial port that is not there: a pty, behind it a boot loader of an ESP32 and a MicroPython, over one flash file.

`Loader` answers esptool as the ROM does and, once that has uploaded it, as the flasher stub does (esptool's documentation, "Serial
Protocol"). The stub's code is not run: its answers are given here. What MicroPython does is real, by its unix port, which starts
from the littlefs in the flash file. A pty has no reset lines: a packet of SYNC resets into the loader, anything else starts MicroPython.
"""

import contextlib
import hashlib
import mmap
import os
import pty
import selectors
import struct
import subprocess
import termios
import threading
import time
import tty
import zlib
from pathlib import Path

from board_ground import START, environment

FLASH_BYTES = 4 << 20
SECTOR = 4096

FLASH_BEGIN, FLASH_DATA, FLASH_END, MEM_BEGIN, MEM_END, MEM_DATA, SYNC, WRITE_REG, READ_REG = range(2, 11)  # fmt: skip
SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUD = 0x0B, 0x0D, 0x0F
DEFL_BEGIN, DEFL_DATA, DEFL_END, MD5, SECURITY_INFO, READ_FLASH = (
    0x10,
    0x11,
    0x12,
    0x13,
    0x14,
    0xD2,
)
PLAIN = {MEM_BEGIN, MEM_DATA, SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUD, FLASH_END, DEFL_END}
OK = b"\0\0\0\0"
NO = b"\1\5\0\0"
SYNC_PACKET = b"\xc0\x00\x08\x24\x00"
MAGIC_REGISTER, ESP32_MAGIC = 0x40001000, 0x00F01D83
CHIP_IDS = {"esp32s3": 9, "esp32c3": 5}
# The registers of the chip's SPI controller: a command to the flash is given by them.
SPI = 0x3FF42000
SPI_COMMAND, SPI_USR2, SPI_W0 = SPI, SPI + 0x24, SPI + 0x80
# It pulls the reset line at each try, so a board that gets its power meanwhile comes up in its boot loader.
_ESPTOOL_TRIES_EVERY_S = 1.5
READ_ID, FLASH_ID = 0x9F, 0x1640EF  # 2 to the 0x16 bytes: 4 MB


class Loader:
    """Bytes of esptool in, bytes of a boot loader out; `writes` gets (offset, size) of each."""

    def __init__(
        self, flash: mmap.mmap, writes: list[tuple[int, int]], chip: str, worn: bool
    ) -> None:
        self.flash = flash
        self.writes = writes
        self._chip = chip
        self._worn = worn
        self._stub = False
        self._buffer = b""
        self._registers: dict[int, int] = {}
        self._at = 0
        self._inflate = zlib.decompressobj()

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return the answers to the packets that they end."""
        *frames, self._buffer = (self._buffer + data).split(b"\xc0")
        out = b""
        for frame in frames:
            packet = frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
            if len(packet) >= 8:  # a shorter one says how much of a read has come
                _, op, size, _ = struct.unpack("<BBHI", packet[:8])
                out += b"".join(map(self._slip, self._answer(op, packet[8 : 8 + size])))
        return out

    @staticmethod
    def _slip(packet: bytes) -> bytes:
        return (
            b"\xc0" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"
        )

    @staticmethod
    def _reply(op: int, data: bytes = OK, value: int = 0) -> bytes:
        return struct.pack("<BBHI", 1, op, len(data), value) + data

    def _answer(self, op: int, body: bytes) -> list[bytes]:
        words = struct.unpack_from(f"<{min(4, len(body) // 4)}I", body)
        if op == SYNC:
            # A ROM says something in the value, a stub says 0.
            return [self._reply(op, OK, 0 if self._stub else 0x20120707)] * 8
        if op == READ_REG:
            return [self._reply(op, OK, self._register(words[0]))]
        if op == WRITE_REG:
            self._command(words[0], words[1])
            return [self._reply(op)]
        if op == SECURITY_INFO and self._chip in CHIP_IDS:
            info = struct.pack("<IB7xII", 0, 0, CHIP_IDS[self._chip], 0)
            return [self._reply(op, info + OK)]
        if op == MEM_END:
            self._stub = True
            return [self._reply(op), b"OHAI"]
        if op in (FLASH_BEGIN, DEFL_BEGIN):
            return [self._begin(op, words[0], words[3])]
        if op in (FLASH_DATA, DEFL_DATA):
            data = body[16 : 16 + words[0]]
            self._program(self._inflate.decompress(data) if op == DEFL_DATA else data)
            return [self._reply(op)]
        if op == MD5:
            digest = hashlib.md5(self.flash[words[0] : words[0] + words[1]], usedforsecurity=False)
            said = digest.digest() if self._stub else digest.hexdigest().encode()
            return [self._reply(op, said + OK)]
        if op == READ_FLASH and self._stub:
            data = bytes(self.flash[words[0] : words[0] + words[1]])
            pieces = [data[at : at + words[2]] for at in range(0, len(data), words[2])]
            return [self._reply(op), *pieces, hashlib.md5(data, usedforsecurity=False).digest()]
        return [self._reply(op, OK if op in PLAIN else NO)]

    def _begin(self, op: int, size: int, offset: int) -> bytes:
        self._at, self._inflate = offset, zlib.decompressobj()
        end = offset + -(-size // SECTOR) * SECTOR
        self.flash[offset:end] = b"\xff" * (end - offset)
        if size:
            self.writes.append((offset, size))
        return self._reply(op)

    def _program(self, data: bytes) -> None:
        self.flash[self._at : self._at + len(data)] = data
        if self._worn:
            self.flash[self._at] ^= 0x10
        self._at += len(data)

    def _register(self, address: int) -> int:
        if address == MAGIC_REGISTER:
            return ESP32_MAGIC if self._chip == "esp32" else 9
        return self._registers.get(address, 0)

    def _command(self, address: int, value: int) -> None:
        self._registers[address] = value
        if address == SPI_COMMAND:  # the controller is done at once
            is_id = self._registers.get(SPI_USR2, 0) & 0xFF == READ_ID
            self._registers[SPI_W0] = FLASH_ID if is_id else 0
            self._registers[SPI_COMMAND] = 0


class MicroPython:
    """MicroPython's unix port on a terminal of its own, started from a flash file."""

    def __init__(self, program: str, flash: Path, offset: int, size: int, with_main: bool) -> None:
        self.terminal, inner = pty.openpty()
        tty.setraw(inner)
        # As on a board: Ctrl-C interrupts what runs.
        settings = termios.tcgetattr(inner)
        settings[3] |= termios.ISIG
        termios.tcsetattr(inner, termios.TCSANOW, settings)
        env = environment(flash, offset, size) | {"EVERPIN_TTY": os.ttyname(inner)}
        env["EVERPIN_RTC"] = str(flash.with_suffix(".rtc"))
        if with_main:
            env["EVERPIN_MAIN"] = "1"
        self._process = subprocess.Popen(
            [program, "-X", "heapsize=2M", "-i", str(START)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env=env,
            cwd="/",
        )
        os.close(inner)

    def ended(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """End it, as a board's reset does."""
        self._process.kill()
        self._process.wait()
        os.close(self.terminal)


class Board:
    """A board on `port`. `console` is what MicroPython has printed there."""

    def __init__(
        self,
        folder: Path,
        program: str | None,
        place: tuple[int, int],
        chip: str = "esp32",
        worn: bool = False,
        deaf: bool = False,
        switch: Path | None = None,
    ) -> None:
        """`switch`: a file that says "on" or "off", the board's power; without one it is on."""
        self.flash = folder / "board.flash"
        if not self.flash.exists():
            self.flash.write_bytes(b"\xff" * FLASH_BYTES)
        self._program, self._place = program, place
        self._chip, self._worn, self._deaf = chip, worn, deaf
        self._switch, self._powered = switch, switch is None
        self._asked_at = 0.0
        self.flash.with_suffix(".rtc").write_bytes(b"")
        self.writes: list[tuple[int, int]] = []
        self.console = b""
        self._raw = False
        self._loader: Loader | None = None
        self._running: MicroPython | None = None
        self._serial, self._far = pty.openpty()
        tty.setraw(self._far)
        self.port = os.ttyname(self._far)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def close(self) -> None:
        """Unplug it."""
        self._stop.set()
        self._thread.join()
        os.close(self._serial)
        os.close(self._far)

    def wait(self, what: bytes, seconds: float = 20.0) -> bool:
        """Return whether the console says something in time."""
        end = time.monotonic() + seconds
        while what not in self.console and time.monotonic() < end:
            time.sleep(0.02)
        return what in self.console

    def _work(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._serial, selectors.EVENT_READ)
            while not self._stop.is_set():
                self._look_at_switch()
                inner = self._running.terminal if self._running is not None else None
                if inner is not None:
                    ready.register(inner, selectors.EVENT_READ)
                heard = {key.fd for key, _ in ready.select(0.05)}
                if inner is not None:
                    ready.unregister(inner)
                if self._serial in heard:
                    self._take(os.read(self._serial, 65536))
                self._hear()
        self._leave()

    def _look_at_switch(self) -> None:
        if self._switch is None:
            return
        powered = self._switch.exists() and self._switch.read_text() == "on"
        if powered == self._powered:
            return
        self._powered = powered
        self._leave()
        if not powered:
            self._asked_at = 0.0
            # A board without its power forgets the time of day.
            self.flash.with_suffix(".rtc").write_bytes(b"")
        elif time.monotonic() - self._asked_at > _ESPTOOL_TRIES_EVERY_S:
            self._start(True)

    def _take(self, data: bytes) -> None:
        if SYNC_PACKET in data and not self._powered:
            self._asked_at = time.monotonic()
        if self._deaf or not self._powered:
            return
        if SYNC_PACKET in data and (self._running is not None or self._loader is None):
            self._leave()
            with open(self.flash, "r+b") as file:
                flash = mmap.mmap(file.fileno(), 0)
            self._loader = Loader(flash, self.writes, self._chip, self._worn)
        if self._loader is not None and data[:4] in (b"\r\x03", b"\r\x03\r\x01"):  # mpremote
            self._leave()
        if self._loader is not None:
            os.write(self._serial, self._loader.feed(data))
            return
        if self._program is None:
            return
        if self._running is None:
            self._start(False)
        if self._running is not None:
            self._raw = b"\x01" in data or (self._raw and b"\x02" not in data)
            os.write(self._running.terminal, data)

    def _start(self, with_main: bool) -> None:
        if self._program is not None:
            self._running = MicroPython(self._program, self.flash, *self._place, with_main)

    def _hear(self) -> None:
        if self._running is None:
            return
        os.set_blocking(self._running.terminal, False)
        said = b""
        with contextlib.suppress(OSError):
            said = os.read(self._running.terminal, 65536)
        if said:
            self.console += said
            os.write(self._serial, said)
        status = self._running.ended()
        if status is not None and not said:
            self._running.stop()
            self._running = None
            # 0: Ctrl-D, a soft reset, which main.py does not follow in the raw REPL; else machine.reset().
            if status == 0:
                os.write(self._serial, b"MPY: soft reboot\r\n")
            self._start(status != 0)
            if status == 0 and self._raw and self._running is not None:
                os.write(self._running.terminal, b"\x01")

    def _leave(self) -> None:
        """End whatever runs."""
        if self._loader is not None:
            self._loader.flash.close()
            self._loader = None
        if self._running is not None:
            self._running.stop()
            self._running = None
            self._raw = False
