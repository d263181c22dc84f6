"""Time by SNTP (RFC 4330) on loopback: a server that tells any time, and the query that a simple device makes. Nothing authenticates either."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable

_EPOCH = 2_208_988_800  # RFC 4330 section 3: seconds from 1900 to 1970
_ERA = 1 << 32
_CLIENT, _SERVER = 0x23, 0x24  # version 4
_BYTES = 48


class NtpServer:
    """Answers each query with `lie()` Unix seconds; `asked` counts."""

    def __init__(self, lie: Callable[[], float] = time.time) -> None:
        self.lie = lie
        self.asked = 0
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.settimeout(0.2)
        self.port = int(self._sock.getsockname()[1])
        self._closed = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError):
                data, peer = self._sock.recvfrom(512)
                if len(data) >= _BYTES:
                    self.asked += 1
                    said = int((self.lie() + _EPOCH) * _ERA) % (1 << 64)
                    head = bytes((_SERVER, 1, 6, 0xEC)) + bytes(8) + b"LOCL"
                    times = struct.pack(">Q", said) + data[40:48] + struct.pack(">QQ", said, said)
                    self._sock.sendto(head + times, peer)
        self._sock.close()

    def close(self) -> None:
        """Stop answering."""
        self._closed = True


def query(port: int, host: str = "127.0.0.1", timeout_s: float = 3.0) -> int:
    """Return what a server says, Unix seconds; raise OSError when none answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        sock.sendto(bytes((_CLIENT,)) + bytes(_BYTES - 1), (host, port))
        data = sock.recv(512)
    if len(data) < _BYTES:
        raise OSError(f"{len(data)} bytes are no answer")
    seconds = int(struct.unpack(">I", data[40:44])[0])
    # RFC 4330 section 3: with the first bit clear it is the era that begins in 2036.
    return seconds - _EPOCH + (0 if seconds >> 31 else _ERA)
