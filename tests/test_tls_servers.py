"""The tests' own TLS server ends with its test: hundreds of them in one process would use up what select() can take."""

import ssl
import threading
from pathlib import Path

from tls_servers import Server, identities


def test_a_closed_server_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    made = identities()
    server = Server(made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3)
    server.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before
