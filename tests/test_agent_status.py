"""`everpin agent status`: one screen of what is trusted, and the risks that it names; the configuration that names the device."""

import base64
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import device_folders
from device_folders import Writer, document, pin, spare
from documents import DEVICE_KEY, Fleet, Ground, host, named
from everpin.ports.cpython import cli, config, state_file
from everpin.ports.cpython.config import ConfigFileError
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.child import Child
from everpin_sim.ports import free
from tls_servers import Identities, identities

Said = Callable[..., Any]


@pytest.fixture(scope="module")
def made() -> Identities:
    return identities()


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def listed(name: str, *pins: bytes, backup: bytes | None = None) -> dict[int, Any]:
    entry = host(name, *pins)
    if backup is not None:
        entry[3].append([backup, 2])
    return entry


@pytest.fixture
def folder(tmp_path: Path, fleet: Fleet, made: Identities) -> Path:
    """A device in good health: a backup pin, two names for rescue beside the broker's."""
    pins = fleet.pins(
        1,
        [listed("broker.example", pin(made.server), backup=spare(1))],
        body={6: ["http://one.example/pins", "mqtts://two.example:8883", "carrier-pigeon:"]},
    )
    return device_folders.make(tmp_path / "device", fleet, pins)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def ask(folder: Path, *argv: str) -> Any:
        capsys.readouterr()
        assert cli.main(["agent", "status", "--device", str(folder), *argv]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out) if "--json" in argv else out

    return ask


def codes(facts: dict[str, Any]) -> set[str]:
    return {risk["code"] for risk in facts["risks"]}


def test_the_screen_says_what_since_when_and_by_whom(
    folder: Path, fleet: Fleet, made: Identities, said: Said
) -> None:
    out = said(folder)
    kid = fleet.signer.kid.hex()
    assert "meter-1 of fleet acme, channel meters" in out
    assert f"document   1-1, signed 2026-09-21 14:13 UTC by {kid}" in out
    assert f"rule: 1 of {kid}" in out
    assert "host       broker.example, dane-ee, confirmed under 1-1" in out
    assert f"active    {base64.b64encode(pin(made.server)).decode()}" in out
    assert f"backup    {base64.b64encode(spare(1)).decode()}" in out
    assert "brokers    broker.example:8883" in out
    assert "carrier-pigeon: (not known to this release)" in out
    assert len(out.splitlines()) <= 24, "one screen"


def test_a_signature_by_no_key_of_the_root_is_told_apart(tmp_path: Path, said: Said) -> None:
    ground = Ground()
    # "x" is in no rule: its signature beside the one that counts is worth nothing.
    root = ground.root(1, "1:p", "p")
    pins = ground.pins((1, 1), "px")
    folder = device_folders.make(tmp_path / "two", ground, pins, root=root)
    facts = said(folder, "--json")
    assert facts["document"]["signers"] == [named("p").kid.hex()]
    assert facts["document"]["other_signatures"] == [named("x").kid.hex()]
    assert f"({named('x').kid.hex()}, no key of this root)" in said(folder)


def test_it_reads_beside_the_running_agent_and_writes_nothing(folder: Path, said: Said) -> None:
    writer = Writer(folder)
    image = (folder / "flash.img").read_bytes()
    said(folder)
    assert (folder / "flash.img").read_bytes() == image
    writer.close()


def test_a_device_in_good_health_has_no_risk_but_its_single_root_key(
    folder: Path, said: Said
) -> None:
    assert codes(said(folder, "--json")) == {"root-keys"}


