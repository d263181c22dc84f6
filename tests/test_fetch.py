"""Rescue against hostile carriers, on both interpreters: bounded in bytes and in time, and nothing in it says who asks."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mpy
from everpin_sim import pki
from everpin_sim.hostile import carrier as hostile
from tls_servers import identities

TOPICS = ["everpin/1/acme/meters/7/pins", "everpin/1/acme/root/2"]
_RUN = """
import json, sys, time
from everpin.ports import fetch
found, error = [], None
start = time.time()
try:
    for topic, payload in fetch.ask(sys.argv[1], lambda: sys.argv[3:], float(sys.argv[2])):
        found.append([topic, None if payload is None else len(payload)])
        if len(found) > 50:
            break
except (OSError, fetch.PeerError) as raised:
    error = fetch.describe(raised)
print(json.dumps({"found": found, "error": error, "took_s": time.time() - start}))
"""


def _run(interpreter: str, code: str, arguments: list[str]) -> str:
    if interpreter == "cpython":
        command = [sys.executable, "-c", code, *arguments]
    else:
        program, why = mpy.micropython()
        if program is None:
            pytest.skip(why)
        command = [program, "-X", "heapsize=256K", "-c", code, *arguments]
    env = {
        **os.environ,
        "PYTHONPATH": str(mpy.AGENT),
        "MICROPYPATH": f"{mpy.AGENT}:.frozen",
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return done.stdout


def _ask(interpreter: str, carrier: str, budget_s: float = 2.0) -> dict[str, object]:
    said: dict[str, object] = json.loads(
        _run(interpreter, _RUN, [carrier, str(budget_s), *TOPICS])
    )
    return said


interpreters = pytest.mark.parametrize("interpreter", ["cpython", "micropython"])

_OK = b"HTTP/1.1 200 OK\r\n"
# What comes of a visit to each of the simulator's hostile mirrors.
MIRRORS = {
    "garbage": "http",
    "endless headers": "http",
    "a body that never ends": "TOO LONG",
    "a length of 256 MiB": "TOO LONG",
    "chunks for ever": "TOO LONG",
    "two lengths": "http",
    "cut short": "http",
    "a redirect": "http",
    "a server's error": "http",
    "one byte a while": "BUDGET",
    "silence": "BUDGET",
    "closed at once": "http",
}


def test_every_hostile_mirror_of_the_simulator_is_visited() -> None:
    assert set(MIRRORS) == set(hostile.MIRRORS)


@interpreters
@pytest.mark.parametrize("name", MIRRORS)
def test_a_hostile_mirror_costs_no_more_than_its_budget(name: str, interpreter: str) -> None:
    expected = MIRRORS[name]
    with hostile.Carrier(hostile.MIRRORS[name]) as carrier:
        said = _ask(interpreter, f"http://127.0.0.1:{carrier.port}/pins")
        asked = carrier.seen[0]
    assert float(str(said["took_s"])) < 6
    if expected == "TOO LONG":
        assert said["found"] == [[topic, None] for topic in TOPICS], said
    elif expected == "BUDGET":
        assert said["found"] == [] and str(said["error"]).startswith(("OSError", "Timeout")), said
    else:
        assert said["found"] == [] and said["error"] == expected, said
    # RFC 9112: the request names path and host, and nothing else.
    assert asked == (
        f"GET /pins/{TOPICS[0]} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    )


@interpreters
def test_what_a_mirror_lacks_is_passed_over(interpreter: str) -> None:
    with hostile.Carrier(
        hostile.answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    ) as carrier:
        said = _ask(interpreter, f"http://127.0.0.1:{carrier.port}")
    assert (said["found"], said["error"]) == ([], None)


@interpreters
def test_one_broken_file_does_not_hide_the_others(interpreter: str) -> None:
    def act(sock: socket.socket) -> None:
        broken = len(carrier.seen) == 1
        sock.sendall(b"junk\r\n\r\n" if broken else _OK + b"Content-Length: 4\r\n\r\ndata")

    with hostile.Carrier(act) as carrier:
        said = _ask(interpreter, f"http://127.0.0.1:{carrier.port}")
    assert (said["found"], said["error"]) == ([[TOPICS[1], 4]], "http")


def _publish(topic: str, payload: bytes) -> bytes:
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + payload
    return b"\x30" + bytes((len(body) & 127 | 128, len(body) >> 7)) + body


BROKERS: dict[str, tuple[Callable[..., None], str]] = {
    "garbage": (hostile.answer(b"\xff" * 500), "mqtt"),
    "denied": (hostile.stay(b"\x20\x02\x00\x05"), "mqtt"),
    "an announced 256 MiB": (
        hostile.broker(hostile.stay(b"\x30\xff\xff\xff\x7f\x00\x03a/b")),
        "mqtt",
    ),
    "five length bytes": (hostile.broker(hostile.stay(b"\x30\xff\xff\xff\xff\x7f")), "mqtt"),
    "a flood of documents": (
        hostile.broker(hostile.flood(b"", _publish(TOPICS[0], b"x" * 300))),
        "MANY",
    ),
    "a flood before the answer": (
        hostile.flood(hostile.CONNACK, _publish(TOPICS[0], b"x" * 8000)),
        "mqtt",
    ),
    "one byte a while": (
        hostile.broker(hostile.drip(b"\x30\x80\x02" + b"\x00\x03a/b" + b"z" * 251)),
        "NOTHING",
    ),
    "silence": (hostile.stay(b""), "BUDGET"),
    "nothing retained": (hostile.broker(hostile.stay(b"")), "NOTHING"),
    "closed after the answer": (hostile.broker(hostile.answer(b"")), "OSError"),
}


@interpreters
@pytest.mark.parametrize("name", BROKERS)
def test_a_hostile_broker_costs_no_more_than_its_budget(name: str, interpreter: str) -> None:
    act, expected = BROKERS[name]
    with hostile.Carrier(act) as carrier:
        said = _ask(interpreter, f"mqtt://127.0.0.1:{carrier.port}", 3.0)
        connect = carrier.seen[0]
    assert float(str(said["took_s"])) < 8
    error = str(said["error"])
    if expected == "MANY":
        assert len(said["found"]) == 51, said  # type: ignore[arg-type]
    elif expected == "NOTHING":
        assert (said["found"], said["error"]) == ([], None), said
    elif expected == "BUDGET":
        assert said["found"] == [] and error.startswith(("OSError", "Timeout", "mqtt")), said
    elif expected == "OSError":
        assert error.startswith(("OSError", "ConnectionReset", "BrokenPipe")), said
    else:
        assert said["found"] == [] and error == expected, said
    # A clean session under 16 random hex digits: no user, no password, no will (MQTT 3.1.1 section 3.1.2).
    assert re.search(rb"\x00\x04MQTT\x04\x02\x00\x3c\x00\x10[0-9a-f]{16}$", connect), connect


@interpreters
def test_rescue_over_tls_takes_any_certificate_and_shows_none(
    interpreter: str, tmp_path: Path
) -> None:
    made = identities()
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata"
    with hostile.Carrier(
        hostile.answer(body), pki.leaf(made.client_ca, "anybody").save(tmp_path, "server")
    ) as carrier:
        said = _ask(interpreter, f"https://127.0.0.1:{carrier.port}")
    assert said["found"] == [[topic, 4] for topic in TOPICS], said


@interpreters
def test_nobody_there_is_an_error(interpreter: str) -> None:
    with hostile.Carrier(hostile.answer(b"")) as carrier:
        port = carrier.port
    for scheme in ("http", "mqtt", "mqtts", "https"):
        said = _ask(interpreter, f"{scheme}://127.0.0.1:{port}")
        assert said["found"] == [] and said["error"], said


_DIAL = """
import socket, sys
from everpin.ports import dial
real = socket.getaddrinfo
port = int(sys.argv[1])
class Fake:
    SOCK_STREAM = socket.SOCK_STREAM
    socket = socket.socket
    def getaddrinfo(self, host, port, *rest):
        # As a name with an IPv6 address that nothing answers on, and its IPv4 address twice.
        dead = real("127.0.0.1", 1, 0, socket.SOCK_STREAM)
        return dead + real("127.0.0.1", port, 0, socket.SOCK_STREAM) * 2
dial.socket = Fake()
dial.dial("broker.example", port, 5).close()
try:
    dial.dial("broker.example", 1, 5)
except OSError as error:
    print("ok", error.args[0])
"""


@interpreters
def test_every_address_of_a_name_is_tried(interpreter: str) -> None:
    with hostile.Carrier(hostile.answer(b"")) as carrier:
        done = _run(interpreter, _DIAL, [str(carrier.port)])
    assert done.startswith("ok 111"), done


@pytest.mark.parametrize("carrier", ["gopher://x/", "http:/x", "mqtt://", "http://h:0/", ""])
@interpreters
def test_what_is_no_carrier_is_an_error(carrier: str, interpreter: str) -> None:
    said = _ask(interpreter, carrier)
    assert (said["found"], said["error"]) == ([], "http")
