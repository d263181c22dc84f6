# mypy: disable-error-code="attr-defined,override,has-type,assignment,unused-ignore"
# What is built here stands on the parts of `ssl` that typeshed leaves out; the tests hold them for each Python.
"""TLS on CPython: an `ssl.SSLContext` whose every connection has its verdict before the first secret.

`ssl_context(policy)` fits wherever a context does: `wrap_socket` (paho-mqtt, http.client, urllib3, smtplib) and `wrap_bio`
(asyncio). What a library sets on it afterwards (`verify_mode`, `check_hostname`, CA files) neither disables nor replaces the
verdict. TLS 1.2 and 1.3, ECDHE only, no renegotiation, no resumption.
"""

import base64
import os
import select
import socket
import ssl
import threading
import time

from .gate import Gate, NotReady, PinRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .gate import Policy

__all__ = (
    "NotReady",
    "PinRefused",
    "PinnedContext",
    "PinnedObject",
    "PinnedSocket",
    "ssl_context",
)

_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_READ_BYTES = 16384 + 2048  # one TLS record at its longest


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return True
        except OSError:
            pass
    return False


def _gate(
    context: "PinnedContext",
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    host: str,
    owner: "Any",
) -> Gate:
    held = ssl.MemoryBIO()
    # SNI is for names only (RFC 6066 section 3); the policy's host is what the caller said.
    name = None if _is_address(host) else host
    sslobj = context._wrap_bio(
        incoming, held, server_side=False, server_hostname=name, owner=owner
    )  # type: ignore[attr-defined]
    return Gate(sslobj, held, context.policy, host, outgoing)


def _checked(server_side: bool, server_hostname: "str | None", session: "Any") -> str:
    if server_side:
        raise ValueError("everpin's context is for clients")
    if not server_hostname:
        raise ValueError("everpin needs server_hostname: the policy is by host")
    if session is not None:
        raise ValueError("everpin resumes no sessions: a resumed one serves no chain to judge")
    return server_hostname


class PinnedObject(ssl.SSLObject):
    """`ssl.SSLObject` behind the gate: asyncio's transports use it through `wrap_bio`."""

    _everpin: Gate

    @classmethod
    def _create(
        cls,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: "str | None" = None,
        session: "Any" = None,
        context: "Any" = None,
    ) -> "PinnedObject":
        host = _checked(server_side, server_hostname, session)
        self: PinnedObject = cls.__new__(cls)
        self._everpin = _gate(context, incoming, outgoing, host, self)
        self._sslobj = self._everpin.sslobj
        return self

    def do_handshake(self) -> None:
        """Go on with the handshake; `PinRefused` when the policy refuses."""
        self._everpin.handshake()
        self._everpin.completed()

    def read(self, len: int = 1024, buffer: "Any" = None) -> "Any":
        """Return data of an accepted peer."""
        gate = self._everpin
        gate.check()
        try:
            found = self._sslobj.read(len) if buffer is None else self._sslobj.read(len, buffer)
        finally:
            gate.release()
        gate.check()
        return found

    def write(self, data: "Any") -> int:
        """Write to an accepted peer."""
        gate = self._everpin
        gate.check()
        try:
            return self._sslobj.write(data)  # type: ignore[no-any-return]
        finally:
            gate.release()

    def unwrap(self) -> None:
        """Say close_notify."""
        try:
            self._sslobj.shutdown()
        finally:
            self._everpin.release()


