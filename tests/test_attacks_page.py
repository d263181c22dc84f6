"""docs/attacks.md has every row of the list, and every test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
LINES = (TOP / "docs" / "attacks.md").read_text("utf-8").splitlines()
ROWS = {
    cells[1]: cells
    for cells in (
        [cell.strip() for cell in line.split("|")] for line in LINES if line.startswith("| ")
    )
    if cells[1] != "row"
}
# The attacks of update systems, faults, operators' mistakes, and what was added to them.
WANTED = {
    *map(str, range(1, 25)),
    "7b",
    *map(str, range(30, 41)),
    *(f"O{n}" for n in range(1, 11)),
    *(f"E{n}" for n in range(1, 15)),
}
# What everpin has not, and says so.
WITHOUT_TEST = {"O4"}


@cache
def _functions(path: Path) -> set[str]:
    return {
        node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
    }


def test_every_row_of_the_list_is_there_once() -> None:
    assert set(ROWS) == WANTED
    assert sum(line.startswith("| ") for line in LINES) == len(WANTED) + 4, "a row stands twice"


@pytest.mark.parametrize("row", sorted(WANTED))
def test_a_row_says_what_stops_it_and_names_tests_that_exist(row: str) -> None:
    _, _, attack, stops, tests, _ = ROWS[row]
    assert len(attack) > 10 and len(stops) > 10
    found = re.findall(r"`([^`]+)`", tests)
    assert bool(found) != (row in WITHOUT_TEST)
    assert found or tests.startswith("no test: ")
    for test in found:
        path, _, function = test.partition("::")
        file = TOP / path if "/" in path else TOP / "tests" / "device" / f"{path}.py"
        assert file.is_file(), test
        assert not function or function in _functions(file), test


@pytest.mark.parametrize("row", sorted(WANTED))
def test_the_files_that_a_row_names_exist(row: str) -> None:
    for name in re.findall(r"`((?:core|ports|crypto)/[\w/]+\.py)`", ROWS[row][3]):
        assert (TOP / "agent" / "everpin" / name).is_file(), name
