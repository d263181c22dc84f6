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


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made from their text: small, no punctuation, hyphens."""
    # What stands in fenced blocks is no heading.
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6} +(.*?) *$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_anchor_is_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            path, _, anchor = target.partition("#")
            assert anchor in _anchors(page.parent / path if path else page), target


def test_anchors_are_made_from_headings(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Two commands\n```\n# a comment\n```\n## What's in, what isn't\n")
    assert _anchors(page) == {"two-commands", "whats-in-what-isnt"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_no_link_leads_to_one_machine(page: Path) -> None:
    for host in re.findall(r"\]\(https?://(\[[^\]]*\]|[^/)\s:]+)", page.read_text()):
        assert host != "localhost" and not re.fullmatch(r"[0-9.]+|\[.*", host), host


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_shown_verb_exists(page: Path) -> None:
    known = {*cli.OWN, *cli.DELEGATED}
    for line in re.findall(r"^    (everpin [a-z].*)$", page.read_text(), re.MULTILINE):
        words = shlex.split(line, comments=True)
        assert words[1] in known, line


# Words behind a verb that are no argument of it.
ACTIONS = ("new", "add", "run", "status", "install")
GUIDES = ["README.md", "docs/tunnel.md", "docs/adoption.md", "docs/esp32.md"]


@pytest.mark.parametrize("page", GUIDES)
def test_a_guides_commands_take_the_options_that_it_shows(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = re.findall(r"^    (everpin [a-z].*)$", (TOP / page).read_text(), re.MULTILINE)
    assert shown
    for line in shown:
        words = shlex.split(line, comments=True)[1:]
        actions = [word for word in words[1:2] if word in ACTIONS]
        assert cli.main([words[0], *actions, "--help"]) == 0
        help_text = capsys.readouterr().out
        for option in (word for word in words if word.startswith("--")):
            assert option in help_text, line
