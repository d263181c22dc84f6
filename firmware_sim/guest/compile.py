"""Compile what the launcher imports and all of the agent, once when the image is made: the bytecode goes to the host by the drive.

The same source gives the same bytecode, whatever Python the host has; and no boot of an emulated Pi compiles anything.
"""

import io
import os
import py_compile
import runpy
import sys
import tarfile

PLACES = ("/usr/lib/python3",)


def sources():
    """Return the files to compile: those of modules that were imported, and every one of the agent's."""
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
    """Compile, and write a tar of it to the drive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in sources():
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
