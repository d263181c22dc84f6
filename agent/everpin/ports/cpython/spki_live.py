"""The certificates that a TLS server serves, read without verifying anything and without offering a credential."""

import socket
import ssl
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A handshake's flight is a few kilobytes; a server that sends more of it is no server to wait for.
_MAX_BYTES = 256 * 1024


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is verified: the question is which keys the server has, and what is done with the answer is the caller's decision.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Keys that today's defaults call too short are to be seen too.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _served(tls: ssl.SSLObject) -> "list[bytes]":
    """Return the DER of what was served so far, leaf first, or an empty list."""
    if hasattr(tls, "get_unverified_chain"):  # public from CPython 3.13
        return [bytes(certificate) for certificate in tls.get_unverified_chain() or ()]
    inner: Any = tls._sslobj  # type: ignore[attr-defined]  # the same call, before it was public
    # 2: DER (_ssl.ENCODING_DER)
    return [certificate.public_bytes(2) for certificate in inner.get_unverified_chain() or ()]


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Return a connection to the first address that answers before the deadline; raise OSError of the last one tried."""
    last: OSError = TimeoutError("timed out")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            raw = socket.socket(family, kind, protocol)
        except OSError as error:
            last = error
            continue
        raw.settimeout(left)
        try:
            raw.connect(address)
        except OSError as error:
            raw.close()
            last = error
            continue
        return raw
    raise last


def served_chain(
    host: str, port: int, server_name: "str | None", timeout_s: float
) -> "list[bytes]":
    """Return the DER certificates of a live server as served, leaf first; raise OSError (ssl.SSLError is one) or ValueError.

    The whole of it takes `timeout_s` seconds at most, name resolution apart. `server_name` goes out as SNI.
    """
    deadline = time.monotonic() + timeout_s
    raw = _connect(host, port, deadline)
    try:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = _context().wrap_bio(incoming, outgoing, server_hostname=server_name)
        received = 0
        answered = (
            False  # our own second flight went out: the server has proved that it holds its key
        )
        while True:
            try:
                tls.do_handshake()
                return _served(tls)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                # TLS 1.2 servers that demand a client certificate refuse after serving their own.
                if answered and "ALERT" in (error.reason or ""):
                    return _served(tls)
                raise
            if outgoing.pending:
                answered = received > 0 and bool(_served(tls))
                raw.settimeout(max(deadline - time.monotonic(), 0.001))
                raw.sendall(outgoing.read())
            left = deadline - time.monotonic()
            if left <= 0 or received > _MAX_BYTES:
                raise TimeoutError("timed out")
            raw.settimeout(left)
            data = raw.recv(16384)
            if not data:
                if answered:
                    return _served(tls)
                raise ConnectionResetError("it closed the connection before its certificate came")
            received += len(data)
            incoming.write(data)
    finally:
        raw.close()
