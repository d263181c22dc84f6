"""What systemd wants of a service, in its own small protocols: sd_notify(3) and sd_listen_fds(3).

Without systemd all of it does nothing.
"""

import contextlib
import os
import socket

_FIRST_FD = 3  # SD_LISTEN_FDS_START
_MAX_FDS = 16


def notify(state: str) -> None:
    """Tell systemd a state: "READY=1", "STOPPING=1", "WATCHDOG=1"."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if where[:1] not in ("/", "@"):
        return
    address = "\0" + where[1:] if where[0] == "@" else where
    # A manager that is gone is no reason to stop.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.sendall(state.encode())


def inherited() -> "list[socket.socket]":
    """Return the listening sockets that socket activation has passed, [] without it. To be called once."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "")
    if not count.isdigit() or not 0 < int(count) <= _MAX_FDS:
        return []
    # A child of this process must not take them for its own.
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    found = []
    for number in range(_FIRST_FD, _FIRST_FD + int(count)):
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
        sock.setblocking(False)
        found.append(sock)
    return found
