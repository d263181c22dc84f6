"""Rotation tables: sequences of documents with their rule, their signers and the error that each must meet.

The shape is that of python-tuf's `test_updater_key_rotations` and of tuf-conformance; rules and signers are written as
`documents.Ground` reads them: "3:01234" asks for three of five keys, "2:abc&1:LM" for two groups, "1!" is a broken signature.
A name is one letter: L and M are HSS-LMS keys, P to S P-256, p signs pins where nothing else is said.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from documents import T0, Ground, host, named

GROUND = Ground()


class Step(NamedTuple):
    """One document, and what becomes of it: "ok", "known", or an error's name."""

    data: bytes
    want: str
    root: int | None = None  # the root version that it brings into force
    number: tuple[int, int] | None = None


def root(version: int, rule: str, signers: str, want: str = "ok", **how: Any) -> Step:
    made = GROUND.root(version, rule, signers, **how)
    return Step(made, want, root=version if want == "ok" else None)


def pins(number: tuple[int, int], signers: str = "p", want: str = "ok", **how: Any) -> Step:
    made = GROUND.pins(number, signers, **how)
    return Step(made, want, number=number if want == "ok" else None)


FIRST = (1, 1)
FIVE = "3:01234"

# (rule of root N, its signers, error), N from 1.
ROOT = {
    "1-of-1 key rotation": [("1:1", "1", "ok"), ("1:2", "21", "ok"), ("1:2", "2", "ok")],
    "1-of-1 key rotation, unused signatures": [
        ("1:1", "314", "ok"), ("1:2", "3214", "ok"), ("1:2", "324", "ok")],
    "1-of-1 key rotation fail: not signed with old key": [
        ("1:1", "1", "ok"), ("1:2", "234", "unsigned")],
    "1-of-1 key rotation fail: not signed with new key": [
        ("1:1", "1", "ok"), ("1:2", "134", "threshold")],
    "3-of-5, sign with different keycombos": [
        (FIVE, "024", "ok"), (FIVE, "041", "ok"), (FIVE, "013", "ok"), (FIVE, "013", "ok")],
    "3-of-5, one key rotated": [(FIVE, "024", "ok"), ("3:01345", "041", "ok")],
    "3-of-5, one key rotated, with intermediate step": [
        (FIVE, "024", "ok"), ("3:01345", "0245", "ok"), ("3:01345", "045", "ok")],
    "3-of-5, all keys rotated, with intermediate step": [
        (FIVE, "024", "ok"), ("3:56789", "024567", "ok"), ("3:56789", "567", "ok")],
    "1-of-3 threshold increase to 2-of-3": [("1:123", "1", "ok"), ("2:123", "12", "ok")],
    "2-of-3 threshold decrease to 1-of-3": [
        ("2:123", "12", "ok"), ("1:123", "12", "ok"), ("1:123", "1", "ok")],
    "1-of-2 threshold increase to 2-of-2": [("1:1", "1", "ok"), ("2:12", "12", "ok")],
    "3-of-5, one key rotate fails: not signed with 3 new keys": [
        (FIVE, "024", "ok"), ("3:01345", "024", "threshold")],
    "3-of-5, one key rotate fails: not signed with 3 old keys": [
        (FIVE, "024", "ok"), ("3:01345", "045", "threshold")],
    "1-of-3 threshold bump to 2-of-3 fails: new threshold not reached": [
        ("1:123", "1", "ok"), ("2:123", "2", "threshold")],
    "2-of-3 threshold decr. to 1-of-3 fails: old threshold not reached": [
        ("2:123", "12", "ok"), ("1:123", "1", "threshold")],
}  # fmt: skip

