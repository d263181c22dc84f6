"""`everpin spki` prints what the openssl pipeline prints, for each kind of source."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from everpin.ports.cpython import cli
from everpin_sim import pki
from tls_servers import Server, identities

OPENSSL = shutil.which("openssl")
KINDS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ed25519": ["-algorithm", "ED25519"],
}


def _openssl(*argv: str, data: bytes | None = None) -> bytes:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *argv], input=data, capture_output=True, check=True).stdout


def _pipeline(public_pem: bytes) -> str:
    der = _openssl("pkey", "-pubin", "-outform", "der", data=public_pem)
    digest = _openssl("dgst", "-sha256", "-binary", data=der)
    return _openssl("enc", "-base64", data=digest).decode().strip()


def _spki(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    capsys.readouterr()
    assert cli.main(["spki", *argv]) == 0
    return capsys.readouterr().out.split()


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_each_source_gives_openssls_base64(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, cert, csr, public = (tmp_path / name for name in ("k.pem", "c.pem", "r.pem", "p.pem"))
    _openssl("genpkey", *KINDS[kind], "-out", str(key))
    key.chmod(0o600)
    _openssl("req", "-x509", "-key", str(key), "-subj", "/CN=x", "-days", "2", "-out", str(cert))
    _openssl("req", "-new", "-key", str(key), "-subj", "/CN=x", "-out", str(csr))
    _openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))
    wanted = _pipeline(_openssl("x509", "-in", str(cert), "-pubkey", "-noout"))
    ders = []
    for source, verb in ((cert, "x509"), (csr, "req"), (key, "pkey")):
        der = source.with_suffix(".der")
        _openssl(verb, "-in", str(source), "-outform", "der", "-out", str(der))
        der.chmod(0o600)
        ders.append(der)
    for source in (cert, csr, public, key, *ders):
        assert _spki(capsys, str(source)) == [wanted], source.name


def test_a_live_server_gives_its_leaf_and_its_chain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = identities()
    server = Server(made.server, made.client_ca, tmp_path, ssl.TLSVersion.TLSv1_3)
    try:
        paths = []
        for number, certificate in enumerate((made.server.certificate, *made.server.chain)):
            path = tmp_path / f"{number}.pem"
            path.write_bytes(certificate.public_bytes(pki.serialization.Encoding.PEM))
            paths.append(str(path))
        wanted = _spki(capsys, *paths)
        assert len(wanted) == 2
        assert _spki(capsys, f"localhost:{server.port}") == wanted[:1]
        assert _spki(capsys, f"localhost:{server.port}", "--chain") == wanted
    finally:
        server.close()


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"not a certificate")
    (tmp_path / "empty").write_bytes(b"")
    for source in (
        str(junk),
        str(tmp_path / "empty"),
        str(tmp_path / "missing"),
        str(tmp_path),
        "127.0.0.1:1",
    ):
        capsys.readouterr()
        assert cli.main(["spki", source]) == 1
        said = capsys.readouterr().err.strip()
        assert said and "\n" not in said and "Traceback" not in said, said
