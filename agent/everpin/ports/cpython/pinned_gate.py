"""What a pinned object and a pinned socket open alike: the host said by the caller, and the gate to it."""

import socket
import ssl

from .gate import Gate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return True
        except OSError:
            pass
    return False


def open_gate(
    context: "Any",
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    host: str,
    owner: "Any",
) -> Gate:
    """Return the gate of a new connection of `owner` to `host`, between these two BIOs."""
    held = ssl.MemoryBIO()
    policy = context.policy
    strict = None
    # SNI is for names only (RFC 6066 section 3); the policy's host is what the caller said.
    name = None if _is_address(host) else host
    made = context
    if policy.platform(host):
        strict, name = context.strict, host  # OpenSSL checks the name, or the address, too
        made = strict.ready(policy.anchors())
    sslobj = made._wrap_bio(incoming, held, server_side=False, server_hostname=name, owner=owner)
    return Gate(sslobj, held, policy, host, outgoing, strict)


def checked_host(server_side: bool, server_hostname: "str | None", session: "Any") -> str:
    """Return the host that the policy is asked about; ValueError for what no client of everpin does."""
    if server_side:
        raise ValueError("everpin's context is for clients")
    if not server_hostname:
        raise ValueError("everpin needs server_hostname: the policy is by host")
    refuse_session(session)
    return server_hostname


def refuse_session(session: "Any") -> None:
    """ValueError for a session to resume; None is none."""
    if session is not None:
        raise ValueError("everpin resumes no sessions: a resumed one serves no chain to judge")