# (rule for pins in root N, signers of pins (N, 1), error), N from 1; the roots are good ones.
PINS = {
    "1-of-1 key rotation": [("1:1", "1", "ok"), ("1:2", "2", "ok")],
    "1-of-1 key rotation, unused signatures": [("1:1", "314", "ok"), ("1:2", "324", "ok")],
    "1-of-1 key rotation fail: not signed with new key": [
        ("1:1", "1", "ok"), ("1:2", "134", "unsigned")],
    "3-of-5, sign with different keycombos": [
        (FIVE, "024", "ok"), (FIVE, "041", "ok"), (FIVE, "013", "ok"), (FIVE, "134", "ok")],
    "3-of-5, one key rotated": [(FIVE, "024", "ok"), ("3:01345", "045", "ok")],
    "3-of-5, one key rotate fails: the old three are two": [
        (FIVE, "024", "ok"), ("3:01345", "024", "threshold"), ("3:01345", "135", "ok")],
    "3-of-5, all keys rotated": [
        (FIVE, "024", "ok"), ("3:56789", "024", "unsigned"), ("3:56789", "579", "ok")],
    "1-of-3 threshold increase to 2-of-3": [("1:123", "1", "ok"), ("2:123", "13", "ok")],
    "1-of-3 threshold increase to 2-of-3 fails: new threshold not reached": [
        ("1:123", "1", "ok"), ("2:123", "3", "threshold")],
    "2-of-3 threshold decrease to 1-of-3": [("2:123", "12", "ok"), ("1:123", "3", "ok")],
    "1-of-2 threshold increase to 2-of-2": [("1:1", "1", "ok"), ("2:12", "12", "ok")],
    "Ed25519 to P-256 to HSS-LMS": [
        ("1:1", "1", "ok"), ("1:P", "P", "ok"), ("1:L", "L", "ok"), ("1:M", "M", "ok")],
}  # fmt: skip

CON = {"commitment": "2:cde"}
NEXT = {"commitment": "2:fgh"}
BOTH = "2:123&1:LM"


def _lost(version: int, signers: str, want: str = "ok", keys: str = "2cdp", **how: Any) -> Step:
    """Return a contingency root: its rule is 1:2, its next commitment f, g and h."""
    return root(version, "1:2", signers, want, keys=keys, **(NEXT | how))


