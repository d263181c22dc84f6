"""What a sweep of power cuts found, whatever swept: its counts, those that must stay zero, and several paths as one."""

import time
from collections.abc import Callable
from typing import Any

COUNTS = ("bricked", "lost", "lowered")

Report = dict[str, Any]
Tell = Callable[[str, int, str], None]


class SweepFailed(Exception):
    """The sweep's own process ended badly; the text is what it said."""


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
