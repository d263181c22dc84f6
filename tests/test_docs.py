"""The docs tell the truth where a test can tell: links lead somewhere, shown commands exist."""

import re
import shlex
from pathlib import Path

import pytest

from everpin.ports.cpython import cli

TOP = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path for path in TOP.rglob("*.md") if not {".venv", "build"} & set(path.relative_to(TOP).parts)
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_shown_verb_exists(page: Path) -> None:
    known = {*cli.OWN, *cli.DELEGATED}
    for line in re.findall(r"^    (everpin [a-z].*)$", page.read_text(), re.MULTILINE):
        words = shlex.split(line, comments=True)
        assert words[1] in known, line


def test_the_readmes_commands_take_the_options_that_it_shows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = re.findall(r"^    (everpin [a-z].*)$", (TOP / "README.md").read_text(), re.MULTILINE)
    assert len(shown) >= 8
    for line in shown:
        words = shlex.split(line, comments=True)[1:]
        actions = [word for word in words[1:2] if word in ("new", "add", "run")]
        assert cli.main([words[0], *actions, "--help"]) == 0
        help_text = capsys.readouterr().out
        for option in (word for word in words if word.startswith("--")):
            assert option in help_text, line
