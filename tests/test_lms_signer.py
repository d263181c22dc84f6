"""The fleet tool's HSS-LMS keys: what they sign, that no leaf signs twice, and how they end."""

import json
import os
from pathlib import Path
from typing import Any

import cbor2
import pyhsslms
import pytest

from everpin import crypto
from everpin.core import cbor
from everpin.core import keys as device_keys
from everpin_fleet import keys, lms, lms_state, lms_trees
from everpin_fleet.errors import OperatorError

# The smallest: 32 leaves, made in a hundredth of a second.
SMALL: dict[str, Any] = {"height": 5, "w": 4, "n": 24}


def make(folder: Path, name: str = "vault", role: str = "root", **how: Any) -> lms.LmsKey:
    return lms.create(folder / "keys" / f"{name}.lms", name, role, None, **(SMALL | how))


def again(key: lms.LmsKey) -> lms.LmsKey:
    """Return the key as another process would open it."""
    return lms.load(key.path, None)


def lines(key: lms.LmsKey) -> list[dict[str, Any]]:
    return [json.loads(line) for line in state(key).read_bytes().splitlines() if line]


def state(key: lms.LmsKey) -> Path:
    return key.path.with_suffix(".state")


def good(key: lms.LmsKey, data: bytes, signature: bytes) -> bool:
    theirs = pyhsslms.HssPublicKey.deserialize(key.public).verify(data, signature)
    ours = crypto.verify(key.alg, key.public, data, signature)
    assert theirs is ours
    return ours


