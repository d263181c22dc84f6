"""Every device test runs under real MicroPython too: compiled, a fresh process and 96 kB of heap for each file."""

import json
from pathlib import Path

import pytest

import mpy

FILES = sorted(mpy.DEVICE_TESTS.glob("test_*.py"))
CASES = [(path.stem, name) for path in FILES for name in mpy.functions(path)]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("mpy")
    mpy.build(target)
    return target


@pytest.fixture(scope="session")
def results(built: Path, device_data: Path) -> dict[str, dict[str, str]]:
    """Return {file: {function: error}}, running each file once."""
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    found: dict[str, dict[str, str]] = {}
    for path in FILES:
        done = mpy.run(program, built, device_data, path.stem)
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found[path.stem] = {row["test"]: row["error"] for row in rows if "test" in row}
        if not any("done" in row for row in rows):
            found[path.stem]["crash"] = done.stdout[-1000:] + done.stderr[-2000:]
    return found


@pytest.mark.parametrize(
    ("module", "name"), CASES, ids=[f"{module}-{name}" for module, name in CASES]
)
def test_under_micropython(results: dict[str, dict[str, str]], module: str, name: str) -> None:
    ran = results[module]
    assert name in ran, ran.get("crash", "did not run")
    assert ran[name] == "", ran[name]


def test_no_file_of_device_tests_crashed_and_both_interpreters_ran_the_same(
    results: dict[str, dict[str, str]],
) -> None:
    for path in FILES:
        assert sorted(results[path.stem]) == sorted(mpy.functions(path)), results[path.stem].get(
            "crash"
        )