def test_an_unconfirmed_entry_and_what_is_accepted_beside_it(
    folder: Path, fleet: Fleet, made: Identities, said: Said
) -> None:
    writer = Writer(folder)
    # Confirmed under 1-1; the new one pins nobody that anybody has met.
    assert writer.take(document(fleet, 2, "broker.example", spare(2), spare(3))) == "accepted"
    facts = said(folder, "--json")
    (found,) = facts["hosts"]
    assert not found["confirmed"] and found["since"] is None
    assert set(found["also_accepted"]) == {pin(made.server).hex(), spare(1).hex()}
    assert {"unconfirmed", "no-backup"} <= codes(facts)
    out = said(folder)
    assert "not confirmed yet" in out and out.count("before    ") == 2
    assert facts["journal"]["waiting"] == [] or facts["journal"]["waiting"][0]["count"] >= 1
    # What is forbidden is not accepted, base or not.
    third = document(fleet, 3, "broker.example", spare(2), spare(3), body={-2: [pin(made.server)]})
    assert writer.take(third) == "accepted"
    facts = said(folder, "--json")
    assert facts["hosts"][0]["also_accepted"] == [spare(1).hex()]
    assert facts["forbidden"] == [pin(made.server).hex()]
    writer.close()


def test_a_pin_that_is_forbidden_leaves_the_host_with_one(
    folder: Path, fleet: Fleet, made: Identities, said: Said
) -> None:
    writer = Writer(folder)
    taken = document(fleet, 2, "broker.example", spare(2), spare(3), body={-2: [spare(1)]})
    assert writer.take(taken) == "accepted"
    assert writer.agent.reset(), (
        "the factory's document is in force again, what is forbidden stays"
    )
    writer.close()
    facts = said(folder, "--json")
    assert {"one-pin", "document-lost"} <= codes(facts)
    assert facts["document"]["number"] == [1, 1] and facts["document"]["newest"] == [1, 2]
    (text,) = [risk["text"] for risk in facts["risks"] if risk["code"] == "one-pin"]
    assert "broker.example: 1 usable pin left" in text
    assert "FORBIDDEN" in said(folder)


def test_all_endpoints_under_one_name_are_a_risk(tmp_path: Path, fleet: Fleet, said: Said) -> None:
    pins = document(fleet, 1, "b.example", spare(1), spare(2), body={6: ["http://B.example./p"]})
    folder = device_folders.make(tmp_path / "one", fleet, pins)
    assert "one-name" in codes(said(folder, "--json"))
    pins = document(fleet, 1, "b.example", spare(1), spare(2), body={6: ["http://m.example/p"]})
    folder = device_folders.make(tmp_path / "two", fleet, pins)
    assert "one-carrier" in codes(said(folder, "--json"))


def test_a_lost_device_key_and_an_ending_client_certificate_are_risks(
    tmp_path: Path, fleet: Fleet, made: Identities, said: Said
) -> None:
    pins = document(fleet, 1, "b.example", spare(1), spare(2))
    folder = device_folders.make(tmp_path / "mutual", fleet, pins, made.client)
    facts = said(folder, "--json")
    (text,) = [risk["text"] for risk in facts["risks"] if risk["code"] == "client-certificate"]
    assert "expires on 2" in text  # the test's PKI lives for a day
    (folder / "client.pem").write_text("no certificate")
    assert "cannot be read" in said(folder)
    (folder / "device.key").write_bytes(bytes(32))
    assert {"no-identity", "no-client-key"} <= codes(said(folder, "--json"))
    (folder / "device.key").write_bytes(DEVICE_KEY)
    assert "no-identity" not in codes(said(folder, "--json"))


