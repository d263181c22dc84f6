"""`everpin check`: the verdict that a device with a policy would give, from a chain in a file or from a live server."""

import base64
import hashlib
import json
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import path_data
from everpin.core import spki
from everpin.ports.cpython.cli import main
from test_tls_usages import _server

TOP = Path(__file__).resolve().parent.parent
CHAINS = path_data.chains()
POLICY = """\
fleet = "acme"
channel = "meters"
rescue = ["http://pins.example/acme"]
{top}
[signers]
root = ["ops"]
pins = ["ops"]
[[brokers]]
host = "broker.example"
[[anchors]]
certificate = "root.pem"
[[hosts]]
name = "broker.example"
pins = [{{ sha256 = "{root}" }}, {{ sha256 = "{backup}" }}]
[[hosts]]
name = "api.example"
usage = {usage}
pins = [{{ sha256 = "{pin}" }}, {{ sha256 = "{backup}" }}]
{more}
"""


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _pem(folder: Path, name: str, certificates: list[bytes]) -> str:
    path = folder / name
    path.write_bytes(
        b"".join(
            x509.load_der_x509_certificate(item).public_bytes(Encoding.PEM)
            for item in certificates
        )
    )
    return str(path)


def _policy(folder: Path, usage: int | str, pin: bytes, more: str = "", top: str = "") -> str:
    _pem(folder, "root.pem", CHAINS["with-root"][2:])
    path = folder / "policy.toml"
    path.write_text(
        POLICY.format(
            usage=json.dumps(usage),
            pin=_base64(pin),
            root=_base64(path_data.ROOT.pin),
            backup=_base64(path_data.BACKUP),
            more=more,
            top=top,
        )
    )
    return str(path)


def _check(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any]]:
    code = main(["check", "api.example", "--json", *args])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else {"error": said.err}


ROOT, LEAF = path_data.ROOT.pin, path_data.pin(path_data.LEAF)
ROWS = [
    (2, ROOT, "good", None, "ok"),
    ("dane-ta", ROOT, "good", None, "ok"),
    (2, ROOT, "forged", None, "no-path"),
    (2, ROOT, "wrong-name", None, "wrong-name"),
    (2, ROOT, "expired", "2026-10-01", "ok"),
    (1, LEAF, "good", None, "ok"),
    (1, LEAF, "new-key", None, "pin-mismatch"),
    (1, LEAF, "expired", "2026-10-01", "dates"),
    (1, LEAF, "good", "2026-10-01T12:00:00Z", "ok"),
    (1, LEAF, "not-yet", "2026-10-01", "dates"),
    (0, ROOT, "good", None, "ok"),
    (0, ROOT, "sub-ca-that-is-none", None, "no-path"),
    (3, LEAF, "self-signed", "2090-01-01", "ok"),
    (3, ROOT, "good", None, "pin-mismatch"),
]


@pytest.mark.parametrize(("usage", "pin", "chain", "at", "why"), ROWS)
def test_a_served_chain_is_judged_as_devices_judge_it(
    usage: int | str, pin: bytes, chain: str, at: str | None, why: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    served = _pem(tmp_path, "served.pem", CHAINS[chain])
    when = [] if at is None else ["--at", at]
    policy = _policy(tmp_path, usage, pin)
    code, said = _check(capsys, "--policy", policy, "--served", served, *when)
    assert (said["why"], said["accepted"], code) == (why, why == "ok", 0 if why == "ok" else 1)
    assert said["usage"] == {"dane-ta": 2}.get(str(usage), usage)
    assert said["pin"] == hashlib.sha256(_spki(CHAINS[chain][0])).hexdigest()
    # A refused peer's is the path that came furthest, where there is one.
    if why == "ok":
        assert bool(said["path"]) == (usage != 3)


def _spki(certificate: bytes) -> bytes:
    return spki.spki(certificate)


def test_the_way_on_after_expiry_is_told_at_the_time_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = _pem(tmp_path, "served.pem", CHAINS["good"])
    for after, pin, at, why, mode in (
        ("closed", LEAF, "2026-12-31", "ok", "enforced"),
        ("closed", LEAF, "2027-01-01", "closed", ""),
        ("keep", LEAF, "2027-01-01", "ok", "enforced"),
        ("trust-store", path_data.OTHER.pin, "2026-12-31", "pin-mismatch", ""),
        ("trust-store", path_data.OTHER.pin, "2027-01-01", "ok", "trust-store"),
    ):
        more = f'expires = 2027-01-01\nafter_expiry = "{after}"'
        policy = _policy(tmp_path, 1, pin, more, 'time_sources = ["rtc"]')
        _, said = _check(capsys, "--policy", policy, "--served", served, "--at", at)
        assert (said["why"], said["mode"]) == (why, mode), (after, at)


def test_a_live_server_is_judged_in_the_handshake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, _ = _server("good", tmp_path, ssl.TLSVersion.TLSv1_3)
    policy = Path(_policy(tmp_path, 2, ROOT))
    policy.write_text(policy.read_text().replace("api.example", "localhost"))
    assert main(["check", f"localhost:{server.port}", "--policy", str(policy)]) == 1
    assert "refused: wrong-name" in capsys.readouterr().out
    policy.write_text(policy.read_text().replace("usage = 2", "usage = 3").replace(
        f'pins = [{{ sha256 = "{_base64(ROOT)}" }}', f'pins = [{{ sha256 = "{_base64(LEAF)}" }}'
    ))  # fmt: skip
    assert main(["check", f"localhost:{server.port}", "--policy", str(policy)]) == 0
    assert "accepted by a pin of the newest entry, usage 3" in capsys.readouterr().out
    assert not server.application


def test_another_copy_of_the_agent_judges(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    agent = tmp_path / "agent"
    shutil.copytree(TOP / "agent", agent)
    policy = _policy(tmp_path, 2, ROOT)
    served = _pem(tmp_path, "served.pem", CHAINS["forged"])
    args = ["check", "api.example", "--policy", policy, "--served", served, "--agent", str(agent), "--json"]  # fmt: skip
    assert main(args) == 1
    assert json.loads(capfd.readouterr().out)["why"] == "no-path"
    chain = agent / "everpin" / "core" / "chain.py"
    mutant = chain.read_text().replace("known = signed_by(child, spki)", "known = True")
    assert mutant != chain.read_text()
    chain.write_text(mutant)
    assert main(args) == 0
    assert json.loads(capfd.readouterr().out)["accepted"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--policy", "nowhere.toml"], 1, "nowhere.toml"),
        (["--policy", "nowhere.cbor"], 1, "nowhere.cbor"),
        (["--device", "nowhere"], 1, "nowhere"),
        (["--policy", "policy.toml", "--at", "soon"], 2, "say a time such as"),
        (["--policy", "policy.toml", "--served", "nowhere.pem"], 1, "nowhere.pem"),
        (["--policy", "policy.toml", "--agent", "nowhere"], 2, "no copy of agent/"),
    ],
)
def test_what_cannot_be_used_is_named(
    args: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    _policy(tmp_path, 2, ROOT)
    assert main(["check", "api.example", *args]) == code
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said
