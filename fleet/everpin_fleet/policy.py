"""The policy file: which hosts, which pins, which endpoints, who may sign. Checked on load, line and field in each error."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError

from everpin.core import limits
from everpin.core.carrier import parse_url
from everpin.core.pins import canonical, match, parse_host

from .errors import OperatorError
from .files import read, write

STATUS = {"active": 1, "backup": 2, "retiring": 3}
RESERVED = ("root", "report", "ack")
FILE = "policy.toml"


@dataclass(frozen=True)
class Pin:
    """One pin: digest (32 bytes), status, note."""

    digest: bytes
    status: str
    note: str = ""


@dataclass(frozen=True)
class Host:
    """One host's entry."""

    name: str
    pins: tuple[Pin, ...]
    usage: int = 3
    include_subdomains: bool = False
    now: bool = False

    def body(self) -> dict[int, Any]:
        """Return the entry as the document carries it."""
        fields: dict[int, Any] = {
            1: self.name,
            2: self.usage,
            3: [[pin.digest, STATUS[pin.status]] for pin in self.pins],
        }
        if self.include_subdomains:
            fields[4] = True
        if self.now:
            fields[-1] = True
        return fields


@dataclass(frozen=True)
class Policy:
    """A checked policy."""

    path: Path
    fleet: str
    channel: str
    root_signers: tuple[str, ...]
    pins_signers: tuple[str, ...]
    hosts: tuple[Host, ...]
    brokers: tuple[tuple[str, int], ...]
    rescue: tuple[str, ...]
    forbidden: tuple[bytes, ...] = ()
    urgent: bool = False
    time_sources: tuple[str, ...] = field(default=())


class _Checker:
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

    def digest(self, value: str, place: str) -> bytes:
        try:
            found = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            found = b""
        if len(found) != 32:
            raise self.fail(place, "is no SHA-256 in base64", "`everpin spki FILE` prints one")
        return found


def _name(check: _Checker, raw: dict[str, Any], field_name: str) -> str:
    value = check.text(raw, "", field_name)
    if len(value.encode()) > limits.NAME_MAX_BYTES or not re.fullmatch(
        r"[^/+#\x00-\x20\x7f]+", value
    ):
        raise check.fail(
            field_name,
            "must be 1 to 64 bytes without spaces, '/', '+' or '#'",
            "it stands in topics",
        )
    return value


def _host(check: _Checker, raw: dict[str, Any], place: str) -> Host:
    check.known(raw, place, ("name", "usage", "include_subdomains", "now", "pins"))
    name = check.text(raw, place, "name")
    if name != canonical(name):
        raise check.fail(f"{place}.name", f"write it as {canonical(name)!r}")
    usage = raw.get("usage", 3)
    if usage != 3:
        raise check.fail(
            f"{place}.usage",
            f"{usage!r} is not in this release",
            "3 (dane-ee) is: pin the server's own key",
        )
    pins = []
    for number, item in enumerate(check.tables(raw, place, "pins", limits.HOST_MAX_PINS)):
        at = f"{place}.pins[{number}]"
        check.known(item, at, ("sha256", "status", "note"))
        status = check.text(item, at, "status", "active")
        if status not in STATUS:
            raise check.fail(f"{at}.status", f"{status!r} is none of {', '.join(STATUS)}")
        note = item.get("note", "")
        pins.append(
            Pin(check.digest(check.text(item, at, "sha256"), f"{at}.sha256"), status, str(note))
        )
    return Host(
        name,
        tuple(pins),
        3,
        check.flag(raw, place, "include_subdomains"),
        check.flag(raw, place, "now"),
    )


def _endpoints(check: _Checker, raw: dict[str, Any]) -> tuple[list[tuple[str, int]], list[str]]:
    brokers = []
    for number, item in enumerate(check.tables(raw, "", "brokers", limits.MAX_BROKERS)):
        place = f"brokers[{number}]"
        check.known(item, place, ("host", "port"))
        port = item.get("port", 8883)
        if not isinstance(port, int) or not 0 < port < 65536:
            raise check.fail(f"{place}.port", "must be 1 to 65535")
        brokers.append((check.text(item, place, "host"), int(port)))
    rescue = check.texts(raw, "", "rescue", limits.MAX_CARRIERS)
    if not rescue:
        raise check.fail(
            "rescue",
            "is missing",
            "a device whose pins are all wrong needs a way: mqtts://host:port or http://host/folder",
        )
    for url in rescue:
        if parse_url(url) is None:
            raise check.fail(
                "rescue",
                f"{url!r} is no carrier",
                "mqtts://host:port, mqtt://host:port, http(s)://host/folder",
            )
    return brokers, rescue


