"""Take each security check of tools/checks.toml away, in a copy of agent/, and see the tests of its row fail.

    .venv/bin/python tools/test_checks.py [--only TEXT] [--jobs N]

Each row runs exactly its tests, with the copy before the editable install on the path; all tests are run once with nothing
taken away, too. A row that changes nothing, a test that passes without its check, and one that only breaks down in its set-up are
failures. Exit status 1 for any.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent
TABLE = TOP / "tools" / "checks.toml"
AGENT = TOP / "agent"
_TIMEOUT_S = 600


class Check(NamedTuple):
    """One row: without `text` in `file` (below agent/everpin), each of `tests` must fail."""

    name: str
    file: str
    text: str
    without: str
    tests: tuple[str, ...]


def checks() -> list[Check]:
    """Return the rows of the table, tests as pytest's ids."""
    with TABLE.open("rb") as file:
        rows = tomllib.load(file)["check"]
    return [
        Check(row["name"], row["file"], row["text"], row["without"], tuple(map(_id, row["tests"])))
        for row in rows
    ]


def _id(test: str) -> str:
    return test if "/" in test else f"tests/device/{test.replace('::', '.py::')}"


def without(check: Check, agent: Path) -> str:
    """Take the check away in a copy of agent/; return why that cannot be done, "" when it was."""
    path = agent / "everpin" / check.file
    if not path.is_file():
        return f"there is no {check.file}"
    source = path.read_text("utf-8")
    count = source.count(check.text)
    if count != 1:
        return f"its text stands {count} times in {check.file}"
    changed = source.replace(check.text, check.without)
    try:
        compile(changed, check.file, "exec")
    except SyntaxError as error:
        return f"what is left is no Python: {error}"
    path.write_text(changed, "utf-8")
    return ""


def run(tests: tuple[str, ...], agent: Path) -> tuple[dict[str, set[str]], str]:
    """Run tests over a copy of agent/; return ({id without parameters, and id: outcomes}, the end of what pytest said)."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "outcomes"
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(agent), str(TOP / "tools")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "EVERPIN_CHECKS_AGENT": str(agent),
            "EVERPIN_CHECKS_SAID": str(said),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "checks_plugin"]
        command += ["-p", "no:cacheprovider", "--tb=line", f"--basetemp={folder}/base", *tests]
        try:
            done = subprocess.run(
                command,
                cwd=TOP,
                env=env,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {}, f"no end within {_TIMEOUT_S} s"
        found: dict[str, set[str]] = {}
        lines = said.read_text("utf-8").splitlines() if said.exists() else []
        for node, outcome in map(json.loads, lines):
            for name in {node, node.split("[")[0]}:
                found.setdefault(name, set()).add(outcome)
        return found, (done.stdout[-1500:] + done.stderr[-1500:]).strip()


def sweep(check: Check) -> str:
    """Return what is wrong with a row, "" when each of its tests fails without its check."""
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / "agent"
        shutil.copytree(AGENT, agent, ignore=shutil.ignore_patterns("__pycache__"))
        problem = without(check, agent)
        if problem:
            return problem
        outcomes, tail = run(check.tests, agent)
        if not outcomes:
            return f"nothing ran: {tail[-300:]}"
        quiet = [test for test in check.tests if "failed" not in outcomes.get(test, set())]
        return f"not noticed by {', '.join(quiet)}" if quiet else ""


def unmodified(rows: list[Check]) -> list[str]:
    """Return the tests of all rows that do not pass with nothing taken away; a skipped one does not."""
    tests = tuple(dict.fromkeys(test for row in rows for test in row.tests))
    with tempfile.TemporaryDirectory() as folder:
        agent = Path(folder) / "agent"
        shutil.copytree(AGENT, agent, ignore=shutil.ignore_patterns("__pycache__"))
        outcomes, tail = run(tests, agent)
    bad = [test for test in tests if outcomes.get(test) != {"passed"}]
    if bad:
        print(tail)
    return bad


def main(arguments: list[str] | None = None) -> int:
    """Run the sweep; return the exit status."""
    parser = argparse.ArgumentParser(
        description="take each security check away and see its tests fail"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name holds TEXT")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="rows at a time (2)")
    given = parser.parse_args(arguments)
    rows = [row for row in checks() if given.only in row.name]
    if not rows:
        print(f"no row's name holds {given.only!r}", file=sys.stderr)
        return 1
    start = time.monotonic()
    bad = unmodified(rows)
    if bad:
        print("\n".join(f"does not pass as it is: {test}" for test in bad))
        return 1
    survived = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for row, problem in zip(rows, pool.map(sweep, rows), strict=True):
            survived += bool(problem)
            print(
                f"{'SURVIVES' if problem else 'noticed '}  {row.name}{': ' if problem else ''}{problem}",
                flush=True,
            )
    took = time.monotonic() - start
    print(
        f"{len(rows) - survived} of {len(rows)} checks are noticed when they are gone, {took:.0f} s"
    )
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
