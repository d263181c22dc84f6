"""HSS-LMS keys whose process is killed, whose state is cut or damaged, and that several processes use at once."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from everpin_fleet import lms, lms_state
from everpin_fleet.errors import OperatorError
from test_lms_signer import again, good, lines, make, state


@pytest.fixture
def key(tmp_path: Path) -> lms.LmsKey:
    return make(tmp_path)


# What dies where, in a process of its own: between the record and the signature, between signature and its keeping, after it.
_DEATHS = {
    "before signing": "pyhsslms.HssPrivateKey.sign = die",
    "before it is kept": "lms_state.State.keep = die",
    "before it leaves": "lms_state.State.keep = then_die(lms_state.State.keep)",
}
_CHILD = """
import os, signal, sys
from pathlib import Path
import pyhsslms
from everpin_fleet import lms, lms_state

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def then_die(call):
    return lambda *args: (call(*args), die())

{death}
key = lms.load(Path(sys.argv[1]), None)
for text in sys.argv[2:]:
    print(key.sign(text.encode(), "root").hex(), flush=True)
"""


def _child(key: lms.LmsKey, death: str, *texts: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CHILD.format(death=death), str(key.path), *texts]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("where", _DEATHS)
@pytest.mark.parametrize("levels", [1, 2])
def test_a_leaf_whose_process_was_killed_never_signs_again(
    tmp_path: Path, where: str, levels: int
) -> None:
    key = make(tmp_path, levels=levels)
    before = key.sign(b"before", "root")
    child = _child(key, _DEATHS[where], "killed")
    out, _ = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL and out == ""
    same, other = key.sign(b"killed", "root"), key.sign(b"other", "root")
    kept = where == "before it leaves"
    assert [lms.leaf_of(same), lms.leaf_of(other)] == ([1, 2] if kept else [2, 3])
    assert good(key, b"killed", same) and good(key, b"other", other)
    assert key.sign(b"before", "root") == before
    assert [item["leaf"] for item in lines(key) if "sha256" in item] == [0, 1, 2] + [3] * (
        not kept
    )


def test_a_lower_tree_that_a_kill_left_unsigned_is_spent_as_a_whole(tmp_path: Path) -> None:
    """The top tree's leaf may have signed: signing the same key again would be a second signature under it."""
    key = make(tmp_path, levels=2)
    child = _child(key, "lms_state.State.keep_top = die", "killed")
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    signature = key.sign(b"killed", "root")
    assert lms.leaf_of(signature) == 32 and good(key, b"killed", signature)
    assert key.remaining() == 1024 - 33