def load(path: Path, complete: bool = True) -> Policy:
    """Return the policy of a file. `complete` demands what a document needs (two pins a host); editing does not."""
    text = read(path).decode("utf-8", "replace")
    try:
        raw = tomlkit.parse(text).unwrap()
    except ParseError as error:
        raise OperatorError(
            f"no TOML: {str(error).split(' at line')[0]}", f"{path}:{error.line}"
        ) from None
    check = _Checker(path, text)
    check.known(
        raw,
        "",
        (
            "fleet",
            "channel",
            "signers",
            "hosts",
            "brokers",
            "rescue",
            "forbidden",
            "urgent",
            "time_sources",
        ),
    )
    fleet, channel = _name(check, raw, "fleet"), _name(check, raw, "channel")
    if channel in RESERVED:
        raise check.fail("channel", f"{channel!r} is one of the protocol's own topics")
    signers = raw.get("signers", {})
    if not isinstance(signers, dict):
        raise check.fail("signers", "must be a table: [signers]")
    check.known(signers, "signers", ("root", "pins"))
    hosts = (
        [
            _host(check, item, f"hosts[{number}]")
            for number, item in enumerate(check.tables(raw, "", "hosts", limits.PINS_MAX_HOSTS))
        ]
        if complete
        else []
    )
    brokers, rescue = _endpoints(check, raw)
    forbidden = [
        check.digest(item, "forbidden")
        for item in check.texts(raw, "", "forbidden", limits.MAX_FORBIDDEN)
    ]
    found = Policy(
        path,
        fleet,
        channel,
        tuple(check.texts(signers, "signers", "root", limits.RULE_MAX_KEYS)),
        tuple(check.texts(signers, "signers", "pins", limits.RULE_MAX_KEYS)),
        tuple(hosts),
        tuple(brokers),
        tuple(rescue),
        tuple(forbidden),
        check.flag(raw, "", "urgent"),
        tuple(check.texts(raw, "", "time_sources", limits.MAX_TIME_SOURCES)),
    )
    if complete:
        _whole(check, found)
    return found


def _whole(check: _Checker, policy: Policy) -> None:
    """Refuse what devices would refuse, before anybody signs it."""
    for role, names in (("root", policy.root_signers), ("pins", policy.pins_signers)):
        if not names:
            raise check.fail(f"signers.{role}", "names no key", "`everpin key new NAME` makes one")
    seen = set()
    for number, host in enumerate(policy.hosts):
        if host.name in seen:
            raise check.fail(f"hosts[{number}].name", f"{host.name} is listed twice")
        seen.add(host.name)
        usable = {pin.digest for pin in host.pins} - set(policy.forbidden)
        if len(usable) < limits.HOST_MIN_PINS:
            raise check.fail(
                f"hosts[{number}].pins",
                f"{host.name} has {len(usable)} usable pin(s); two different ones that are not forbidden are the least",
                f"`everpin pin add {host.name} --from BACKUP-KEY --status backup`",
            )
    entries = [parse_host(host.body()) for host in policy.hosts]
    if not any(match(entries, where) for where, _ in policy.brokers):
        raise check.fail(
            "brokers[0].host",
            "no broker is among the hosts",
            "devices would cut themselves off from updates",
        )


def edit(path: Path) -> tomlkit.TOMLDocument:
    """Return the file for editing: comments and order stay."""
    try:
        return tomlkit.parse(read(path).decode("utf-8", "replace"))
    except ParseError as error:
        raise OperatorError(f"no TOML: {error}", f"{path}:{error.line}") from None


def save(path: Path, document: tomlkit.TOMLDocument) -> None:
    """Write an edited file, whole or not at all."""
    write(path, tomlkit.dumps(document).encode())
