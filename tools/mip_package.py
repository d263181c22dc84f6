"""Write agent/mip/package.json: every file of the agent that belongs on a board, with its place there."""

import json
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AGENT = ROOT / "agent"
# `cryptography`, requests or aiohttp is behind these; a board has its own code, or cryptolib, in their place.
OFF_BOARD = (
    "everpin/ports/cpython/",
    "everpin/requests.py",
    "everpin/aiohttp.py",
    "everpin/crypto/_native.py",
    "everpin/crypto/_native_links.py",
    "everpin/crypto/_aes.py",
)


def device_files() -> list[str]:
    """Return the paths of all device modules, relative to agent/, sorted: all that does not stand on CPython's libraries."""
    paths = (p.relative_to(AGENT).as_posix() for p in (AGENT / "everpin").rglob("*.py"))
    return sorted(p for p in paths if not p.startswith(OFF_BOARD))


def listing() -> str:
    """Return the text of package.json; mip resolves the sources against the place of that file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    urls = [[path, "../" + path] for path in device_files()]
    return json.dumps({"urls": urls, "deps": [], "version": project["version"]}, indent=1) + "\n"


if __name__ == "__main__":
    (AGENT / "mip" / "package.json").write_text(listing(), "utf-8")