def test_a_device_without_contact_is_told_from_its_journal(folder: Path, said: Said) -> None:
    writer = Writer(folder)
    agent = writer.agent
    for at in range(3):
        agent.poll(None, "", at * 10_000.0)
        if agent.state == "connecting":
            agent.verdict("broker.example", [])
            agent.offline(31)
    agent.save()
    writer.close()
    facts = said(folder, "--json")
    assert facts["journal"]["failed_rounds"] >= 1 and facts["journal"]["refused"]
    assert {"unreachable", "refused"} <= codes(facts)
    assert facts["journal"]["waiting"][0]["kind"] == "pin-failure"
    assert "to report  pin-failure broker.example no-certificate" in said(folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('device = "d"', None),
        ("device = ", "no TOML"),
        ("x" * 70000, "longer than 64 kB"),
        ("[" * 5000, "no TOML"),
        ("", "device: name the device's folder"),
        ("device = 5", "device: say a string"),
        ('device = "d"\njson = "yes"', "json: say true or false"),
        ('device = "d"\nlog = 1', "log: no such field; known are device, json, state_file"),
    ],
    ids=["good", "cut", "long", "deep", "empty", "kind", "bool", "unknown"],
)
def test_the_configuration_is_read_or_refused_by_field(
    text: str, says: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    if says is None:
        assert config.load(str(path)).device == f"{tmp_path}/d"
        return
    with pytest.raises(ConfigFileError, match=r"agent\.toml"):
        config.load(str(path))
    for verb in (["agent", "status"], ["agent", "run"]):
        assert cli.main([*verb, "--config", str(path)]) == 1
        out, err = capsys.readouterr()
        assert out == "" and says in err and err.count("\n") == 1


def test_without_any_configuration_it_asks_for_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(config, "DEFAULT", str(tmp_path / "none.toml"))
    assert cli.main(["agent", "status"]) == 2
    assert "name the device's folder with --device" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 4000, b'{"pid": "x"}'])
def test_a_state_file_of_other_making_is_no_news(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(data)
    found = state_file.read(str(tmp_path / "s"))
    assert found == {} or not found["running"]


@pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
def test_the_running_service_tells_status_and_systemd(
    tmp_path: Path, fleet: Fleet, made: Identities, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = free(3)
    pins = document(
        fleet, 1, "localhost", pin(made.server), spare(), body={5: [["localhost", ports[1]]]}
    )
    folder = device_folders.make(tmp_path / "device", fleet, pins)
    toml = tmp_path / "agent.toml"
    toml.write_text('device = "device"\njson = true\nstate_file = "state.json"\n')
    status = ["agent", "status", "--config", str(toml)]
    assert cli.main(status) == 0
    out = capsys.readouterr().out
    assert "agent      not running" in out and "the agent does not run" in out
    (tmp_path / "client-ca.pem").write_bytes(made.client_ca.pem())
    (tmp_path / "broker").mkdir()
    broker = Broker("mosquitto", tmp_path / "broker", (ports[0], ports[1], ports[2]), {"op": "x"}, tmp_path / "client-ca.pem")  # fmt: skip
    broker.start(made.server)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(15)
        env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        command = [sys.executable, "-m", "everpin.ports.cpython.cli", "agent", "run"]
        agent = Child([*command, "--config", str(toml)], env, tmp_path / "log")
        try:
            assert [manager.recv(99), manager.recv(99)] == [b"READY=1", b"WATCHDOG=1"]
            assert agent.wait(lambda said: said["event"] == "connected") is not None
            path = tmp_path / "state.json"
            assert _comes(path, '"online"'), path.read_text()
            assert cli.main(status) == 0
            out = capsys.readouterr().out
            assert "agent      connected to localhost since 2" in out
            assert "does not run" not in out
            assert cli.main([*status, "--json"]) == 0
            facts = json.loads(capsys.readouterr().out)
            # RFC 9711: which life of the device it is, and for how long the machine has been up.
            assert re.fullmatch("[0-9a-f]{16}", facts["eat"]["bootseed"])
            assert facts["eat"]["uptime"] > 0 and facts["fresh"] is False
            assert facts["unconfirmed"] == [] and facts["journal"]["fail_open"] == {}
            assert cli.main(["agent", "run", str(folder), "--once"]) == 1, "one writer"
            assert "another agent holds" in capsys.readouterr().err
        finally:
            agent.stop()
            broker.stop()
        assert manager.recv(99) in (b"STOPPING=1", b"WATCHDOG=1")
    assert cli.main(status) == 0
    assert "agent      not running; last contact 2" in capsys.readouterr().out


def _comes(path: Path, text: str) -> bool:
    import time

    until = time.monotonic() + 10
    while time.monotonic() < until:
        if path.exists() and text in path.read_text():
            return True
        time.sleep(0.05)
    return False
