"""Starts MicroPython on a flash file as an ESP32 does: its littlefs at /, then boot.py and, where nobody is at the REPL, main.py.

Run by MicroPython with -i, its settings in the environment: EVERPIN_FLASH (a file), EVERPIN_OFFSET, EVERPIN_BYTES, and
EVERPIN_RTC, a file that keeps how far its clock is ahead, where it has one.
"""

import os
import sys
import time

import vfs

_BLOCK = 4096


class Flash:
    """The extended block-device protocol over a part of a file; NOR rules, as flash has them."""

    def __init__(self, path, offset, size):
        self._file = open(path, "r+b")  # noqa: SIM115 - open as long as the board runs
        self._offset = offset
        self._blocks = size // _BLOCK

    def readblocks(self, block, buf, offset=0):
        """Fill a buffer."""
        self._file.seek(self._offset + block * _BLOCK + offset)
        self._file.readinto(buf)
        return 0

    def writeblocks(self, block, buf, offset=0):
        """Write inside a block; what was not erased keeps its zeros."""
        held = bytearray(len(buf))
        self.readblocks(block, held, offset)
        self._file.seek(self._offset + block * _BLOCK + offset)
        self._file.write(bytes(held[at] & buf[at] for at in range(len(buf))))
        return 0

    def ioctl(self, op, arg):
        """Answer: 3 sync, 4 how many blocks, 5 their size, 6 erase one."""
        if op == 4:
            return self._blocks
        if op == 5:
            return _BLOCK
        if op == 6:
            self._file.seek(self._offset + arg * _BLOCK)
            self._file.write(b"\xff" * _BLOCK)
        if op == 3:
            self._file.flush()
        return 0


class Machine:
    """What `machine` offers of a board."""

    class RTC:
        """The time of day, kept over resets."""

        @staticmethod
        def datetime(fields):
            """Set it."""
            year, month, day, _, hour, minute, second, _ = fields
            wanted = Time.host.mktime((year, month, day, hour, minute, second, 0, 0))
            rtc.seek(0)
            rtc.write(b"%-20d" % (wanted - int(Time.host.time())))
            rtc.flush()

    @staticmethod
    def reset():
        """End this process with a status of its own: whoever started it starts it again, with main.py."""
        sys.exit(3)


class Network:
    """What `network` offers: a network that is there."""

    STA_IF = 0

    class WLAN:
        """A radio."""

        def __init__(self, kind):
            pass

        def active(self, on):
            """Switch it on."""

        def connect(self, ssid, key):
            """Say which network."""
            print("wifi", ssid)

        def isconnected(self):
            """Yes."""
            return True


class Time:
    """`time` with the time of day that the board was told; without that, what the host says."""

    # main.py runs in these globals and names `time` what it imports: the host's is kept here.
    host = time

    def __init__(self, ahead):
        self._ahead = ahead

    def __getattr__(self, name):
        return getattr(Time.host, name)

    def time(self):
        """Return it."""
        return Time.host.time() + self._ahead


# Opened before the board's own file system is all that there is.
rtc = open(os.getenv("EVERPIN_RTC"), "r+b") if os.getenv("EVERPIN_RTC") else None  # noqa: SIM115 - open as long as the board runs
told = rtc.read(20) if rtc else b""
if told:
    sys.modules["time"] = Time(int(told))
flash = Flash(
    os.getenv("EVERPIN_FLASH"), int(os.getenv("EVERPIN_OFFSET")), int(os.getenv("EVERPIN_BYTES"))
)
sys.modules["machine"] = Machine
sys.modules["network"] = Network
# The terminal that is opened first is the one whose Ctrl-C interrupts.
terminal = open(os.getenv("EVERPIN_TTY"), "rb") if os.getenv("EVERPIN_TTY") else None  # noqa: SIM115
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(flash), "/")
sys.path[:] = ["", ".frozen", "/lib"]
for name in ("boot.py", "main.py" if os.getenv("EVERPIN_MAIN") else ""):
    if name in os.listdir():
        with open(name) as file:
            code = file.read()
        exec(code)  # noqa: S102 - as a board does
