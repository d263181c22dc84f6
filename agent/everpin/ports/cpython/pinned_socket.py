# mypy: disable-error-code="attr-defined,override,has-type,assignment,unused-ignore"
# What is built here stands on the parts of `ssl` that typeshed leaves out; the tests hold them for each Python.
"""`ssl.SSLSocket` behind the gate, with a pump of our own between the socket and OpenSSL."""

import contextlib
import select
import socket
import ssl
import threading
import time

from .gate import PinRefused
from .pinned_gate import checked_host, open_gate, refuse_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .pinned_context import PinnedContext

_HEAD_BYTES = 5
_FLIGHT_BYTES = 16384 + 2048  # a server's first flight is mostly shorter


class _Pump:
    """Stands where `ssl.SSLSocket` has its OpenSSL object: the same calls, over memory BIOs and the gate."""

    def __init__(self, owner: "PinnedSocket", context: "PinnedContext", host: str) -> None:
        self._owner = owner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.gate = open_gate(context, self._incoming, self._outgoing, host, owner)
        self._eof = False
        self._head = b""  # of the record that is coming in, while it is not whole; then what is lacking of the body
        self._left = 0
        self._shaken = False
        self._taken: bytes | None = None
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
        # Again after the release: what another thread left to this one, while it held the lock, is not forgotten.
        while self._outgoing.pending and self._sending.acquire(blocking=False):
            try:
                self._send_pending(deadline)
            finally:
                self._sending.release()

    def _send_pending(self, deadline: "float | None") -> None:
        view = memoryview(self._outgoing.read())
        try:
            while view:
                try:
                    view = view[self._owner.raw_send(view) :]
                except (BlockingIOError, InterruptedError):
                    if self._owner.gettimeout() == 0:
                        raise ssl.SSLWantWriteError(
                            ssl.SSL_ERROR_WANT_WRITE, "everpin: write later"
                        ) from None
                    self._wait(True, deadline)
        except OSError:
            # Not sent yet, not lost: before what OpenSSL has written since.
            with self._using:
                self._outgoing.write(bytes(view) + self._outgoing.read())
            raise

    def _fill(self, deadline: "float | None") -> None:
        """Read on: the server's first flight as it comes, then to the end of one record and never into the next.

        What OpenSSL has not been asked for stays with the kernel, so that select() tells of it.
        """
        whole = False
        while not whole:
            flight = self.gate.verdict is None
            count = _FLIGHT_BYTES if flight else self._left or _HEAD_BYTES - len(self._head)
            part = self._receive(count, deadline)
            whole = self._passed(part) or flight or not part
            with self._using:
                if part:
                    self._incoming.write(part)
                else:
                    self._incoming.write_eof()

    def _receive(self, count: int, deadline: "float | None") -> bytes:
        """Return up to `count` bytes, none once at the end of the stream."""
        if self._eof:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
        while True:
            try:
                data = self._owner.raw_recv(count)
                self._eof = not data
                return data
            except (BlockingIOError, InterruptedError):
                if self._owner.gettimeout() == 0:
                    raise ssl.SSLWantReadError(
                        ssl.SSL_ERROR_WANT_READ, "everpin: read later"
                    ) from None
                self._wait(False, deadline)

    def _passed(self, part: bytes) -> bool:
        """Take note of bytes that came; return whether they end a record (RFC 8446 section 5.1)."""
        at = 0
        while at < len(part):
            if self._left:
                count = min(self._left, len(part) - at)
                self._left -= count
            else:
                count = min(_HEAD_BYTES - len(self._head), len(part) - at)
                self._head += part[at : at + count]
                if len(self._head) == _HEAD_BYTES:
                    self._left = int.from_bytes(self._head[3:], "big")
                    self._head = b""
            at += count
        return not self._left and not self._head

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
                # An alert, for a peer that may be gone: what went wrong is the error above.
                with contextlib.suppress(OSError):
                    self.flush(deadline)
                raise

    def do_handshake(self) -> None:
        if self._shaken:
            return
        try:
            self._run(self.gate.handshake)
            self.flush(self._deadline())
        except PinRefused:
            self._owner.raw_close()
            raise
        self._shaken = True
        self.gate.completed()

    def check(self) -> None:
        """Raise `PinRefused` unless the policy as it is now accepts this peer; the connection ends with that, whoever asked.

        A library may take the error for another one: paho-mqtt passes over a ValueError of a write, which every
        SSLCertVerificationError is, and tries again for ever. What it cannot pass over is that nothing is there to write to.
        """
        try:
            self.gate.check()
        except PinRefused:
            with contextlib.suppress(OSError):
                self._owner.shutdown(socket.SHUT_RDWR)
            raise

    def read(self, length: int = 1024, buffer: "Any" = None) -> "Any":
        self.check()
        sslobj = self.gate.sslobj
        try:
            found = (
                self._run(sslobj.read, length)
                if buffer is None
                else self._run(sslobj.read, length, buffer)
            )
        except ssl.SSLZeroReturnError:
            found = b"" if buffer is None else 0
        self.check()  # a document may have come in between: not delivered
        return found

    def write(self, data: "Any") -> int:
        self.check()
        # As with OpenSSL's own socket, a write that could not leave is to be repeated with the same data; these it has already,
        # and must not be given again.
        if self._taken is None:
            self._run(self.gate.sslobj.write, data)
        elif bytes(data) != self._taken:
            raise ssl.SSLError(
                ssl.SSL_ERROR_SSL, "everpin: bad write retry: other data is waiting"
            )
        try:
            self.flush(self._deadline())
        except OSError:
            self._taken = bytes(data)
            raise
        self._taken = None
        return memoryview(data).nbytes

    def shutdown(self) -> socket.socket:
        self.check()
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
        host = checked_host(server_side, server_hostname, session)
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
        self.server_side = False
        self.server_hostname = host
        self.do_handshake_on_connect = do_handshake_on_connect
        self.suppress_ragged_eofs = suppress_ragged_eofs
        try:
            self.getpeername()
            self._connected = True
        except OSError:
            self._connected = False
        # From the start, connected or not: SSLSocket sends and receives in the clear wherever this is None (a peer that has hung
        # up before the handshake, CVE-2023-40217; a connect that is still under way).
        self._sslobj = _Pump(self, context, host)
        if self._connected:
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

    def _real_connect(self, addr: "Any", connect_ex: bool) -> "Any":
        if self._connected:
            raise ValueError("attempt to connect already-connected SSLSocket!")
        code = 0
        if connect_ex:
            code = socket.socket.connect_ex(self, addr)
        else:
            socket.socket.connect(self, addr)
        if not code:
            self._connected = True
            if self.do_handshake_on_connect:
                self.do_handshake()
        return code if connect_ex else None

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

    def check(self) -> None:
        """Raise `PinRefused` unless the policy as it is now accepts this peer: for who neither reads nor writes meanwhile."""
        pump: Any = self._sslobj
        pump.check()

    def shutdown(self, how: int) -> None:
        """Shut the TCP connection down; unlike SSLSocket's, what is sent or received after that is no plain text."""
        socket.socket.shutdown(self, how)

    @property
    def session(self) -> "Any":
        """None: there is nothing to resume."""
        return None

    @session.setter
    def session(self, value: "Any") -> None:
        refuse_session(value)

    @property
    def session_reused(self) -> bool:
        """Never."""
        return False

    def pending(self) -> int:
        """Return how many bytes can be read without touching the socket."""
        pump: Any = self._sslobj
        if pump is None:
            return 0
        # Data that a server has sent with its first flight, before the handshake was over (RFC 8446 section 2.3).
        return int(pump.gate.sslobj.pending()) or (
            1 if pump._incoming.pending and pump.gate.done else 0
        )
