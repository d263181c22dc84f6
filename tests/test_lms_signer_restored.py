"""HSS-LMS keys whose state is an old copy: noticed by the signatures that were published."""

import shutil
from pathlib import Path

import pytest

from everpin_fleet import lms
from everpin_fleet.errors import OperatorError
from test_lms_signer import again, good, make, state


@pytest.fixture
def key(tmp_path: Path) -> lms.LmsKey:
    return make(tmp_path)


def _restored(key: lms.LmsKey, before: int, after: int) -> list[bytes]:
    """Sign, go back to the state as it was in between, and return the signatures that were published."""
    signed = [key.sign(b"%d" % at, "root") for at in range(before)]
    shutil.copy(state(key), state(key).with_name("backup"))
    signed += [key.sign(b"%d" % at, "root") for at in range(before, before + after)]
    shutil.copy(state(key).with_name("backup"), state(key))
    return signed


@pytest.mark.parametrize("levels", [1, 2])
def test_a_restored_state_is_noticed_by_what_was_published(tmp_path: Path, levels: int) -> None:
    key = make(tmp_path, levels=levels)
    published = _restored(key, 2, 1)
    before = state(key).read_bytes()
    for message in (b"new", b"0"):  # a kept message tells nothing about the state either
        with pytest.raises(
            OperatorError, match=r"restored from a backup; leaf 2 was used already.*skip_to\(3\)"
        ):
            key.sign(message, "root", published)
    assert state(key).read_bytes() == before
    with pytest.raises(OperatorError, match="leaf 1 is none of those ahead"):
        key.skip_to(1)
    with pytest.raises(OperatorError, match="leaf 2 is used, so 2 is not far enough"):
        key.skip_to(2, published)
    assert state(key).read_bytes() == before
    assert key.skip_to(3, published) == 3
    signature = key.sign(b"new", "root", published)
    assert lms.leaf_of(signature) == 3 and good(key, b"new", signature)
    assert lms.leaf_of(again(key).sign(b"newer", "root", [*published, signature])) == 4


def test_a_leaf_that_signed_another_message_elsewhere_is_noticed(key: lms.LmsKey) -> None:
    published = _restored(key, 1, 1)
    mine = again(key).sign(b"not what was published", "root")
    assert lms.leaf_of(mine) == lms.leaf_of(published[1]) == 1
    for order in ([*published, mine], [mine, *published]):
        with pytest.raises(
            OperatorError,
            match=r"leaf 1 was used already.*leaf 1 has signed two messages, so retire",
        ):
            key.sign(b"new", "root", order)


def test_a_state_that_is_replaced_while_a_process_signs_is_noticed(key: lms.LmsKey) -> None:
    _restored(key, 1, 1)
    with pytest.raises(OperatorError, match="leaf 1 has signed already: the state was replaced"):
        key.sign(b"new", "root")


def test_a_leaf_that_was_cut_off_here_but_published_is_noticed(key: lms.LmsKey) -> None:
    published = key.sign(b"one", "root")
    found = state(key).read_bytes().splitlines(keepends=True)
    state(key).write_bytes(b"".join(found[:2]))  # a copy made between record and signature
    with pytest.raises(OperatorError, match="leaf 0 was used already"):
        key.sign(b"two", "root", [published])


def test_what_was_published_and_is_known_stops_nothing(key: lms.LmsKey) -> None:
    published: list[bytes] = []
    for at in range(4):
        published.append(key.sign(b"%d" % at, "root", published))
    assert [lms.leaf_of(item) for item in published] == [0, 1, 2, 3]


def test_published_signatures_of_another_key_are_refused_by_their_length(
    key: lms.LmsKey, tmp_path: Path
) -> None:
    other = make(tmp_path, "other", w=2)
    with pytest.raises(OperatorError, match="not of this key's parameters"):
        key.sign(b"one", "root", [other.sign(b"x", "root")])


def test_skipping_into_a_lower_tree_begins_the_next_one(tmp_path: Path) -> None:
    """Who skips does not know what the top tree signed there."""
    key = make(tmp_path, levels=2)
    key.sign(b"one", "root")
    assert key.skip_to(20) == 20, "this lower tree is known"
    assert key.skip_to(40) == 64
    signature = key.sign(b"two", "root")
    assert lms.leaf_of(signature) == 64 and good(key, b"two", signature)
