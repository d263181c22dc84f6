"""`everpin tunnel` as a process of its own, beside the process that writes its trust: what reaches peers, and what ends when."""

import contextlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import device_folders
from device_folders import Writer, document, pin, spare
from documents import Fleet
from everpin.ports.cpython import cli
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.child import Child
from everpin_sim.ports import free
from tls_servers import Identities, Server, identities

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
EVERPIN = [sys.executable, "-m", "everpin.ports.cpython.cli"]


@pytest.fixture(scope="module")
def made() -> Identities:
    return identities()


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def device(tmp_path: Path, made: Identities, fleet: Fleet) -> Path:
    """A device that pins the server, with a client certificate."""
    pins = document(fleet, 1, "localhost", pin(made.server), spare())
    return device_folders.make(tmp_path / "device", fleet, pins, made.client)


@pytest.fixture(params=VERSIONS, ids=["tls1.2", "tls1.3"])
def version(request: pytest.FixtureRequest) -> Any:
    return request.param


class Running:
    """A tunnel process and where it listens."""

    def __init__(self, tmp_path: Path, *argv: str, env: dict[str, str] | None = None) -> None:
        self.child = Child(
            [*EVERPIN, "tunnel", "--json", *argv], {**os.environ, **(env or {})}, tmp_path / "log"
        )
        heard = self.wait("listening")
        self.port = int(str(heard["address"]).rpartition(":")[2])

    def wait(self, event: str, since: int = 0, timeout_s: float = 15.0) -> dict[str, Any]:
        found = self.child.wait(lambda said: said["event"] == event, since, timeout_s)
        assert found is not None, self.child.events
        return found

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        sock = socket.create_connection((host, self.port), 10)
        sock.settimeout(10)
        return sock

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [said for said in self.child.events if said["event"] == event]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(port: int, device: Path, *argv: str, **how: Any) -> Running:
        where = ("--listen", "127.0.0.1:0") if "--listen" not in argv else ()
        started.append(
            Running(
                tmp_path,
                *where,
                "--to",
                f"localhost:{port}",
                "--device",
                str(device),
                *argv,
                **how,
            )
        )
        return started[-1]

    yield start
    for tunnel in started:
        tunnel.child.stop()
    # However it ended: what it says are its lines.
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.fixture
def server(version: Any, made: Identities, tmp_path: Path) -> Iterator[Server]:
    up = Server(made.server, made.client_ca, tmp_path, version)
    yield up
    up.close()


def _ends(sock: socket.socket) -> bool:
    """Return whether nothing but the end comes."""
    try:
        return sock.recv(100) == b""
    except ConnectionError:
        return True


def test_an_accepted_peer_gets_the_programs_bytes_and_the_devices_certificate(
    server: Server, device: Path, run: Callable[..., Running]
) -> None:
    tunnel = run(server.port, device)
    with tunnel.connect() as sock:
        sock.sendall(b"hello")
        assert sock.recv(100) == b"HELLO"
    server.settle()
    assert server.application == [b"hello"] and server.client_certificates == 1
    assert tunnel.wait("open")["by"] == "newest"
    tunnel.child.stop()
    (closed,) = tunnel.lines("closed")
    assert (closed["sent"], closed["received"]) == (5, 5)


@pytest.mark.parametrize("lost", ["key", "certificate"])
def test_an_identity_that_cannot_be_used_is_said_and_done_without(
    lost: str, made: Identities, device: Path, run: Callable[..., Running], tmp_path: Path
) -> None:
    server = Server(made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3)
    (device / {"key": "device.key", "certificate": "client.pem"}[lost]).unlink()
    tunnel = run(server.port, device)
    with tunnel.connect() as sock:
        sock.sendall(b"hello")
        assert sock.recv(100) == b"HELLO"
    said = tunnel.wait("no-identity")["error"]
    assert said == "no-client-key" if lost == "key" else said.startswith("FileNotFoundError")
    server.settle()
    assert server.client_certificates == 0
    server.close()


