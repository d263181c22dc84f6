"""The command `everpin`: which verbs there are, which extra each needs, and how it ends."""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import types
from typing import Any

import pytest

from everpin.ports.cpython import cli

FLEET = ["init", "key", "pin", "sign", "cosign", "publish", "provision", "reports", "acl"]
COMMAND = [sys.executable, "-m", "everpin.ports.cpython.cli"]


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = cli.main(list(argv))
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """No third-party module of any extra is found, as after `pip install everpin`."""
    third_party = {module for modules in cli.EXTRAS.values() for module in modules}
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> Any:
        return None if name in third_party else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def test_help_lists_every_verb_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, "--help")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    for verb in [*cli.OWN, *cli.DELEGATED]:
        (line,) = [line for line in lines if line.startswith(f"  {verb} ")]
        assert len(line.split(None, 1)[1]) > 10
    for extra in cli.EXTRAS:
        assert f"pip install 'everpin[{extra}]'" in out
    assert "everpin spki cert.pem" in out


def test_help_fits_a_screen_of_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "--help")
    assert max(map(len, out.splitlines())) < 100


def test_no_verb_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys)
    assert (status, out) == (2, "")
    assert "usage: everpin VERB" in err


def test_a_wrong_verb_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, "sing")
    assert (status, out) == (2, "")
    assert err == "everpin: no verb 'sing'; did you mean 'sign'? everpin --help lists them\n"


def test_version_is_the_distribution_s(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"9.8.7 of {name}")
    assert said(capsys, "--version") == (0, "everpin 9.8.7 of everpin\n", "")


@pytest.mark.parametrize("verb", FLEET)
def test_without_its_extra_an_operator_verb_names_it(
    without_extras: None, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    line = f"everpin: '{verb}' needs the extra 'fleet': pip install 'everpin[fleet]'\n"
    assert said(capsys, verb, "--anything") == (2, "", line)


@pytest.mark.parametrize(("verb", "extra"), [("demo", "sim"), ("sim", "sim"), ("hil", "hil")])
def test_without_their_extra_the_other_verbs_name_it(
    without_extras: None, capsys: pytest.CaptureFixture[str], verb: str, extra: str
) -> None:
    status, out, err = said(capsys, verb)
    assert (status, out) == (2, "")
    assert err.startswith(
        f"everpin: '{verb}' needs the extra '{extra}': pip install 'everpin[{extra}]'"
    )
    assert err.count("\n") == 1


def test_one_module_lacking_is_an_extra_lacking(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cli.EXTRAS, "sim", ("json", "no_such_module_here"))
    status, _, err = said(capsys, "demo")
    assert status == 2
    assert "needs the extra 'sim'" in err


def test_a_verb_of_a_later_release_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "lacking", lambda extra: [])
    monkeypatch.setitem(cli.DELEGATED, "later", ("what is to come", "hil", ""))
    assert said(capsys, "later") == (2, "", "everpin: 'later' comes in a later release\n")


@pytest.mark.parametrize(
    ("verb", "module"),
    [
        ("sign", "everpin_fleet.cli"),
        ("demo", "everpin_sim.cli"),
        ("sim", "everpin_sim.sim_cli"),
        ("hil", "everpin_hil.cli"),
    ],
)
def test_a_delegated_verb_gets_all_its_arguments_and_gives_its_status(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str, module: str
) -> None:
    got: list[list[str]] = []

    def main(argv: list[str]) -> int:
        got.append(argv)
        return 1

    fake = types.ModuleType(module)
    fake.main = main  # type: ignore[attr-defined]
    monkeypatch.setattr(cli, "lacking", lambda extra: [])
    monkeypatch.setitem(sys.modules, module, fake)
    # --help is theirs to answer.
    assert said(capsys, verb, "--help", "x") == (1, "", "")
    assert got == [[verb, "--help", "x"]]


def parsed(monkeypatch: pytest.MonkeyPatch, module: str, *argv: str) -> argparse.Namespace:
    """Return what the port's `main` is called with."""
    got: list[argparse.Namespace] = []
    fake = types.ModuleType(module)
    fake.main = lambda args: got.append(args) or 0  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, f"everpin.ports.cpython.{module}", fake)
    assert cli.main(list(argv)) == 0
    return got[0]


