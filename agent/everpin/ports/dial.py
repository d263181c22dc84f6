"""A TCP connection to any address of a host: the first that answers. One source for both interpreters."""

import socket

from .link import seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ETIMEDOUT = 110


def dial(host: str, port: int, timeout_s: float) -> "Any":
    """Return a connected socket with that timeout; raise the last OSError when no address answers within it, in all."""
    deadline = seconds() + timeout_s
    last: OSError = OSError(_ETIMEDOUT)
    tried: "list[Any]" = []
    # A name may have an address that nothing answers on (IPv6 first, most often): the next one is tried.
    for address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        if address[-1] in tried:
            continue
        tried.append(address[-1])
        left = deadline - seconds()
        if left <= 0:
            break
        sock = socket.socket(address[0], socket.SOCK_STREAM)
        try:
            sock.settimeout(left)
            sock.connect(address[-1])
            sock.settimeout(timeout_s)
            return sock
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
    raise last
