"""Each client library as a program of a few lines: it connects to localhost with everpin's context and sends SECRET.

A program returns when the server has answered, and raises whatever its library makes of a refusal. `Use.loose` asks it to switch off
all verification that its library lets a caller switch off.
"""

import asyncio
import base64
import contextlib
import hashlib
import http.client
import imaplib
import re
import smtplib
import socket
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import paho.mqtt.client as mqtt
import requests
import urllib3
from paho.mqtt.enums import CallbackAPIVersion

import everpin
import everpin.aiohttp
import everpin.requests

SECRET = "secret-word"  # what must not reach a refused peer
PATH = f"/{SECRET}"
_TIMEOUT_S = 10


@dataclass
class Use:
    """What a program connects to, and how."""

    policy: Any
    port: int
    identity: tuple[str, str] | None = None
    loose: bool = False
    ca_file: Path | None = None  # the genuine root of the server, for what is loaded on top
    proxy: str | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}{PATH}"

    def context(self) -> ssl.SSLContext:
        """Return everpin's context, after a caller's attempts to have it otherwise."""
        context = everpin.ssl_context(self.policy, *(self.identity or ()))
        if self.loose:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.options = ssl.Options(0)
            context.options &= ~ssl.OP_NO_TICKET
            context.verify_flags = ssl.VERIFY_X509_PARTIAL_CHAIN
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.load_verify_locations(self.ca_file)
            context.load_default_certs()
        return context

    def raw(self) -> socket.socket:
        """Return a TCP connection."""
        return socket.create_connection(("127.0.0.1", self.port), _TIMEOUT_S)


# ---- what the servers answer --------------------------------------------------------------------------------------------


def http_answer(data: bytes) -> bytes:
    """Answer one GET, and keep the connection."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" if b"\r\n\r\n" in data else b""


def _line(sock: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        got = sock.recv(1)
        if not got:
            raise OSError("the client hung up")
        line += got
    return line


def connect_proxy(sock: socket.socket) -> None:
    """Play a proxy that has been asked to CONNECT."""
    assert _line(sock).startswith(b"CONNECT localhost:")
    while _line(sock).strip():
        pass
    sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")


def smtp_first(sock: socket.socket) -> None:
    """Play a mail server up to STARTTLS."""
    sock.sendall(b"220 hello\r\n")
    _line(sock)
    sock.sendall(b"250-hello\r\n250 STARTTLS\r\n")
    _line(sock)
    sock.sendall(b"220 go on\r\n")


def smtp_answer(data: bytes) -> bytes:
    """Answer any command."""
    return b"221 bye\r\n" if data.upper().startswith(b"QUIT") else b"250 done\r\n"


def imap_first(sock: socket.socket) -> None:
    """Play a mailbox up to STARTTLS."""
    sock.sendall(b"* OK hello\r\n")
    sock.sendall(imap_answer(_line(sock)))
    sock.sendall(_line(sock).split()[0] + b" OK go on\r\n")


def imap_answer(data: bytes) -> bytes:
    """Answer any command."""
    return b"* CAPABILITY IMAP4REV1 STARTTLS\r\n" + data.split()[0] + b" OK done\r\n"


def word_first(sock: socket.socket) -> None:
    """Play a protocol of one word before TLS."""
    assert _line(sock) == b"STARTTLS\n"
    sock.sendall(b"go on\n")


def mqtt_answer(data: bytes) -> bytes:
    """Answer CONNECT."""
    return b"\x20\x02\x00\x00" if data[0] == 0x10 else b""


def websocket_answer(data: bytes) -> bytes:
    """Answer the upgrade, then CONNECT in a frame (RFC 6455 sections 1.3 and 5.2)."""
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", data, re.IGNORECASE)
    if key is None:
        return b"\x82\x04\x20\x02\x00\x00" if data[0] == 0x82 else b""
    proof = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - the protocol's
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: %b\r\n\r\n"
        % base64.b64encode(proof)
    )


# ---- programs -----------------------------------------------------------------------------------------------------------


def with_http_client(use: Use) -> None:
    where = ("localhost", use.port)
    if use.proxy is not None:
        proxy = urllib3.util.parse_url(use.proxy)
        where = (str(proxy.host), int(proxy.port or 0))
    made = http.client.HTTPSConnection(*where, context=use.context(), timeout=_TIMEOUT_S)
    if use.proxy is not None:
        made.set_tunnel("localhost", use.port)
    try:
        made.request("GET", PATH)
        assert made.getresponse().read() == b"ok"
    finally:
        made.close()


def with_urllib(use: Use) -> None:
    proxies = {} if use.proxy is None else {"https": use.proxy}
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=use.context()), urllib.request.ProxyHandler(proxies)
    )
    with opener.open(use.url, timeout=_TIMEOUT_S) as answer:
        assert answer.read() == b"ok"


def with_urllib3(use: Use) -> None:
    loose: dict[str, Any] = {}
    if use.loose:
        loose = {"cert_reqs": "CERT_NONE", "assert_hostname": False, "ca_certs": str(use.ca_file)}
    with pool_of_urllib3(use, **loose) as pool:
        assert pool.request("GET", use.url).data == b"ok"


def pool_of_urllib3(use: Use, **more: Any) -> urllib3.PoolManager:
    """Return urllib3's pools."""
    if use.proxy is None:
        return urllib3.PoolManager(ssl_context=use.context(), timeout=_TIMEOUT_S, **more)
    return urllib3.ProxyManager(
        use.proxy,
        ssl_context=use.context(),
        proxy_ssl_context=use.context(),
        timeout=_TIMEOUT_S,
        **more,
    )


