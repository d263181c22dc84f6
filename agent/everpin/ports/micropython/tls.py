"""TLS on MicroPython: the verdict inside the handshake, before the client's certificate and the first application byte.

`tls.SSLContext.verify_callback` is called for each certificate from the top of the chain down to the leaf (depth 0); an
exception raised in it aborts the handshake. CERT_NONE would never call it; under CERT_OPTIONAL what mbedTLS says about a
parent's signature is dropped, so only the leaf's own key is judged here: the handshake proves that the peer holds it.
"""

from binascii import a2b_base64

import tls

from ...core import errors
from ..dial import dial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.verdict import Verdict

_ECDHE = "TLS-ECDHE-"
_AEAD = ("GCM", "CHACHA20")


class PinRefused(OSError):
    """The policy refuses this peer; `verdict` says why."""

    def __init__(self, verdict: "Verdict") -> None:
        super().__init__(1, verdict.name)
        self.verdict = verdict


class PinnedSocket:
    """A TLS stream of an accepted peer. Each write, and each read before it is delivered, asks whether it still is."""

    def __init__(
        self, sock: "Any", raw: "Any", policy: "Any", verdict: "Verdict", leaf: bytes
    ) -> None:
        self._sock = sock
        self._raw = raw
        self._policy = policy
        self._verdict = verdict
        self._leaf = leaf
        self._dead: "OSError | None" = None

    def check(self) -> None:
        """Raise `PinRefused` unless the policy as it is now accepts this peer."""
        if self._dead is not None:
            raise self._dead
        if self._verdict.generation == self._policy.generation:
            return
        verdict = self._policy.verdict(self._verdict.host, [self._leaf])
        if not verdict.accepted:
            self._dead = PinRefused(verdict)
            raise self._dead
        self._verdict = verdict

    def read(self, size: int = -1) -> "bytes | None":
        self.check()
        found = self._sock.read(size) if size >= 0 else self._sock.read()
        self.check()
        return found  # type: ignore[no-any-return]

    def readinto(self, buffer: "Any", size: int = -1) -> "int | None":
        self.check()
        found = self._sock.readinto(buffer, size) if size >= 0 else self._sock.readinto(buffer)
        self.check()
        return found  # type: ignore[no-any-return]

    def readline(self) -> "bytes | None":
        self.check()
        found = self._sock.readline()
        self.check()
        return found  # type: ignore[no-any-return]

    def write(self, data: "Any", size: int = -1) -> "int | None":
        self.check()
        if size >= 0:
            data = memoryview(data)[:size]
        return self._sock.write(data)  # type: ignore[no-any-return]

    def recv(self, size: int) -> "bytes | None":
        return self.read(size)

    def send(self, data: "Any") -> "int | None":
        return self.write(data)

    def sendall(self, data: "Any") -> None:
        self.write(data)

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)

    def settimeout(self, seconds: "float | None") -> None:
        self._raw.settimeout(seconds)

    @property
    def pollable(self) -> "Any":
        """The TLS stream itself, for `select.poll`: it knows of bytes that it has decrypted already."""
        return self._sock

    def close(self) -> None:
        self._sock.close()

    def drop(self) -> None:
        """Break the connection: whoever uses it next gets OSError, as when the network had done it."""
        self._dead = OSError(104)  # ECONNRESET
        self._sock.close()


class PinnedContext:
    """What MQTT and HTTP libraries take as an `ssl.SSLContext`: its `wrap_socket` gives a pinned stream, handshake done.

    `stream` is the one made last. `cert` and `key` are a TLS client certificate and its key, DER.
    """

    def __init__(
        self, policy: "Any", cert: "bytes | None" = None, key: "bytes | None" = None
    ) -> None:
        self._policy = policy
        self._cert = cert
        self._key = key
        self.stream: "PinnedSocket | None" = None

    def wrap_socket(
        self,
        sock: "Any",
        server_side: bool = False,
        server_hostname: "str | None" = None,
        do_handshake_on_connect: bool = True,
    ) -> PinnedSocket:
        """Return a pinned stream over a connected socket; the handshake, and the verdict in it, are never put off."""
        if server_side or not server_hostname:
            raise ValueError("everpin's context is for clients that name their server")
        self.stream = wrap(sock, self._policy, server_hostname, self._cert, self._key)
        return self.stream

    def drop(self) -> None:
        """Break the connection that was made last."""
        if self.stream is not None:
            self.stream.drop()


