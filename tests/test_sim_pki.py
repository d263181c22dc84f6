"""The PKI factory: what it makes is what OpenSSL takes it for, by any kind of key, and `everpin sim pki` writes it."""

import datetime
import json
import socket
import ssl
import threading
from pathlib import Path

import pytest

from everpin.ports.cpython import cli
from everpin_sim import pki
from everpin_sim.chains import Ground

SOON = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)


def _shake(served: tuple[Path, Path], roots: bytes, partial: bool = False) -> str:
    """Return "" when OpenSSL's client accepts a server by these roots, else why not."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*served)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=roots.decode())
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(far, server_side=True).close()
        except OSError:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(near, server_hostname="localhost").close()
        return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        near.close()
        thread.join(5)


@pytest.mark.parametrize("kind", ["p256", "p384", pytest.param("rsa2048", marks=pytest.mark.long)])
def test_a_chain_by_name_is_right_or_wrong_for_openssl_too(kind: str, tmp_path: Path) -> None:
    for name, wrong in (("longer", ""), ("forged-with-root", "signature"), ("expired", "expired"),
                        ("path-too-long", "path length"), ("middle-ca-false", "invalid CA")):  # fmt: skip
        out = str(tmp_path / name)
        assert cli.main(["sim", "pki", name, "--out", out, "--kind", kind, "--host", "localhost"]) == 0  # fmt: skip
        folder = Path(out)
        assert (folder / "leaf.key").stat().st_mode & 0o777 == 0o600
        why = _shake((folder / "chain.pem", folder / "leaf.key"), (folder / "root.pem").read_bytes())  # fmt: skip
        assert (wrong in why) if wrong else not why, (name, why)


def test_a_cross_signed_authority_is_trusted_by_either_root(tmp_path: Path) -> None:
    old, new, stranger = (pki.root(name, SOON) for name in ("Old", "New", "Stranger"))
    middle = pki.intermediate(new, "Middle", pki.key("m", "p384"))
    leaf = pki.leaf(middle, "server")
    crossed = pki.Identity(leaf.certificate, leaf.key, pki.cross_sign(new, old).chain)
    served = pki.Identity(
        leaf.certificate,
        leaf.key,
        (middle.certificate, pki.cross_sign(new, old).certificate, *crossed.chain),
    ).save(tmp_path, "server")
    assert _shake(served, new.pem()) == ""
    assert _shake(served, old.pem()) == ""
    assert _shake(served, stranger.pem()) != ""


def test_validity_is_to_the_second_and_before_1970_too() -> None:
    ground = Ground(now=-86400 * 365)
    made = ground.chains()["good"].identity().certificate
    assert made.not_valid_before_utc == datetime.datetime(1968, 12, 31, tzinfo=datetime.UTC)
    assert pki.root("R", SOON).certificate.not_valid_after_utc == SOON.replace(microsecond=0)


def test_a_chain_of_a_real_outage_has_its_dates(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["sim", "pki", "dst-x3/after", "--out", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["at"] == "2021-09-30 14:01:16"
    served = pki.x509.load_pem_x509_certificates((tmp_path / "chain.pem").read_bytes())
    assert len(served) == 3 and served[1].issuer == served[2].subject


def test_wrong_use_is_status_2_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for argv, said in (
        (["nothing", "--out", str(tmp_path)], "--list has the names"),
        (["good"], "--out"),
        (["good", "--out", str(tmp_path), "--at", "soon"], "looks like"),
    ):
        assert cli.main(["sim", "pki", *argv]) == 2
        assert said in capsys.readouterr().err
    assert cli.main(["sim", "pki", "--list", "--json"]) == 0
    assert "forged" in json.loads(capsys.readouterr().out)["chains"]