def session_of_requests(use: Use) -> requests.Session:
    """Return a session of requests, its adapter mounted."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", everpin.requests.Adapter(use.policy, *(use.identity or ())))
    if use.proxy is not None:
        session.proxies = {"https": use.proxy}
    return session


def with_requests(use: Use) -> None:
    for verify in (False, str(use.ca_file)) if use.loose else (True,):
        with session_of_requests(use) as session:
            assert session.get(use.url, verify=verify, timeout=_TIMEOUT_S).content == b"ok"


def with_httpx(use: Use) -> None:
    with httpx.Client(
        verify=use.context(), proxy=use.proxy, trust_env=False, timeout=_TIMEOUT_S
    ) as client:
        assert client.get(use.url).content == b"ok"


def with_httpx_async(use: Use) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(
            verify=use.context(), proxy=use.proxy, trust_env=False, timeout=_TIMEOUT_S
        ) as client:
            assert (await client.get(use.url)).content == b"ok"

    asyncio.run(run())


def with_aiohttp(use: Use) -> None:
    _with_aiohttp(use, lambda: aiohttp.TCPConnector(ssl=use.context()))


def with_aiohttp_connector(use: Use) -> None:
    _with_aiohttp(use, lambda: everpin.aiohttp.Connector(use.policy, *(use.identity or ())))


def _with_aiohttp(use: Use, connect: Callable[[], aiohttp.TCPConnector]) -> None:
    async def run() -> None:
        connector = connect()
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(use.url, proxy=use.proxy) as answer,
        ):
            assert await answer.read() == b"ok"

    asyncio.run(run())


async def _over_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"GET {PATH} HTTP/1.1\r\n\r\n".encode())
    await writer.drain()
    assert (await reader.read(1000)).endswith(b"ok")


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def with_asyncio(use: Use) -> None:
    async def run() -> None:
        reader, writer = await asyncio.open_connection("localhost", use.port, ssl=use.context())
        try:
            await _over_streams(reader, writer)
        finally:
            await _closed(writer)

    asyncio.run(run())


def with_asyncio_start_tls(use: Use) -> None:
    async def run() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", use.port)
        try:
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go on\n"
            await writer.start_tls(use.context(), server_hostname="localhost")
            await _over_streams(reader, writer)
        finally:
            await _closed(writer)

    asyncio.run(run())


def with_wrap_socket(use: Use) -> None:
    raw = use.raw()
    raw.sendall(b"STARTTLS\n")
    assert raw.recv(100) == b"go on\n"
    with use.context().wrap_socket(
        raw, server_hostname="localhost", do_handshake_on_connect=not use.loose
    ) as sock:
        if use.loose:
            sock.do_handshake()
        with sock.makefile("rwb") as file:
            file.write(f"GET {PATH} HTTP/1.1\r\n\r\n".encode())
            file.flush()
            assert file.readline() == b"HTTP/1.1 200 OK\r\n"


def with_smtplib(use: Use) -> None:
    with smtplib.SMTP("localhost", use.port, "here", _TIMEOUT_S) as smtp:
        smtp.ehlo_or_helo_if_needed()
        smtp.starttls(context=use.context())
        assert smtp.docmd("NOOP", SECRET)[0] == 250


def with_imaplib(use: Use) -> None:
    imap = imaplib.IMAP4("localhost", use.port, _TIMEOUT_S)
    try:
        imap.starttls(use.context())
        assert imap.login("user", SECRET)[0] == "OK"
    finally:
        imap.shutdown()


def _with_paho(use: Use, transport: Any) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="paho", transport=transport)
    client.username_pw_set("user", SECRET)
    seen: list[Any] = []
    client.on_connect = lambda *args: seen.append(args)
    client.tls_set_context(use.context())
    client.tls_insecure_set(use.loose)
    client.connect("localhost", use.port)
    for _ in range(100):
        client.loop(0.1)
        if seen:
            break
    assert seen
    client.disconnect()
    client.loop(0.1)


def with_paho(use: Use) -> None:
    _with_paho(use, "tcp")


def with_paho_websockets(use: Use) -> None:
    _with_paho(use, "websockets")


@dataclass(frozen=True)
class Program:
    """A program, and the server that it talks to."""

    run: Callable[[Use], None]
    answer: Callable[[bytes], bytes] = http_answer
    first: Callable[[socket.socket], None] | None = None


PROGRAMS = {
    "http.client": Program(with_http_client),
    "urllib": Program(with_urllib),
    "urllib3": Program(with_urllib3),
    "requests": Program(with_requests),
    "httpx": Program(with_httpx),
    "httpx async": Program(with_httpx_async),
    "aiohttp": Program(with_aiohttp),
    "aiohttp connector": Program(with_aiohttp_connector),
    "asyncio": Program(with_asyncio),
    "asyncio start_tls": Program(with_asyncio_start_tls, first=word_first),
    "wrap_socket": Program(with_wrap_socket, first=word_first),
    "smtplib": Program(with_smtplib, smtp_answer, smtp_first),
    "imaplib": Program(with_imaplib, imap_answer, imap_first),
    "paho-mqtt": Program(with_paho, mqtt_answer),
    "paho-mqtt websockets": Program(with_paho_websockets, websocket_answer),
}
# Those that can go through a proxy.
PROXIED = (
    "http.client",
    "urllib",
    "urllib3",
    "requests",
    "httpx",
    "httpx async",
    "aiohttp",
    "aiohttp connector",
)
