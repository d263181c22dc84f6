"""`everpin agent install`: the agent as a hardened systemd service, on this machine or in an image that is being built."""

import os
import re
import shutil
import sys

from . import unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_SYSTEM_PROGRAM = "/usr/bin/everpin"
# What needs no quoting in a unit, in TOML and in a shell.
_PLAIN = re.compile(r"/[A-Za-z0-9._@+/-]+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


class _Refused(Exception):
    """What cannot be installed: what happened, where, what next; `status` is the exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def _plain(path: str, option: str) -> str:
    if not _PLAIN.fullmatch(path) or "/../" in path + "/":
        raise _Refused(f"{option} {path}: say an absolute path of letters, digits and ._@+-/", 2)
    return path.rstrip("/")


def _program(args: "argparse.Namespace") -> str:
    if args.program is not None:
        return _plain(args.program, "--program")
    if args.root is not None:
        return _SYSTEM_PROGRAM
    found = shutil.which("everpin") or sys.argv[0]
    return _plain(os.path.abspath(found), "--program")


def _device(args: "argparse.Namespace") -> str:
    usual = os.path.expanduser("~/.local/share") if args.user else unit.STATE
    return _plain(args.device or usual + "/everpin", "--device")


def files(args: "argparse.Namespace") -> "dict[str, str]":
    """Return what is to be written: path on the machine, text. Raise `_Refused`."""
    program, device = _program(args), _device(args)
    if args.user:
        if args.root is not None or args.run_as is not None:
            raise _Refused(
                "--user is for this machine and yourself: without --root and --run-as", 2
            )
        home = os.path.expanduser("~")
        configs = os.environ.get("XDG_CONFIG_HOME") or home + "/.config"
        where = _plain(configs, "XDG_CONFIG_HOME") + "/everpin/agent.toml"
        return {
            where: unit.config(device, f"/run/user/{os.getuid()}/everpin/agent.json"),
            f"{configs}/systemd/user/{unit.NAME}": unit.unit(program, where, device, None),
        }
    user = args.run_as or unit.USER
    if not _USER.fullmatch(user):
        raise _Refused(f"--run-as {user}: say a user's name", 2)
    where = "/etc/everpin/agent.toml"
    found = {
        where: unit.config(device, "/run/everpin/agent.json"),
        f"/etc/systemd/system/{unit.NAME}": unit.unit(program, where, device, user),
    }
    if user == unit.USER:
        found["/etc/sysusers.d/everpin.conf"] = unit.sysusers()
    return found


def _place(root: str, path: str) -> str:
    """Return where a file of the image goes; an absolute link in the image must not lead out of it."""
    place = root + path
    folder = os.path.realpath(os.path.dirname(place))
    if root and folder != root and not folder.startswith(root + "/"):
        raise _Refused(f"{place}: a link leads out of {root}, to {folder}")
    return place


def _held(place: str) -> "str | None":
    try:
        with open(place, encoding="utf-8", errors="replace") as file:
            return file.read(64 * 1024)
    except FileNotFoundError:
        return None


def _write(place: str, text: str) -> None:
    """Write a file whole or not at all, mode 0644; folders that are lacking get 0755."""
    os.makedirs(os.path.dirname(place), mode=0o755, exist_ok=True)
    part = place + ".new"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with open(fd, "w", encoding="utf-8") as file:
        os.fchmod(fd, 0o644)  # whatever the umask is: the service's user reads it
        file.write(text)
    os.replace(part, place)


def _install(wanted: "dict[str, str]", root: str, force: bool) -> "list[str]":
    """Write what is not there yet; return a line for each file. Nothing is written when one of them may not be."""
    places = {_place(root, path): text for path, text in wanted.items()}
    held = {place: _held(place) for place in places}
    foreign = [
        place for place, text in places.items() if held[place] not in (None, text) and not force
    ]
    if foreign:
        raise _Refused(
            f"{', '.join(foreign)}: there already, and different; --force overwrites, --dry-run shows"
        )
    said = []
    for place, text in places.items():
        if held[place] == text:
            said.append(f"{place}: as it was")
            continue
        _write(place, text)
        said.append(f"{place}: written")
    return said


def _next(args: "argparse.Namespace", wanted: "dict[str, str]", root: str) -> "list[str]":
    """Return what is left to do, in the order of doing it."""
    device = _device(args)
    said = []
    if not os.path.exists(f"{root}{device}/device.json"):
        said.append(f"copy the device's folder, made by `everpin provision`, to {root}{device}")
    if args.user:
        return [
            *said,
            "systemctl --user daemon-reload",
            f"systemctl --user enable --now {unit.NAME}",
        ]
    if root:
        return [*said, f"systemctl --root={root} enable {unit.NAME}"]
    if "/etc/sysusers.d/everpin.conf" in wanted:
        said.append("systemd-sysusers")
    if not device.startswith(unit.STATE + "/"):
        said.append(f"chown -R {args.run_as or unit.USER}: {device}")
    return [*said, "systemctl daemon-reload", f"systemctl enable --now {unit.NAME}"]


def main(args: "argparse.Namespace") -> int:
    """Write the service's files; `args` as ports/cpython/verbs.py has them."""
    root = ""
    try:
        if args.root is not None:
            root = os.path.realpath(args.root)
            if not os.path.isdir(root):
                raise _Refused(f"--root {args.root}: no such folder")
            root = root.rstrip("/")
        wanted = files(args)
        if args.dry_run:
            for path, text in wanted.items():
                print(f"==> {root}{path}\n{text}")
            return 0
        for line in _install(wanted, root, args.force):
            print(line)
        for line in _next(args, wanted, root):
            print("next: " + line)
    except _Refused as problem:
        print(f"everpin: {problem}", file=sys.stderr)
        return problem.status
    except PermissionError as error:
        print(
            f"everpin: {error.filename}: permission denied; run it as root, with --user for yourself,"
            " or with --root DIR into an image",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"everpin: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0
