# mypy: disable-error-code="misc"
# typeshed has CPython's asyncio, where reader and writer are two classes.
"""asyncio streams of a pinned peer on MicroPython: the policy is asked before each write and before each read is delivered."""

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .tls import PinnedSocket


class PinnedStream(asyncio.StreamReader):  # there, one class reads and writes
    """An asyncio stream over a `PinnedSocket` whose handshake is done."""

    def __init__(self, sock: "PinnedSocket") -> None:
        # The event loop polls the TLS stream itself.
        super().__init__(sock.pollable)
        self._pinned = sock

    async def read(self, n: int = -1) -> "Any":
        """Return up to `n` bytes, b"" at the end."""
        found = await super().read(n)
        self._pinned.check()
        return found

    async def readinto(self, buffer: "Any") -> "Any":
        """Fill a buffer; return the count."""
        found = await super().readinto(buffer)
        self._pinned.check()
        return found

    async def readexactly(self, n: int) -> "Any":
        """Return `n` bytes."""
        found = await super().readexactly(n)
        self._pinned.check()
        return found

    async def readline(self) -> "Any":
        """Return a line."""
        found = await super().readline()
        self._pinned.check()
        return found

    def write(self, data: "Any") -> None:
        """Queue bytes; `drain` sends them."""
        self._pinned.check()
        super().write(data)

    async def drain(self) -> None:
        """Send what is queued."""
        self._pinned.check()
        await super().drain()
