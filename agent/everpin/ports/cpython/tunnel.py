"""`everpin tunnel`: pinned TLS for programs in any language on the same machine.

A program connects to a local address and speaks plainly; each connection goes on over TLS to one peer, which a device's policy must
have accepted before the first byte of the program leaves. The device's client certificate goes with it when there is one.

- The trust is a device folder's, which `everpin agent run` keeps up to date in another process (shared.py). It is looked at before
  each verdict and every second: a tunnel whose peer is accepted no longer ends at once, idle or not.
- Bounds: `limit` connections, further ones are closed; a few buffers of `_BUFFER` bytes for each (and asyncio's own 256 kB for TLS
  records), for who sends faster than the other side reads is not read from; connecting takes `_CONNECT_S` seconds at most.
- A program that has said all (half-closed) still gets the answer: until the peer ends, or says nothing for `_LINGER_S` seconds.
"""

import asyncio
import socket

from ..fetch import describe
from . import identity, systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter, Task
    from collections.abc import Callable
    from typing import Any

    from ...core.host import Anchor
    from ...core.verdict import Verdict
    from .shared import SharedTrust

_BUFFER = 32 * 1024
_CONNECT_S = 20.0
_LINGER_S = 5.0
_LOOK_S = 1.0
_BYE_S = 2.0


class _Peer:
    """The policy of one connection: the shared trust, and what it was asked, so that it can be asked again."""

    def __init__(self, trust: "SharedTrust") -> None:
        self._trust = trust
        self._chain: list[bytes] = []
        self._evidence: tuple[Any, ...] = ()
        self.found: Verdict | None = None
        self.ended = ""  # by the policy: the error's name

    @property
    def generation(self) -> int:
        return self._trust.generation

    def verdict(self, host: str, chain: "list[bytes]", *evidence: "Any") -> "Verdict":
        self._chain = chain
        self._evidence = evidence
        self.found = self._trust.verdict(host, chain, *evidence)
        return self.found

    def platform(self, host: str) -> bool:
        return self._trust.platform(host)

    def anchors(self) -> "list[Anchor]":
        return self._trust.anchors()

    def completed(self, verdict: "Verdict") -> None:
        self._trust.completed(verdict)

    def again(self) -> None:
        """Ask again if the trust has changed since the verdict; `ended` says when an accepted peer is refused now."""
        held = self.found
        if held is not None and held.accepted and held.generation != self.generation:
            found = self.verdict(held.host, self._chain, *self._evidence)
            if not found.accepted:
                self.ended = found.name


class _Flow:
    """One direction of a tunnel; `count` is the bytes that went through."""

    def __init__(self, source: "StreamReader", sink: "StreamWriter") -> None:
        self.count = 0
        self.task = asyncio.create_task(self._run(source, sink))

    async def _run(self, source: "StreamReader", sink: "StreamWriter") -> None:
        while data := await source.read(_BUFFER):
            sink.write(data)
            self.count += len(data)
            await sink.drain()