def own() -> dict[str, list[Step]]:
    """Return our own sequences; the first two documents are the factory's root and pins."""
    start = [root(1, "1:1", "1", **CON), pins(FIRST)]
    two = [root(1, "2:123", "12"), pins(FIRST)]
    mixed = [root(1, BOTH, "12M"), pins(FIRST)]
    fleet = [root(1, "1:1", "1", pins="1:ab"), pins(FIRST, "a")]
    return {
        # ---- the contingency keys ----
        "lost keys: a contingency root at 65536, then ordinary ones": [
            *start, _lost(65536, "cd2"), root(65537, "1:2", "2", **NEXT), pins((65537, 1))],
        "contingency after a half-published root 2, which comes late": [
            *start, root(2, "1:1", "1", **CON), _lost(65536, "ce2", keys="2cep"),
            root(2, "1:1", "1", "unsigned", **CON)],
        "contingency after a thief's roots 2 and 3": [
            *start, root(2, "1:t", "1t", **CON), root(3, "1:t", "t", **CON), _lost(65536, "cd2"),
            root(4, "1:t", "t", "unsigned", **CON), root(65537, "1:t", "t", "unsigned", **NEXT)],
        "a thief's root cannot take the way out along": [
            *start, root(2, "1:t", "1t", "commitment", commitment="1:t"),
            root(2, "1:t", "1t", "commitment"), root(2, "1:t", "1t", "commitment", commitment="1:cde"),
            _lost(65536, "cd2")],
        "an ordinary root that commits for the first time": [
            root(1, "1:1", "1"), pins(FIRST), root(2, "1:1", "1", "commitment", **CON)],
        "contingency below its threshold": [
            *start, _lost(65536, "c2", "threshold"), _lost(65536, "cc2", "threshold"),
            _lost(65536, "cd!2", "threshold"), _lost(65536, "cd2")],
        "contingency by uncommitted keys": [
            *start, _lost(65536, "xy2", "unsigned", keys="2xyp"),
            _lost(65536, "xy2", "unsigned", keys="2cdxyp")],
        "contingency by the ordinary keys": [
            *start, root(65536, "1:1", "1", "unsigned", **CON),
            root(65536, "1:1", "1", "unsigned", keys="1cdep", **CON)],
        "contingency without a commitment": [
            root(1, "1:1", "1"), pins(FIRST), _lost(65536, "cd2", "unsigned")],
        "contingency that its own rule would not accept": [
            *start, _lost(65536, "cd", "threshold"), _lost(65536, "cd2")],
        "contingency at a multiple that is not the next": [
            *start, _lost(131072, "cd2", "root-missing"), _lost(65536, "cd2")],
        "the keys of a contingency serve once, their successors next": [
            *start, _lost(65536, "cd2"), _lost(131072, "cd2", "unsigned"),
            root(131072, "1:1", "fg1", keys="1fgp", **CON), pins((131072, 1))],
        "contingency again at the same version": [
            *start, _lost(65536, "cd2"), root(65536, "1:1", "fg1", "equivocation", keys="1fgp")],
        "an ordinary root reaches no multiple": [
            root(65535, "1:1", "1", **CON), pins(FIRST), root(65536, "1:1", "1", "unsigned", **CON),
            _lost(65536, "cd2")],
        "a commitment of HSS-LMS keys": [
            root(1, "1:1", "1", commitment="1:LM"), pins(FIRST), _lost(65536, "M2", keys="2Mp")],
        # ---- versions ----
        "a root that skips a version": [
            *start, root(3, "1:1", "1", "root-missing", **CON), root(2, "1:1", "1", **CON),
            root(3, "1:1", "1", **CON)],
        "the same version with other content": [
            *start, root(1, "1:1", "1", "equivocation", iat=T0 + 1, **CON), root(2, "1:1", "1", **CON),
            root(2, "1:1", "1", "equivocation", iat=T0 + 1, **CON)],
        "an older root": [
            *start, root(2, "1:1", "1", **CON), root(3, "1:1", "1", **CON),
            root(2, "1:1", "1", "rollback", **CON), root(1, "1:1", "1", "rollback", **CON)],
        "the root in force again": [*start, root(1, "1:1", "1", "known", **CON)],
        # ---- counting ----
        "two of three Ed25519 and one of two LMS, met and not met": [
            *mixed, root(2, BOTH, "12", "threshold"), root(2, BOTH, "1M", "threshold"),
            root(2, BOTH, "MM", "threshold"), root(2, BOTH, "123", "threshold"),
            root(2, BOTH, "1MM", "threshold"), root(2, BOTH, "M31"), root(3, BOTH, "123L")],
        "a group that is dropped must sign a last time": [
            *mixed, root(2, "2:123", "12", "threshold"), root(2, "2:123", "12M"), root(3, "2:123", "23")],
        "a group that is added must sign at once": [
            *two, root(2, BOTH, "12", "threshold"), root(2, BOTH, "12M")],
        "the same key twice in a root": [*start, root(2, "1:1", "1", "structure", keys="11p", **CON)],
        "the same key twice in a rule counts once": [
            *two, root(2, "2:11", "12", "structure"), root(2, "2:112", "12"), root(3, "2:12", "1", "threshold")],
        "a signature that stands there twice counts once": [
            *two, root(2, "2:123", "11", "threshold"), root(2, "2:123", "1111", "threshold"), root(2, "2:123", "112")],
        "a bad signature among enough good ones": [*two, root(2, "2:123", "1!23"), root(3, "2:123", "1!12")],
        "a bad signature among too few good ones": [
            *two, root(2, "2:123", "12!", "threshold"), root(2, "2:123", "1!2!3!", "bad-signature")],
        "sixteen signatures are looked at, seventeen are too many": [
            *two, root(2, "2:123", "1!" * 15 + "12", "shape"), root(2, "2:123", "1!" * 14 + "12")],
        "a threshold that no keys can meet": [
            *two, root(2, "4:123", "123", "structure"), root(2, "0:123", "123", "structure")],
        "a key that no rule knows signs nothing": [*two, root(2, "2:123", "xy", "unsigned"), root(2, "2:123", "x1y2")],
        "the roles do not sign for each other": [
            *start, root(2, "1:1", "p", "threshold", **CON), pins((1, 2), "1", "threshold"), pins((1, 2), "p")],
        "one Ed25519 key gives way to P-256, to LMS, to smaller LMS": [
            *start, root(2, "1:P", "1P", **CON), root(3, "1:L", "PL", **CON), root(4, "1:M", "LM", **CON)],
        # ---- the rule for pins ----
        "a rule written in another order is no change": [
            root(1, "1:1", "1", pins="2:abc&1:PQ"), pins(FIRST, "abP"),
            root(2, "1:1", "1", pins="1:QP&2:cab", keys="QbaPc1"), pins((1, 2), "bcQ")],
        "a threshold that changes is a change": [
            *fleet, root(2, "1:1", "1", pins="2:ab"), pins((1, 2), "ab", "old-root"), pins((2, 1), "ab")],
        "old pins by a key that stays, after a rule that dropped another": [
            *fleet, root(2, "1:1", "1", pins="1:ac"), pins((1, 9), "ab", "old-root"),
            pins((1, 9), "b", "unsigned"), pins((2, 1), "b", "unsigned"), pins((2, 1), "c")],
        "pins come before the root that they require": [
            *start, pins((2, 1), want="root-missing"), root(2, "1:1", "1", **CON), pins((2, 1))],
        "the highest sequence there is ends with the next root": [
            *start, pins((1, 0xFFFFFFFF)), pins((1, 2), want="rollback"), root(2, "1:1", "1", **CON),
            pins((1, 0xFFFFFFFF), want="equivocation", iat=T0 + 1), pins((2, 1))],
        "an old number with a new root": [
            *start, pins((1, 5)), root(2, "1:1", "1", **CON), pins((1, 4), want="rollback"), pins((1, 6))],
    }  # fmt: skip


