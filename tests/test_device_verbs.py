"""The verbs around one real device and one real broker: agent run --once, reports, check; and what each says of bad input."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from everpin.ports.cpython import cli
from everpin_sim import pki
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.ports import free
from tls_servers import Identities, identities

pytestmark = pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")


class Ground:
    """A fleet of one device with a broker that is up."""

    def __init__(self, folder: Path, made: Identities) -> None:
        self.made = made
        self.folder = folder / "acme"
        self.main, rescue, self.operator = free(3)
        self.where = ("--fleet", str(self.folder))
        cert, _ = made.server.save(folder, "server")
        for argv in (
            ("init", str(self.folder), "--fleet", "acme", "--channel", "meters", "--broker",
             f"localhost:{rescue}", "--rescue", f"mqtts://localhost:{rescue}"),
            ("key", *self.where, "new", "ops", "--no-passphrase"),
            ("pin", *self.where, "add", "localhost", "--from", str(cert)),
        ):  # fmt: skip
            assert cli.main(list(argv)) == 0
        self.add_pin(folder / "two")
        assert cli.main(["sign", *self.where, "--yes"]) == 0
        assert cli.main(["provision", *self.where, "gw"]) == 0
        self.device = self.folder / "devices" / "gw"
        (folder / "client-ca.pem").write_bytes(made.client_ca.pem())
        self.broker = Broker(
            "mosquitto",
            folder,
            (self.main, rescue, self.operator),
            {"op": "x"},
            folder / "client-ca.pem",
        )
        self.rescue = rescue
        self.broker.start(made.server)

    def add_pin(self, path: Path) -> None:
        path.write_bytes(pki.key_pem(pki.new_key()))
        assert cli.main(["pin", *self.where, "add", "localhost", "--from", str(path)]) == 0

    def on_broker(self) -> tuple[str, ...]:
        return ("--broker", f"localhost:{self.operator}", "--insecure-plain")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path, identities())
    yield made
    made.broker.stop()


def test_a_deep_sleeper_takes_its_update_confirms_and_reports_in_one_wake(
    ground: Ground, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ground.add_pin(tmp_path / "three")
    assert cli.main(["sign", *ground.where, "--yes"]) == 0
    assert cli.main(["publish", *ground.where, *ground.on_broker()]) == 0
    capsys.readouterr()
    reports: list[int] = []
    collector = threading.Thread(
        target=lambda: reports.append(
            cli.main(["reports", *ground.where, *ground.on_broker(), "--json", "--for", "12"])
        )
    )
    collector.start()
    config = ground.device / "device.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"timing": {"backoff_min_s": 0.3}})
    )
    assert (
        cli.main(["agent", "run", str(ground.device), "--once", "--json", "--budget", "30"]) == 0
    )
    collector.join()
    assert reports == [0]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = [line["event"] for line in lines if "event" in line]
    for wanted in ("accepted", "confirmed", "report-sent", "acked"):
        assert wanted in events, events
    done = next(line for line in lines if line.get("event") == "done")
    assert done["online"] and done["pending"] == 0 and done["wake_s"] >= 0
    told = [line for line in lines if isinstance(line.get("events"), list)]
    kinds = {event["kind"] for line in told for event in line["events"]}
    assert {"accepted", "confirmed"} <= kinds, told
    kept = (ground.folder / "reports.jsonl").read_text().splitlines()
    assert [json.loads(line)["device"] for line in kept] == ["gw"] * len(told)


def test_a_device_that_reaches_nobody_says_so_and_when_to_wake(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    ground.broker.stop()
    assert cli.main(["agent", "run", str(ground.device), "--once", "--json", "--budget", "3"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[0] == "{"]
    assert any(line["event"] == "unreachable" for line in lines)
    assert lines[-1]["event"] == "done" and not lines[-1]["online"] and lines[-1]["wake_s"] > 0


def test_forged_reports_are_counted_and_never_shown(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    from everpin.core import report
    from everpin_fleet.connect import Broker as Connection

    forged = report.make(b"x" * 32, "acme", "gw", b"e" * 8, 1, (1, 1), 1, [], b"n" * 16, False)
    capsys.readouterr()

    def send() -> None:
        with Connection(("localhost", ground.operator), None) as thief:
            for payload in (forged, b"junk", b""):
                thief.publish({"everpin/1/acme/report/gw": payload}, retain=False)

    timer = threading.Timer(1.0, send)
    timer.start()
    assert cli.main(["reports", *ground.where, *ground.on_broker(), "--json", "--for", "4"]) == 0
    timer.join()
    out, err = capsys.readouterr()
    assert out == "" and "refused: bad-ack" in err and "refused: encoding" in err, err
    assert not (ground.folder / "reports.jsonl").exists()


def test_check_says_what_a_device_would_do(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"localhost:{ground.rescue}"
    image = (ground.device / "flash.img").read_bytes()
    capsys.readouterr()
    assert cli.main(["check", where, "--device", str(ground.device), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["accepted"] and said["why"] == "ok" and said["by"] == "newest"
    ground.broker.restart(ground.made.other)
    assert cli.main(["check", where, "--device", str(ground.device)]) == 1
    assert "refused: pin-mismatch" in capsys.readouterr().out
    assert (ground.device / "flash.img").read_bytes() == image, "a check writes nothing"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["agent", "run", "nowhere"], "nowhere/device.json; is this a device's folder?"),
        (
            ["check", "localhost:1", "--device", "nowhere"],
            "no flash image at nowhere/flash.img; provision",
        ),
        (["check", "localhost:1", "--device", "DEVICE"], "localhost:1: no TLS answer"),
        (["reports", "--fleet", "FLEET", "--broker", "localhost:1"], "is the broker up?"),
        (["reports", "--fleet", "nowhere", "--broker", "localhost:1"], "no policy here"),
        (["verify", "nowhere.cbor", "--trust", "DEVICE"], "nowhere.cbor: No such file"),
        (
            ["verify", "x", "--trust", "nowhere"],
            "name a device's folder, or a fleet's, with --trust",
        ),
    ],
)
def test_bad_input_is_one_line(
    argv: list[str], says: str, ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [
        item.replace("DEVICE", str(ground.device)).replace("FLEET", str(ground.folder))
        for item in argv
    ]
    capsys.readouterr()
    assert cli.main(filled) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("everpin: ") and err.count("\n") == 1, err
    assert says in err, err


@pytest.mark.parametrize("damage", ["config", "image", "short", "locked"])
def test_a_damaged_device_folder_is_one_line(
    damage: str, ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    held = None
    if damage == "config":
        (ground.device / "device.json").write_text("{")
    elif damage == "image":
        image = ground.device / "flash.img"
        image.write_bytes(b"\xff" * image.stat().st_size)
    elif damage == "short":
        (ground.device / "flash.img").write_bytes(b"\xff" * 1000)
    else:
        from everpin.ports.device import Device

        held = Device(str(ground.device))
    capsys.readouterr()
    assert cli.main(["agent", "run", str(ground.device), "--once"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("everpin: ") and err.count("\n") == 1, err
    wanted = {
        "config": "device.json is not JSON",
        "image": "not-provisioned",
        "short": "flash; provision",
        "locked": "another agent holds",
    }
    assert wanted[damage] in err, err
    if held is not None:
        held.close()


def test_a_broker_that_acknowledges_and_keeps_something_else_is_noticed(ground: Ground) -> None:
    from everpin_fleet.connect import Broker as Connection
    from everpin_fleet.errors import OperatorError

    topics = {f"everpin/1/acme/meters/{number}/pins": b"document" for number in range(20)}
    with Connection(("localhost", ground.operator), None, timeout_s=2) as operator:
        operator.publish(topics)
        operator.read_back(topics)
        operator.publish({"everpin/1/acme/meters/3/pins": b""})  # deletes what is retained
        with pytest.raises(OperatorError, match=r"1 of 20 topics .* everpin/1/acme/meters/3/pins"):
            operator.read_back(topics)
