"""HSS-LMS key files: role, passphrase, modes, and the cache of the tree."""

from pathlib import Path
from typing import Any

import cbor2
import pyhsslms
import pytest

from everpin_fleet import lms
from everpin_fleet.errors import OperatorError
from test_lms_signer import SMALL, again, good, lines, make, state


@pytest.fixture
def key(tmp_path: Path) -> lms.LmsKey:
    return make(tmp_path)


def test_a_key_serves_one_role(tmp_path: Path) -> None:
    for role, other in (("root", "pins"), ("pins", "root")):
        key = make(tmp_path, role, role)
        for wrong in (other, "report", ""):
            with pytest.raises(OperatorError, match=f"this key signs {role} documents, not"):
                key.sign(b"one", wrong)
        assert len(lines(key)) == 1
        key.sign(b"one", role)
    with pytest.raises(OperatorError, match="no role"):
        make(tmp_path, "third", "timestamp")


def test_a_passphrase_protects_secret_and_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys" / "vault.lms"
    made = lms.create(path, "vault", "root", b"correct horse", **SMALL)
    assert lms.encrypted(path) and made.secret not in path.read_bytes()
    assert lms.load(path, b"correct horse").secret == made.secret
    for wrong in (b"wrong", b"", None):
        with pytest.raises(OperatorError, match="wrong passphrase"):
            lms.load(path, wrong)
    monkeypatch.setenv("EVERPIN_PASSPHRASE", "correct horse")
    assert good(made, b"x", lms.bound(path, "root", None, []).sign(b"x"))
    secret_file = tmp_path / "secret"
    secret_file.write_text("wrong\n")
    secret_file.chmod(0o600)
    with pytest.raises(OperatorError, match="wrong passphrase"):
        lms.bound(path, "root", secret_file, [])
    said = cbor2.loads(path.read_bytes())
    for name, value in (("role", "pins"), ("parameters", [1, 10, 4, 24]), ("public", bytes(52))):
        path.write_bytes(cbor2.dumps(said | {name: value}, canonical=True))
        with pytest.raises(OperatorError, match="wrong passphrase, or the file was changed"):
            lms.load(path, b"correct horse")


def test_loose_modes_are_refused(key: lms.LmsKey) -> None:
    assert key.path.stat().st_mode & 0o777 == 0o600 == state(key).stat().st_mode & 0o777
    for mode in (0o640, 0o604, 0o660):
        key.path.chmod(mode)
        with pytest.raises(OperatorError, match=r"others may read this secret.*chmod 600"):
            again(key)
    key.path.chmod(0o600)
    for mode in (0o620, 0o602):
        state(key).chmod(mode)
        with pytest.raises(OperatorError, match=r"others may write this state; chmod 600"):
            key.sign(b"one", "root")


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\xa0", b"\x80", cbor2.dumps({"format": "everpin lms 2"}), b"\xff"]
)
def test_what_is_no_key_file_is_called_so(key: lms.LmsKey, data: bytes) -> None:
    key.path.write_bytes(data)
    with pytest.raises(OperatorError, match="this is no LMS key file"):
        again(key)


def test_every_changed_field_of_a_clear_key_file_is_refused_or_signs_nothing_wrong(
    key: lms.LmsKey,
) -> None:
    said = cbor2.loads(key.path.read_bytes())
    wrong: dict[str, list[Any]] = {
        "role": ["timestamp", 1, None],
        "parameters": [[], [1, 5, 4], [1, 5, 4, 32], [1, 10, 4, 24], "x", [2, 5, 4, 24]],
        "public": [b"", bytes(52), said["public"][:-1]],
        "secret": [b"", bytes(31), bytes(32), None, 7],
    }
    for name, values in wrong.items():
        for value in values:
            key.path.write_bytes(cbor2.dumps(said | {name: value}, canonical=True))
            with pytest.raises(OperatorError):
                again(key).sign(b"one", "root")
    key.path.write_bytes(cbor2.dumps(said, canonical=True))
    assert lms.leaf_of(again(key).sign(b"one", "root")) == 0


def test_a_key_is_never_made_over_another_or_over_a_state(key: lms.LmsKey, tmp_path: Path) -> None:
    before = key.path.read_bytes()
    with pytest.raises(OperatorError, match="this key exists"):
        make(tmp_path)
    key.path.unlink()
    with pytest.raises(OperatorError, match="a state file without its key"):
        make(tmp_path)
    assert not key.path.exists()
    key.path.write_bytes(before)


@pytest.mark.parametrize("spoil", ["gone", "garbage", "other", "flipped"])
@pytest.mark.parametrize("levels", [1, 2])
def test_the_tree_file_is_a_cache_that_cannot_do_harm(
    tmp_path: Path, levels: int, spoil: str
) -> None:
    key = make(tmp_path, levels=levels)
    key.sign(b"one", "root")
    path = key.path.with_suffix(".tree")
    data = path.read_bytes()
    if spoil == "gone":
        path.unlink()
    elif spoil == "garbage":
        path.write_bytes(b"\xffgarbage")
    elif spoil == "other":
        path.write_bytes(
            make(tmp_path, "other", levels=levels).path.with_suffix(".tree").read_bytes()
        )
    else:
        path.write_bytes(data[:300] + bytes([data[300] ^ 1]) + data[301:])
    signature = again(key).sign(b"two", "root")
    assert good(key, b"two", signature) and path.read_bytes() == data


def test_opening_a_key_computes_no_tree_anew(
    key: lms.LmsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the default parameters that takes half a minute."""
    monkeypatch.setattr(pyhsslms.LmotsPrivateKey, "publicKey", None)
    assert good(key, b"one", again(key).sign(b"one", "root"))


def test_a_large_tree_is_made_by_several_processes_and_tells_how_far(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = make(tmp_path, height=10, w=1, progress=lambda done, of: told.append((done, of)))
    assert told == [(done, 1024) for done in range(32, 1025, 32)]
    seed, identifier = made._derived("seed", -1, 24), made._derived("identifier", -1, 16)
    alone = pyhsslms.LmsPrivateKey(
        made.parameters.lms_type, made.parameters.ots_type, SEED=seed, I=identifier
    )
    assert made.public[4:] == alone.publicKey().serialize()
