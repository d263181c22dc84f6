"""Rescue transports: the same signed documents over anything that carries bytes. One source for both interpreters.

Unverified by design (DESIGN section 7): no identity, no credential, a random client id; bounded in bytes and in time, so that
a hostile carrier costs no more than its budget. What is fetched is worth nothing until `core.accept` has taken it.
"""

import binascii
import os

from ..compat import const
from ..core import errors, http
from ..core.carrier import parse_url
from ..core.errors import FlashError, PeerError
from .dial import dial
from .link import Link, seconds
from .session import MqttSession

try:
    from tls import CERT_NONE, PROTOCOL_TLS_CLIENT, SSLContext  # MicroPython
except ImportError:
    from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT, SSLContext  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..core.agent import Agent

_ETIMEDOUT = const(110)
# MQTT brokers send retained messages at once; after so much silence there are none left.
_QUIET_S = 2.0
_TICK_S = 0.25


def _connect(host: str, port: int, tls: bool, deadline: float) -> Link:
    """Return a TCP or TLS stream to anybody."""
    left = deadline - seconds()
    if left <= 0:
        raise OSError(_ETIMEDOUT)
    sock: "Any" = dial(host, port, left)
    try:
        if tls:
            context = SSLContext(PROTOCOL_TLS_CLIENT)
            if hasattr(context, "check_hostname"):
                context.check_hostname = False
            # Unverified, and without any client certificate: the documents are verified, not the carrier.
            context.verify_mode = CERT_NONE
            sock = context.wrap_socket(sock, server_hostname=host)
        return Link(sock, left, deadline)
    except BaseException:
        sock.close()
        raise


def ask(
    carrier: str, topics: "Callable[[], list[str]]", budget_s: float
) -> "Iterator[tuple[str, bytes | None]]":
    """Yield (topic, payload) of what a carrier holds of `topics()`; payload None for one above the cap.

    `topics` is looked at again after each message: a root that was accepted means other topics, and they are asked at once.
    Raise OSError or a `PeerError` when the carrier cannot be asked, or not within `budget_s` seconds in all.
    """
    found = parse_url(carrier)
    if found is None:
        raise PeerError(errors.HTTP)
    scheme, host, port, path = found
    deadline = seconds() + budget_s
    if scheme in ("mqtt", "mqtts"):
        return _subscribe(host, port, scheme == "mqtts", topics, deadline)
    return _get_all(host, port, scheme == "https", path, topics, deadline)


def _subscribe(
    host: str, port: int, tls: bool, topics: "Callable[[], list[str]]", deadline: float
) -> "Iterator[tuple[str, bytes | None]]":
    link = _connect(host, port, tls, deadline)
    client_id = binascii.hexlify(os.urandom(8)).decode()
    asked = topics()
    session = MqttSession(link, client_id, None, None, asked, seconds)
    try:
        quiet_since = seconds()
        while seconds() - quiet_since < _QUIET_S:
            for message in session.tick(_TICK_S):
                quiet_since = seconds()
                yield message
            if topics() != asked:
                asked = topics()
                session.subscribe(asked)
                quiet_since = seconds()
    finally:
        session.close()


def _get_all(
    host: str, port: int, tls: bool, path: str, topics: "Callable[[], list[str]]", deadline: float
) -> "Iterator[tuple[str, bytes | None]]":
    asked: "list[str]" = []
    failed = None
    while asked != topics():
        asked = topics()
        for topic in asked:
            try:
                payload = _get(host, port, tls, path + "/" + topic, deadline)
            except PeerError as error:
                if error.code == errors.TOO_LONG:
                    yield topic, None
                else:
                    failed = error  # one broken file must not hide the others
                continue
            if payload is not None:
                yield topic, payload
            if asked != topics():
                break  # roots come first: the next one, before what waits for it
    if failed is not None:
        raise failed


def _get(host: str, port: int, tls: bool, path: str, deadline: float) -> "bytes | None":
    """Return a file of a mirror, None when it has none."""
    link = _connect(host, port, tls, deadline)
    try:
        link.send(http.request(host, path))
        response = http.Response()
        while not response.done:
            data = link.receive(_TICK_S)
            if data:
                response.feed(data)
            elif data is not None:
                response.eof()
    finally:
        link.close()
    if response.status in (404, 410):
        return None
    if response.status != 200:
        raise PeerError(errors.HTTP)
    return bytes(response.body)


def visit(agent: "Agent", carrier: str, budget_s: float) -> None:
    """Ask one carrier for every topic of an agent in rescue, and tell it how that went."""
    result = "nothing"
    try:
        for topic, payload in ask(carrier, lambda: agent.topics(True), budget_s):
            if payload is None:
                agent.too_long(topic, carrier)
                continue
            found = agent.receive(topic, payload, carrier)
            if found == "accepted" or (result == "nothing" and found not in ("known", "ignored")):
                result = found
    except (OSError, PeerError) as error:
        if result == "nothing":
            result = describe(error)
    agent.rescued(carrier, result)


def describe(error: Exception) -> str:
    """Return a short name for what went wrong with a peer or the network; never anything secret."""
    if isinstance(error, (PeerError, FlashError)):
        return error.name
    verdict = getattr(error, "verdict", None)
    if verdict is not None:
        return verdict.name  # type: ignore[no-any-return]
    number = error.args[0] if error.args else ""
    return "%s %s" % (type(error).__name__, number if isinstance(number, int) else "")
