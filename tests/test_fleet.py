"""The operator's verbs, used as an operator would, and misused: one clear line, no traceback, nothing half-written."""

import json
import socket
from pathlib import Path

import cbor2
import pycddl
import pytest

import cddl
from everpin.core import accept
from everpin.ports.cpython import cli as everpin_cli
from everpin.ports.device import Device
from everpin_fleet import cli
from everpin_sim import pki
from everpin_sim.broker import Broker, mosquitto_path
from everpin_sim.ports import free
from tls_servers import identities


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Return the folder of a fleet with a key and two pins, nothing signed."""
    folder = tmp_path / "acme"
    assert (
        _run(
            "init",
            str(folder),
            "--fleet",
            "acme",
            "--channel",
            "meters",
            "--broker",
            "localhost:8883",
        )
        == 0
    )
    assert _run("key", "--fleet", str(folder), "new", "ops", "--no-passphrase") == 0
    for name, status in (("one", "active"), ("two", "backup")):
        path = tmp_path / f"{name}.key"
        path.write_bytes(pki.key_pem(pki.new_key()))
        path.chmod(0o600)
        assert (
            _run(
                "pin",
                "--fleet",
                str(folder),
                "add",
                "localhost",
                "--from",
                str(path),
                "--status",
                status,
            )
            == 0
        )
    return folder


def _run(*argv: str) -> int:
    return everpin_cli.main(list(argv))


def _refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a verb that must be refused; return its one line."""
    capsys.readouterr()
    assert _run(*argv) == 1
    said = capsys.readouterr().err
    assert said.startswith("everpin: ") and said.count("\n") == 1 and "Traceback" not in said, said
    return said


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("alg", ["ed25519", "esp256"])
def test_what_is_signed_is_what_the_cddl_says_and_devices_accept(tmp_path: Path, alg: str) -> None:
    folder = tmp_path / "acme"
    _run(
        "init", str(folder), "--fleet", "acme", "--channel", "meters", "--broker", "localhost:8883"
    )
    _run("key", "--fleet", str(folder), "new", "ops", "--alg", alg, "--no-passphrase")
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(pki.key_pem(pki.new_key()))
        _run("pin", "--fleet", str(folder), "add", "localhost", "--from", str(tmp_path / name))
    assert _run("sign", "--fleet", str(folder), "--yes") == 0
    root, pins = (
        (folder / "root" / "1.cbor").read_bytes(),
        (folder / "pins" / "1-1.cbor").read_bytes(),
    )
    cddl.validate(root, "root")
    cddl.validate(pins, "pins")
    with pytest.raises(pycddl.ValidationError):
        cddl.validate(pins.replace(b"acme", b"\xff\xff\xff\xff"), "pins")
    assert accept.first("acme", "meters", root, pins, 0).pins.number == (1, 1)
    assert cbor2.loads(pins).tag == 18


