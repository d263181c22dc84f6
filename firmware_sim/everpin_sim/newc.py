"""Archives in cpio's "newc" format, as Linux unpacks them for its first root file system: sorted, root's, without times."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file by its mode; `data` is its content, or where a link leads. A device's numbers stand in `device`."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


Tree = Mapping[str, Entry]

FOLDER = Entry(stat.S_IFDIR | 0o755)


def file(data: bytes, mode: int = 0o644) -> Entry:
    """Return a regular file."""
    return Entry(stat.S_IFREG | mode, data)


def link(target: str) -> Entry:
    """Return a symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _member(number: int, name: str, entry: Entry) -> bytes:
    encoded = name.encode() + b"\0"
    fields = (
        *(number, entry.mode, 0, 0, 2 if stat.S_ISDIR(entry.mode) else 1, 0, len(entry.data)),
        *(0, 0, *entry.device, len(encoded), 0),
    )
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(head + encoded) + _padded(entry.data)


def pack(tree: Tree) -> bytes:
    """Return the archive of a tree; folders that are not named in it are added. Linux takes several, one behind the other."""
    whole = dict(tree)
    for name in tree:
        above = name
        while above := above.rpartition("/")[0]:
            whole.setdefault(above, FOLDER)
    parts = [_member(number, name, whole[name]) for number, name in enumerate(sorted(whole), 1)]
    packed = b"".join((*parts, _member(0, "TRAILER!!!", Entry(0))))
    return packed + bytes(-len(packed) % 512)
