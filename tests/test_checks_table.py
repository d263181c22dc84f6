"""The table of security checks cannot rot: each row's text stands once in its file, and each of its tests exists."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parent.parent


def _tool() -> Any:
    spec = importlib.util.spec_from_file_location("test_checks", TOP / "tools" / "test_checks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = _tool()
CHECKS = TOOL.checks()


@cache
def _functions(path: Path) -> set[str]:
    return {
        node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
    }


def test_there_are_rows_for_every_part_that_decides() -> None:
    assert len(CHECKS) >= 60
    assert len({row.name for row in CHECKS}) == len(CHECKS)
    files = {row.file for row in CHECKS}
    for name in (
        "accept", "agent", "cbor", "claims", "cose", "http", "keys", "mqtt", "pins", "record", "report", "root", "sealing",
        "store", "trust", "verdict",
    ):  # fmt: skip
        assert f"core/{name}.py" in files, name
    assert {"ports/cpython/gate.py", "ports/micropython/tls.py"} <= files


@pytest.mark.parametrize("row", CHECKS, ids=lambda row: row.name)
def test_a_row_can_be_taken_away_and_names_tests_that_exist(row: Any, tmp_path: Path) -> None:
    source = TOP / "agent" / "everpin" / row.file
    copy = tmp_path / "everpin" / row.file
    copy.parent.mkdir(parents=True)
    copy.write_bytes(source.read_bytes())
    assert TOOL.without(row, tmp_path) == ""
    assert copy.read_bytes() != source.read_bytes()
    assert row.tests
    for test in row.tests:
        path, _, function = test.partition("::")
        assert function.split("[")[0] in _functions(TOP / path), test
        if path == "tests/test_micropython.py":
            found = re.fullmatch(r"test_under_micropython\[(test_\w+?)-(test_\w+)\]", function)
            assert found is not None, test
            assert found[2] in _functions(TOP / "tests" / "device" / f"{found[1]}.py"), test


def test_a_text_that_moved_is_told(tmp_path: Path) -> None:
    path = tmp_path / "everpin" / "core" / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text("if a:\n    pass\nif a:\n    pass\n")
    for text, said in (("if b:", "0 times"), ("if a:", "2 times")):
        row = TOOL.Check("x", "core/x.py", text, "if False:", ())
        assert said in TOOL.without(row, tmp_path)
    assert "no core/y.py" in TOOL.without(TOOL.Check("y", "core/y.py", "", "", ()), tmp_path)
    row = TOOL.Check("x", "core/x.py", "if a:\n    pass\nif", "if", ())
    assert TOOL.without(row, tmp_path) == "" and path.read_text() == "if a:\n    pass\n"
    assert "no Python" in TOOL.without(TOOL.Check("x", "core/x.py", "if a:", "if", ()), tmp_path)