@pytest.fixture
def key(tmp_path: Path) -> lms.LmsKey:
    return make(tmp_path)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"w": 8, "n": 32},
        {"w": 1},
        {"w": 2, "n": 32},
        {"levels": 2},
        {"levels": 2, "n": 32},
        {"height": 10, "w": 2},
    ],
    ids=str,
)
def test_signatures_verify_by_the_device_and_by_the_library(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    made = make(tmp_path, **how)
    for leaf in range(3):
        data = b"document %d" % leaf
        signature = again(made).sign(data, "root")
        assert good(made, data, signature) and not good(made, data + b"!", signature)
        assert len(signature) == made.parameters.signature_bytes
        assert lms.leaf_of(signature) == leaf
    assert made.remaining() == made.parameters.total - 3


def test_the_default_is_one_level_of_1024_signatures_of_1456_bytes() -> None:
    default = lms_trees.Parameters()
    assert (default.levels, default.height, default.w, default.n) == (1, 10, 8, 32)
    assert default.total == 1024 and default.signature_bytes == 1456
    default.check()


def test_a_key_has_what_every_other_signing_key_has(key: lms.LmsKey, tmp_path: Path) -> None:
    other = keys.create(tmp_path, "plain", "ed25519", None)
    signer = lms.bound(key.path, "root", None, [])
    for have in ("name", "alg", "kid", "cose_key", "sign"):
        assert hasattr(other, have) and hasattr(key, have) and hasattr(signer, have)
    assert key.alg == device_keys.HSS_LMS == signer.alg and key.name == "vault" == signer.name
    parsed = device_keys.parse(cbor.loads(cbor2.dumps(key.cose_key, canonical=True)))
    assert (parsed.alg, parsed.raw, parsed.kid) == (key.alg, key.public, key.kid)
    assert good(key, b"data", signer.sign(b"data"))


@pytest.mark.parametrize(
    "wrong",
    [{"height": 20}, {"height": 6}, {"w": 3}, {"n": 31}, {"levels": 0}, {"levels": 3}],
    ids=str,
)
def test_other_parameters_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(OperatorError, match="no such LMS parameters"):
        make(tmp_path, **wrong)
    assert not (tmp_path / "keys").exists()


def test_parameters_whose_signatures_fit_no_document_are_refused(tmp_path: Path) -> None:
    for how in ({"w": 1, "n": 32}, {"w": 2, "n": 32, "levels": 2}):
        with pytest.raises(OperatorError, match="fit no document"):
            make(tmp_path, **how)


def test_the_length_of_signatures_is_said_right_for_every_set() -> None:
    for n in (24, 32):
        for w in (1, 2, 4):  # 8 is signed with above
            for levels in (1, 2):
                said = lms_trees.Parameters(levels, 5, w, n)
                trees = [
                    pyhsslms.LmsPrivateKey(said.lms_type, said.ots_type) for _ in range(levels)
                ]
                tops = [trees[0].sign(trees[1].publicKey().serialize())] if levels == 2 else []
                made = lms_trees.sign(said, trees, tops, 3, b"x")
                assert len(made) == said.signature_bytes


def test_leaf_of_counts_through_both_levels_and_refuses_what_is_no_signature(
    tmp_path: Path,
) -> None:
    two = make(tmp_path, levels=2)
    two.skip_to(7 * 32)
    signature = [two.sign(b"%d" % at, "root") for at in range(3)][-1]
    assert lms.leaf_of(signature) == 7 * 32 + 2
    for bad in (
        b"",
        signature[:-1],
        signature + b"\0",
        signature[4:],
        b"\0\0\0\2" + signature[4:],
    ):
        with pytest.raises(OperatorError, match="no HSS-LMS signature"):
            lms.leaf_of(bad)
    for at in (7, 11):  # leaf 7 becomes 39 of 32; the LMOTS type becomes another
        bad = signature[:at] + bytes([signature[at] ^ 32]) + signature[at + 1 :]
        with pytest.raises(OperatorError, match="no HSS-LMS signature"):
            lms.leaf_of(bad)


def test_the_same_message_gets_the_very_same_signature_and_no_other_leaf(key: lms.LmsKey) -> None:
    first = key.sign(b"one", "root")
    other = key.sign(b"two", "root")
    assert key.sign(b"one", "root") == first == again(key).sign(b"one", "root")
    assert [lms.leaf_of(first), lms.leaf_of(other)] == [0, 1]
    assert key.remaining() == 30


def test_a_leaf_is_on_the_disk_before_it_signs_and_a_signature_before_it_leaves(
    key: lms.LmsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    synced: list[bytes] = []
    fsync, sign = os.fsync, pyhsslms.HssPrivateKey.sign

    def on_fsync(fd: int) -> None:
        fsync(fd)
        if Path(f"/proc/self/fd/{fd}").resolve() == state(key).resolve():
            synced.append(state(key).read_bytes())
            seen.append("state")
        elif Path(f"/proc/self/fd/{fd}").resolve() == key.path.parent.resolve():
            seen.append("folder")

    def on_sign(self: Any, message: bytes) -> bytes:
        seen.append("sign")
        assert json.loads(synced[-1].splitlines()[-1])["leaf"] == 0, "not recorded yet"
        return sign(self, message)

    monkeypatch.setattr(os, "fsync", on_fsync)
    monkeypatch.setattr(pyhsslms.HssPrivateKey, "sign", on_sign)
    signature = key.sign(b"one", "root")
    assert seen == ["state", "folder", "sign", "state", "folder"]
    assert synced[-1] == state(key).read_bytes()
    _, used, kept = lines(key)
    assert used["sha256"] == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert set(used) == {"leaf", "sha256", "time"} and kept["leaf"] == 0
    assert lms_state._text(signature) == kept["signature"]


def test_a_wrong_signature_is_never_given_out(
    key: lms.LmsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyhsslms.HssPrivateKey, "sign", lambda *_: b"\0" * 1384)
    with pytest.raises(OperatorError, match="leaf 0 does not verify and was not given out"):
        key.sign(b"one", "root")
    monkeypatch.undo()
    assert lms.leaf_of(again(key).sign(b"one", "root")) == 1


def test_it_warns_below_a_tenth_keeps_the_last_leaf_and_stops_at_none(key: lms.LmsKey) -> None:
    key.skip_to(28)
    assert key.remaining() == 4 and key.warning == ""
    key.sign(b"28", "root")
    assert "3 of 32 signatures left" in key.warning
    key.sign(b"29", "root")
    key.sign(b"30", "root")
    assert key.remaining() == 1
    with pytest.raises(OperatorError, match=r"one signature is left, kept for the root"):
        key.sign(b"31", "root")
    kept = key.sign(b"30", "root")  # no leaf is needed for what was signed
    final = lms.bound(key.path, "root", None, [kept], last=True).sign(b"31")
    assert lms.leaf_of(final) == 31 and good(key, b"31", final)
    assert key.remaining() == 0 and "0 of 32" in key.warning
    for last in (False, True):
        with pytest.raises(OperatorError, match="all 32 signatures are used"):
            key.sign(b"32", "root", last=last)
    assert again(key).sign(b"31", "root") == final


def test_two_levels_end_after_the_square(tmp_path: Path) -> None:
    key = make(tmp_path, levels=2)
    assert key.skip_to(31 * 32) == 31 * 32
    for at in range(31):
        key.sign(b"%d" % at, "root")
    final = key.sign(b"final", "root", last=True)
    assert lms.leaf_of(final) == 1023 and good(key, b"final", final) and key.remaining() == 0
