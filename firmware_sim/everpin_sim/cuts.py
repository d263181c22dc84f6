"""`everpin sim cuts`: sweeps of power cuts in a process of their own, under CPython or MicroPython, over this agent or a copy."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import micropython, paths

DEVICE = Path(__file__).resolve().parent / "device"
PATHS = paths.PATHS
TARGETS = ("core", "unix", "mcu", "pi")
FLASHES = ("memory", "partition", "littlefs")
COUNTS = ("bricked", "lost", "lowered")

# MicroPython runs the sources as they are, with more memory than any board has: what is swept is what they do, not what they take.
_HEAP = "128M"

Report = dict[str, Any]
Tell = Callable[[str, int, str], None]


class SweepFailed(Exception):
    """The sweep's own process ended badly; the text is what it said."""


def agent_folder() -> Path:
    """Return the folder of the agent that this process would import."""
    import everpin

    return Path(str(everpin.__file__)).resolve().parent.parent


def command_of(target: str, agent: Path) -> tuple[list[str], dict[str, str]]:
    env = {name: value for name, value in os.environ.items() if name != "MICROPYPATH"}
    if target == "unix":
        env["MICROPYPATH"] = f"{agent}:.frozen"
        return [micropython.find(), "-X", f"heapsize={_HEAP}"], env
    env["PYTHONPATH"] = str(agent)
    return [sys.executable, "-B"], env


def sweep(
    path: str,
    depth: int,
    target: str = "core",
    agent: Path | None = None,
    flash: str = "memory",
    ops: int = 0,
    case: str = "",
    tell: Tell | None = None,
    fast: bool = False,
) -> Report:
    """Return what the sweep of one path found; raise `NoMicroPython`, `NotAvailable` or `SweepFailed`.

    `ops` cuts the path after so many operations (0: none); `case` is the id of the only case to run; `fast` ends with
    the first failure.
    """
    if target == "mcu":
        from .mcu_cuts import sweep as sweep_mcu

        return sweep_mcu(path, agent, flash, ops, case, tell, fast)
    if target == "pi":
        from .pi_cuts import sweep as sweep_pi

        return sweep_pi(path, agent, ops, case, tell, fast)
    command, env = command_of(target, agent or agent_folder())
    started = time.monotonic()
    found: dict[str, Any] | None = None
    with tempfile.TemporaryDirectory(prefix="everpin-cuts-") as folder:
        paths.write(Path(folder))
        arguments = [folder, path, str(depth), flash, str(ops), case or "-"]
        arguments.append("fast" if fast else "all")
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                [*command, str(DEVICE / "cuts_main.py"), *arguments],
                env=env,
                cwd=folder,  # nothing of the current folder is found by name
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None  # noqa: S101 - Popen was given a pipe
                for line in process.stdout:
                    said = json.loads(line)
                    if "result" in said:
                        found = said["result"]
                    elif tell is not None:
                        tell(path, said["done"], said["case"])
            except BaseException:
                process.kill()
                raise
            process.wait()
            errors.seek(0)
            noise = errors.read()
    if process.returncode or found is None:
        raise SweepFailed(noise.strip() or f"it ended with {process.returncode}")
    return report(path, depth, target, flash, found, started)


def report(
    path: str, depth: int, target: str, flash: str, found: dict[str, Any], started: float
) -> Report:
    """Return a sweep's report: `found` has the counts, and "failed" as (id, why)."""
    return {
        "path": path,
        "depth": depth,
        "target": target,
        "flash": flash,
        **{key: found[key] for key in ("steps", "cases", "distinct", *COUNTS)},
        "failed": [name for name, _ in found["failed"]],
        "why": [why for _, why in found["failed"]],
        "seconds": round(time.monotonic() - started, 1),
    }


def together(reports: list[Report]) -> Report:
    """Return one report for several paths."""
    sums = ("steps", "cases", "distinct", *COUNTS, "failed", "why", "seconds")
    whole = {**reports[0], "path": "all", "paths": reports}
    for key in sums[:-1]:
        whole[key] = reports[0][key]
        for report in reports[1:]:
            whole[key] = whole[key] + report[key]
    whole["seconds"] = round(sum(report["seconds"] for report in reports), 1)
    return whole


def well(report: Report) -> bool:
    """Return whether a sweep ran and found nothing."""
    return report["cases"] > 0 and not any(report[key] for key in COUNTS)
