"""Every device test runs under real MicroPython too: compiled, a fresh process and 96 kB of heap for each function."""

import os
from concurrent.futures import ThreadPoolExecutor
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
    """Return {file: {function: error}}, running each function once."""
    program, why = mpy.micropython()
    if program is None:
        pytest.skip(why)
    names = [path.stem for path in FILES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ran = pool.map(lambda name: mpy.run(program, built, device_data, name), names)
        return dict(zip(names, ran, strict=True))


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
        ran = results[path.stem]
        assert sorted(ran) == sorted(mpy.functions(path)), ran.get("crash")
