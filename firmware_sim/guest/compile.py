"""Compile what the launcher imports and all of the agent, when the image is made: the bytecode goes to the host by the drive.

The same source gives the same bytecode, whatever Python the host has; and no boot of an emulated Pi compiles anything.
"""

import importlib.util
import io
import os
import py_compile
import runpy
import sys
import tarfile

PLACES = ("/usr/lib/python3",)


def sources():
    """Return the files that are to have bytecode: those of modules that were imported, and every one of the agent's."""
    runpy.run_path("/usr/lib/everpin-sim/start.py", run_name="imported")
    found = set()
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None) or ""
        if name.startswith(PLACES) and name.endswith(".py"):
            found.add(name)
    for folder, _, names in os.walk("/usr/lib/python3/dist-packages/everpin"):
        found.update(f"{folder}/{name}" for name in names if name.endswith(".py"))
    return sorted(found)


def main():
    """Compile what has no bytecode, and write a tar of it to the drive; a list of all that is to have some comes first."""
    wanted = sources()
    listing = "".join(importlib.util.cache_from_source(name) + "\n" for name in wanted).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        item = tarfile.TarInfo("wanted")
        item.size = len(listing)
        tar.addfile(item, io.BytesIO(listing))
        for name in wanted:
            if os.path.exists(importlib.util.cache_from_source(name)):
                continue
            made = py_compile.compile(
                name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            tar.add(made)
    with open("/dev/vda", "r+b", buffering=0) as drive:
        drive.write(packed.getvalue())
        os.fsync(drive.fileno())
    print("COMPILED", flush=True)


sys.path.append("/usr/lib/everpin-sim")
main()
os.execv("/usr/bin/busybox", ["busybox", "poweroff", "-f"])  # noqa: S606 - there is no shell to want
