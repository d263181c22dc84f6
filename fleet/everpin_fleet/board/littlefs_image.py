"""A littlefs as MicroPython reads it, made from files; and what the first two blocks of one on a board tell."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import littlefs

from everpin.core.store import REGION_BYTES

from ..errors import OperatorError
from .boards import BLOCK

Groups = dict[str, dict[str, bytes]]

# MicroPython's defaults (extmod/vfs_lfsx.c), so that files lie as the board would lay them: one as small as the cache inside its
# directory.
_READ = _PROG = _LOOKAHEAD = 32
_CACHE = 4 * _PROG
_CYCLES = 100
# Every littlefs 2 reads version 2.0; a newer one raises it to its own at its first write.
_DISK_VERSION = 0x00020000
# What the device writes later: every sector of its region once more, and directories that split.
RESERVE_BLOCKS = REGION_BYTES // BLOCK + 8
_NO_SPACE = -28
_MAGIC = b"littlefs"


def _open(context: "littlefs.UserContext", blocks: int, version: int) -> littlefs.LittleFS:
    return littlefs.LittleFS(
        context=context,
        mount=False,
        block_size=BLOCK,
        block_count=blocks,
        read_size=_READ,
        prog_size=_PROG,
        cache_size=_CACHE,
        lookahead_size=_LOOKAHEAD,
        block_cycles=_CYCLES,
        disk_version=version,
    )


def build(groups: Groups, size: int, where: str) -> tuple[bytes, int]:
    """Return (the image, free blocks); an image without room for what the device will write is refused."""
    context = littlefs.UserContext(size)
    system = _open(context, size // BLOCK, _DISK_VERSION)
    try:
        system.format()
        system.mount()
        for names in groups.values():
            for name, data in sorted(names.items()):
                folder = name.rpartition("/")[0]
                if folder:
                    system.makedirs(folder, exist_ok=True)
                with system.open(name, "wb") as file:
                    file.write(data)
        free = system.block_count - system.used_block_count
        system.unmount()
    except littlefs.LittleFSError as error:
        if error.code != _NO_SPACE:
            raise OperatorError(f"no file system can be made ({error})", where) from None
        free = -1
    except OSError:
        free = -1
    if free < RESERVE_BLOCKS:
        short = "it does not fit" if free < 0 else f"it leaves {free * BLOCK} bytes free"
        raise OperatorError(
            f"{short}: {told(groups)}; the partition has {size} bytes, and the device needs {RESERVE_BLOCKS * BLOCK} of them for its updates",
            where,
            "freeze the agent into the firmware (--agent frozen), or give a larger partition with --partition-table or --flash-size",
        )
    return bytes(context.buffer), free


def told(groups: Groups) -> str:
    """Return the bytes of each group of files, in words."""
    parts = (f"{name} {sum(map(len, names.values()))}" for name, names in groups.items() if names)
    return ", ".join(parts) + " bytes"


@contextmanager
def _mounted(image: bytes, where: str) -> Iterator[tuple[littlefs.LittleFS, bytearray]]:
    """Give an image's file system, and the bytes that it changes; raise `OperatorError`."""
    if not is_littlefs(image) or len(image) % BLOCK:
        raise OperatorError("this is no image of a littlefs", where, "everpin provision makes one")
    held = bytearray(image)
    try:
        # 0: whatever is there.
        system = _open(littlefs.UserContext(buffer=held), len(image) // BLOCK, 0)
        system.mount()
        yield system, held
    except littlefs.LittleFSError as error:
        if error.code == _NO_SPACE:
            raise OperatorError("the file system is full", where) from None
        raise OperatorError(
            f"this image is damaged ({error})", where, "make it anew with everpin provision"
        ) from None


def contents(image: bytes, where: str) -> dict[str, int]:
    """Return {path: bytes} of an image."""
    found = {}
    with _mounted(image, where) as (system, _):
        for path, _, names in system.walk("/"):
            for name in names:
                inside = (path.rstrip("/") + "/" + name).lstrip("/")
                found[inside] = system.stat(inside).size
    return found


def folder(image: bytes, path: str, where: str) -> dict[str, bytes]:
    """Return {name: content} of the files in one folder of an image."""
    found = {}
    with _mounted(image, where) as (system, _):
        for name in system.listdir(path):
            with system.open(f"{path}/{name}", "rb") as file:
                found[name] = file.read()
    return found


def with_folder(image: bytes, path: str, files: dict[str, bytes], where: str) -> bytes:
    """Return an image in which one folder holds these files, and no others."""
    with _mounted(image, where) as (system, held):
        for name in system.listdir(path):
            system.remove(f"{path}/{name}")
        for name, data in files.items():
            with system.open(f"{path}/{name}", "wb") as file:
                file.write(data)
        system.unmount()
        return bytes(held)


def is_littlefs(start: bytes) -> bool:
    """Return whether a littlefs begins here: one of its first two blocks says so (littlefs SPEC.md, superblock)."""
    return _MAGIC in (start[8:16], start[BLOCK + 8 : BLOCK + 16])


def root_names(start: bytes) -> set[str] | None:
    """Return the names in the root directory, those of the recent past among them; None where two blocks do not tell them all.

    A mount would walk all directories, which lie anywhere: reading them over a serial line takes a minute.
    """
    names: set[str] = set()
    for block in (start[:BLOCK], start[BLOCK : 2 * BLOCK]):
        at, before = 4, 0xFFFFFFFF
        while at + 4 <= len(block):
            # littlefs SPEC.md, "Metadata tags": big-endian, each xored with the one before; the top bit is 0 in a valid one.
            tag = struct.unpack_from(">I", block, at)[0] ^ before
            if tag >> 31:
                break
            kind, length = tag >> 20, tag & 0x3FF
            length = 0 if length == 0x3FF else length
            if kind in (0x001, 0x002):
                names.add(block[at + 4 : at + 4 + length].decode("utf-8", "replace"))
            elif kind == 0x601:  # a hard tail: the directory goes on elsewhere
                return None
            at += 4 + length
            # A checksum's lowest bit says what the next tag's top bit looks like.
            before = tag ^ ((kind & 1) << 31 if kind >> 8 == 0x5 and kind != 0x5FF else 0)
    return names