def test_the_agent_s_own_verbs_reach_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    run = parsed(monkeypatch, "runner", "agent", "run", "dir", "--json", "--once", "--budget", "5")
    assert (run.device, run.json, run.once, run.budget) == ("dir", True, True, 5.0)
    run = parsed(monkeypatch, "runner", "agent", "run", "--config", "f")
    assert (run.device, run.config, run.json, run.once) == (None, "f", False, False)
    status = parsed(monkeypatch, "status_command", "agent", "status", "--device", "d")
    assert (status.device, status.config, status.json) == ("d", None, False)
    install = parsed(monkeypatch, "install", "agent", "install", "--root", "r", "--dry-run")
    assert (install.root, install.dry_run, install.force, install.user) == (
        "r",
        True,
        False,
        False,
    )
    spki = parsed(
        monkeypatch, "spki_command", "spki", "--chain", "a.pem", "b:1", "--passphrase-file", "f"
    )
    assert (spki.sources, spki.chain, spki.json) == (["a.pem", "b:1"], True, False)
    assert (spki.passphrase_file, spki.timeout) == ("f", 10.0)
    verify = parsed(monkeypatch, "verify", "verify", "a", "b", "--trust", "dir")
    assert (verify.documents, verify.trust, verify.json) == (["a", "b"], "dir", False)
    tunnel = parsed(
        monkeypatch,
        "tunnel_command",
        "tunnel",
        "--listen",
        "[::1]:0",
        "--to",
        "h:1",
        "--config",
        "f",
    )
    assert (tunnel.listen, tunnel.to, tunnel.config) == (("::1", 0), ("h", 1), "f")
    assert (tunnel.device, tunnel.allow_remote, tunnel.max_connections) == (None, False, 32)
    check = parsed(monkeypatch, "check", "check", "h:1", "--device", "dir", "--json")
    assert (check.peer, check.device, check.json) == ("h:1", "dir", True)


@pytest.mark.parametrize(
    "argv",
    [
        ["agent"],
        ["agent", "walk", "dir"],
        ["agent", "run"],
        ["spki"],
        ["spki", "a", "--ch"],
        ["spki", "a", "--timeout", "nan"],
        ["spki", "a", "--timeout", "0"],
        ["spki", "a", "--timeout", "soon"],
        ["verify", "a"],
        ["check", "h:1"],
        ["agent", "run", "dir", "--config", "f"],
        ["tunnel"],
        ["tunnel", "--to", "h"],
        ["tunnel", "--to", "::1:5"],
        ["tunnel", "--to", "h:65536"],
        ["tunnel", "--to", "a..b:1"],
        ["tunnel", "--to", ".b:1"],
        ["tunnel", "--to", "h:1", "--device", "d", "--config", "f"],
        ["tunnel", "--to", "h:1", "--max-connections", "0"],
    ],
    ids=" ".join,
)
def test_wrong_use_ends_with_2_and_without_a_traceback(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    status, out, err = said(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.startswith("usage: everpin ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "verb",
    [
        ["agent", "run"],
        ["spki"],
        ["verify"],
        ["check"],
        ["tunnel"],
        ["agent", "status"],
        ["agent", "install"],
    ],
    ids=" ".join,
)
def test_each_own_verb_has_help(capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    status, out, err = said(capsys, *verb, "--help")
    assert (status, err) == (0, "")
    assert out.startswith("usage: everpin " + " ".join(verb))


def test_the_command_starts_without_any_heavy_import() -> None:
    code = (
        "import sys; from everpin.ports.cpython import cli; cli.main(['--help']);"
        "print([m for m in ('cryptography', 'paho', 'ssl', 'typer', 'cbor2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_reader_that_goes_away_leaves_no_noise() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, "--help"], stdout=writer, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_closed_standard_output_is_no_traceback() -> None:
    shell = f"exec {sys.executable} -m everpin.ports.cpython.cli --help >&-"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, timeout=60)
    assert b"Traceback" not in done.stderr


def test_an_interrupt_is_one_line() -> None:
    # Standard input says when it is read, so that the interrupt comes inside the command and not before it.
    code = """
import signal, sys, time
from types import SimpleNamespace
from everpin.ports.cpython import cli
# A job started in the background inherits an ignored SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
def read(size):
    print("reading", flush=True)
    time.sleep(30)
sys.stdin = SimpleNamespace(buffer=SimpleNamespace(read=read))
sys.exit(cli.main(["spki", "-"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, b"everpin: interrupted\n")
