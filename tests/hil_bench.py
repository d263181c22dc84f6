"""What the tests of the bench share: its command line in this process, its JSON lines, its own mutants."""

import json
from pathlib import Path
from typing import Any

import pytest

from everpin_hil import cli, mutants

AGENT = Path(__file__).resolve().parent.parent / "agent"


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = cli.main(["hil", *argv])
    out, err = capsys.readouterr()
    return status, out, err


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def mutant(name: str) -> mutants.Mutant:
    (found,) = [item for item in mutants.own() if item.name == name]
    return found
