"""Write agent/mip/package.json: every file of the agent that belongs on a board, with its place there."""

import json
import tomllib
from pathlib import Path

from everpin_fleet.board.agent_files import device_files

ROOT = Path(__file__).resolve().parent.parent
AGENT = ROOT / "agent"


def listing() -> str:
    """Return the text of package.json; mip resolves the sources against the place of that file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    urls = [[path, "../" + path] for path in device_files(AGENT)]
    return json.dumps({"urls": urls, "deps": [], "version": project["version"]}, indent=1) + "\n"


if __name__ == "__main__":
    (AGENT / "mip" / "package.json").write_text(listing(), "utf-8")
