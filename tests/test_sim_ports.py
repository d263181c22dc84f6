"""A free port stays free until somebody listens on it: no outgoing connection takes it meanwhile."""

import socket
from pathlib import Path

import pytest

from everpin_sim.ports import free


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