class _Pump:
    """Stands where `ssl.SSLSocket` has its OpenSSL object: the same calls, over memory BIOs and the gate."""

    def __init__(self, owner: "PinnedSocket", context: "PinnedContext", host: str) -> None:
        self._owner = owner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.gate = _gate(context, self._incoming, self._outgoing, host, owner)
        self._eof = False
        # One thread may read while another writes. OpenSSL's object and the BIOs are one thread's at a time; whoever holds
        # the second lock sends what is pending, so that records leave in order and a blocked writer holds up no reader.
        self._using = threading.Lock()
        self._sending = threading.Lock()

    def __getattr__(self, name: str) -> "Any":
        return getattr(
            self.gate.sslobj, name
        )  # cipher, version, getpeercert, selected_alpn_protocol, …

    # Raw bytes, around SSLSocket's own overrides.

    def _wait(self, writing: bool, deadline: "float | None") -> None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("timed out")
        sock = self._owner
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLOUT if writing else select.POLLIN)
        if not poll.poll(None if left is None else max(1, int(left * 1000))):
            raise TimeoutError("timed out")

    def _deadline(self) -> "float | None":
        timeout = self._owner.gettimeout()
        return None if timeout is None else time.monotonic() + timeout

    def flush(self, deadline: "float | None") -> None:
        if not self._outgoing.pending or not self._sending.acquire(blocking=False):
            return
        try:
            self._send_pending(deadline)
        finally:
            self._sending.release()

    def _send_pending(self, deadline: "float | None") -> None:
        while self._outgoing.pending:
            data = self._outgoing.read()
            view = memoryview(data)
            while view:
                try:
                    view = view[self._owner.raw_send(view) :]
                except (BlockingIOError, InterruptedError):
                    if self._owner.gettimeout() == 0:
                        # Not sent yet, not lost: before the rest that OpenSSL may write.
                        rest = bytes(view) + self._outgoing.read()
                        self._outgoing.write(rest)
                        raise ssl.SSLWantWriteError(
                            ssl.SSL_ERROR_WANT_WRITE, "everpin: write later"
                        ) from None
                    self._wait(True, deadline)

    def _fill(self, deadline: "float | None") -> None:
        while True:
            try:
                data = self._owner.raw_recv(_READ_BYTES)
                break
            except (BlockingIOError, InterruptedError):
                if self._owner.gettimeout() == 0:
                    raise ssl.SSLWantReadError(
                        ssl.SSL_ERROR_WANT_READ, "everpin: read later"
                    ) from None
                self._wait(False, deadline)
        if data:
            with self._using:
                self._incoming.write(data)
        elif not self._eof:
            self._eof = True
            with self._using:
                self._incoming.write_eof()
        else:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")

    def _run(self, call: "Any", *args: "Any") -> "Any":
        deadline = self._deadline()
        self.flush(deadline)
        while True:
            try:
                with self._using:
                    try:
                        return call(*args)
                    finally:
                        self.gate.release()
            except ssl.SSLWantReadError:
                self.flush(deadline)
                self._fill(deadline)
            except ssl.SSLError:
                self.flush(deadline)
                raise

    def do_handshake(self) -> None:
        if self.gate.done:
            return
        try:
            self._run(self.gate.handshake)
            self.flush(self._deadline())
        except PinRefused:
            self._owner.raw_close()
            raise
        self.gate.completed()

    def read(self, length: int = 1024, buffer: "Any" = None) -> "Any":
        self.gate.check()
        sslobj = self.gate.sslobj
        try:
            found = (
                self._run(sslobj.read, length)
                if buffer is None
                else self._run(sslobj.read, length, buffer)
            )
        except ssl.SSLZeroReturnError:
            found = b"" if buffer is None else 0
        self.gate.check()  # a document may have come in between: not delivered
        return found

    def write(self, data: "Any") -> int:
        self.gate.check()
        count: int = self._run(self.gate.sslobj.write, data)
        # Sent or kept in order; a write that OpenSSL has taken must not be given to it again.
        try:
            self.flush(self._deadline())
        except ssl.SSLWantWriteError:
            pass
        return count

    def shutdown(self) -> socket.socket:
        self.gate.check()
        self._run(self.gate.sslobj.shutdown)
        self.flush(self._deadline())
        return self._owner


class PinnedSocket(ssl.SSLSocket):
    """`ssl.SSLSocket` behind the gate: the verdict is inside `do_handshake`, and no other call handshakes."""

    @classmethod
    def _create(
        cls,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: "str | None" = None,
        context: "Any" = None,
        session: "Any" = None,
    ) -> "PinnedSocket":
        host = _checked(server_side, server_hostname, session)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) != socket.SOCK_STREAM:
            raise NotImplementedError("only stream sockets are supported")
        timeout = sock.gettimeout()
        fileno = sock.detach()
        self = cls.__new__(cls)
        socket.socket.__init__(self, fileno=fileno)
        self.settimeout(timeout)
        self._context = context
        self._session = None
        self._closed = False
        self._sslobj = None
        self.server_side = False
        self.server_hostname = host
        self.do_handshake_on_connect = do_handshake_on_connect
        self.suppress_ragged_eofs = suppress_ragged_eofs
        try:
            self.getpeername()
            self._connected = True
        except OSError:
            self._connected = False
        if self._connected:
            self._begin()
            if do_handshake_on_connect:
                if timeout == 0.0:
                    raise ValueError(
                        "do_handshake_on_connect should not be specified for non-blocking sockets"
                    )
                try:
                    self.do_handshake()
                except BaseException:
                    self.close()
                    raise
        return self

    def _begin(self) -> None:
        self._sslobj = _Pump(self, self._context, str(self.server_hostname))

    def _real_connect(self, addr: "Any", connect_ex: bool) -> "Any":
        if self._connected or self._sslobj is not None:
            raise ValueError("attempt to connect already-connected SSLSocket!")
        code = (
            socket.socket.connect_ex(self, addr)
            if connect_ex
            else socket.socket.connect(self, addr)
        )
        if not code:
            self._connected = True
            self._begin()
            if self.do_handshake_on_connect:
                self.do_handshake()
        return code

    # What the pump needs of the bare socket.

    def raw_send(self, data: "Any") -> int:
        """Send TLS records."""
        return socket.socket.send(self, data)

    def raw_recv(self, count: int) -> bytes:
        """Receive TLS records."""
        return socket.socket.recv(self, count)

    def raw_close(self) -> None:
        """Close without a word to the peer."""
        self.close()

    def do_handshake(self, block: bool = False) -> None:
        """Do the handshake, the verdict in it; `PinRefused` when the policy refuses."""
        self._check_connected()
        pump: Any = self._sslobj
        timeout = self.gettimeout()
        try:
            if timeout == 0.0 and block:
                self.settimeout(None)
            pump.do_handshake()
        finally:
            if self.fileno() != -1:
                self.settimeout(timeout)

    def pending(self) -> int:
        """Return how many bytes can be read without touching the socket."""
        pump: Any = self._sslobj
        if pump is None:
            return 0
        # Whole records may wait in the BIO: libraries that select() on the socket must look here first.
        return int(pump.gate.sslobj.pending()) or (
            1 if pump._incoming.pending and pump.gate.done else 0
        )


