"""`everpin sim build mcu`: MicroPython's firmware for an emulated microcontroller, with the agent frozen in.

Everything comes from Debian: the sources as source packages of pinned versions, compiler and emulator as packages. Equal inputs give
equal bits. A build is kept under the hash of all that it was made from, so that the second call has nothing to do.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import debian
from .debian import NotAvailable, Tell
from .sources import DEVICE, agent_folder

BOARDS = ("an385", "an500")
SOURCE = Path(__file__).resolve().parent.parent / "boards"
_NO_SOURCES = shutil.ignore_patterns("__pycache__")
RAM_BYTES = 524288
# Stack and static data take so much; the linker script has no more.
RAM_MIN, RAM_MAX = 32768, 4194304

# (package, version, suite). The first that the mirror has is taken: a suite in the making moves on, a released one stays.
_MICROPYTHON = (
    ("micropython", "1.26.1+ds-1", "forky"),
    ("micropython", "1.25.0+ds-1", "trixie"),
)
_MBEDTLS = (("mbedtls", "3.6.6-0.1~deb13u1", "trixie"),)
_SUITES = ("trixie", "forky")
# Later versions of a released suite differ by security fixes alone: taken, and said, rather than no firmware.
_MBEDTLS_LATER = "3.6."

# The date in the firmware's banner.
_EPOCH = 1757740267

NEEDED = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "/usr/lib/arm-none-eabi/newlib/libc.a": "libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
    "gcc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
    "make": "make",
    "dpkg-source": "dpkg-dev",
    "patch": "patch",
    "xz": "xz-utils",
    "bzip2": "bzip2",
}
_TELL_EVERY_S = 5.0
# A firmware has half a megabyte, the objects of one configuration some forty.
_KEPT_FIRMWARE = 64
_KEPT_OBJECTS = 6


class BuildFailed(Exception):
    """The compiler or a tool said no; the text is the end of what it said."""


@dataclass(frozen=True)
class Firmware:
    """A built firmware: `elf`, the `control` header that it was made with, and what is known of it."""

    folder: Path
    board: str
    text_bytes: int
    sha256: str
    micropython: str
    mbedtls: str

    @property
    def elf(self) -> Path:
        """Return the firmware's file."""
        return self.folder / "firmware.elf"

    @property
    def control(self) -> Path:
        """Return the header of the control page."""
        return self.folder / "control.h"

    @property
    def machine(self) -> str:
        """Return the emulator's name of the board."""
        return "mps2-" + self.board


def ram_problem(ram: int) -> str:
    """Return what is wrong with a size of RAM, "" when nothing is."""
    if RAM_MIN <= ram <= RAM_MAX and ram % 16 == 0:
        return ""
    return f"a board has {RAM_MIN} to {RAM_MAX} bytes of RAM, a multiple of 16"