def test_numbers_rise_and_the_device_judges_in_the_order_given(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert _run("sign", "--fleet", str(fleet), "--yes") == 0
    assert _run("provision", "--fleet", str(fleet), "meter-1") == 0
    assert _run("sign", "--fleet", str(fleet), "--yes") == 0
    capsys.readouterr()
    files = [str(fleet / "pins" / f"1-{number}.cbor") for number in (3, 2, 3)]
    assert _run("verify", *files, "--trust", str(fleet / "devices" / "meter-1"), "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["accepted"] for line in lines] == [True, False, True]
    assert lines[1] == {"file": files[1], "accepted": False, "error": "rollback", "number": None}
    assert lines[0]["number"] == [1, 3]


def test_a_provisioned_image_starts_a_device_and_is_for_its_owner_alone(fleet: Path) -> None:
    _run("sign", "--fleet", str(fleet), "--yes")
    assert _run("provision", "--fleet", str(fleet), "meter-1", "--mqtt-user", "meter-1") == 0
    image = fleet / "devices" / "meter-1" / "flash.img"
    assert image.stat().st_mode & 0o077 == 0
    device = Device(str(image.parent))
    assert device.store.device == "meter-1" and device.agent.number == (1, 1)
    assert device.agent.secrets is not None and device.agent.secrets.user == "meter-1"
    assert (image.parent / "device.key").stat().st_mode & 0o077 == 0
    device.close()
    # Another board's key opens nothing, and stops nothing.
    (image.parent / "device.key").write_bytes(bytes(32))
    swapped = Device(str(image.parent))
    assert swapped.agent.secrets is None and swapped.agent.number == (1, 1)
    swapped.close()


def test_a_mirror_is_a_folder_of_the_topics_names(fleet: Path, tmp_path: Path) -> None:
    _run("sign", "--fleet", str(fleet), "--yes")
    mirror = tmp_path / "mirror"
    assert _run("publish", "--fleet", str(fleet), "--mirror", str(mirror)) == 0
    document = (fleet / "pins" / "1-1.cbor").read_bytes()
    assert (mirror / "everpin/1/acme/root/1").read_bytes() == (
        fleet / "root" / "1.cbor"
    ).read_bytes()
    assert (mirror / "everpin/1/acme/meters/pins").read_bytes() == document
    assert all(
        (mirror / f"everpin/1/acme/meters/{bucket}/pins").read_bytes() == document
        for bucket in range(64)
    )


def test_a_passphrase_protects_a_key_and_a_wrong_one_is_refused(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong, loose = (tmp_path / name for name in ("right", "wrong", "loose"))
    for path, text in ((right, "open sesame"), (wrong, "open barley"), (loose, "open sesame")):
        path.write_text(text + "\n")
        path.chmod(0o600 if path is not loose else 0o644)
    assert (
        _run("key", "--fleet", str(fleet), "new", "second", "--passphrase-file", str(right)) == 0
    )
    assert b"ENCRYPTED" in (fleet / "keys" / "second.pem").read_bytes()
    policy = fleet / "policy.toml"
    policy.write_text(policy.read_text().replace('["ops"]', '["second"]'))
    before = _tree(fleet)
    sign = ("sign", "--fleet", str(fleet), "--yes", "--passphrase-file")
    assert "wrong passphrase" in _refused(capsys, *sign, str(wrong))
    assert "chmod 600" in _refused(capsys, *sign, str(loose))
    assert _tree(fleet) == before
    assert _run(*sign, str(right)) == 0


def test_a_loose_key_file_is_refused(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = fleet / "keys" / "ops.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o640)
    before = _tree(fleet)
    assert "chmod 600" in _refused(capsys, "sign", "--fleet", str(fleet), "--yes")
    assert _tree(fleet) == before


BROKEN_POLICIES = [
    ('fleet = "acme"', 'fleet = "acme', ":2: no TOML"),
    ('fleet = "acme"', 'fleet = "ac/me"', ":2: fleet: "),
    ('channel = "meters"', 'channel = "report"', ":3: channel: "),
    ('channel = "meters"', 'chanel = "meters"', ":3: chanel: unknown field"),
    ("port = 8883", "port = 99999", "brokers[0].port: "),
    ('status = "backup"', 'status = "spare"', "hosts[0].pins[1].status: "),
    ('name = "localhost"', 'name = "LOCALHOST"', "hosts[0].name: "),
    ('name = "localhost"', 'name = "elsewhere"', "no broker is among the hosts"),
    ('name = "localhost"', 'name = "localhost"\nusage = 4', "hosts[0].usage: "),
    ('name = "localhost"', 'name = "localhost"\nusage = "dane-ta"', "pins no anchor"),
    (
        'name = "localhost"',
        'name = "localhost"\nreport_only = true',
        "nothing relaxes the update channel",
    ),
    (
        'name = "localhost"',
        'name = "localhost"\nmanaged = true',
        "nothing relaxes the update channel",
    ),
    ('name = "localhost"', 'name = "localhost"\nexpires = 2030-01-31', "time_sources names none"),
    (
        'name = "localhost"',
        'name = "localhost"\nexpires = "soon"',
        "hosts[0].expires: must be a date",
    ),
    ('name = "localhost"', 'name = "localhost"\nafter_expiry = "closed"', "which is missing"),
    ('name = "localhost"', 'name = "localhost"\nleaf_and_ca = true', "says nothing for usage 3"),
    ('name = "localhost"', 'name = "localhost"\nusage = 1\nscts = 2', "time_sources names none"),
    ("fleet = ", 'unlisted = "open"\nfleet = ', "unlisted: "),
    ('rescue = ["mqtts://localhost:8883"]', "rescue = []", "rescue: is missing"),
    ('rescue = ["mqtts://localhost:8883"]', 'rescue = ["gopher://x"]', "is no carrier"),
    ('root = ["ops"]', "root = []", "signers.root: "),
    ('root = ["ops"]', 'root = ["nobody"]', "no such key"),
    ("forbidden = []", 'forbidden = ["AAAA"]', "forbidden: "),
]


@pytest.mark.parametrize(
    ("right", "wrong", "told"), BROKEN_POLICIES, ids=[told for _, _, told in BROKEN_POLICIES]
)
def test_a_broken_policy_is_refused_by_line_and_field(
    fleet: Path, capsys: pytest.CaptureFixture[str], right: str, wrong: str, told: str
) -> None:
    policy = fleet / "policy.toml"
    text = policy.read_text()
    assert text.count(right) == 1
    policy.write_text(text.replace(right, wrong))
    before = _tree(fleet)
    assert told in _refused(capsys, "sign", "--fleet", str(fleet), "--yes")
    assert _tree(fleet) == before


def test_a_policy_with_one_pin_is_refused_before_anything_is_signed(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = fleet / "policy.toml"
    head, _, _ = policy.read_text().rpartition("[[hosts.pins]]")
    policy.write_text(head)
    said = _refused(capsys, "sign", "--fleet", str(fleet), "--yes")
    assert "1 usable pin" in said and "pin add" in said
    assert not (fleet / "root" / "1.cbor").exists()


def test_forbidding_a_pinned_key_counts_against_the_rule_of_two(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = fleet / "policy.toml"
    pin = next(
        line.split('"')[1] for line in policy.read_text().splitlines() if line.startswith("sha256")
    )
    policy.write_text(policy.read_text().replace("forbidden = []", f'forbidden = ["{pin}"]'))
    assert "1 usable pin" in _refused(capsys, "sign", "--fleet", str(fleet), "--yes")


def test_mistakes_about_sources_are_one_line(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junk, empty = tmp_path / "junk", tmp_path / "empty"
    junk.write_bytes(b"not a certificate")
    empty.write_bytes(b"")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        closed = silent.getsockname()[1]
    before = _tree(fleet)
    for source in (
        str(junk),
        str(empty),
        str(tmp_path / "missing"),
        str(tmp_path),
        f"127.0.0.1:{closed}",
    ):
        _refused(capsys, "pin", "--fleet", str(fleet), "add", "localhost", "--from", source)
    assert _tree(fleet) == before


def test_other_mistakes_are_one_line_and_change_nothing(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--fleet", str(fleet))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        closed = silent.getsockname()[1]
    before = _tree(fleet)
    _refused(capsys, "publish", *where, "--mirror", str(tmp_path / "m"))  # nothing signed
    _refused(capsys, "publish", *where)
    _refused(capsys, "provision", *where, "meter-1")
    _refused(capsys, "key", *where, "new", "ops", "--no-passphrase")
    _refused(capsys, "key", *where, "new", "../x", "--no-passphrase")
    _refused(capsys, "pin", *where, "remove", "localhost", "AAAA")
    _refused(capsys, "sign", "--fleet", str(tmp_path / "nowhere"), "--yes")
    _refused(capsys, "init", str(fleet), "--fleet", "a", "--channel", "b", "--broker", "x:1")
    _refused(
        capsys,
        "init",
        str(tmp_path / "new"),
        "--fleet",
        "a b",
        "--channel",
        "b",
        "--broker",
        "x:1",
    )
    assert not (tmp_path / "new" / "policy.toml").exists()
    assert _tree(fleet) == before
    _run("sign", *where, "--yes")
    _refused(capsys, "publish", *where, "--broker", f"127.0.0.1:{closed}")
    _refused(capsys, "provision", *where, "meter/1")
    assert not (fleet / "devices" / "meter").exists()
    for argv in (("sign", "--no-such"), ("key",), ("acl", "rabbit")):
        assert _run(*argv) == 2


def test_a_forbidden_key_comes_back_only_when_that_is_said(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = fleet / "policy.toml"
    text = policy.read_text()
    policy.write_text(text.replace("forbidden = []", 'forbidden = ["' + "A" * 43 + '="]'))
    assert _run("sign", "--fleet", str(fleet), "--yes") == 0
    policy.write_text(text)
    assert "--reinstate" in _refused(capsys, "sign", "--fleet", str(fleet), "--yes")
    assert _run("sign", "--fleet", str(fleet), "--yes", "--reinstate") == 0


def test_secrets_are_not_in_what_verbs_say(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "pw"
    secret.write_text("hunter2-hunter2")
    secret.chmod(0o600)
    _run("sign", "--fleet", str(fleet), "--yes")
    _run(
        "provision",
        "--fleet",
        str(fleet),
        "m1",
        "--mqtt-user",
        "m1",
        "--mqtt-password-file",
        str(secret),
        "--json",
    )
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
    assert b"hunter2" not in (fleet / "devices" / "m1" / "device.json").read_bytes()


@pytest.mark.parametrize(
    "verb", ["init", "key", "pin", "sign", "publish", "provision", "reports", "acl"]
)
def test_each_verb_has_help_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--help"]) == 0
    assert "examples:" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_one_line(
    fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A file where the folder should be: that stops root as well.
    (fleet / "root").rmdir()
    (fleet / "root").write_text("")
    said = _refused(capsys, "sign", "--fleet", str(fleet), "--yes")
    assert "is the folder there and writable?" in said


@pytest.mark.skipif(mosquitto_path() is None, reason="mosquitto is not installed")
def test_publishing_checks_the_broker_by_the_policys_pins_and_outlives_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = identities()
    main, rescue, operator = free(3)
    folder = tmp_path / "acme"
    cert, _ = made.server.save(tmp_path, "server")
    where = ("--fleet", str(folder))
    _run(
        "init",
        str(folder),
        "--fleet",
        "acme",
        "--channel",
        "meters",
        "--broker",
        f"localhost:{main}",
    )
    _run("key", *where, "new", "ops", "--no-passphrase")
    _run("pin", *where, "add", "localhost", "--from", str(cert))
    (tmp_path / "spare").write_bytes(pki.key_pem(pki.new_key()))
    _run("pin", *where, "add", "localhost", "--from", str(tmp_path / "spare"))
    assert _run("sign", *where, "--yes") == 0
    secret = tmp_path / "pw"
    secret.touch(mode=0o600)
    secret.write_text("correct horse")
    (tmp_path / "client-ca.pem").write_bytes(made.client_ca.pem())
    broker = Broker(
        "mosquitto",
        tmp_path,
        (main, rescue, operator),
        {"op": "correct horse"},
        tmp_path / "client-ca.pem",
    )
    publish = (
        "publish",
        *where,
        "--broker",
        f"localhost:{main}",
        "--user",
        "op",
        "--password-file",
        str(secret),
    )
    broker.start(made.server)
    try:
        assert _run(*publish) == 0
        # The next document pins nobody: the operator must still get in to mend it.
        policy = folder / "policy.toml"
        text = policy.read_text()
        pins = [line for line in text.splitlines() if line.startswith("sha256")]
        wrong = text
        for number, line in enumerate(pins):
            wrong = wrong.replace(line, 'sha256 = "' + "AB"[number] * 43 + '="')
        policy.write_text(wrong)
        assert _run("sign", *where, "--yes", "--no-overlap") == 0
        assert _run(*publish) == 0
        broker.restart(made.other)
        assert "refuses this peer (pin-mismatch)" in _refused(capsys, *publish)
    finally:
        broker.stop()


def test_a_managed_device_has_its_inspection_cas_in_its_factory_record(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, leaf = identities().root, identities().server
    ca, no_ca = tmp_path / "inspection.pem", tmp_path / "leaf.pem"
    ca.write_bytes(root.pem())
    no_ca.write_bytes(leaf.pem())
    where = ("--fleet", str(fleet))
    assert _run("sign", *where, "--yes") == 0
    assert _run("provision", *where, "laptop", "--managed", str(ca)) == 0
    assert _run("provision", *where, "meter") == 0
    found = {}
    for name in ("laptop", "meter"):
        device = Device(str(fleet / "devices" / name))
        found[name] = [len(spki) for _, spki in device.store.factory().managed]
        device.close()
    assert found == {"laptop": [91], "meter": []}
    capsys.readouterr()
    assert _run("provision", *where, "other", "--managed", str(no_ca)) == 1
    assert "no CA certificate" in capsys.readouterr().err
    assert not (fleet / "devices" / "other").exists()
    assert _run("provision", *where, "other", *["--managed", str(ca)] * 5) == 1
