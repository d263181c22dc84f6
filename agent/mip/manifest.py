# MicroPython's build executes this file in its own folder, with package() and metadata() given.
import json

with open("package.json") as f:
    listing = json.load(f)

metadata(description="everpin's agent", version=listing["version"])

# opt=3 leaves out assertions and line numbers: the smallest code. Docstrings never reach the board.
package(
    "everpin",
    files=tuple(target.split("/", 1)[1] for target, _ in listing["urls"]),
    base_path="..",
    opt=3,
)
