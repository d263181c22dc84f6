# The firmware's own frozen files, and the agent where the build has put a copy of it beside this folder.
import os

include("$(MPY_DIR)/extmod/asyncio")
for name in ("_boot.py", "_agent.py", "figures.py", "onboard.py", "socket.py", "sweep.py"):
    module(name, opt=3)
# What judges a device in a sweep, the same files as in process.
for name in ("cutflash.py", "lives.py", "oracle.py", "rawrecords.py", "remote.py"):
    module(name, base_path="../device", opt=3)
if os.path.isdir("../agent"):
    include("../agent/mip/manifest.py")
