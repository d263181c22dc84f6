"""Error codes are for ever: devices in the field report them by number."""

from everpin.core import errors

CODES = {
    "peer": 1, "encoding": 2, "too-long": 3, "shape": 4, "wrong-type": 5, "unsigned": 6, "bad-signature": 7, "threshold": 8,
    "wrong-fleet": 9, "wrong-channel": 10, "rollback": 11, "equivocation": 12, "root-missing": 13, "structure": 14,
    "rule-of-two": 15, "no-broker": 16, "no-rescue": 17, "unsupported": 18, "expired": 19, "bad-ack": 20,
    "no-certificate": 30, "pin-mismatch": 31, "forbidden": 32, "unlisted": 33, "no-verdict": 34, "verdict-changed": 35,
    "mqtt": 50, "http": 51, "misuse": 60, "flash": 80, "read-back": 81, "not-provisioned": 82, "flash-full": 83,
}  # fmt: skip


def test_no_code_ever_changes_or_is_used_twice() -> None:
    assert {name: code for code, name, _ in errors.table()} == CODES
    assert len({code for code, _, _ in errors.table()}) == len(CODES)


def test_every_error_says_what_it_means() -> None:
    assert all(meaning for _, _, meaning in errors.table())