def context(
    policy: "Any", host: str, seen: "dict[str, Any]", cert: "bytes | None", key: "bytes | None"
) -> "Any":
    """Return a context for one connection to `host`; its verdict and leaf come into `seen`."""
    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    made.verify_mode = tls.CERT_OPTIONAL
    # Forward secrecy, and a key exchange that the leaf's key signs (RFC 5246 section 7.4.3).
    made.set_ciphers(
        [
            name
            for name in made.get_ciphers()
            if name.startswith(_ECDHE) and any([mode in name for mode in _AEAD])
        ]
    )
    if cert is not None and key is not None:
        made.load_cert_chain(cert, key)

    def judge(der: bytes, depth: int) -> int:
        if depth == 0:
            leaf = bytes(der)
            verdict = policy.verdict(host, [leaf])
            if not verdict.accepted:
                raise PinRefused(verdict)
            seen["verdict"] = verdict
            seen["leaf"] = leaf
        return 0

    made.verify_callback = judge
    return made


def wrap(
    sock: "Any", policy: "Any", host: str, cert: "bytes | None" = None, key: "bytes | None" = None
) -> PinnedSocket:
    """Return a pinned stream over a connected socket; raise `PinRefused`, or OSError when the handshake fails.

    `cert` and `key` are a TLS client certificate and its key, DER.
    """
    seen: "dict[str, Any]" = {}
    made = context(policy, host, seen, cert, key)
    try:
        stream = made.wrap_socket(sock, server_hostname=host)
        return _finished(stream, sock, policy, host, seen)
    except BaseException:
        sock.close()
        raise


def _finished(
    stream: "Any", sock: "Any", policy: "Any", host: str, seen: "dict[str, Any]"
) -> PinnedSocket:
    verdict = seen.get("verdict")
    if verdict is None:
        # No certificate was judged: whatever was negotiated, it was not what was asked for.
        verdict = policy.verdict(host, [])
        if not verdict.accepted:
            raise PinRefused(verdict)
        raise errors.PeerError(errors.NO_VERDICT)
    policy.completed(verdict)
    return PinnedSocket(stream, sock, policy, verdict, seen["leaf"])


def connect(
    policy: "Any",
    host: str,
    port: int,
    timeout_s: float = 15.0,
    cert: "bytes | None" = None,
    key: "bytes | None" = None,
) -> PinnedSocket:
    """Return a pinned stream to `host`:`port`, blocking; raise `PinRefused` or OSError."""
    return wrap(dial(host, port, timeout_s), policy, host, cert, key)


async def open_connection(
    policy: "Any",
    host: str,
    port: int,
    timeout_s: float = 15.0,
    cert: "bytes | None" = None,
    key: "bytes | None" = None,
) -> "tuple[Any, Any]":
    """Return (reader, writer) of asyncio to a pinned peer, the handshake and its verdict done.

    The handshake itself blocks the loop for its time: MicroPython's streams have no way to drive one without data.
    """
    from .streams import PinnedStream

    stream = connect(policy, host, port, timeout_s, cert, key)
    stream.setblocking(False)
    made = PinnedStream(stream)  # one object reads and writes on MicroPython
    return made, made


def attach(device: "Any") -> "Any":
    """Return an `Attached` whose `context`, a `PinnedContext`, an MQTT library takes; set its `client` to the library's."""
    from ..attached import Attached

    def drop() -> None:
        link.context.drop()

    link: "Any" = Attached(device, drop)
    link.context = PinnedContext(link, load(device.client_cert), load(device.client_key))
    return link


def load(source: "str | bytes | None") -> "bytes | None":
    """Return a certificate or key as DER: from bytes that are, or from a file of PEM or DER; None for None."""
    if source is None or isinstance(source, bytes):
        return source
    with open(source, "rb") as file:
        data = file.read()
    start = data.find(b"-----BEGIN")
    if start < 0:
        return data
    start = data.find(b"\n", start)
    return a2b_base64(data[start : data.find(b"-----END", start)])


__all__ = (
    "PinRefused",
    "PinnedContext",
    "PinnedSocket",
    "attach",
    "connect",
    "open_connection",
    "wrap",
)
