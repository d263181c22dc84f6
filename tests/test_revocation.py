"""A key that is forbidden ends what rests on it, live or idle, and nothing is resumed: real TLS and a real agent on both runtimes."""

import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

import device_folders
import everpin
import mpy
import path_data
from device_folders import Writer, pin, spare
from documents import ALPHA, DEVICE_KEY, GAMMA, Fleet, host
from everpin.ports.cpython.gate import PinRefused
from everpin.ports.cpython.paho import attach
from everpin.ports.cpython.tls import ssl_context
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.ports import free
from test_tls_usages import served_by
from tls_servers import Identities, identities

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
LEAF, MIDDLE, ROOT = path_data.pin(path_data.LEAF), path_data.MIDDLE.pin, path_data.ROOT.pin
# Usage and pins of the entry, what the next document forbids, the pins that it has, and how the refusal is called. The server
# goes on serving leaf and Middle, whom Root has signed.
ROWS = [
    ("dane-ee, leaf", 3, (LEAF, GAMMA), LEAF, (ALPHA, GAMMA), "forbidden"),
    ("dane-ta, leaf", 2, (ROOT, GAMMA), LEAF, (ROOT, GAMMA), "forbidden"),
    ("dane-ta, issuer", 2, (ROOT, GAMMA), MIDDLE, (ROOT, GAMMA), "forbidden"),
    # The anchor itself: no path ends in what is pinned now.
    ("dane-ta, anchor", 2, (ROOT, GAMMA), ROOT, (path_data.OTHER.pin, GAMMA), "no-path"),
    ("pkix-ee, leaf", 1, (LEAF, GAMMA), LEAF, (ALPHA, GAMMA), "forbidden"),
    ("pkix-ta, leaf", 0, (MIDDLE, GAMMA), LEAF, (MIDDLE, GAMMA), "forbidden"),
    ("pkix-ta, issuer", 0, (ROOT, GAMMA), MIDDLE, (ROOT, GAMMA), "forbidden"),
]  # fmt: skip
IDS = [row[0] for row in ROWS]


def _pins(
    fleet: Fleet, s: int, usage: int, pins: tuple[bytes, ...], forbidden: bytes | None
) -> bytes:
    body: dict[int, Any] = {4: [path_data.ROOT.anchor]}
    if forbidden is not None:
        body[-2] = [forbidden]
    broker = host("broker.example", bytes(32), GAMMA)
    return fleet.pins(s, [broker, host(path_data.HOST, *pins, fields={2: usage})], body=body)


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_forbidden_key_ends_live_and_idle_connections_on_cpython(
    row: tuple[Any, ...], version: ssl.TLSVersion, tmp_path: Path
) -> None:
    _, usage, pins, forbidden, after, wanted = row
    fleet, told = Fleet(), threading.Event()

    def answer(data: bytes) -> bytes:
        if data == b"wait":
            told.wait(10)
        return data.upper()

    server = served_by("good", tmp_path, version, answer)
    folder = device_folders.make(tmp_path / "device", fleet, _pins(fleet, 1, usage, pins, None))
    writer = Writer(folder)
    context = ssl_context(writer.agent)

    def connect() -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", server.port), 10)
        return context.wrap_socket(raw, server_hostname=path_data.HOST)

    def refused(call: Callable[..., Any], *args: Any) -> None:
        with pytest.raises(PinRefused) as caught:
            call(*args)
        assert caught.value.verdict.name == wanted

    idle, unread, blocked = connect(), connect(), connect()
    idle.sendall(b"one")
    assert idle.recv(10) == b"ONE"
    unread.sendall(b"late")
    blocked.sendall(b"wait")
    ended: list[str] = []

    def read() -> None:
        try:
            ended.append(repr(blocked.recv(10)))
        except PinRefused as error:
            ended.append(error.verdict.name)

    reader = threading.Thread(target=read)
    reader.start()
    server.settle()
    assert sorted(server.application) == [b"late", b"one", b"wait"]
    assert writer.take(_pins(fleet, 2, usage, after, forbidden)) == "accepted"
    told.set()  # what the peer says now was said under the old document, and is not delivered
    reader.join(10)
    assert ended == [wanted]
    refused(unread.recv, 10)
    refused(idle.sendall, b"secret")
    refused(idle.recv, 1)
    for sock in (idle, unread, blocked):
        refused(sock.sendall, b"again")
        sock.close()
    # No new one either, by no session of an old one: each of these was a whole handshake.
    refused(connect)
    server.settle()
    assert sorted(server.application) == [b"late", b"one", b"wait"]
    assert server.resumed() == 0
    events = [item for item in writer.agent.events.copy() if item[1] == 1]
    assert [item[3] for item in events] == [path_data.HOST], "told, once"
    writer.close()
    server.close()


