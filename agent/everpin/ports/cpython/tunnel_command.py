"""`everpin tunnel`: where it listens, how it starts and stops (tunnel.py does the rest)."""

import asyncio
import ipaddress
import signal
import socket
import sys

from . import systemd
from .config import ConfigFileError
from .lines import emit
from .shared import SharedTrust, opened
from .tunnel import Tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_BACKLOG = 64


class _Refused(Exception):
    """What cannot be listened on; `status` is the exit status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def _loopback(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def _only_local(sock: socket.socket, allowed: bool) -> None:
    if sock.family == socket.AF_UNIX or allowed or _loopback(sock.getsockname()[0]):
        return
    raise _Refused(
        f"{name_of(sock)} can be reached from other machines, which could then use this device's"
        " identity; listen on loopback, or say --allow-remote",
        2,
    )


def name_of(sock: socket.socket) -> str:
    """Return a listening socket's address as people write it."""
    address = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return str(address)
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"


def listeners(where: "tuple[str, int] | None", allow_remote: bool) -> "list[socket.socket]":
    """Return the sockets to listen on: those that socket activation brought, else on every address of `where`."""
    found = systemd.inherited()
    if not found and where is None:
        raise _Refused("say where to listen: --listen 127.0.0.1:1883", 2)
    for sock in found:
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            raise _Refused("a socket that systemd passed does not listen; use ListenStream=", 2)
        _only_local(sock, allow_remote)
    if found or where is None:
        return found
    try:
        addresses = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _Refused(f"--listen {where[0]}: {error.strerror or error}", 1) from None
    for family, _, _, _, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind(address)
            _only_local(sock, allow_remote)
        except OSError as error:
            raise _Refused(f"--listen {where[0]}:{where[1]}: {error.strerror}", 1) from None
        sock.setblocking(False)
        found.append(sock)
    return found


async def _run(tunnel: Tunnel, socks: "list[socket.socket]", log: "Any", to: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = []
    for sock in socks:
        start: Any = (
            asyncio.start_unix_server if sock.family == socket.AF_UNIX else asyncio.start_server
        )
        servers.append(await start(tunnel.serve, sock=sock, limit=32 * 1024, backlog=_BACKLOG))
        log({"event": "listening", "address": name_of(sock), "to": to})
    following = asyncio.create_task(tunnel.follow())
    ended = asyncio.create_task(stop.wait())
    systemd.notify("READY=1")
    await asyncio.wait({following, ended}, return_when=asyncio.FIRST_COMPLETED)
    systemd.notify("STOPPING=1")
    for server in servers:
        server.close()
    await tunnel.stop()
    for task in (following, ended):
        task.cancel()
    log({"event": "stopped"})
    if following.done() and not following.cancelled():
        following.result()  # only a fault of ours ends it


def main(args: "argparse.Namespace") -> int:
    """Serve until SIGTERM or SIGINT; `args` as ports/cpython/verbs.py has them."""
    try:
        config, trust = opened(args, SharedTrust)
        socks = listeners(args.listen, args.allow_remote)
    except (ConfigFileError, _Refused) as problem:
        print(f"everpin: {problem}", file=sys.stderr)
        return problem.status
    as_json = args.json or config.json

    def log(event: "dict[str, Any]") -> None:
        emit(event, as_json)

    host, port = args.to
    if trust.device.agent.trust.pins.host(host) is None:
        log({"event": "unlisted", "host": host})  # it may be listed by the next document
    tunnel = Tunnel(trust, host, port, args.max_connections, log)
    asyncio.run(_run(tunnel, socks, log, f"{host}:{port}"))
    return 0
