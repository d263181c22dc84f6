"""Write docs/errors.md from the table that stands in agent/everpin/core/errors.py: the constants and the comment above each.

.venv/bin/python tools/errors_page.py
"""

import re
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
SOURCE = TOP / "agent" / "everpin" / "core" / "errors.py"
PAGE = TOP / "docs" / "errors.md"

_HEAD = """# Error codes

Generated from `agent/everpin/core/errors.py` (`make generated`). Devices report errors by code, tools and logs show the name; a code
never changes its meaning and is never used again. Codes 1 to 59 are the peer's bytes, 60 to 79 the caller, 80 to 99 the flash.

| code | name | what it says |
|---|---|---|
"""


def table() -> list[tuple[int, str, str]]:
    """Return (code, name, meaning) of every error, by code."""
    found = re.findall(
        r"^# (.+)\n([A-Z_]+) = const\((\d+)\)", SOURCE.read_text("utf-8"), re.MULTILINE
    )
    return sorted(
        (int(code), name.lower().replace("_", "-"), meaning) for meaning, name, code in found
    )


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(
        f"| {code} | `{name}` | {meaning} |\n" for code, name, meaning in table()
    )


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE.relative_to(TOP)}: {len(table())} codes")
