"""The image of a board's file system: MicroPython's own littlefs mounts it, and the agent starts from it."""

import datetime
import json
import shutil
from pathlib import Path

import pytest

from board_ground import DEVICE, Boards, on_board
from everpin.core.store import REGION_BYTES
from everpin.ports.cpython import cli
from everpin.ports.device import Device
from everpin_fleet.board import agent_files, littlefs_image, partitions
from everpin_fleet.board.boards import BLOCK, BOARDS
from everpin_fleet.errors import OperatorError
from everpin_sim import pki

SIZE = 2 << 20
OPEN = """
import json, everpin
device = everpin.Device("device")
agent = device.agent
secrets = agent.secrets and list(agent.secrets.wifi)
print(json.dumps([agent.device, list(agent.number), agent.trust_digest().hex(), secrets, everpin.__file__]))
"""


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Boards:
    return Boards(tmp_path_factory.mktemp("boards"))


def refused(capsys: pytest.CaptureFixture[str], argv: list[str], status: int = 1) -> str:
    """Run what must be refused; return its one line."""
    capsys.readouterr()
    assert cli.main(argv) == status
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("everpin: ") and err.count("\n") == 1, err
    return err


# ---- on MicroPython -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["sectors", "file"])
def test_the_agent_starts_from_the_image_with_its_trust_and_its_secrets(
    boards: Boards, region: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "image.bin", tmp_path / "files"
    said = boards.image(out, capsys, "--files", str(folder), "--region", region)
    assert said["offset"] == 0x200000 and said["size"] == SIZE == out.stat().st_size
    assert said["bytes"]["agent"] > 50000 and said["bytes"]["certificates"] == 0
    here = Device(str(folder / "device"), writer=False)
    digest = here.agent.trust_digest().hex()
    here.close()
    lines = on_board(out, OPEN)
    wanted = [DEVICE, said["number"], digest, ["Plant", "watt"], "/lib/everpin/__init__.mpy"]
    assert json.loads(lines[-1]) == wanted


def test_a_board_takes_updates_on_the_image_and_has_them_at_its_next_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boards = Boards(tmp_path)
    out = tmp_path / "image.bin"
    boards.image(out, capsys)
    documents = []
    for number in range(2, 8):
        boards.sign()
        documents.append((boards.folder / "pins" / f"1-{number}.cbor").read_bytes())
    give = "".join(
        f"print(agent.receive(agent.topics()[2], {document!r}))\n" for document in documents
    )
    assert on_board(out, OPEN + give)[-6:] == ["accepted"] * 6
    assert json.loads(on_board(out, OPEN)[-1])[1] == [1, 7]


def test_every_size_of_file_reads_back_on_micropythons_littlefs(tmp_path: Path) -> None:
    sizes = [0, 1, 127, 128, 129, 200, 511, 512, 600, 1022, 1023, 4095, 4096, 4097, 20000]
    files = {f"d/{size}": bytes(at % 251 for at in range(size)) for size in sizes}
    image, free = littlefs_image.build({"some": files}, 512 * 1024, "here")
    (tmp_path / "image").write_bytes(image)
    assert littlefs_image.contents(image, "here") == {
        name: len(data) for name, data in files.items()
    }
    code = "print([n for n in os.listdir('/d') if open('/d/' + n, 'rb').read() != bytes(at % 251 for at in range(int(n)))], len(os.listdir('/d')))"
    assert on_board(tmp_path / "image", code) == [f"[] {len(sizes)}"]
    assert free > littlefs_image.RESERVE_BLOCKS


def test_the_boards_main_joins_the_network_of_the_sealed_secrets_and_runs_the_agent(
    boards: Boards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "image.bin"
    boards.image(out, capsys)
    stop = """
import everpin.ports.micropython.main as runner
runner.main = lambda device: print("agent", device.agent.device)
exec(open("/boot.py").read())
exec(open("/main.py").read())
"""
    assert on_board(out, stop) == ["wifi Plant", f"agent {DEVICE}"]


# ---- what is in it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["frozen", "none"])
def test_without_the_agent_the_image_holds_the_device_and_only_programs_for_it(
    boards: Boards, agent: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "image.bin"
    said = boards.image(out, capsys, "--agent", agent)
    found = littlefs_image.contents(out.read_bytes(), "here")
    assert said["bytes"]["agent"] == 0 and "device/device.json" in found
    programs = {"boot.py", "main.py"} if agent == "frozen" else set()
    assert {name for name in found if not name.startswith("device/")} == programs


def test_the_image_holds_what_the_operator_gives(
    boards: Boards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "image.bin"
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(1)
    identity = pki.root("lamp", soon)
    cert, key = identity.save(tmp_path, "lamp")
    (tmp_path / "own.py").write_text("print('mine')\n")
    more = (
        "--client-cert",
        str(cert),
        "--client-key",
        str(key),
        "--main",
        str(tmp_path / "own.py"),
    )
    said = boards.image(out, capsys, *more)
    found = littlefs_image.contents(out.read_bytes(), "here")
    assert said["bytes"]["certificates"] == found["device/client.pem"] == len(identity.pem())
    assert found["main.py"] == len("print('mine')\n")
    lines = on_board(out, OPEN + "print(len(device.client_key), device.client_cert)")
    assert lines[-1].endswith(" device/client.pem")


def test_an_image_holds_keys_so_it_is_for_its_owner_alone_and_is_not_made_twice(
    boards: Boards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "image.bin", tmp_path / "files"
    boards.image(out, capsys, "--files", str(folder))
    for path in (out, folder, *(path for path in folder.rglob("*") if path.is_file())):
        assert path.stat().st_mode & 0o077 == 0, path
    before = out.read_bytes()
    assert "--force makes it anew" in refused(capsys, boards.argv(out))
    assert out.read_bytes() == before
    boards.image(out, capsys, "--force")
    assert "not empty" in refused(capsys, boards.argv(out, "--force", "--files", str(folder)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "image.bin"]


def test_bytecode_that_no_board_reads_is_refused(
    boards: Boards,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = agent_files.compiled(agent_files.installed(), "xtensawin")
    assert {data[:2] for data in code.values()} == {b"M\x06"}
    assert {data[2] >> 2 for data in code.values()} == {0}, "no native code: any chip runs it"
    monkeypatch.setattr(agent_files, "MPY_VERSION", 7)
    assert "boards with MicroPython 1.24 and later read" in refused(
        capsys, boards.argv(tmp_path / "image.bin")
    )
    assert list(tmp_path.iterdir()) == []


# ---- where it goes --------------------------------------------------------------------------------------------------

TABLE = """
# Name, Type, SubType, Offset, Size
nvs,    data, nvs, ,        24K
phy,    data, phy, ,        0x1000,
app,    app,  factory, ,    1M
vfs,    data, fat, 0x120000, {size}
"""


def test_the_partition_comes_from_the_firmwares_table(
    boards: Boards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(TABLE.format(size="0x90000"))
    out = tmp_path / "image.bin"
    said = boards.image(out, capsys, "--partition-table", str(table))
    assert (said["offset"], said["size"]) == (0x120000, 0x90000)
    assert json.loads(on_board(out, OPEN)[-1])[0] == DEVICE
    parts = partitions.from_file(table)
    assert [part.offset for part in parts] == [0x9000, 0xF000, 0x10000, 0x120000]
    said = boards.image(out, capsys, "--force", "--flash-size", "8MB")
    assert (said["offset"], said["size"]) == (0x200000, 6 << 20)


def test_an_image_that_does_not_fit_is_refused_with_the_bytes_of_each_group(
    boards: Boards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    for blocks, says in ((20, "it does not fit"), (100, "bytes free")):
        table.write_text(TABLE.format(size=blocks * BLOCK))
        argv = boards.argv(tmp_path / "image.bin", "--partition-table", str(table))
        said = refused(capsys, argv)
        assert says in said and f"the partition has {blocks * BLOCK} bytes" in said
        for group in ("device ", "agent ", "programs "):
            assert group in said
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    # The same partition is large enough for a device whose agent is in the firmware.
    assert cli.main([*argv, "--agent", "frozen"]) == 0


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("vfs, data, fat, 0x10000", "line 1: this is no line"),
        ("vfs, data, fat, x, 1M", "line 1: 'x' is no offset or size"),
        ("\nvfs, other, fat, 0x10000, 1M", "line 2: 'other' is no offset"),
        ("a, data, nvs, 0x9000, 1M\nvfs, data, fat, 0x10000, 1M", "'vfs' overlaps"),
        ("vfs, data, fat, 0x10001, 1M", "begins inside a block"),
        ("vfs, data, fat, 0x10000, 4M", "is --flash-size the board's?"),
        ("a, app, factory, 0x10000, 0x3F0000", "no room for a file system: 0 bytes"),
        ("ffat, data, fat, 0x10000, 1M", "TinyUF2"),
        ("# nothing", "there is no partition table"),
        ("a, data, nvs, 0x9000, 99999999999", "is no offset or size"),
        ("a, data, nvs,,0x1000\n" * 96, "line 96: this is no line"),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_its_line(
    boards: Boards, table: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.csv").write_text(table)
    argv = boards.argv(tmp_path / "image.bin", "--partition-table", str(tmp_path / "table.csv"))
    assert says in refused(capsys, argv)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--flash-size", "3MB"], "is no flash size"),
        (["--partition-table", "nowhere.csv"], "nowhere.csv: No such file"),
        (["--main", "nowhere.py"], "nowhere.py: No such file"),
    ],
)
def test_wrong_arguments_are_one_line(
    boards: Boards, more: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refused(capsys, boards.argv(tmp_path / "image.bin", *more))
    argv = ["provision", *boards.where, "x", "--main", "main.py"]
    assert "give --board" in refused(capsys, argv)


def test_the_extra_is_named_where_it_is_lacking(
    boards: Boards,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(cli.EXTRAS, "board", ("no_such_module",))
    said = refused(capsys, boards.argv(tmp_path / "image.bin"), 2)
    assert "pip install 'everpin[board]'" in said


# ---- what two blocks tell of a board --------------------------------------------------------------------------------


def test_the_first_blocks_tell_of_a_device(
    boards: Boards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "image.bin"
    boards.image(out, capsys)
    assert littlefs_image.root_names(out.read_bytes()[: 2 * BLOCK]) == {
        "boot.py",
        "main.py",
        "device",
        "lib",
    }
    # What MicroPython has written since.
    moved = shutil.copy(out, tmp_path / "moved.bin")
    on_board(Path(moved), "open('/added.txt', 'w').write('x')\nos.remove('/main.py')")
    start = Path(moved).read_bytes()[: 2 * BLOCK]
    names = littlefs_image.root_names(start)
    assert names is not None and {"device", "added.txt"} <= names
    # A directory of many blocks is not told whole, and says so.
    many = {f"{number:0200}": b"" for number in range(60)}
    image, _ = littlefs_image.build({"many": many}, 1 << 20, "here")
    assert littlefs_image.root_names(image[: 2 * BLOCK]) is None


def test_any_bytes_are_read_without_a_fall(tmp_path: Path) -> None:
    image, _ = littlefs_image.build({"some": {"device/a": b"x" * 900}}, 512 * 1024, "here")
    start = bytearray(image[: 2 * BLOCK])
    for at in [*range(120), BLOCK + 3, BLOCK + 30]:
        for value in (0, 0x7F, 0xFF):
            held, start[at] = start[at], value
            littlefs_image.root_names(bytes(start))
            start[at] = held
        littlefs_image.root_names(bytes(start[:at]))
    assert littlefs_image.root_names(b"\xff" * 2 * BLOCK) == set()
    for damaged in (image[:-1], b"", b"\xff" * SIZE, image[: 9 * BLOCK]):
        with pytest.raises(OperatorError, match="image"):
            littlefs_image.contents(damaged, "here")


def test_the_reserve_is_what_a_region_can_grow_by() -> None:
    assert littlefs_image.RESERVE_BLOCKS * BLOCK > REGION_BYTES
    assert {board.march for board in BOARDS.values()} == {"xtensawin", "rv32imc"}