def cache_folder() -> Path:
    """Return where builds are kept."""
    named = os.environ.get("EVERPIN_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "everpin"


def build(
    board: str = "an385",
    agent: Path | None = None,
    ram: int = RAM_BYTES,
    tell: Tell = lambda _: None,
    without_agent: bool = False,
    cache: Path | None = None,
) -> Firmware:
    """Return the firmware of a board with that copy of agent/, built unless it is there; raise `NotAvailable` or `BuildFailed`."""
    if not (SOURCE / board).is_dir():
        raise NotAvailable(
            f"no board sources at {SOURCE}: they are in the source tree, not in the wheel"
        )
    files = {} if without_agent else _agent_files(agent or agent_folder())
    debian.require()
    debian.install(debian.lacking(NEEDED), tell)
    top = (cache or cache_folder()) / "mcu"
    with locked(top):
        sources = _sources(top, tell)
        inputs = hashlib.sha256(f"{board} {ram} {sources.name} {_compiler()}".encode())
        inputs.update(Path(__file__).read_bytes())
        hash_tree(inputs, SOURCE, "frozen")
        # Objects are shared by builds that differ in their frozen Python alone.
        objects = top / "objects" / inputs.hexdigest()[:16]
        for folder in (SOURCE / "frozen", DEVICE):
            hash_tree(inputs, folder)
        for name, path in sorted(files.items()):
            inputs.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
        done = top / "firmware" / inputs.hexdigest()[:16]
        if not (done / "build.json").exists():
            _build(board, ram, files, sources, objects, done, tell)
        for folder, kept in ((done, _KEPT_FIRMWARE), (objects, _KEPT_OBJECTS)):
            prune(folder, kept)
        return _read(done)


def prune(newest: Path, kept: int) -> None:
    """Note that a folder was used, and remove those beside it that were not for longest."""
    if newest.exists():
        os.utime(newest)
    found = sorted(newest.parent.iterdir(), key=lambda path: path.stat().st_mtime)
    for folder in found[:-kept]:
        shutil.rmtree(folder)


def _read(folder: Path) -> Firmware:
    said = json.loads((folder / "build.json").read_text())
    return Firmware(folder, **said)


@contextlib.contextmanager
def locked(top: Path) -> Iterator[None]:
    """Make a cache folder and hold it: two builds at a time would write into one. Raise `NotAvailable`."""
    try:
        top.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise NotAvailable(f"{top}: {problem.strerror}; EVERPIN_CACHE names another") from None
    with (top / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compiler() -> str:
    return _run(["arm-none-eabi-gcc", "--version"], SOURCE).splitlines()[0]


def hash_tree(into: "hashlib._Hash", folder: Path, but: str = "") -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not {but, "__pycache__"} & set(path.relative_to(folder).parts):
            into.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")


def _agent_files(agent: Path) -> dict[str, Path]:
    """Return what is frozen of a copy of agent/: its manifest and the files that its list names."""
    try:
        listing = json.loads((agent / "mip" / "package.json").read_text())
    except OSError:
        raise NotAvailable(f"{agent}: no copy of agent/ (it has no mip/package.json)") from None
    found = {"mip/" + name: agent / "mip" / name for name in ("manifest.py", "package.json")}
    found |= {target: agent / target for target, _ in listing["urls"]}
    for name, path in found.items():
        if not path.is_file():
            raise NotAvailable(f"{agent}: {name} is named in mip/package.json and is not there")
    return found


# ---- sources ---------------------------------------------------------------------------------------------------------


def _sources(top: Path, tell: Tell) -> Path:
    """Return the folder of MicroPython's source with mbedTLS in it and its cross compiler built."""
    ready = sorted((top / "sources").glob("*/.ready"))
    best = _name(_MICROPYTHON[0][1], _MBEDTLS[0][1])
    for mark in ready:
        if mark.parent.name == best:
            return mark.parent
    apt = debian.Sources(top / "downloads", _SUITES)
    try:
        tell("asking the mirror for MicroPython's and mbedTLS's source packages")
        apt.update()
        python = _choose(apt, _MICROPYTHON, "", tell)
        mbedtls = _choose(apt, _MBEDTLS, _MBEDTLS_LATER, tell)
    except NotAvailable:
        if ready:
            return ready[-1].parent  # made when the mirror could be reached
        raise
    target = top / "sources" / _name(python, mbedtls)
    if not (target / ".ready").exists():
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        tell(f"unpacking MicroPython {python} and mbedTLS {mbedtls}")
        _unpack(apt.download("micropython", python), target)
        # Debian's build uses the system's mbedTLS; a board has none.
        patch = target / "debian" / "patches" / "0006-extmod-Use-system-mbedtls.patch"
        _run(["patch", "-R", "-p1", "-s", "-i", str(patch)], target)
        shutil.rmtree(target / "lib" / "mbedtls", ignore_errors=True)
        _unpack(apt.download("mbedtls", mbedtls), target / "lib" / "mbedtls")
        tell("building mpy-cross")
        _run(["make", "-C", str(target / "mpy-cross"), f"-j{os.cpu_count()}"], target)
        (target / ".ready").touch()
    return target


def _name(micropython: str, mbedtls: str) -> str:
    return f"micropython_{micropython}_mbedtls_{mbedtls}"


def _choose(
    apt: debian.Sources, pins: tuple[tuple[str, str, str], ...], later: str, tell: Tell
) -> str:
    package, wanted, _ = pins[0]
    there = apt.versions(package)
    for _, version, _ in pins:
        if version in there:
            if version != wanted:
                tell(f"the mirror no longer has {package} {wanted}; taking {version}")
            return version
    for version in there:
        if later and version.startswith(later):
            tell(f"the mirror no longer has {package} {wanted}; taking {version}")
            return version
    raise NotAvailable(
        f"the mirror has no {package} {wanted}, but {', '.join(there) or 'none at all'}"
    )


def _unpack(dsc: Path, target: Path) -> None:
    # apt has verified the hash of each file against the signed lists.
    _run(["dpkg-source", "--no-check", "-x", str(dsc), str(target)], dsc.parent)


# ---- building --------------------------------------------------------------------------------------------------------


def _build(
    board: str,
    ram: int,
    files: dict[str, Path],
    sources: Path,
    objects: Path,
    done: Path,
    tell: Tell,
) -> None:
    shutil.rmtree(objects / "boards", ignore_errors=True)
    shutil.copytree(SOURCE, objects / "boards", ignore=_NO_SOURCES)
    shutil.copytree(DEVICE, objects / "boards" / "device", ignore=_NO_SOURCES)
    # `frozen/manifest.py` takes the agent from beside itself.
    for name, path in files.items():
        target = objects / "boards" / "agent" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    # What was frozen last is looked at by its time stamps, which say nothing about copies.
    shutil.rmtree(objects / "build" / "frozen_mpy", ignore_errors=True)
    (objects / "build" / "frozen_content.c").unlink(missing_ok=True)
    boards = objects / "boards"
    _make(
        [
            f"BOARD={board}",
            f"BOARD_DIR={boards / board}",
            f"BUILD={objects / 'build'}",
            f"USER_C_MODULES={boards / 'usermods'}",
            f"FROZEN_MANIFEST={boards / 'frozen' / 'manifest.py'}",
            f"PYTHON={sys.executable}",
            f"RAM_BYTES={ram}",
            f"CFLAGS_EXTRA=-ffile-prefix-map={objects}=. -ffile-prefix-map={sources}=micropython",
        ],
        sources / "ports" / "qemu",
        tell,
    )
    fresh = done.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.copyfile(objects / "build" / "firmware.elf", fresh / "firmware.elf")
    shutil.copyfile(boards / "usermods" / "board" / "control.h", fresh / "control.h")
    _, python, _, mbedtls = sources.name.split("_")
    said = {
        "board": board,
        "text_bytes": _text_bytes(fresh / "firmware.elf"),
        "sha256": hashlib.sha256((fresh / "firmware.elf").read_bytes()).hexdigest(),
        "micropython": python,
        "mbedtls": mbedtls,
    }
    (fresh / "build.json").write_text(json.dumps(said))
    shutil.rmtree(done, ignore_errors=True)
    fresh.rename(done)


def _make(variables: list[str], port: Path, tell: Tell) -> None:
    command = ["make", f"-j{os.cpu_count()}", "-C", str(port), *variables]
    lines: list[str] = []
    compiled, told = 0, time.monotonic()
    tell("compiling")
    with subprocess.Popen(
        command,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - Popen was given a pipe
        for line in process.stdout:
            lines.append(line)
            compiled += line.startswith(("CC ", "MPY "))
            if time.monotonic() - told > _TELL_EVERY_S:
                told = time.monotonic()
                tell(f"{compiled} files compiled")
    if process.returncode:
        # With several jobs the error is not the last that make says.
        wrong = [line for line in lines if ": error" in line or "***" in line]
        raise BuildFailed("".join(wrong[:15] or lines[-15:]))


def _environment() -> dict[str, str]:
    """Return an environment in which nothing of the caller's changes what is built."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C", "SOURCE_DATE_EPOCH": str(_EPOCH)}


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildFailed(f"{command[0]}: {(done.stderr or done.stdout)[-800:]}")
    return done.stdout


def _text_bytes(elf: Path) -> int:
    """Return the bytes of code and constants."""
    return int(_run(["arm-none-eabi-size", str(elf)], elf.parent).splitlines()[1].split()[0])
