"""Reads a TOML table field by field: each with its kind, and errors that name field and line."""

import base64
import binascii
import re
from pathlib import Path
from typing import Any

from .errors import OperatorError


class Checker:
    """Reads fields with their kinds, and knows the line of each for errors."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines = text.splitlines()

    def fail(self, place: str, what: str, then: str = "") -> OperatorError:
        return OperatorError(f"{place}: {what}", f"{self.path}:{self._line(place)}", then)

    def _line(self, place: str) -> int:
        """Return the line of a field such as `fleet` or `hosts[1].pins[0].sha256`: the last part found on the way there."""
        at = 0
        found = 1
        for part in place.split("."):
            name, _, index = part.rstrip("]").partition("[")
            wanted = int(index) + 1 if index else 1
            pattern = re.compile(
                rf"^\s*(\[\[?\s*(\w+\s*\.\s*)*{re.escape(name)}\s*\]\]?|{re.escape(name)}\s*=)"
            )
            for number in range(at, len(self._lines)):
                if pattern.match(self._lines[number]):
                    wanted -= 1
                    if wanted == 0:
                        found = number + 1
                        at = (
                            number
                            if not self._lines[number].lstrip().startswith("[")
                            else number + 1
                        )
                        break
        return found

    def known(self, table: dict[str, Any], place: str, names: tuple[str, ...]) -> None:
        for name in table:
            if name not in names:
                where = f"{place}.{name}" if place else name
                raise self.fail(where, "unknown field", f"known here: {', '.join(names)}")

    def text(
        self, table: dict[str, Any], place: str, name: str, default: str | None = None
    ) -> str:
        where = f"{place}.{name}" if place else name
        value = table.get(name, default)
        if value is None:
            raise self.fail(where, "is missing")
        if not isinstance(value, str) or not value:
            raise self.fail(where, "must be a text")
        return str(value)

    def flag(self, table: dict[str, Any], place: str, name: str) -> bool:
        value = table.get(name, False)
        if not isinstance(value, bool):
            raise self.fail(f"{place}.{name}" if place else name, "must be true or false")
        return value

    def tables(
        self, table: dict[str, Any], place: str, name: str, most: int
    ) -> list[dict[str, Any]]:
        where = f"{place}.{name}" if place else name
        value = table.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.fail(
                where, f"is missing: write at least one [[{where.replace('[0]', '')}]]"
            )
        if not 1 <= len(value) <= most:
            raise self.fail(where, f"has {len(value)} entries; 1 to {most} are allowed")
        return value

    def texts(self, table: dict[str, Any], place: str, name: str, most: int) -> list[str]:
        where = f"{place}.{name}" if place else name
        value = table.get(name, [])
        if not isinstance(value, list) or not all(
            isinstance(item, str) and item for item in value
        ):
            raise self.fail(where, "must be a list of texts")
        if len(value) > most:
            raise self.fail(where, f"has {len(value)} entries; at most {most} are allowed")
        return [str(item) for item in value]

    def number(self, table: dict[str, Any], place: str, name: str, low: int, high: int) -> int:
        value = table.get(name, low)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fail(f"{place}.{name}", f"must be {low} to {high}")
        return value

    def base64(self, table: dict[str, Any], place: str, name: str) -> bytes:
        return self.decoded(self.text(table, place, name), f"{place}.{name}")

    def decoded(self, value: str, place: str) -> bytes:
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise self.fail(place, "is no base64") from None

    def digest(self, value: str, place: str) -> bytes:
        try:
            found = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            found = b""
        if len(found) != 32:
            raise self.fail(place, "is no SHA-256 in base64", "`everpin spki FILE` prints one")
        return found
