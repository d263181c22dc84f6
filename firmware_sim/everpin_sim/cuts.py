"""`everpin sim cuts`: sweeps of power cuts in a process of their own, under CPython or MicroPython, over this agent or a copy."""

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from . import paths
from .sources import DEVICE, agent_folder, command_of
from .sweep_report import Report, SweepFailed, Tell, report

PATHS = paths.PATHS
TARGETS = ("core", "unix", "mcu", "pi")
FLASHES = ("memory", "partition", "littlefs")


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
