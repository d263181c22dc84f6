"""What everpin's context costs on CPython: handshakes and bulk data against a stock context that verifies the same server.

    .venv/bin/python benchmarks/tls_handshake.py [--handshakes 400] [--mbytes 64]

Prints medians of the client's own CPU time and their ratio (the design aims at 1.05 for the handshake). The server is a process of its own.
"""

import argparse
import contextlib
import datetime
import multiprocessing
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import everpin
from everpin.core import spki
from everpin.core.verdict import Verdict
from everpin_sim import pki

_ROUNDS = 5


class Pinned:
    """A policy of one pin: what is measured is the context."""

    generation = 1

    def __init__(self, pin: bytes) -> None:
        self._pin = pin

    def verdict(self, host: str, chain: list[bytes]) -> Verdict:
        """Return the verdict."""
        pin = spki.pin(chain[0])
        found = Verdict(0 if pin == self._pin else 1, host, host, 3, pin, "newest")
        found.generation = 1
        return found

    def completed(self, verdict: Verdict) -> None:
        """Nothing to keep."""


def _serve(listener: socket.socket, cert: str, key: str, version: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.minimum_version = context.maximum_version = ssl.TLSVersion(version)
    block = bytes(1 << 20)
    while True:
        sock, _ = listener.accept()
        with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
            for _ in range(int.from_bytes(tls.recv(2), "big")):
                tls.sendall(block)


def _handshakes(context: ssl.SSLContext, port: int, count: int) -> float:
    spent = 0.0
    for _ in range(count):
        raw = socket.create_connection(("127.0.0.1", port))
        start = time.process_time()
        sock = context.wrap_socket(raw, server_hostname="localhost")
        spent += time.process_time() - start
        sock.sendall(b"\0\0")
        sock.close()
    return spent / count * 1e6


def _bulk(context: ssl.SSLContext, port: int, mbytes: int) -> float:
    raw = socket.create_connection(("127.0.0.1", port))
    with context.wrap_socket(raw, server_hostname="localhost") as sock:
        start = time.process_time()
        sock.sendall(mbytes.to_bytes(2, "big"))
        left = mbytes << 20
        while left:
            left -= len(sock.recv(65536))
        return (time.process_time() - start) / mbytes * 1e6


def _compare(
    what: str, contexts: list[ssl.SSLContext], measure: Callable[[ssl.SSLContext], float]
) -> None:
    found: list[list[float]] = [[] for _ in contexts]
    for _ in range(_ROUNDS):
        for at, context in enumerate(contexts):
            found[at].append(measure(context))
    stock, ours = (statistics.median(item) for item in found)
    print(f"{what}: stock {stock:.0f} µs, everpin {ours:.0f} µs, ratio {ours / stock:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--handshakes", type=int, default=400)
    parser.add_argument("--mbytes", type=int, default=64)
    args = parser.parse_args()
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    root = pki.root("Root", until)
    leaf = pki.leaf(root, "localhost")
    pin = spki.pin(leaf.certificate.public_bytes(pki.serialization.Encoding.DER))
    with tempfile.TemporaryDirectory() as folder:
        cert, key = leaf.save(Path(folder), "server")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            listener = socket.create_server(("127.0.0.1", 0))
            port = int(listener.getsockname()[1])
            server = multiprocessing.Process(
                target=_serve, args=(listener, str(cert), str(key), int(version)), daemon=True
            )
            server.start()
            stock = ssl.create_default_context(cadata=root.pem().decode())
            contexts = [stock, everpin.ssl_context(Pinned(pin))]
            _compare(
                f"{version.name} handshake",
                contexts,
                lambda context, port=port: _handshakes(context, port, args.handshakes),  # type: ignore[misc]
            )
            _compare(
                f"{version.name} each MB received",
                contexts,
                lambda context, port=port: _bulk(context, port, args.mbytes),  # type: ignore[misc]
            )
            server.terminate()
            server.join()
            listener.close()


if __name__ == "__main__":
    main()