class PinnedContext(ssl.SSLContext):
    """A client context that asks its policy. Settings of verification read as strict, and setting them changes nothing."""

    sslsocket_class = PinnedSocket
    sslobject_class = PinnedObject
    policy: "Policy"

    def __new__(cls, *args: "Any", **kwargs: "Any") -> "PinnedContext":
        """Return a context with everpin's fixed settings."""
        self: PinnedContext = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        super(ssl.SSLContext, ssl.SSLContext).check_hostname.__set__(self, False)  # type: ignore[attr-defined]
        super(ssl.SSLContext, ssl.SSLContext).verify_mode.__set__(self, ssl.CERT_NONE)  # type: ignore[attr-defined]
        ssl.SSLContext.minimum_version.__set__(self, ssl.TLSVersion.TLSv1_2)  # type: ignore[attr-defined]
        ssl.SSLContext.options.__set__(  # type: ignore[attr-defined]
            self,
            ssl.SSLContext.options.__get__(self)  # type: ignore[attr-defined]
            | ssl.OP_NO_RENEGOTIATION
            | ssl.OP_NO_COMPRESSION
            | ssl.OP_NO_TICKET,
        )
        ssl.SSLContext.set_ciphers(self, _TLS12_CIPHERS)
        return self

    @property
    def verify_mode(self) -> ssl.VerifyMode:  # type: ignore[override]
        """Reads as CERT_REQUIRED; the policy decides whatever is set."""
        return ssl.CERT_REQUIRED

    @verify_mode.setter
    def verify_mode(self, value: "Any") -> None:
        pass

    @property
    def check_hostname(self) -> bool:  # type: ignore[override]
        """Reads as True: libraries then leave the host to this context."""
        return True

    @check_hostname.setter
    def check_hostname(self, value: "Any") -> None:
        pass

    @property
    def minimum_version(self) -> ssl.TLSVersion:  # type: ignore[override]
        """May be raised, never lowered below TLS 1.2."""
        return ssl.SSLContext.minimum_version.__get__(self)  # type: ignore[attr-defined,no-any-return]

    @minimum_version.setter
    def minimum_version(self, value: "Any") -> None:
        if value >= ssl.TLSVersion.TLSv1_2:
            ssl.SSLContext.minimum_version.__set__(self, value)  # type: ignore[attr-defined]

    @property
    def options(self) -> ssl.Options:  # type: ignore[override]
        """Bits may be added, never taken away."""
        return ssl.SSLContext.options.__get__(self)  # type: ignore[attr-defined,no-any-return]

    @options.setter
    def options(self, value: "Any") -> None:
        ssl.SSLContext.options.__set__(self, ssl.SSLContext.options.__get__(self) | value)  # type: ignore[attr-defined]

    def set_ciphers(self, cipherlist: str) -> None:
        """Keep everpin's suites: with a static key exchange the peer would not have proved its key yet."""

    def load_default_certs(self, purpose: "Any" = None) -> None:
        """Load nothing: what is trusted is the policy's."""

    def load_verify_locations(
        self, cafile: "Any" = None, capath: "Any" = None, cadata: "Any" = None
    ) -> None:
        """Load nothing: what is trusted is the policy's."""


def ssl_context(
    policy: "Policy", client_cert: "str | None" = None, client_key: "str | bytes | None" = None
) -> PinnedContext:
    """Return a context whose connections talk only to peers that `policy` accepts.

    `client_cert` and `client_key` are PEM files for mutual TLS; the key may be PKCS#8 DER instead, as the sealed secrets hold it.
    A refusal raises `PinRefused` with `.verdict`.
    """
    context = PinnedContext()
    context.policy = policy
    if client_cert is None:
        return context
    if not isinstance(client_key, bytes):
        context.load_cert_chain(client_cert, client_key)
        return context
    # OpenSSL reads keys from files only; this one never touches a disk.
    fd = os.memfd_create("everpin-key")
    try:
        text = base64.encodebytes(client_key).decode()
        os.write(fd, f"-----BEGIN PRIVATE KEY-----\n{text}-----END PRIVATE KEY-----\n".encode())
        context.load_cert_chain(client_cert, f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    return context
