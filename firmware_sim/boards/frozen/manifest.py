# The firmware's own frozen files, and the agent's where the build has put a copy of it beside this folder.
import os

include("$(MPY_DIR)/extmod/asyncio")
for name in ("_boot.py", "socket.py"):
    module(name, opt=3)
if os.path.isdir("../agent"):
    for name in ("_agent.py", "onboard.py", "sweep.py"):
        module(name, opt=3)
    # What judges a device in a sweep, the same files as in process.
    for name in ("cutflash.py", "lives.py", "oracle.py", "rawrecords.py"):
        module(name, base_path="../device", opt=3)
    include("../agent/mip/manifest.py")
