"""Evidence of a run: one JSON line for each case, JUnit XML, an HTML report, and what replays each case that failed."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from . import page
from .judge import Case


def junit(cases: Iterable[Case], seconds: dict[str, float]) -> bytes:
    """Return JUnit XML: a suite for each target."""
    suites = ElementTree.Element("testsuites", name="everpin hil")
    by_target: dict[str, list[Case]] = {}
    for case in cases:
        by_target.setdefault(case.target, []).append(case)
    for target, mine in by_target.items():
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=f"hil.{target}",
            tests=str(len(mine)),
            failures=str(sum(not case.ok for case in mine)),
        )
        for case in mine:
            item = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"hil.{target}",
                name=case.scenario,
                time=f"{seconds.get(case.id, 0.0):.3f}",
            )
            if not case.ok:
                failure = ElementTree.SubElement(item, "failure", message=case.failures[0][:300])
                failure.text = "\n".join([*case.failures, f"everpin hil replay '{case.id}'"])
    found: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return found


def write(
    folder: Path, cases: list[Case], summary: dict[str, Any], seconds: dict[str, float]
) -> None:
    """Write `cases.jsonl`, `junit.xml`, `report.html`, and the facts of each case that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{**case.line(), "seconds": round(seconds.get(case.id, 0.0), 3)} for case in cases]
    text = "".join(json.dumps(line) + "\n" for line in [*lines, summary])
    (folder / "cases.jsonl").write_text(text, "utf-8")
    (folder / "junit.xml").write_bytes(junit(cases, seconds))
    (folder / "report.html").write_text(page.render(cases, summary), "utf-8")
    for case in cases:
        if not case.ok:
            where = folder / f"{case.scenario}.{case.target}.facts.jsonl"
            where.write_text("".join(json.dumps(fact) + "\n" for fact in case.facts), "utf-8")
