"""What an emulated Pi runs, out of Debian's arm64 packages: kernels with their modules, and CPython with the agent's libraries.

Packages are unpacked, not installed: nothing of another machine is run here, and nobody has to be root.
"""

import io
import lzma
import re
import stat
import subprocess
import tarfile
from collections.abc import Collection
from pathlib import Path

from . import newc
from .debian import NotAvailable, Packages, Tell

# Raspberry Pi OS is built on this one. A released suite keeps its versions but for security fixes and point releases.
SUITE = "trixie"

USERLAND = {
    "busybox-static": "1:1.37.0-6+b9",
    "libbz2-1.0": "1.0.8-6",
    "libc6": "2.41-12+deb13u5",
    "libexpat1": "2.9.0-1~deb13u1",
    "libffi8": "3.4.8-2",
    "libgcc-s1": "14.2.0-19",
    "liblzma5": "5.8.1-1+deb13u2",
    "libpython3.13-minimal": "3.13.5-2+deb13u5",
    "libpython3.13-stdlib": "3.13.5-2+deb13u5",
    "libssl3t64": "3.5.9-1~deb13u1",
    "libzstd1": "1.5.7+dfsg-1",
    "libuuid1": "2.41.5-0+deb13u1",
    "openssl-provider-legacy": "3.5.9-1~deb13u1",
    "python3-cffi-backend": "1.17.1-3",
    "python3-cryptography": "43.0.0-3+deb13u1",
    "python3-paho-mqtt": "2.1.0-1",
    "python3.13-minimal": "3.13.5-2+deb13u5",
    "zlib1g": "1:1.3.dfsg+really1.3.1-1+deb13u1",
}
# By machine: the package that depends on the kernel of the day, and that kernel.
KERNELS = {
    "virt": ("linux-image-cloud-arm64", "linux-image-6.12.117+deb13-cloud-arm64", "6.12.117-1"),
    "raspi3b": ("linux-image-arm64", "linux-image-6.12.117+deb13-arm64", "6.12.117-1"),
}
# What its kernel has as modules, in no order.
MODULES = {
    "virt": ("virtio_mmio", "virtio_net", "virtio_blk"),
    "raspi3b": (
        "phy_generic",
        "dwc2",
        "usbnet",
        "cdc_ether",
        "bcm2835",
        "bcm2835_rng",
        "bcm2835_wdt",
    ),
}
DEVICE_TREES = {"virt": "", "raspi3b": "bcm2837-rpi-3-b.dtb"}

PYTHON = "python3.13"
PACKAGES = "usr/lib/python3/dist-packages"

# No device of this kind looks at it, and it would lie in its RAM.
_DROPPED = re.compile(
    r"usr/(share/|lib/systemd|lib/aarch64-linux-gnu/(gconv|audit|engines-3|libBrokenLocale|libnss_hesiod)"
    rf"|lib/{PYTHON}/(test|idlelib|tkinter|pydoc_data|ensurepip|curses|sqlite3|turtledemo|unittest|venv|dbm|wsgiref|_pyrepl|xmlrpc|__phello__)/"
    rf"|lib/{PYTHON}/(lib-dynload/(_codecs_|_sqlite3|_curses|_dbm|_gdbm|_test|_xx|_tkinter|readline|_interp)|turtle|_pydecimal)"
    r"|bin/(getconf|iconv|locale|localedef|ldd|tzselect|zdump|catchsegv|pldd|getent)|sbin/)"
)
_MERGED = ("bin", "lib", "sbin")


# Package, version and file of each.
Debs = dict[str, tuple[str, Path]]


def debs(folder: Path, machine: str, tell: Tell) -> Debs:
    """Return the packages for a machine, downloaded unless they are there; raise `NotAvailable`.

    Where the mirror no longer has a pinned version, its newest one is taken, and said.
    """
    meta, kernel_name, kernel_version = KERNELS[machine]
    pins = {**USERLAND, kernel_name: kernel_version}
    apt = Packages(folder, (SUITE,), "arm64")
    found: Debs = {}
    for name, version in pins.items():
        there = apt.downloaded(name, version)
        if there is not None:
            found[name] = version, there
    if len(found) == len(pins):
        return found
    tell("asking the mirror for arm64 packages")
    apt.update()
    for name, version in pins.items():
        if name in found:
            continue
        taken, chosen = name, version
        if version not in apt.versions(name):
            if name == kernel_name:
                taken = _kernel_of(apt, meta)
            chosen = next(iter(apt.versions(taken)), "")
            if not chosen:
                raise NotAvailable(f"the mirror has no {name} at all")
            tell(f"the mirror no longer has {name} {version}; taking {taken} {chosen}")
        tell(f"downloading {taken} {chosen}")
        found[taken] = chosen, apt.download(taken, chosen)
    return dict(sorted(found.items()))


