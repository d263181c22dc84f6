"""The agent on this board: its device folder, its flash on either medium, its phases, and files passed through the board's window."""

import io
import json
import os
import sys

import board
import vfs

FOLDER = "/device"
_SECTORS = "/device/sectors"

# Events of the agent that are phases of the board.
_PHASES = {
    "connected": board.PHASE_CONNECTED,
    "accepted": board.PHASE_ACCEPTED,
    "confirmed": board.PHASE_CONFIRMED,
    "report-sent": board.PHASE_REPORT,
    "acked": board.PHASE_ACKED,
    "refused": board.PHASE_REFUSED,
    "rescue": board.PHASE_RESCUE,
}


class Marked:
    """The store's flash with each step a phase before it and one after it, the kind of the record added."""

    def __init__(self, inner):
        self._inner = inner
        self.size = inner.size
        self.sector = inner.sector
        self.read = inner.read

    def prog(self, offset, data):
        """Clear bits."""
        kind = data[3] & 7 if data[:2] == b"eP" else 0
        board.phase(board.PHASE_PROG | kind)
        self._inner.prog(offset, data)
        board.phase(board.PHASE_PROG_DONE | kind)

    def erase(self, offset, length):
        """Set sectors to 0xFF."""
        board.phase(board.PHASE_ERASE)
        self._inner.erase(offset, length)
        board.phase(board.PHASE_ERASE_DONE)

    def sync(self):
        """What was written is on the medium."""
        self._inner.sync()
        board.phase(board.PHASE_SYNC_DONE)


class Counter:
    """The board's monotonic counter (everpin/core/store.py)."""

    def read(self):
        """Return its value."""
        return board.counter()

    def raise_to(self, value):
        """Raise it."""
        board.counter(value)


def flash():
    """Return the device's region on the medium that the board is set to."""
    if board.medium() == board.MEDIUM_RAW:
        from everpin.ports.micropython.blockflash import BlockFlash

        return BlockFlash(board.Flash(0, board.RAW_BYTES))
    from everpin.core.store import REGION_BYTES, SECTOR
    from everpin.ports.sectorfiles import SectorFiles

    return SectorFiles(_SECTORS, REGION_BYTES, SECTOR)


def device():
    """Return the open device."""
    from everpin.ports.device import Device

    counter = None if board.counter() is None else Counter()
    return Device(FOLDER, device_key=board.key(), flash=Marked(flash()), counter=counter)


def run(once_s=None):
    """Run the agent for ever, or once within `once_s` seconds."""
    from everpin.ports.micropython.main import MicroPythonPort
    from everpin.ports.runner import Runner

    opened = device()
    board.phase(board.PHASE_AGENT)
    runner = Runner(opened.agent, MicroPythonPort(opened), _log)
    if once_s is not None:
        return runner.run_once(once_s)
    runner.run()
    return None


def _log(event):
    print(json.dumps(event))
    phase = _PHASES.get(event["event"])
    if phase is not None:
        board.phase(phase)


# ---- files through the window: for each one the length of its name, the name, the length of its data, the data; a zero at the end --


class _Window:
    """The window's files as a file system that is only read, programs among them."""

    def __init__(self):
        self._files = dict(files())

    def mount(self, readonly, mkfs):
        """Be mounted."""

    def umount(self):
        """Be unmounted."""

    def stat(self, path):
        """Return what os.stat returns."""
        name = path.lstrip("/")
        if name in self._files:
            return (0x8000, 0, 0, 0, 0, 0, len(self._files[name]), 0, 0, 0)
        if name and not any(item.startswith(name + "/") for item in self._files):
            raise OSError(2)  # ENOENT
        return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def open(self, path, mode):
        """Open a file to read it."""
        if "w" in mode or "a" in mode or "+" in mode:
            raise OSError(30)  # EROFS
        self.stat(path)
        data = self._files[path.lstrip("/")]
        return io.BytesIO(data) if "b" in mode else io.StringIO(bytes(data).decode())


def mount_window(where):
    """Mount the files of the window; programs are found there."""
    vfs.mount(_Window(), where)
    sys.path.append(where)


class _Image:
    """A region's bytes in the window, as the source of `sectorfiles.copy_from`."""

    sector = 4096

    def __init__(self, view):
        self._view = view
        self.size = len(view)

    def read(self, offset, length):
        return bytes(self._view[offset : offset + length])


def _remove(path):
    for entry in os.ilistdir(path):
        name = path + "/" + entry[0]
        if entry[1] & 0x4000:
            _remove(name)
        else:
            os.remove(name)
    os.rmdir(path)


def take():
    """Replace the device folder by what lies in the window; "flash.img" becomes the region on the board's medium."""
    try:
        _remove(FOLDER)
    except OSError:
        pass  # there was none
    os.mkdir(FOLDER)
    for name, data in files():
        if name == "flash.img":
            _region(data)
        else:
            with open(FOLDER + "/" + name, "wb") as file:
                file.write(data)


def files():
    """Yield (name, view of its bytes) of every file in the window."""
    window = board.window()
    at = 0
    while True:
        name, at = _field(window, at)
        if not name:
            return
        data, at = _field(window, at)
        yield bytes(name).decode(), data


def make():
    """Make an empty device folder, its region erased."""
    os.mkdir(FOLDER)
    if board.medium() != board.MEDIUM_RAW:
        from everpin.ports import sectorfiles

        sectorfiles.create(_SECTORS)


def _field(window, at):
    length = int.from_bytes(bytes(window[at : at + 4]), "little")
    return window[at + 4 : at + 4 + length], at + 4 + length


def _region(image):
    if board.medium() == board.MEDIUM_RAW:
        # Flash is soldered on with the region's bytes in it: the bench has written them.
        return
    from everpin.ports import sectorfiles

    sectorfiles.copy_from(_Image(image), _SECTORS)


def give(size):
    """Copy `size` bytes of the region into the window."""
    window = board.window()
    source = flash()
    for at in range(0, size, 4096):
        window[at : at + 4096] = source.read(at, 4096)
