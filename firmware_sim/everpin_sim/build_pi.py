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
from .build_mcu import BuildFailed, cache_folder, hash_tree, locked
from .cuts import agent_folder
from .debian import NotAvailable, Tell
from .pi_userland import KERNELS, PACKAGES, PYTHON

MACHINES = tuple(KERNELS)
SOURCE = Path(__file__).resolve().parent.parent / "guest"
EMULATOR = "qemu-system-aarch64"
NEEDED = {
    EMULATOR: "qemu-system-arm",
    "dpkg-deb": "dpkg",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
_COMPILE_S = 600
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
            kept = (
                top
                / "bytecode"
                / (_inputs(installed, {name: fast[name][0] for name in fast}) + ".tar")
            )
            if not kept.exists():
                tell("the guest compiles its Python, in the emulator")
                _compile(fast, bare, kept)
            tell("packing the guest")
            _pack(machine, debs, {**bare, **_unpacked(kept)}, packages, done)
        return Guest(done, **json.loads((done / "build.json").read_text()))


def _inputs(installed: newc.Tree, versions: object) -> str:
    """Return the hash of what a build is made from."""
    inputs = hashlib.sha256(json.dumps(versions).encode())
    for module in (pi_userland, newc):
        inputs.update(Path(str(module.__file__)).read_bytes())
    inputs.update(Path(__file__).read_bytes())
    hash_tree(inputs, SOURCE)
    inputs.update(newc.pack(installed))
    return inputs.hexdigest()[:16]


def _installed(agent: Path) -> dict[str, newc.Entry]:
    """Return a copy of agent/ as `pip install` and `everpin agent install` leave it, and the guest's own programs."""
    if not (agent / "everpin" / "core").is_dir():
        raise NotAvailable(f"{agent}: no copy of agent/ (it has no everpin/core)")
    tree = {"init": newc.file((SOURCE / "init").read_bytes(), 0o755)}
    tree["usr/bin/everpin"] = newc.file(_SCRIPT.encode(), 0o755)
    for folder, place in (
        (SOURCE, "usr/lib/everpin-sim"),
        (agent / "everpin", PACKAGES + "/everpin"),
    ):
        for path in sorted(folder.rglob("*.py")):
            tree[f"{place}/{path.relative_to(folder)}"] = newc.file(path.read_bytes())
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


def _compile(debs: pi_userland.Debs, tree: newc.Tree, kept: Path) -> None:
    """Boot the guest once, to compile; leave the bytecode as a tar."""
    image, _, modules = pi_userland.kernel(debs, "virt")
    with tempfile.TemporaryDirectory(prefix="everpin-pi-") as name:
        folder = Path(name)
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
        try:
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMPILE_S,
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace")
            raise BuildFailed(
                f"the guest did not compile its Python in time: {said[-800:]}"
            ) from None
        said = (done.stdout + done.stderr).decode(errors="replace")
        if "COMPILED" not in said:
            raise BuildFailed(f"the guest did not compile its Python: {said[-1500:]}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".new")
        shutil.copyfile(folder / "drive", fresh)
        fresh.rename(kept)


def _unpacked(bytecode: Path) -> dict[str, newc.Entry]:
    with tarfile.open(bytecode) as tar:
        return {
            item.name: newc.file(data.read())
            for item in tar
            if (data := tar.extractfile(item)) is not None
        }


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
