"""TLS on MicroPython: the verdict inside the handshake, before the client's certificate and the first application byte.

`tls.SSLContext.verify_callback` is called for each certificate from the top of the chain down to the leaf (depth 0); an
exception raised in it aborts the handshake. CERT_NONE would never call it; under CERT_OPTIONAL what mbedTLS says about a
parent's signature is dropped, so a path that a pin may match on is verified by core/chain.py, link by link. Where the policy asks
for the runtime's own check as well, mbedTLS verifies by the signed anchors, but only when the clock may be believed: it judges
dates too.
"""

from binascii import a2b_base64

import tls

from ...compat import const
from ...core import errors, limits
from ..dial import dial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.verdict import Verdict

# MBEDTLS_ERR_X509_CERT_VERIFY_FAILED
_VERIFY_FAILED = const(-0x2700)
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
        self,
        sock: "Any",
        raw: "Any",
        policy: "Any",
        verdict: "Verdict",
        chain: "list[bytes]",
        platform: "list[bytes] | None",
    ) -> None:
        self._sock = sock
        self._raw = raw
        self._policy = policy
        self._verdict = verdict
        self._chain = chain
        self._platform = platform
        self._dead: "OSError | None" = None

    def check(self) -> None:
        """Raise `PinRefused` unless the policy as it is now accepts this peer."""
        if self._dead is not None:
            raise self._dead
        if self._verdict.generation == self._policy.generation:
            return
        verdict = self._policy.verdict(self._verdict.host, self._chain, self._platform)
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

    def check(self) -> None:
        """Raise `PinRefused` unless the peer of the connection that was made last is still accepted."""
        if self.stream is not None:
            self.stream.check()

    def drop(self) -> None:
        """Break the connection that was made last."""
        if self.stream is not None:
            self.stream.drop()


class _Judge:
    """The verdict of one handshake. mbedTLS shows the certificates that it chained, from the top down to the leaf."""

    def __init__(self, policy: "Any", host: str) -> None:
        self._policy = policy
        self.host = host
        self.chain: "list[bytes]" = []
        self.verdict: "Verdict | None" = None
        # Without a clock that may be believed mbedTLS would refuse by dates that nobody knows: then ours is the only check.
        self.strict = policy.platform(host) and policy.clock() is not None

    def judge(self, der: bytes, depth: int) -> int:
        """Take one certificate; raise `PinRefused` at the leaf, or at the top of a chain beyond the bound."""
        if depth >= limits.CHAIN_MAX:
            # As on CPython: a chain that is too long is none. Never may the place of the leaf, which comes last, be another's.
            self.ask(None)
            raise errors.PeerError(errors.NO_CERTIFICATE)
        self.chain.insert(0, bytes(der))
        if depth == 0:
            self.verdict = self.ask([])
        return 0

    def ask(self, platform: "list[bytes] | None") -> "Verdict":
        """Return the policy's verdict when it accepts; raise `PinRefused`."""
        verdict = self._policy.verdict(self.host, self.chain, platform)
        if not verdict.accepted:
            raise PinRefused(verdict)
        return verdict  # type: ignore[no-any-return]


def _context(policy: "Any", judge: _Judge, cert: "bytes | None", key: "bytes | None") -> "Any":
    """Return a context for one connection, whose verdict comes into `judge`."""
    made = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    made.verify_mode = tls.CERT_REQUIRED if judge.strict else tls.CERT_OPTIONAL
    if judge.strict:
        from ...core import anchor

        for subject, spki in policy.anchors():
            der = anchor.certificate(subject, spki)
            if der is not None:
                made.load_verify_locations(der)
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
    made.verify_callback = judge.judge
    return made


def wrap(
    sock: "Any", policy: "Any", host: str, cert: "bytes | None" = None, key: "bytes | None" = None
) -> PinnedSocket:
    """Return a pinned stream over a connected socket; raise `PinRefused`, or OSError when the handshake fails.

    `cert` and `key` are a TLS client certificate and its key, DER.
    """
    judge = _Judge(policy, host)
    try:
        stream = _handshake(sock, _context(policy, judge, cert, key), judge)
        if judge.verdict is None:
            # No certificate was judged: whatever was negotiated, it was not what was asked for.
            judge.ask(None)
            raise errors.PeerError(errors.NO_VERDICT)
        policy.completed(judge.verdict)
        # A verdict without a path was the leaf's alone: the others need no RAM.
        chain = judge.chain if judge.verdict.path else judge.chain[:1]
        return PinnedSocket(stream, sock, policy, judge.verdict, chain, [])
    except BaseException:
        sock.close()
        raise


def _handshake(sock: "Any", made: "Any", judge: _Judge) -> "Any":
    try:
        return made.wrap_socket(sock, server_hostname=judge.host)
    except (OSError, ValueError) as error:
        # A peer that mbedTLS refuses is a ValueError with its words for why, in builds without them an OSError.
        refused = isinstance(error, ValueError) or error.args[0] == _VERIFY_FAILED
        if refused and judge.verdict is not None:
            judge.ask(None)  # ours has accepted it
        if isinstance(error, ValueError):
            raise OSError(_VERIFY_FAILED)
        raise


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

    def check() -> None:
        link.context.check()

    link: "Any" = Attached(device, drop, check=check)
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
