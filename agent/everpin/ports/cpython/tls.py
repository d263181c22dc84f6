"""TLS on CPython: an `ssl.SSLContext` whose every connection has its verdict before the first secret.

`ssl_context(policy)` fits wherever a context does: `wrap_socket` (paho-mqtt, http.client, urllib3, smtplib) and `wrap_bio`
(asyncio). What a library sets on it afterwards (`verify_mode`, `check_hostname`, CA files) neither disables nor replaces the
verdict. TLS 1.2 and 1.3, ECDHE only, no renegotiation, no resumption.
"""

import base64
import os

from .gate import NotReady, PinRefused
from .pinned_context import PinnedContext
from .pinned_object import PinnedObject
from .pinned_socket import PinnedSocket
from .serial import serial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .gate import Policy

__all__ = (
    "NotReady",
    "PinRefused",
    "PinnedContext",
    "PinnedObject",
    "PinnedSocket",
    "ssl_context",
)


def ssl_context(
    policy: "Policy", client_cert: "str | None" = None, client_key: "str | bytes | None" = None
) -> PinnedContext:
    """Return a context whose connections talk only to peers that `policy` accepts.

    `client_cert` and `client_key` are PEM files for mutual TLS; the key may be PKCS#8 DER instead, as the sealed secrets hold it.
    A refusal raises `PinRefused` with `.verdict`.
    """
    context = PinnedContext()
    context.policy = serial(policy)
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
