"""Sweeps of power cuts on devices of their own, boards and emulated Pis: the cases in some threads, and what they found as one report."""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from . import paths
from .sources import DEVICE, agent_folder, command_of
from .sweep_report import COUNTS, Report, SweepFailed, Tell, report
from .targets.protocol import TargetError

_FAILED_MAX = 20
# (what, why), None when nothing is wrong.
Verdict = tuple[str, str] | None
Case = tuple[str, Verdict]


class Sweep(Protocol):
    """All cases of one path on one kind of device."""

    steps: int

    @property
    def distinct(self) -> int:
        """Return how many different devices were judged."""

    def prepare(self) -> Verdict:
        """Make the device before the path, and live through it uncut; return what is wrong already."""

    def jobs(self, case: str) -> list[Callable[[], list[Case]]]:
        """Return what is to be done, each by one thread: for one case, or for all of them."""

    def close(self) -> None:
        """End every device."""


def parts(case: str) -> tuple[int, str, bool]:
    """Return (number, kind, whether the number is an operation's) of a case's id; the number is -1 in an id that there is not."""
    _, depth, where, kind, *rest = [*case.split("/"), "", "", ""]
    number = where.removeprefix("op")
    if depth != "1" or any(rest) or not number.isdecimal():
        return -1, "", False
    return int(number), kind, number != where


def expected(folder: Path, path: str, ops: int, agent: Path) -> dict[str, Any]:
    """Return the path's trust states in process; raise `SweepFailed`."""
    command, env = command_of("core", agent)
    done = subprocess.run(
        [*command, str(DEVICE / "states_main.py"), str(folder), path, str(ops)],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SweepFailed(done.stderr.strip())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sweep(
    target: str,
    flash: str,
    path: str,
    agent: Path | None,
    ops: int,
    case: str,
    tell: Tell | None,
    fast: bool,
    make: Callable[[Path, dict[str, Any]], Sweep],
) -> Report:
    """Return what a sweep of one path found. `make` gets a folder with the path's files, and its trust states in process."""
    started = time.monotonic()
    found: dict[str, Any] = {"steps": 0, "cases": 0, "distinct": 1, "failed": []}
    found |= dict.fromkeys(COUNTS, 0)

    def count(name: str, verdict: Verdict) -> None:
        found["cases"] += 1
        if verdict is not None:
            found[verdict[0]] += 1
            if len(found["failed"]) < _FAILED_MAX:
                found["failed"].append((name, verdict[1]))
        if tell is not None:
            tell(path, found["cases"], name)

    with (
        tempfile.TemporaryDirectory(prefix="everpin-cuts-") as where,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(where)
        paths.write(folder)
        states = expected(folder, path, ops, agent or agent_folder())
        if "failed" in states:
            what, why = states["failed"]
            count(f"{path}/uncut", (what, why))
            return report(path, 1, target, flash, found, started)
        made = make(folder, states)
        stack.callback(made.close)
        workers = stack.enter_context(
            concurrent.futures.ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
        )
        try:
            # In a worker: a device dies with the thread that made it.
            wrong = workers.submit(made.prepare).result()
            if wrong is not None:
                count(f"{path}/uncut", wrong)
            else:
                for future in [workers.submit(job) for job in made.jobs(case)]:
                    for name, verdict in future.result():
                        count(name, verdict)
                    if fast and found["failed"]:
                        break
        except TargetError as problem:
            raise SweepFailed(str(problem)) from None
        finally:
            workers.shutdown(cancel_futures=True)
        found["steps"], found["distinct"] = made.steps, max(1, made.distinct)
    return report(path, 1, target, flash, found, started)