def test_a_refused_peer_gets_not_one_byte_and_the_program_a_closed_connection(
    version: Any, made: Identities, device: Path, run: Callable[..., Running], tmp_path: Path
) -> None:
    # A stranger's leaf from the same root: an attacker who has a certificate for the name.
    attacker = Server(made.other, made.client_ca, tmp_path, version)
    tunnel = run(attacker.port, device)
    for count in range(3):
        with tunnel.connect() as sock:
            sock.sendall(b"secret" * 1000)  # before the verdict, as programs do
            assert _ends(sock)
        tunnel.wait("refused", count)
    attacker.settle()
    assert attacker.application == [] and attacker.client_certificates == 0
    assert attacker.records_after_hello == [], "no record left after ClientHello"
    refused = tunnel.lines("refused")
    assert len(refused) == 3, "one line for each"
    assert {line["error"] for line in refused} == {"pin-mismatch"}
    assert not tunnel.lines("open") and not tunnel.lines("closed")
    attacker.close()


def test_a_peer_that_is_not_there_closes_the_connection_with_a_line(
    device: Path, run: Callable[..., Running]
) -> None:
    tunnel = run(free(1)[0], device)
    with tunnel.connect() as sock:
        assert _ends(sock)
    assert "refused" not in {line["event"] for line in tunnel.child.events}
    assert tunnel.wait("unreachable")["host"] == "localhost"


@pytest.mark.parametrize("how", ["forbidden", "pin-mismatch"])
def test_a_document_that_another_process_took_ends_idle_tunnels_and_refuses_new_ones(
    how: str,
    server: Server,
    device: Path,
    run: Callable[..., Running],
    made: Identities,
    fleet: Fleet,
) -> None:
    writer = Writer(device)
    tunnel = run(server.port, device)
    with tunnel.connect() as sock:
        sock.sendall(b"one")
        assert sock.recv(100) == b"ONE"
        # Forbidden at once; or pinned no longer, at once because the document is urgent.
        extra = {-2: [pin(made.server)]} if how == "forbidden" else {-1: [1, 2]}
        assert (
            writer.take(document(fleet, 2, "localhost", spare(1), spare(2), body=extra))
            == "accepted"
        )
        assert _ends(sock), "an idle tunnel ends by itself"
    ended = tunnel.wait("ended")
    assert ended["error"] == how
    said = tunnel.wait("trust")
    assert said["number"] == "1-2"
    with tunnel.connect() as sock:
        sock.sendall(b"two")
        assert _ends(sock)
    assert tunnel.wait("refused")["error"] == how
    server.settle()
    assert server.application == [b"one"]
    writer.close()


def test_a_document_that_still_accepts_the_peer_leaves_its_tunnel_alone(
    server: Server,
    device: Path,
    run: Callable[..., Running],
    made: Identities,
    fleet: Fleet,
) -> None:
    writer = Writer(device)
    tunnel = run(server.port, device)
    with tunnel.connect() as sock:
        sock.sendall(b"one")
        assert sock.recv(100) == b"ONE"
        assert writer.take(document(fleet, 2, "localhost", spare(1), spare(2))) == "accepted"
        tunnel.wait("trust")
        # The base is accepted beside the newest entry until that is confirmed.
        sock.sendall(b"two")
        assert sock.recv(100) == b"TWO"
        pins = (pin(made.server), spare(3))
        assert writer.take(document(fleet, 3, "localhost", *pins)) == "accepted"
        writer.meet("localhost", made.server)
        tunnel.wait("trust", tunnel.child.events.index(tunnel.wait("trust")) + 1)
        sock.sendall(b"three")
        assert sock.recv(100) == b"THREE"
    assert not tunnel.lines("ended")
    writer.close()


def test_the_tunnel_writes_nothing_and_holds_no_lock(
    server: Server, device: Path, run: Callable[..., Running]
) -> None:
    image = (device / "flash.img").read_bytes()
    names = sorted(path.name for path in device.iterdir())
    tunnel = run(server.port, device)
    with tunnel.connect() as sock:
        sock.sendall(b"x")
        assert sock.recv(9) == b"X"
    Writer(device).close()  # the writer comes second and gets its lock
    assert (device / "flash.img").read_bytes() == image
    assert sorted(path.name for path in device.iterdir()) == names


