"""Debian as the source of tools and sources: programs installed by apt, source packages downloaded and verified by apt.

Packages come through an apt configuration of their own, beside the machine's, which stays as it is. Its mirror is the one that the
machine's apt uses already, its keyring Debian's.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

Tell = Callable[[str], None]

OS_RELEASE = Path("/etc/os-release")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TAIL = 400


class NotAvailable(Exception):
    """What is needed cannot be had here; the text says what to do."""


def require() -> None:
    """Raise `NotAvailable` elsewhere than on Debian."""
    try:
        text = OS_RELEASE.read_text()
    except OSError:
        text = ""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if fields.get("ID", "").strip('"') != "debian":
        name = fields.get("PRETTY_NAME", "no Debian").strip('"')
        raise NotAvailable(f"emulated devices are built from Debian's packages; this is {name}")


def lacking(needed: dict[str, str]) -> list[str]:
    """Return the packages of `needed` ({program: package}) whose programs are not there."""
    return sorted({package for program, package in needed.items() if not _there(program)})


def _there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def install(packages: Iterable[str], tell: Tell) -> None:
    """Install packages, as root or by passwordless sudo; raise `NotAvailable` with the command that does it."""
    wanted = list(packages)
    if not wanted:
        return
    line = "apt-get install --no-install-recommends " + " ".join(wanted)
    prefix = _as_root()
    if prefix is None or os.environ.get("EVERPIN_NO_APT"):
        raise NotAvailable(f"lacking here: {', '.join(wanted)}; to install: sudo {line}")
    tell("installing " + " ".join(wanted))
    # Lists that cannot be renewed may still be good enough.
    _run([*prefix, "apt-get", "-qq", "update"], check=False)
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    done = _run(
        [*prefix, *quiet, *line.split(), "-qq", "-y", "-o", "DPkg::Lock::Timeout=300"],
        check=False,
    )
    if done.returncode:
        raise NotAvailable(f"apt did not install it: {_tail(done)}; by hand: sudo {line}")


def _as_root() -> list[str] | None:
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _run(["sudo", "-n", "true"], check=False).returncode == 0:
        return ["sudo", "-n"]
    return None


class _Apt:
    """An apt of its own in a folder, for some suites of the mirror; `_KIND` is the kind of line in its sources."""

    _KIND = ""

    def __init__(self, folder: Path, suites: Iterable[str], *options: str) -> None:
        self._folder = folder
        self._suites = tuple(suites)
        apt = folder / "apt"
        self._list = apt / "sources.list"
        self._options = [
            f"-oDir::Etc::SourceList={self._list}",
            "-oDir::Etc::SourceParts=/dev/null",
            f"-oDir::State::Lists={apt / 'lists'}",
            f"-oDir::Cache={apt / 'cache'}",
            "-oDir::Cache::pkgcache=",
            "-oDir::Cache::srcpkgcache=",
            "-oAPT::Sandbox::User=",
            *options,
        ]

    def update(self) -> None:
        """Read what the mirror has; raise `NotAvailable`."""
        if not _KEYRING.exists():
            raise NotAvailable(
                f"{_KEYRING} is lacking; to install: sudo apt-get install debian-archive-keyring"
            )
        self._list.parent.mkdir(parents=True, exist_ok=True)
        for name in ("lists/partial", "cache/archives/partial"):
            (self._list.parent / name).mkdir(parents=True, exist_ok=True)
        site = _mirror()
        self._list.write_text(
            "".join(
                f"{self._KIND} [signed-by={_KEYRING}] {site} {suite} main\n"
                for suite in self._suites
            )
        )
        done = _run(["apt-get", *self._options, "-qq", "update"], check=False)
        if done.returncode:
            raise NotAvailable(f"apt cannot read the mirror's lists: {_tail(done)}")

    def _show(self, *what: str) -> str:
        """Return what apt-cache says of a package."""
        return _run(["apt-cache", *self._options, *what], check=False).stdout


class Sources(_Apt):
    """Source packages of some suites, downloaded into a folder."""

    _KIND = "deb-src"

    def versions(self, package: str) -> list[str]:
        """Return the versions of a source package that the mirror has."""
        return _fields(self._show("showsrc", "--only-source", package), "Version")

    def download(self, package: str, version: str) -> Path:
        """Return the .dsc of a source package, whose files apt has verified; raise `NotAvailable`."""
        target = self._folder / f"{package}_{version}"
        target.mkdir(parents=True, exist_ok=True)
        command = ["apt-get", *self._options, "-qq", "source", "--download-only"]
        done = _run([*command, f"{package}={version}"], check=False, cwd=target)
        found = list(target.glob("*.dsc"))
        if done.returncode or not found:
            raise NotAvailable(f"apt cannot download {package} {version}: {_tail(done)}")
        return found[0]


class Packages(_Apt):
    """Binary packages of some suites for another machine, downloaded into a folder; nothing of them is installed."""

    _KIND = "deb"

    def __init__(self, folder: Path, suites: Iterable[str], machine: str) -> None:
        status = folder / "apt" / "status"
        status.parent.mkdir(parents=True, exist_ok=True)
        status.touch()  # an apt that knows of no installed package
        super().__init__(
            folder,
            suites,
            f"-oDir::State::status={status}",
            f"-oAPT::Architecture={machine}",
            f"-oAPT::Architectures={machine}",
            "-oAcquire::Languages=none",
            # One question a package is asked of it.
            "-oDir::Cache::pkgcache=packages.bin",
        )

    def versions(self, package: str) -> list[str]:
        """Return the versions of a package that the mirror has, newest first."""
        return _fields(self._show("show", "--all-versions", package), "Version")

    def depends(self, package: str, version: str) -> list[str]:
        """Return the names of what a package depends on."""
        said = _fields(self._show("show", f"{package}={version}"), "Depends")
        return [item.split()[0] for item in ", ".join(said).split(", ") if item.strip()]

    def _place(self, package: str, version: str) -> Path:
        return self._folder / f"{package}_{version.replace(':', '%3a')}"

    def downloaded(self, package: str, version: str) -> Path | None:
        """Return the .deb of a package that was downloaded before, None when it was not."""
        return next(iter(self._place(package, version).glob("*.deb")), None)

    def download(self, package: str, version: str) -> Path:
        """Return the .deb of a package, which apt has verified; raise `NotAvailable`."""
        target = self._place(package, version)
        fresh = target.with_name(target.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        done = _run(
            ["apt-get", *self._options, "-qq", "download", f"{package}={version}"],
            check=False,
            cwd=fresh,
        )
        if done.returncode or len(list(fresh.glob("*.deb"))) != 1:
            raise NotAvailable(f"apt cannot download {package} {version}: {_tail(done)}")
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
        return next(target.glob("*.deb"))


def _fields(said: str, name: str) -> list[str]:
    start = name + ": "
    return [line[len(start) :] for line in said.splitlines() if line.startswith(start)]


def _mirror() -> str:
    """Return the mirror of this machine's apt."""
    done = _run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], check=False
    )
    for site in done.stdout.split():
        if site.endswith("/debian/"):
            return site
    raise NotAvailable("this machine's apt has no mirror of Debian in its sources")


def _run(
    command: list[str], check: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(
        command, check=check, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )  # fmt: skip


def _tail(done: "subprocess.CompletedProcess[str]") -> str:
    return (
        " ".join((done.stderr or done.stdout).split())[-_TAIL:]
        or f"it ended with {done.returncode}"
    )