class Tunnel:
    """Serves local connections, each over its own TLS connection to `host`:`port`. `log` gets each event as a map."""

    def __init__(
        self,
        trust: "SharedTrust",
        host: str,
        port: int,
        limit: int,
        log: "Callable[[dict[str, Any]], None]",
    ) -> None:
        self._trust = trust
        self._host = host
        self._port = port
        self._limit = limit
        self._log = log
        self._generation = trust.generation
        self._problem = ""
        self._live: dict[Task[None], _Peer] = {}

    # ---- one connection --------------------------------------------------------------------------------------------------

    async def serve(self, reader: "StreamReader", writer: "StreamWriter") -> None:
        """Serve one local connection, until either side or the policy ends it."""
        if len(self._live) >= self._limit:
            self._log({"event": "busy", "limit": self._limit})
            writer.transport.abort()
            return
        task: Any = asyncio.current_task()
        peer = self._live[task] = _Peer(self._trust)
        try:
            far_reader, far = await self._open(peer)
            try:
                await self._carry(peer, reader, writer, far_reader, far)
            finally:
                if peer.ended:
                    far.transport.abort()  # nothing more leaves, what waits in buffers neither
                else:
                    far.close()
        except OSError as error:
            refused = getattr(error, "verdict", None)
            if refused is not None and not peer.ended:
                self._say("refused", describe(error))
            elif refused is None:
                self._say("unreachable", describe(error))
        except asyncio.CancelledError:
            pass  # by the policy, or with the whole program: this task is over either way
        finally:
            del self._live[task]
            if peer.ended:
                self._say("ended", peer.ended)
                writer.transport.abort()
            else:
                writer.close()

    def _say(self, event: str, error: str) -> None:
        self._log({"event": event, "host": self._host, "port": self._port, "error": error})

    async def _open(self, peer: _Peer) -> "tuple[StreamReader, StreamWriter]":
        """Return a connection to an accepted peer; raise OSError (a refusal carries `verdict`)."""
        context, problem = identity.context(peer, self._trust.device)
        if problem:
            self._say("no-identity", problem)
        async with asyncio.timeout(_CONNECT_S):
            return await asyncio.open_connection(
                self._host,
                self._port,
                ssl=context,
                limit=_BUFFER,
                happy_eyeballs_delay=0.25,  # RFC 8305: a name may have an address that nothing answers on
                ssl_shutdown_timeout=_BYE_S,
            )

    async def _carry(
        self,
        peer: _Peer,
        reader: "StreamReader",
        writer: "StreamWriter",
        far_reader: "StreamReader",
        far: "StreamWriter",
    ) -> None:
        for end in (far, writer):
            end.transport.set_write_buffer_limits(_BUFFER)
            sock = end.get_extra_info("socket")
            if sock.family != socket.AF_UNIX:
                # A side that vanished without a word is noticed, if late.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        found = peer.found
        by = "" if found is None else found.by
        self._log({"event": "open", "host": self._host, "port": self._port, "by": by})
        up, down = _Flow(reader, far), _Flow(far_reader, writer)
        said: dict[str, Any] = {}
        try:
            await _until_over(up, down)
        except OSError as error:
            if getattr(error, "verdict", None) is not None:
                peer.ended = describe(error)
            else:
                said["error"] = describe(error)
        finally:
            for flow in (up, down):
                flow.task.cancel()
            await asyncio.gather(up.task, down.task, return_exceptions=True)
            self._log({"event": "closed", "sent": up.count, "received": down.count, **said})

    # ---- the trust -------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Follow the device folder; end each tunnel whose peer is accepted no longer."""
        self._trust.refresh()
        if self._trust.problem != self._problem:
            self._problem = self._trust.problem
            if self._problem:
                self._log({"event": "trust-unreadable", "error": self._problem})
        if self._trust.generation != self._generation:
            agent = self._trust.device.agent
            number = "%d-%d" % agent.number
            self._log({"event": "trust", "number": number, "root": agent.trust.root.version})
        self._generation = self._trust.generation
        for task, peer in list(self._live.items()):
            if not peer.ended:
                peer.again()
                if peer.ended:
                    task.cancel()

    async def follow(self) -> None:
        """Look at the trust every second, for ever, and feed systemd's watchdog."""
        while True:
            self.look()
            systemd.notify("WATCHDOG=1")
            await asyncio.sleep(_LOOK_S)

    async def stop(self) -> None:
        """End every tunnel."""
        tasks = list(self._live)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_over(up: _Flow, down: _Flow) -> None:
    """Return when a tunnel is over; raise OSError when a side was lost."""
    await asyncio.wait({up.task, down.task}, return_when=asyncio.FIRST_COMPLETED)
    quiet = False
    while up.task.done() and up.task.exception() is None and not down.task.done() and not quiet:
        # TLS cannot be half-closed here, so the peer is not told that the program has said all.
        before = down.count
        await asyncio.wait({down.task}, timeout=_LINGER_S)
        quiet = down.count == before
    for flow in (up, down):
        if flow.task.done():
            flow.task.result()
