"""What a device saw, from an application's TLS connection through flash and a real broker to what people and machines read."""

import json
import re
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import everpin
from device_folders import pin
from everpin.ports.cpython import cli
from everpin.ports.cpython.gate import PinRefused
from everpin_sim.broker import mosquitto_path
from test_device_verbs import Ground
from tls_servers import Server, identities

pytestmark = pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")

APP = "127.0.0.1"  # a name of every leaf of tls_servers, and no broker's
_ENTRY = """
[[hosts]]
name = "127.0.0.1"
usage = "dane-ee"
{fields}
pins = [{{ sha256 = "{one}" }}, {{ sha256 = "{two}", status = "backup" }}]
"""
_STORE = """
[[anchors]]
certificate = "root.pem"
"""
KNOWN = [b64encode(bytes([number]) * 32).decode() for number in (1, 2)]
# What the policy says, how the connection comes in then, and the event.
MODES = {
    "report-only": "report_only = true",
    "trust-store": 'expires = 2026-01-01T00:00:00Z\nafter_expiry = "trust-store"',
    "unlisted": None,
}
KINDS = {"report-only": "report-only", "trust-store": "fail-open", "unlisted": "unlisted"}


@pytest.fixture
def ground(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A fleet whose devices have, beside the broker, the policy of one mode for `APP`."""
    made = Ground(tmp_path, identities())
    (made.folder / "root.pem").write_bytes(made.made.root.pem())
    path = made.folder / "policy.toml"
    text = path.read_text()
    fields = MODES[request.param]
    top = 'time_sources = ["rtc"]\n' + ('unlisted = "pkix"\n' if fields is None else "")
    entry = "" if fields is None else _ENTRY.format(fields=fields, one=KNOWN[0], two=KNOWN[1])
    path.write_text(top + text + entry + _STORE)
    assert cli.main(["sign", *made.where, "--yes"]) == 0
    device = everpin.Device(str(made.device))
    (topic,) = [item for item in device.agent.topics() if item.endswith("/pins")]
    document = (made.folder / "pins" / "1-2.cbor").read_bytes()
    assert device.agent.receive(topic, document) == "accepted"
    device.close()
    config = made.device / "device.json"
    said = json.loads(config.read_text()) | {
        "time_source": "rtc",
        "timing": {"backoff_min_s": 0.3},
    }
    config.write_text(json.dumps(said))
    yield made
    made.broker.stop()


def _wake(ground: Ground) -> None:
    assert (
        cli.main(["agent", "run", str(ground.device), "--once", "--json", "--budget", "30"]) == 0
    )


def _visit(ground: Ground, identity: Any, folder: Path) -> bytes:
    """Have an application of the device talk to a server of that identity; the power goes at once after a talk that came about."""
    folder.mkdir(exist_ok=True)
    server = Server(identity, ground.made.client_ca, folder, ssl.TLSVersion.TLSv1_3)
    device = everpin.Device(str(ground.device))
    try:
        device.agent.tell(int(time.time()), device.time_source)
        raw = socket.create_connection(("127.0.0.1", server.port), 5)
        with everpin.ssl_context(device.agent).wrap_socket(raw, server_hostname=APP) as sock:
            sock.sendall(b"hello")
            return sock.recv(10)
    except PinRefused:
        device.agent.save()
        raise
    finally:
        device.close()
        server.close()


def _collected(ground: Ground, capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return what the collector prints of the next wake's report."""
    capsys.readouterr()
    ended: list[int] = []
    command = ["reports", *ground.where, *ground.on_broker(), "--count", "1", "--for", "20", *argv]
    collector = threading.Thread(target=lambda: ended.append(cli.main(command)))
    collector.start()
    _wake(ground)
    collector.join()
    assert ended == [0]
    return capsys.readouterr().out


def _report(out: str) -> dict[str, Any]:
    (found,) = [
        item for item in map(json.loads, out.splitlines()) if isinstance(item.get("events"), list)
    ]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("ground", "mode"), [(mode, mode) for mode in MODES], indirect=["ground"])
def test_a_fail_open_is_kept_counted_and_told_in_the_terms_of_rfc_7469(
    mode: str, ground: Ground, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    app = ground.made.other
    assert _visit(ground, app, tmp_path / "app") == b"HELLO"
    assert _visit(ground, app, tmp_path / "app") == b"HELLO"
    assert cli.main(["agent", "status", "--device", str(ground.device), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    kind = KINDS[mode]
    assert facts["journal"]["fail_open"] == {kind: 1}, (
        "the second is not on flash before the next save"
    )

    said = _report(_collected(ground, capsys, "--json"))
    assert said["fail_open"] == {kind: 1}
    assert said["eat"]["ueid"] == facts["eat"]["ueid"] and said["eat"]["ueid"].startswith("01")
    assert said["eat"]["swname"] == "everpin" and said["eat"]["uptime"] >= 0
    assert re.fullmatch("[0-9a-f]{32}", said["eat"]["eat_nonce"])
    assert said["number"] == facts["document"]["number"]
    (event,) = [item for item in said["events"] if item["kind"] == kind]
    assert event["count"] == 1
    if mode == "unlisted":
        assert "hostname" not in event and "served-certificate-chain" not in event
        return
    assert event["hostname"] == event["noted-hostname"] == APP
    assert event["include-subdomains"] is False
    assert event["known-pins"] == KNOWN
    assert abs(datetime.fromisoformat(event["date-time"]).timestamp() - time.time()) < 600
    leaf, root = (b64encode(pin(item)).decode() for item in (app, ground.made.root))
    assert event["pin"] == leaf
    assert event["served-certificate-chain"] == [leaf[:10], root[:10]]
    assert event["validated-certificate-chain"] == [leaf[:10], root[:10]]
    if mode == "trust-store":
        assert event["effective-expiration-date"] == "2026-01-01T00:00:00Z"
        assert said["expired"] == [APP] and "expired" in {item["kind"] for item in said["events"]}
    else:
        assert event["error"] == "pin-mismatch"
    assert said["unconfirmed"] == [APP], "a fail-open confirms nothing"


@pytest.mark.parametrize("ground", ["report-only"], indirect=True)
def test_people_read_who_was_refused_and_why(
    ground: Ground, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(PinRefused):
        _visit(ground, ground.made.forged, tmp_path / "app")
    out = _collected(ground, capsys)
    forged, root = (
        b64encode(pin(item)).decode()[:10] for item in (ground.made.forged, ground.made.root)
    )
    assert "gw: pin-failure, 127.0.0.1" in out
    assert "noted hostname   127.0.0.1\n" in out
    assert f"known pins       {KNOWN[0]} {KNOWN[1]} (document 1-2)" in out
    assert "expires          never" in out
    assert f"served chain     {forged}… {root}…" in out
    assert "validated chain" not in out, "the forged signature leads nowhere"
    assert re.search(
        r"gw: everpin \S+; root 1, document 1-2; up \d+ s; no ack since it started; unconfirmed: 127\.0\.0\.1\n",
        out,
    ), out