def test_a_region_that_cannot_be_read_leaves_what_was_trusted_in_force(
    server: Server, device: Path, run: Callable[..., Running]
) -> None:
    tunnel = run(server.port, device)
    image = (device / "flash.img").read_bytes()
    (device / "flash.img").write_bytes(b"\xff" * len(image))
    assert tunnel.child.wait(lambda said: "not-provisioned" in said.get("error", "")) is not None
    with tunnel.connect() as sock:
        sock.sendall(b"x")
        assert sock.recv(9) == b"X"
    (device / "flash.img").unlink()
    assert (
        tunnel.child.wait(lambda said: "flash.img: No such file" in said.get("error", ""))
        is not None
    )
    (device / "flash.img").write_bytes(image)
    with tunnel.connect() as sock:
        sock.sendall(b"y")
        assert sock.recv(9) == b"Y"


def test_what_a_half_closed_program_asked_is_still_answered(
    server: Server, device: Path, run: Callable[..., Running]
) -> None:
    with run(server.port, device).connect() as sock:
        sock.sendall(b"question")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b"QUESTION"


def test_connections_beyond_the_limit_are_closed_and_come_again_when_one_ends(
    server: Server, device: Path, run: Callable[..., Running]
) -> None:
    tunnel = run(server.port, device, "--max-connections", "2")
    held = [tunnel.connect() for _ in range(2)]
    for sock in held:
        sock.sendall(b"x")
        assert sock.recv(9) == b"X"
    with tunnel.connect() as third:
        assert _ends(third)
    assert tunnel.wait("busy")["limit"] == 2
    # Reset, so that it is over at once; after a mere end the peer might still have to answer.
    held[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    held.pop(0).close()
    tunnel.wait("closed")
    with tunnel.connect() as sock:
        sock.sendall(b"y")
        assert sock.recv(9) == b"Y"
    held.pop().close()


def test_a_peer_that_does_not_read_holds_the_program_up_and_not_the_memory(
    made: Identities, device: Path, run: Callable[..., Running], tmp_path: Path
) -> None:
    cert, key = made.server.save(tmp_path, "deaf")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def deaf() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with context.wrap_socket(sock, server_side=True):
                over.wait(30)

    threading.Thread(target=deaf, daemon=True).start()
    tunnel = run(listener.getsockname()[1], device)
    with tunnel.connect() as sock:
        tunnel.wait("open")
        sock.settimeout(2)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 256 * 1024 * 1024:
                sent += sock.send(bytes(65536))
    over.set()
    listener.close()
    # What the kernel's buffers of two connections hold, and a few of ours.
    assert 0 < sent < 64 * 1024 * 1024


def test_sigterm_ends_live_tunnels_and_systemd_hears_of_it(
    server: Server, device: Path, run: Callable[..., Running], tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        tunnel = run(server.port, device, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        heard = [manager.recv(100) for _ in range(2)]
        assert set(heard) == {b"READY=1", b"WATCHDOG=1"}
        with tunnel.connect() as sock:
            sock.sendall(b"x")
            assert sock.recv(9) == b"X"
            tunnel.child._process.send_signal(signal.SIGTERM)
            assert _ends(sock)
        assert tunnel.child._process.wait(10) == 0
        while (state := manager.recv(100)) != b"STOPPING=1":
            assert state == b"WATCHDOG=1"
    assert tunnel.wait("stopped") is not None


_ACTIVATE = """
import os, socket, sys
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "1"
os.dup2(int(sys.argv[1]), 3)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_a_socket_that_systemd_passed_is_listened_on(
    family: str, server: Server, device: Path, tmp_path: Path
) -> None:
    where: Any = str(tmp_path / "sock") if family == "unix" else ("127.0.0.1", 0)
    listener = socket.socket(socket.AF_UNIX if family == "unix" else socket.AF_INET)
    listener.bind(where)
    listener.listen()
    os.set_inheritable(listener.fileno(), True)
    process = subprocess.Popen(
        [
            sys.executable, "-c", _ACTIVATE, str(listener.fileno()), *EVERPIN[1:], "tunnel",
            "--to", f"localhost:{server.port}", "--device", str(device),
        ],
        pass_fds=[listener.fileno()],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # Whoever comes before the program is up waits in the socket: that is what activation is for.
        with socket.socket(listener.family) as sock:
            sock.settimeout(15)
            sock.connect(listener.getsockname())
            sock.sendall(b"activated")
            assert sock.recv(100) == b"ACTIVATED"
    finally:
        process.terminate()
        assert process.wait(10) == 0
        listener.close()


def test_ipv6_on_both_sides(
    made: Identities, fleet: Fleet, tmp_path: Path, run: Callable[..., Running]
) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    cert, key = made.server.save(tmp_path, "six")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with context.wrap_socket(sock, server_side=True) as tls:
                tls.sendall(tls.recv(100).upper())

    threading.Thread(target=serve, daemon=True).start()
    pins = document(fleet, 1, "::1", pin(made.server), spare())
    device = device_folders.make(tmp_path / "six", fleet, pins)
    port = listener.getsockname()[1]
    tunnel = Running(
        tmp_path, "--listen", "[::1]:0", "--to", f"[::1]:{port}", "--device", str(device)
    )
    try:
        assert tunnel.wait("listening")["address"] == f"[::1]:{tunnel.port}"
        with tunnel.connect("::1") as sock:
            sock.sendall(b"six")
            assert sock.recv(9) == b"SIX"
    finally:
        tunnel.child.stop()
        listener.close()


_PLAIN_CLIENT = """
import sys, time
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

got = []
client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="plain")
client.on_connect = lambda *unused: client.subscribe("echo", 1)
client.on_subscribe = lambda *unused: client.publish("echo", b"x" * 100_000, 1)
client.on_message = lambda c, u, message: got.append(message.payload)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()
until = time.monotonic() + 60
while not got and time.monotonic() < until:
    time.sleep(0.05)
client.loop_stop()
client.disconnect()
print(len(got[0]) if got and set(got[0]) == {120} else got)
"""


@pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
def test_a_plain_mqtt_client_speaks_to_a_real_broker_through_it(
    made: Identities, device: Path, run: Callable[..., Running], tmp_path: Path
) -> None:
    ports = free(3)
    (tmp_path / "client-ca.pem").write_bytes(made.client_ca.pem())
    broker = Broker("mosquitto", tmp_path, (ports[0], ports[1], ports[2]), {"op": "x"}, tmp_path / "client-ca.pem")  # fmt: skip
    broker.start(made.server)
    try:
        tunnel = run(ports[1], device)
        # A process of its own: paho's select() takes no descriptor above 1,023, and a long run of tests holds many.
        done = subprocess.run(
            [sys.executable, "-c", _PLAIN_CLIENT, str(tunnel.port)],
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.stdout == "100000\n", done.stderr
        # The broker changes to a key that nobody pinned: the next client gets nowhere.
        broker.restart(made.other)
        with tunnel.connect() as sock:
            sock.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me")
            assert _ends(sock)
        assert tunnel.wait("refused")["error"] == "pin-mismatch"
        assert "me" not in {name for name, _ in broker.clients()}
    finally:
        broker.stop()


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        ([], 2, "--listen 127.0.0.1:1883"),
        (["--listen", "127.0.0.1:TAKEN"], 1, "Address already in use"),
        (["--listen", "no.such.invalid:1"], 1, "--listen no.such.invalid"),
        (["--listen", "127.0.0.1:0", "--device", "nowhere"], 1, "is this a device's folder?"),
        (["--listen", "127.0.0.1:0", "--config", "nowhere"], 1, "nowhere: No such file"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    argv: list[str], status: int, says: str, device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        filled = [item.replace("TAKEN", str(taken.getsockname()[1])) for item in argv]
        if not {"--device", "--config"} & set(argv):
            filled += ["--device", str(device)]
        assert cli.main(["tunnel", "--to", "localhost:1", *filled]) == status
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("everpin: ") and err.count("\n") == 1, err
    assert says in err, err


def test_addresses_that_other_machines_reach_are_refused(device: Path) -> None:
    done = subprocess.run(
        [*EVERPIN, "tunnel", "--listen", "0.0.0.0:0", "--to", "h:1", "--device", str(device)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "0.0.0.0:" in done.stderr and "--allow-remote" in done.stderr


def test_remote_addresses_are_listened_on_when_that_is_said(
    device: Path, run: Callable[..., Running]
) -> None:
    tunnel = run(1, device, "--listen", "0.0.0.0:0", "--allow-remote")
    assert tunnel.wait("listening")["address"].startswith("0.0.0.0:")


def test_a_host_that_the_policy_does_not_list_is_said_at_the_start(
    device: Path, tmp_path: Path
) -> None:
    tunnel = Running(
        tmp_path, "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--device", str(device)
    )
    tunnel.child.stop()
    assert tunnel.lines("unlisted")[0]["host"] == "127.0.0.1"
