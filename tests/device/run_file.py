"""Runs one file of device tests under MicroPython: the file is named by EVERPIN_TEST_FILE, of it one function by
EVERPIN_TEST_NAME or all. A JSON line for each function.
"""

import gc
import json
import os
import sys

# Code lies in this heap, on a board in flash. What compiling and importing leave between the modules must not be holes: the room
# that is measured is to be whole, as a board's is.
gc.threshold(256)
module = __import__(os.getenv("EVERPIN_TEST_FILE"))
gc.threshold(-1)
only = os.getenv("EVERPIN_TEST_NAME")
for name in sorted(dir(module)):
    if name == only or (not only and name.startswith("test_")):
        gc.collect()
        error = ""
        try:
            getattr(module, name)()
        except Exception as raised:  # noqa: BLE001 - whatever a test raises is its failure
            import io

            out = io.StringIO()
            sys.print_exception(raised, out)
            error = out.getvalue()
        print(json.dumps({"test": name, "error": error}))
print(json.dumps({"done": True}))