def test_a_document_that_forbids_something_else_ends_nothing(tmp_path: Path) -> None:
    fleet = Fleet()
    server = served_by("good", tmp_path, ssl.TLSVersion.TLSv1_3)
    folder = device_folders.make(
        tmp_path / "device", fleet, _pins(fleet, 1, 2, (ROOT, GAMMA), None)
    )
    writer = Writer(folder)
    raw = socket.create_connection(("127.0.0.1", server.port), 10)
    with ssl_context(writer.agent).wrap_socket(raw, server_hostname=path_data.HOST) as sock:
        assert writer.take(_pins(fleet, 2, 2, (ROOT, GAMMA), path_data.OTHER.pin)) == "accepted"
        sock.sendall(b"on")
        assert sock.recv(10) == b"ON"
    writer.close()
    server.close()


_SCRIPT = """
import json, os, socket
import making
from everpin.ports.micropython import tls

agent = making.agent()
said = []

def connect():
    sock = socket.socket()
    sock.connect(socket.getaddrinfo("127.0.0.1", int(os.getenv("TLS_PORT")))[0][-1])
    return tls.wrap(sock, agent, "api.example")

def refused(call, *args):
    try:
        said.append(repr(call(*args)))
    except tls.PinRefused as refusal:
        said.append(refusal.verdict.name)

idle, unread = connect(), connect()
idle.write(b"one")
said.append(idle.read(3).decode())
unread.write(b"late")
said.append(making.give(agent, "forbid.cbor"))
refused(unread.read, 4)
refused(idle.write, b"secret")
refused(idle.read, 1)
refused(idle.write, b"again")
idle.close()
refused(connect)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("mpy")
    mpy.build(target)
    return target


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_forbidden_key_ends_live_and_idle_connections_on_micropython(
    row: tuple[Any, ...], built: Path, tmp_path: Path
) -> None:
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    _, usage, pins, forbidden, after, wanted = row
    fleet = Fleet()
    server = served_by("good", tmp_path, ssl.TLSVersion.TLSv1_2)
    for name, data in (
        ("factory.cbor", fleet.factory(pins=_pins(fleet, 1, usage, pins, None))),
        ("secrets.cbor", fleet.sealed_secrets()),
        ("device.key", DEVICE_KEY),
        ("forbid.cbor", _pins(fleet, 2, usage, after, forbidden)),
    ):
        (tmp_path / name).write_bytes(data)
    env = {
        **os.environ,
        "MICROPYPATH": f"{built}:.frozen",
        "EVERPIN_TEST_DATA": str(tmp_path),
        "TLS_PORT": str(server.port),
    }
    done = subprocess.run(
        [program, "-c", _SCRIPT], env=env, cwd=built, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout
    assert json.loads(done.stdout) == ["ONE", "accepted", *[wanted] * 5]
    server.settle()
    assert sorted(server.application) == [b"late", b"one"]
    assert server.resumed() == 0
    server.close()


# ---- an application's own MQTT library ---------------------------------------------------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[Broker, Identities]]:
    if mosquitto_path() is None:
        pytest.skip("mosquitto is not installed")
    made = identities()
    authority = tmp_path / "client-ca.pem"
    authority.write_bytes(made.client_ca.pem())
    main, rescue, operator = free(3)
    running = Broker("mosquitto", tmp_path, (main, rescue, operator), {"op": "x"}, authority)
    running.start(made.server)
    yield running, made
    running.stop()


@pytest.mark.parametrize("carried", [True, False], ids=["by-mqtt", "by-another-carrier"])
@pytest.mark.parametrize("usage", [2, 3], ids=["dane-ta", "dane-ee"])
def test_a_forbidden_key_drops_an_attached_paho_client_which_comes_back_to_the_next_key_alone(
    usage: int, carried: bool, broker: tuple[Broker, Identities], tmp_path: Path
) -> None:
    running, made = broker
    fleet = Fleet()
    root = made.root.certificate
    anchor = [root.subject.public_bytes(), path_data.spki(made.root.key)]
    where = {5: [["localhost", running.rescue]], 6: ["http://mirror.example/pins"], 4: [anchor]}
    # With usage 2 the entry stays as it was: what is forbidden is all that the document says.
    before = (pin(made.root), spare()) if usage == 2 else (pin(made.server), pin(made.other))
    after = before if usage == 2 else (pin(made.other), spare())

    def pins(s: int, listed: tuple[bytes, ...], **more: Any) -> bytes:
        entry = host("localhost", *listed, fields={2: usage})
        return fleet.pins(s, [entry], body=where | more.get("body", {}))

    folder = device_folders.make(tmp_path / "device", fleet, pins(1, before))
    said = json.loads((folder / "device.json").read_text())
    del said["device_key"]  # lost: there is no report whose sending would meet the verdict
    said["timing"] = {"rescue_rounds": 1000, "backoff_min_s": 0.2, "backoff_max_s": 0.2}
    (folder / "device.json").write_text(json.dumps(said))
    device = everpin.Device(str(folder))
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="app")
    client.reconnect_delay_set(1, 1)
    ups: list[str] = []
    client.on_connect = lambda *unused: ups.append("up")
    client.on_disconnect = lambda *unused: ups.append("down")
    client.on_connect_fail = lambda *unused: ups.append("refused")
    link = attach(client, device)
    seen: list[dict[str, Any]] = []

    def until(done: Callable[[], bool]) -> None:
        end = time.monotonic() + 15
        while not done():
            assert time.monotonic() < end, (ups, seen)
            seen.extend(link.step())
            time.sleep(0.05)

    try:
        client.connect("localhost", running.rescue, keepalive=600)
        client.loop_start()
        until(lambda: ups == ["up"] and any(item["event"] == "connected" for item in seen))
        forbidding = pins(2, after, body={-2: [pin(made.server)]})
        (topic,) = [item for item in device.agent.topics() if item.endswith("/pins")]
        if carried:
            publisher = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="operator")
            publisher.connect("localhost", running.operator)
            publisher.loop_start()
            publisher.publish(topic, forbidding, 1, retain=True).wait_for_publish(10)
            publisher.loop_stop()
            publisher.disconnect()
        else:
            with link._lock:
                assert device.agent.receive(topic, forbidding) == "accepted"
        # Nobody says a word on that connection, nor pings for ten minutes.
        until(lambda: "refused" in ups)
        assert ups[:3] == ["up", "down", "refused"]
        refusals = {item["error"] for item in seen if item["event"] == "refused"}
        assert refusals == {"forbidden"}
        assert [name for name, _ in running.clients()].count("app") == 1
        running.restart(made.other)
        until(lambda: ups[-1] == "up" and device.agent.trust.unconfirmed() == [])
        assert [name for name, _ in running.clients()].count("app") == 2
    finally:
        client.on_disconnect = None
        client.disconnect()  # first: a thread that cannot write would not be waited for in vain
        client.loop_stop()
        device.close()


def test_a_paho_client_whose_write_is_refused_ends_and_does_not_try_for_ever(
    broker: tuple[Broker, Identities], tmp_path: Path
) -> None:
    """Whose library takes the refusal for another error: paho passes over ValueError where it writes."""
    running, made = broker
    fleet = Fleet()
    folder = device_folders.make(
        tmp_path / "device", fleet, device_folders.document(fleet, 1, "localhost", pin(made.server), spare())
    )  # fmt: skip
    writer = Writer(folder)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="app")
    seen: list[str] = []
    client.on_connect = lambda *unused: seen.append("up")
    client.on_disconnect = lambda *unused: seen.append("down")
    client.tls_set_context(ssl_context(writer.agent))
    client.connect("localhost", running.rescue)
    for _ in range(100):
        if seen:
            break
        client.loop(0.1)
    document = device_folders.document(
        fleet, 2, "localhost", spare(1), spare(2), body={-2: [pin(made.server)]}
    )
    assert writer.take(document) == "accepted"
    client.publish("secret", b"secret")
    for _ in range(20):
        if seen[-1] == "down":
            break
        client.loop(0.1)
    assert seen == ["up", "down"]
    assert b"secret" not in (tmp_path / "broker.log").read_bytes()
    writer.close()
