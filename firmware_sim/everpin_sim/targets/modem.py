"""The far end of a board's network: firmware_sim/boards/frozen/socket.py describes the frames. It connects to loopback, and there only
to the ports that it was given.
"""

import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Collection, Mapping

_ROOM = 512
_CONNECT_S = 10.0
# What lies in the pipe when a connection is closed, the board reads and drops, byte by byte.
_PIPE_BYTES = 4096


class Modem:
    """Connects one board. `names` are the names that it resolves, beside addresses of loopback and localhost; `log` is what was asked."""

    def __init__(self, ports: Collection[int], names: Mapping[str, str] | None = None) -> None:
        self._ports = set(ports)
        self._names = {"localhost": "127.0.0.1", **(names or {})}
        self.log: list[tuple[str, int]] = []
        self._on = True
        self._lock = threading.Lock()
        self._near: socket.socket | None = None
        self._far: socket.socket | None = None
        self._id = 0

    def attach(self) -> socket.socket:
        """Return the board's end of a new line; the one before is given up."""
        self.detach()
        near, theirs = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_BYTES)
        self._near = near
        threading.Thread(target=self._serve, args=(near,), daemon=True).start()
        return theirs

    def detach(self) -> None:
        """The board is off."""
        near, self._near = self._near, None
        if near is not None:
            with contextlib.suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)
        self._hang_up()

    def switch(self, on: bool) -> None:
        """Plug the network in or out."""
        self._on = on
        if not on:
            with self._lock:
                number, far = self._id, self._far
            if far is not None:
                self._hang_up()
                self._send(b"F", number, bytes((errno.ECONNRESET,)))

    # ---- the line to the board ---------------------------------------------------------------------------------------

    def _send(self, kind: bytes, number: int, payload: bytes = b"") -> None:
        near = self._near
        if near is not None:
            with contextlib.suppress(OSError):
                near.sendall(kind + bytes((number,)) + len(payload).to_bytes(2, "big") + payload)

    def _serve(self, near: socket.socket) -> None:
        with near, near.makefile("rb") as line, contextlib.suppress(OSError):
            while len(head := line.read(4)) == 4:
                payload = line.read(int.from_bytes(head[2:], "big"))
                self._take(head[:1], head[1], payload)
        self._hang_up()

    def _take(self, kind: bytes, number: int, payload: bytes) -> None:
        if kind == b"R":
            self._send(b"A", number, self._resolve(payload.decode()).encode())
        elif kind == b"C":
            self._hang_up()
            address, _, port = payload.decode().partition("\0")
            self._connect(number, address, int(port))
        elif kind == b"D":
            with self._lock:
                far = self._far if number == self._id else None
            if far is not None:
                with contextlib.suppress(OSError):
                    far.sendall(payload)
        elif kind == b"F":
            self._hang_up()

    def _resolve(self, name: str) -> str:
        if not self._on:
            return ""
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            return self._names.get(name, "")

    # ---- connections -------------------------------------------------------------------------------------------------

    def _connect(self, number: int, address: str, port: int) -> None:
        self.log.append((address, port))
        try:
            if not self._on or not ipaddress.ip_address(address).is_loopback:
                raise OSError(errno.EHOSTUNREACH, "")
            if port not in self._ports:
                raise OSError(errno.ECONNREFUSED, "")
            far = socket.create_connection((address, port), _CONNECT_S)
        except OSError as error:
            code = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
            self._send(b"E", number, bytes((code or errno.ECONNREFUSED,)))
            return
        far.settimeout(None)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._far, self._id = far, number
        self._send(b"O", number)
        threading.Thread(target=self._pump, args=(far, number), daemon=True).start()

    def _pump(self, far: socket.socket, number: int) -> None:
        end = b""
        try:
            while data := far.recv(_ROOM):
                self._send(b"D", number, data)
        except OSError as error:
            end = bytes((error.errno or errno.EIO,))
        with self._lock:
            mine = self._far is far
        if mine:
            # The board may still send; it closes when it has seen the end.
            self._send(b"F", number, end)

    def _hang_up(self) -> None:
        with self._lock:
            far, self._far = self._far, None
        if far is not None:
            with contextlib.suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)
            far.close()
