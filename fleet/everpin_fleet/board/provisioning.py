"""The files of a board's device, and the image that holds them."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .. import files
from ..errors import OperatorError
from . import agent_files, littlefs_image, partitions
from .boards import BLOCK, BOARDS, DEFAULT_FLASH, flash_bytes

# Where the device's folder lies on the board.
DEVICE = "device"
# What runs there.
PROGRAMS = sorted((Path(__file__).resolve().parent / "on_board").glob("*.py"))


@dataclass(frozen=True)
class Request:
    """What the operator wants of an image; `agent` is "mpy", "frozen" or "none"."""

    board: str = "esp32"
    agent: str = "mpy"
    table: Path | None = None
    flash: str = DEFAULT_FLASH
    main: Path | None = None


@dataclass
class Image:
    """An image, and what it is made of."""

    data: bytes
    partition: partitions.Partition
    groups: littlefs_image.Groups
    free_bytes: int
    number: tuple[int, int] = (0, 0)
    sizes: dict[str, int] = field(default_factory=dict)


def _device_group(folder: Path) -> littlefs_image.Groups:
    """Return a device folder's files, its certificates apart."""
    groups: littlefs_image.Groups = {"device": {}, "certificates": {}}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            group = "certificates" if path.suffix == ".pem" else "device"
            name = f"{DEVICE}/{path.relative_to(folder).as_posix()}"
            groups[group][name] = path.read_bytes()
    return groups


def _agent_groups(request: Request) -> littlefs_image.Groups:
    groups: littlefs_image.Groups = {"agent": {}, "programs": {}}
    if request.agent == "mpy":
        code = agent_files.compiled(agent_files.installed(), BOARDS[request.board].march)
        groups["agent"] = {"lib/" + name: data for name, data in code.items()}
    if request.agent != "none":
        groups["programs"] = {path.name: path.read_bytes() for path in PROGRAMS}
    if request.main is not None:
        groups["programs"]["main.py"] = files.read(request.main)
    return groups


def place(request: Request) -> partitions.Partition:
    """Return the partition that the image is for."""
    source = str(request.table) if request.table else "the default table"
    table = partitions.from_file(request.table)
    return partitions.file_system(table, flash_bytes(request.flash), source)


def make(request: Request, out: Path, device: Callable[[Path], tuple[int, int]]) -> Image:
    """Return an image; `device` writes the device's folder where it is told to, and returns its document's number."""
    partition = place(request)
    groups = _agent_groups(request)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # The folder holds the device's key; mkdtemp makes it for its owner alone.
        with tempfile.TemporaryDirectory(prefix=".everpin-", dir=out.parent) as folder:
            number = device(Path(folder) / DEVICE)
            groups = _device_group(Path(folder) / DEVICE) | groups
    except OSError as error:
        raise OperatorError(str(error.strerror), str(out.parent)) from None
    data, free = littlefs_image.build(groups, partition.size, str(out))
    sizes = {name: sum(map(len, names.values())) for name, names in groups.items()}
    return Image(data, partition, groups, free * BLOCK, number, sizes)


def write_files(groups: littlefs_image.Groups, folder: Path) -> None:
    """Write the same files into an empty folder, for its owner alone: for a board that is reached by mpremote only."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            raise OperatorError("this folder is not empty", str(folder), "name a new one")
    except OSError as error:
        raise OperatorError(str(error.strerror), str(folder)) from None
    for names in groups.values():
        for name, data in names.items():
            files.write(folder / name, data, 0o600)