def _kernel_of(apt: Packages, meta: str) -> str:
    for version in apt.versions(meta)[:1]:
        for name in apt.depends(meta, version):
            if name.startswith("linux-image-"):
                return name
    raise NotAvailable(f"the mirror's {meta} names no kernel")


def unpack(deb: Path, wanted: "re.Pattern[str] | None" = None) -> dict[str, newc.Entry]:
    """Return what a package holds, or what of it matches; raise `NotAvailable` where dpkg-deb cannot read it."""
    done = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], check=False, capture_output=True
    )
    if done.returncode:
        raise NotAvailable(f"dpkg-deb cannot read {deb}: {done.stderr.decode().strip()}")
    found: dict[str, newc.Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        for item in tar:
            name = item.name.removeprefix("./").strip("/")
            if name.split("/")[0] in _MERGED:
                name = "usr/" + name
            if not name or (wanted is not None and not wanted.search(name)):
                continue
            if item.issym():
                found[name] = newc.link(item.linkname)
            elif item.isreg() or item.islnk():
                data = tar.extractfile(item)
                assert data is not None  # noqa: S101 - it is a regular file
                found[name] = newc.file(data.read(), item.mode & 0o755)
    return found


def userland(found: Debs) -> dict[str, newc.Entry]:
    """Return the first root file system without kernel modules and agent."""
    tree = {name: newc.link("usr/" + name) for name in _MERGED}
    for _, deb in (item for name, item in found.items() if not name.startswith("linux-image-")):
        tree |= {name: item for name, item in unpack(deb).items() if not _DROPPED.match(name)}
    tree["usr/bin/python3"] = newc.link(PYTHON)
    tree["usr/bin/sh"] = newc.link("busybox")
    for name in ("dev", "proc", "run", "sys", "tmp", "var/lib"):
        tree[name] = newc.FOLDER
    # The kernel gives it to the first process.
    tree["dev/console"] = newc.Entry(stat.S_IFCHR | 0o600, device=(5, 1))
    return tree


def kernel(of: Debs, machine: str) -> tuple[bytes, bytes, dict[str, newc.Entry]]:
    """Return a kernel, its device tree (empty where the machine brings one), and its modules with the order of loading."""
    (deb,) = (deb for name, (_, deb) in of.items() if name.startswith("linux-image-"))
    found = unpack(deb, re.compile(r"^boot/vmlinuz|/kernel/.*\.ko|modules\.builtin$|\.dtb$"))
    image = next(item.data for name, item in found.items() if name.startswith("boot/vmlinuz"))
    named = DEVICE_TREES[machine]
    trees = [item.data for name, item in found.items() if named and name.endswith("/" + named)]
    modules = {_module(name): item.data for name, item in found.items() if ".ko" in name}
    tree, order = {}, _order(modules, MODULES[machine])
    for name in order:
        tree[f"lib/modules/{name}.ko"] = newc.file(_plain(modules[name]))
    tree["lib/modules/order"] = newc.file("".join(name + "\n" for name in order).encode())
    return image, trees[0] if trees else b"", {"usr/" + name: item for name, item in tree.items()}


def _module(path: str) -> str:
    return path.rsplit("/", 1)[-1].partition(".ko")[0].replace("-", "_")


def _plain(module: bytes) -> bytes:
    return lzma.decompress(module) if module.startswith(b"\xfd7zXZ") else module


def _order(modules: dict[str, bytes], wanted: Collection[str]) -> list[str]:
    """Return modules, each behind those that it depends on; what is not there is built in."""
    order: list[str] = []

    def take(name: str) -> None:
        if name in modules and name not in order:
            found = re.search(rb"\0depends=([^\0]*)\0", b"\0" + _plain(modules[name]))
            for other in (found[1] if found else b"").decode().split(","):
                take(other.replace("-", "_"))
            order.append(name)

    for name in wanted:
        take(name)
    return order
