"""`everpin sim build pi`: the guest of an emulated Raspberry Pi, Linux and CPython from Debian's arm64 packages, with the agent installed.

Packages have pinned versions and are verified by apt; nobody has to be root, and no program of the other machine runs here but in
the emulator: there the guest compiles its own bytecode. Equal inputs give equal bits. A build is kept under the hash of all that it
was made from, so that the second call has nothing to do.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import debian, newc, pi_userland
from .build_mcu import BuildFailed, cache_folder, locked, prune
from .debian import NotAvailable, Tell
from .pi_userland import KERNELS, PACKAGES, PYTHON
from .sources import agent_folder

MACHINES = tuple(KERNELS)
SOURCE = Path(__file__).resolve().parent.parent / "guest"
EMULATOR = "qemu-system-aarch64"
NEEDED = {
    EMULATOR: "qemu-system-arm",
    "dpkg-deb": "dpkg",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
# What of it is in every guest.
_OWN = ("compile.py", "start.py")
_COMPILE_S = 600
# A guest has some seventy megabytes, its snapshot a hundred and thirty.
_KEPT = 6
_DRIVE_BYTES = 32 << 20
_SCRIPT = f"""#!/usr/bin/{PYTHON}
import sys

from everpin.ports.cpython.cli import main

sys.exit(main())
"""


@dataclass(frozen=True)
class Guest:
    """A built guest: what the emulator boots, and what is known of it. `packages` are versions by package."""

    folder: Path
    machine: str
    bytes: int
    sha256: str
    packages: dict[str, str]

    @property
    def kernel(self) -> Path:
        """Return the kernel's file."""
        return self.folder / "kernel"

    @property
    def initramfs(self) -> Path:
        """Return the file of the first and only root file system."""
        return self.folder / "initramfs"

    @property
    def device_tree(self) -> Path | None:
        """Return the device tree's file, None where the emulator brings one."""
        named = self.folder / "device-tree"
        return named if named.exists() else None


def build(
    machine: str = "virt",
    agent: Path | None = None,
    tell: Tell = lambda _: None,
    cache: Path | None = None,
) -> Guest:
    """Return the guest for a machine with that copy of agent/, built unless it is there; raise `NotAvailable` or `BuildFailed`."""
    if not SOURCE.is_dir():
        raise NotAvailable(
            f"no guest sources at {SOURCE}: they are in the source tree, not in the wheel"
        )
    installed = _installed(agent or agent_folder())
    debian.require()
    debian.install(debian.lacking(NEEDED), tell)
    top = (cache or cache_folder()) / "pi"
    with locked(top):
        debs = pi_userland.debs(top / "downloads", machine, tell)
        packages = {name: version for name, (version, _) in debs.items()}
        inputs = _inputs(installed, [machine, packages])
        done = top / "guest" / inputs
        if not (done / "build.json").exists():
            # Bytecode is the same on both machines; it comes from the one that the emulator runs faster.
            fast = debs if machine == "virt" else pi_userland.debs(top / "downloads", "virt", tell)
            bare = {**pi_userland.userland(fast), **installed}
            tell("the guest compiles its Python, in the emulator")
            whole = _with_bytecode(fast, bare, top / "bytecode")
            tell("packing the guest")
            _pack(machine, debs, whole, packages, done)
        prune(done, _KEPT)
        return Guest(done, **json.loads((done / "build.json").read_text()))


def _inputs(installed: newc.Tree, versions: object) -> str:
    """Return the hash of what a build is made from."""
    inputs = hashlib.sha256(json.dumps(versions).encode())
    for module in (pi_userland, newc):
        inputs.update(Path(str(module.__file__)).read_bytes())
    inputs.update(Path(__file__).read_bytes())
    inputs.update(newc.pack(installed))
    return inputs.hexdigest()[:16]