def chain(length: int) -> list[bytes]:
    """Return roots 1 to `length`, two keys taking turns."""
    made = [GROUND.root(1, "1:1", "1")]
    for version in range(2, length + 1):
        now, before = ("1", "2") if version % 2 else ("2", "1")
        made.append(GROUND.root(version, f"1:{now}", before + now))
    return made


def cases() -> list[tuple[str, list[Step]]]:
    """Return every sequence under its name, the factory's documents first."""
    found = []
    for name, rows in ROOT.items():
        steps = [root(n + 1, *row) for n, row in enumerate(rows)]
        found.append((f"root: {name}", [steps[0], pins(FIRST), *steps[1:]]))
    for name, rows in PINS.items():
        steps = []
        for n, (rule, signers, want) in enumerate(rows):
            steps += [root(n + 1, "1:r", "r", pins=rule), pins((n + 1, 1), signers, want)]
        found.append((f"pins: {name}", steps))
    return found + list(own().items())


def make(where: Path) -> None:
    """Write each sequence as `rotation-N.json` with a file for each document, and how many there are as `rotations.json`."""
    named.cache_clear()  # an HSS-LMS key signs 32 times: fresh ones for each set of files
    every = cases()
    for n, (name, steps) in enumerate(every):
        said = []
        for at, step in enumerate(steps):
            file = f"rotation-{n}-{at}.cbor"
            (where / file).write_bytes(step.data)
            said.append([file, step.want, step.root, step.number])
        (where / f"rotation-{n}.json").write_text(json.dumps({"name": name, "steps": said}))
    (where / "rotations.json").write_text(
        json.dumps({"root": len(ROOT), "pins": len(PINS), "all": len(every)})
    )
    roots = chain(66)
    for version, data in enumerate(roots[1:], 2):
        (where / f"chain-{version}.cbor").write_bytes(data)
    (where / "factory-chain.cbor").write_bytes(
        GROUND.factory(roots[0], pins(FIRST, hosts=[host()]).data)
    )
