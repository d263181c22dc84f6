"""What `everpin demo` says of a run: its lines, and whether each of them held."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Row:
    """One line: what was expected of whom, and whether it held."""

    step: int
    device: str
    what: str
    verdict: str
    number: str
    at_s: float
    ok: bool


@dataclass
class Run:
    """One run of the story: its lines and downtimes."""

    rescue: str
    rows: list[Row] = field(default_factory=list)
    downtime_s: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Return whether every line held."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def plain(self) -> dict[str, Any]:
        """Return the run for JSON."""
        return {
            "rescue": self.rescue,
            "ok": self.ok,
            "rows": [asdict(row) for row in self.rows],
            "downtime_s": self.downtime_s,
        }