def _installed(agent: Path) -> dict[str, newc.Entry]:
    """Return a copy of agent/ as `pip install` and `everpin agent install` leave it, and the guest's own programs."""
    if not (agent / "everpin" / "core").is_dir():
        raise NotAvailable(f"{agent}: no copy of agent/ (it has no everpin/core)")
    tree = {"init": newc.file((SOURCE / "init").read_bytes(), 0o755)}
    tree["usr/bin/everpin"] = newc.file(_SCRIPT.encode(), 0o755)
    for name in _OWN:
        tree[f"usr/lib/everpin-sim/{name}"] = newc.file((SOURCE / name).read_bytes())
    for path in sorted((agent / "everpin").rglob("*.py")):
        name = str(path.relative_to(agent))
        tree[f"{PACKAGES}/{name}"] = newc.file(path.read_bytes())
    with tempfile.TemporaryDirectory(prefix="everpin-pi-") as root:
        command = ["-m", "everpin.ports.cpython.cli", "agent", "install", "--root", root]
        env = {**os.environ, "PYTHONPATH": str(agent)}
        done = subprocess.run(
            [sys.executable, "-B", *command],
            check=False,
            cwd=root,
            env=env,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise BuildFailed(f"everpin agent install: {done.stderr[-800:]}")
        for path in sorted(Path(root).rglob("*")):
            if path.is_file():
                tree[str(path.relative_to(root))] = newc.file(path.read_bytes())
    return tree


def _with_bytecode(debs: pi_userland.Debs, tree: newc.Tree, pool: Path) -> dict[str, newc.Entry]:
    """Return a tree with the bytecode of what is imported there, by the guest's own compiler.

    `pool` keeps bytecode under the hash of its source, place and interpreter: what was compiled once is not compiled again.
    """
    pool.mkdir(parents=True, exist_ok=True)
    interpreter = debs[f"{PYTHON}-minimal"][0]
    kept: dict[str, Path] = {}
    for name, item in tree.items():
        if name.endswith(".py"):
            key = hashlib.sha256(f"{interpreter}\0{name}\0".encode() + item.data).hexdigest()
            kept[_bytecode_of(name)] = pool / (key[:32] + ".pyc")
    found = {name: newc.file(path.read_bytes()) for name, path in kept.items() if path.exists()}
    made = _compile(debs, {**tree, **found})
    wanted = made.pop("wanted").decode().split()
    for name, data in made.items():
        fresh = kept[name].with_suffix(".new")
        fresh.write_bytes(data)
        fresh.rename(kept[name])
        found[name] = newc.file(data)
    # What another copy of the agent imported may lie in the pool as well: the same source gives the same guest.
    return {**tree, **{name[1:]: found[name[1:]] for name in wanted}}


def _bytecode_of(source: str) -> str:
    folder, _, name = source.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-{PYTHON[6:].replace('.', '')}.pyc"


def _compile(debs: pi_userland.Debs, tree: newc.Tree) -> dict[str, bytes]:
    """Boot the guest once; return the bytecode that was lacking by name, and as "wanted" the names of all that there is to be."""
    image, _, modules = pi_userland.kernel(debs, "virt")
    with tempfile.TemporaryDirectory(prefix="everpin-pi-") as where:
        folder = Path(where)
        (folder / "kernel").write_bytes(image)
        (folder / "initramfs").write_bytes(newc.pack({**tree, **modules}))
        with (folder / "drive").open("wb") as drive:
            drive.truncate(_DRIVE_BYTES)
        command = [
            *(EMULATOR, "-machine", "virt,gic-version=2", "-cpu", "cortex-a53", "-m", "512"),
            *("-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"),
            *("-kernel", str(folder / "kernel"), "-initrd", str(folder / "initramfs")),
            *("-append", "console=ttyAMA0 quiet loglevel=3 panic=-1 rdinit=/init everpin.compile"),
            *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-device,netdev=net"),
            *("-drive", f"if=none,id=drive,format=raw,file={folder / 'drive'}"),
            *("-device", "virtio-blk-device,drive=drive"),
        ]
        late = ""
        try:
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMPILE_S,
            )
            said = (done.stdout + done.stderr).decode(errors="replace")
        except subprocess.TimeoutExpired as problem:
            late, said = " in time", (problem.stdout or b"").decode(errors="replace")
        if late or "COMPILED" not in said:
            raise BuildFailed(f"the guest did not compile its Python{late}: {said[-1500:]}")
        with tarfile.open(folder / "drive") as tar:
            return {item.name: tar.extractfile(item).read() for item in tar}  # type: ignore[union-attr]


def _pack(
    machine: str, debs: pi_userland.Debs, tree: newc.Tree, packages: dict[str, str], done: Path
) -> None:
    image, device_tree, modules = pi_userland.kernel(debs, machine)
    fresh = done.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    packed = newc.pack({**tree, **modules})
    (fresh / "kernel").write_bytes(image)
    (fresh / "initramfs").write_bytes(packed)
    if device_tree:
        (fresh / "device-tree").write_bytes(device_tree)
    said = {
        "machine": machine,
        "bytes": len(packed),
        "sha256": hashlib.sha256(image + device_tree + packed).hexdigest(),
        "packages": packages,
    }
    (fresh / "build.json").write_text(json.dumps(said))
    shutil.rmtree(done, ignore_errors=True)
    fresh.rename(done)
