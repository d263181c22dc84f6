"""A free port stays free until somebody listens on it, and nobody listens once a listener is closed."""

import socket
import threading
from pathlib import Path

import pytest

from everpin_sim.ports import Listener, free


@pytest.mark.skipif(
    not Path("/proc/sys/net/ipv4/ip_local_port_range").exists(), reason="not Linux"
)
def test_no_outgoing_connection_takes_a_free_port() -> None:
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert all(port < int(first) for port in free(200))


def test_a_port_that_somebody_holds_is_not_free() -> None:
    ports = free(200)
    assert len(set(ports)) == 200
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", ports[0]))
        assert all(ports[0] not in free(1000) for _ in range(20))


def test_a_listener_serves_each_connection_until_it_is_closed_and_then_nobody_listens() -> None:
    served: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        with sock:
            served.append(sock.recv(1))
            sock.sendall(b"y")

    before = set(threading.enumerate())
    listener = Listener(serve)
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", listener.port), 5) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"y"
    assert served == [b"x", b"x"]
    listener.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", listener.port), 5)