def test_a_lower_tree_is_signed_once(tmp_path: Path) -> None:
    key = make(tmp_path, levels=2)
    tops = set()
    for at in range(34):
        signature = again(key).sign(b"%d" % at, "root")
        tops.add((lms.leaf_of(signature) // 32, signature[4 : 4 + 12 + 24 * 52 + 24 * 5]))
    assert sorted(index for index, _ in tops) == [0, 1]
    assert [item["tree"] for item in lines(key) if "tree" in item] == [0, 1]


@pytest.mark.parametrize("cut", [1, 9, 40, -2, -1])
@pytest.mark.parametrize("line", ["record", "signature"])
def test_a_torn_last_line_counts_as_a_used_leaf(key: lms.LmsKey, cut: int, line: str) -> None:
    key.sign(b"one", "root")
    data = state(key).read_bytes()
    key.sign(b"two", "root")
    parts = state(key).read_bytes()[len(data) :].splitlines(keepends=True)
    whole = data if line == "record" else data + parts[0]
    torn = parts[0] if line == "record" else parts[1]
    state(key).write_bytes(whole + torn[:cut])
    # A cut of the line's end alone loses nothing; else whatever it was to say counts as one leaf more.
    taken = 3 if line == "signature" and cut != -1 else 2
    assert key.remaining() == 32 - taken
    signature = again(key).sign(b"three", "root")
    assert lms.leaf_of(signature) == taken and good(key, b"three", signature)
    after = again(key).sign(b"four", "root")
    assert lms.leaf_of(after) == taken + 1


def test_a_second_cut_while_the_first_is_noted_strands_nothing(key: lms.LmsKey) -> None:
    key.sign(b"one", "root")
    with state(key).open("ab") as file:
        file.write(b'{"leaf": 1, "sha2\n{"tor')
    signature = key.sign(b"two", "root")
    assert lms.leaf_of(signature) == 3
    assert lms.leaf_of(again(key).sign(b"three", "root")) == 4


def test_zeros_that_a_cut_left_at_the_end_count_as_a_used_leaf(key: lms.LmsKey) -> None:
    with state(key).open("ab") as file:
        file.write(bytes(100))
    assert lms.leaf_of(key.sign(b"one", "root")) == 1


def _spoilt(key: lms.LmsKey, spoil: Callable[[list[bytes]], list[bytes]]) -> None:
    for at in range(3):
        key.sign(b"%d" % at, "root")
    found = state(key).read_bytes().splitlines()
    state(key).write_bytes(b"\n".join(spoil(found)) + b"\n")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: [*lines[:3], lines[3][:-9], *lines[4:]],
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines[:5], lines[3], *lines[5:]],
        lambda lines: [*lines, b'{"leaf": 32, "sha256": "00", "time": 0}'],
        lambda lines: [*lines, b'{"leaf": -1, "sha256": "00", "time": 0}'],
        lambda lines: [*lines, b'{"torn": 2}'],
        lambda lines: [*lines, b'{"tree": 0, "public": "00", "signature": ""}'],
        lambda lines: [*lines, b"[]"],
        lambda lines: [*lines, b'{"leaf": 9, "signature": "AA=="}'],
    ],
)
def test_a_state_that_cannot_be_true_signs_nothing(
    key: lms.LmsKey, spoil: Callable[[list[bytes]], list[bytes]]
) -> None:
    _spoilt(key, spoil)
    before = state(key).read_bytes()
    with pytest.raises(OperatorError, match=r"line \d+ is damaged: .*; bring back"):
        key.sign(b"more", "root")
    assert state(key).read_bytes() == before


def test_a_missing_foreign_or_empty_state_signs_nothing(key: lms.LmsKey, tmp_path: Path) -> None:
    other = make(tmp_path, "other")
    shutil.copy(state(other), state(key))
    with pytest.raises(OperatorError, match="the state of another key"):
        key.sign(b"one", "root")
    state(key).write_bytes(b"")
    with pytest.raises(OperatorError, match="empty state"):
        key.sign(b"one", "root")
    state(key).unlink()
    with pytest.raises(OperatorError, match=r"state of this key is missing.*skip to a leaf above"):
        key.sign(b"one", "root")
    with pytest.raises(OperatorError, match="0 is not far enough"):
        key.skip_to(0)  # that would begin anew
    assert not state(key).exists()
    assert key.skip_to(20) == 20
    assert lms.leaf_of(key.sign(b"one", "root")) == 20


# Between what a process read and what it writes there is time for another, were it not locked out.
_SLOW = """
import time
record = lms_state.State.record
lms_state.State.record = lambda *args: (time.sleep(0.03), record(*args))
"""


def test_processes_at_once_take_different_leaves_and_agree_on_one_message(tmp_path: Path) -> None:
    key = make(tmp_path)
    children = [
        _child(key, _SLOW, "same", *(f"{who}-{at}" for at in range(6))) for who in range(3)
    ]
    found = [child.communicate(timeout=120)[0].split() for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len({lines[0] for lines in found}) == 1
    leaves = [lms.leaf_of(bytes.fromhex(line)) for lines in found for line in lines[1:]]
    assert len(set(leaves)) == 18
    assert sorted({*leaves, lms.leaf_of(bytes.fromhex(found[0][0]))}) == list(range(19))
    assert key.remaining() == 32 - 19


def test_a_state_that_another_process_holds_is_waited_for_and_then_given_up(
    key: lms.LmsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lms_state, "_LOCK_WAIT_S", 0.2)
    with (
        key._state(),
        pytest.raises(OperatorError, match="another process signs with this key"),
    ):
        key.sign(b"one", "root")
    assert lms.leaf_of(key.sign(b"one", "root")) == 0
