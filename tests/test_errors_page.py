"""Error codes are for ever: devices in the field report them by number."""

import importlib.util
from pathlib import Path
from typing import Any

from everpin.core import errors

TOP = Path(__file__).resolve().parent.parent
CODES = {
    "peer": 1, "encoding": 2, "too-long": 3, "shape": 4, "wrong-type": 5, "unsigned": 6, "bad-signature": 7, "threshold": 8,
    "wrong-fleet": 9, "wrong-channel": 10, "rollback": 11, "equivocation": 12, "root-missing": 13, "structure": 14,
    "rule-of-two": 15, "no-broker": 16, "no-rescue": 17, "unsupported": 18, "expired": 19, "bad-ack": 20, "old-root": 21, "commitment": 22,
    "no-certificate": 30, "pin-mismatch": 31, "forbidden": 32, "unlisted": 33, "no-verdict": 34, "verdict-changed": 35,
    "no-path": 36, "wrong-name": 37, "dates": 38, "pkix": 39, "closed": 40, "sct": 41, "purpose": 42,
    "mqtt": 50, "http": 51, "misuse": 60, "flash": 80, "read-back": 81, "not-provisioned": 82, "flash-full": 83, "sealed": 84, "foreign": 85,
}  # fmt: skip


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("errors_page", TOP / "tools" / "errors_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGE = _generator()


def test_no_code_ever_changes_or_is_used_twice() -> None:
    assert {name: code for code, name, _ in PAGE.table()} == CODES
    assert len({code for code, _, _ in PAGE.table()}) == len(CODES)


def test_every_error_says_what_it_means() -> None:
    constants = {
        value for key, value in vars(errors).items() if key.isupper() and not key.startswith("_")
    }
    assert {code for code, _, _ in PAGE.table()} == constants
    assert all(len(meaning) > 10 for _, _, meaning in PAGE.table())


def test_the_device_gives_each_code_the_name_of_the_table() -> None:
    for code, name, _ in PAGE.table():
        assert errors.name_of(code) == name
    assert (errors.name_of(0), errors.name_of(99)) == ("ok", "error-99")


def test_the_page_is_up_to_date() -> None:
    """`make generated` writes it again."""
    assert (TOP / "docs" / "errors.md").read_text("utf-8") == PAGE.page()
