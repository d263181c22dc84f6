"""The policy file: which hosts, which pins, which endpoints, who may sign. Checked on load, line and field in each error."""

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
from .policy_check import Checker

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
        """Return the entry as a document carries it, without `now`: that is a number, and the document's to say."""
        fields: dict[int, Any] = {
            1: self.name,
            2: self.usage,
            3: [[pin.digest, STATUS[pin.status]] for pin in self.pins],
        }
        if self.include_subdomains:
            fields[4] = True
        return fields


@dataclass(frozen=True)
class Group:
    """One group of a rule: that many of these keys must sign; every group of a rule is required."""

    threshold: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """A checked policy."""

    path: Path
    fleet: str
    channel: str
    root_rule: tuple[Group, ...]
    pins_rule: tuple[Group, ...]
    hosts: tuple[Host, ...]
    brokers: tuple[tuple[str, int], ...]
    rescue: tuple[str, ...]
    forbidden: tuple[bytes, ...] = ()
    urgent: bool = False
    time_sources: tuple[str, ...] = field(default=())
    # Contingency keys: their threshold, and SHA-256 of each COSE_Key; None for a fleet that has none.
    contingency: tuple[int, tuple[bytes, ...]] | None = None

    def signers(self) -> tuple[str, ...]:
        """Return every key that the rules name, once each, in their order."""
        groups = self.root_rule + self.pins_rule
        return tuple(dict.fromkeys(name for group in groups for name in group.keys))


def _name(check: Checker, raw: dict[str, Any], field_name: str) -> str:
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


def _host(check: Checker, raw: dict[str, Any], place: str) -> Host:
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


def _endpoints(check: Checker, raw: dict[str, Any]) -> tuple[list[tuple[str, int]], list[str]]:
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


def _rule(check: Checker, signers: dict[str, Any], role: str) -> tuple[Group, ...]:
    place = f"signers.{role}"
    value = signers.get(role, [])
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        if len(value) > 1:
            raise check.fail(
                place,
                "names several keys without saying how many must sign",
                f"write [[{place}]] with threshold = … and keys = […]",
            )
        return tuple(Group(1, (name,)) for name in check.texts(signers, "signers", role, 1))
    groups = []
    for number, item in enumerate(check.tables(signers, "signers", role, limits.RULE_MAX_GROUPS)):
        at = f"{place}[{number}]"
        check.known(item, at, ("threshold", "keys"))
        names = check.texts(item, at, "keys", limits.RULE_MAX_KEYS)
        if not names or len(set(names)) != len(names):
            raise check.fail(f"{at}.keys", "must name different keys, one at least")
        groups.append(Group(_threshold(check, item, at, len(names)), tuple(names)))
    return tuple(groups)


def _threshold(check: Checker, table: dict[str, Any], place: str, most: int) -> int:
    value = table.get("threshold", 1)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise check.fail(f"{place}.threshold", f"must be 1 to {most}, as many as there are keys")
    return value


def _contingency(check: Checker, raw: dict[str, Any]) -> tuple[int, tuple[bytes, ...]] | None:
    table = raw.get("contingency")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise check.fail("contingency", "must be a table: [contingency]")
    check.known(table, "contingency", ("threshold", "digests"))
    found = [
        check.digest(item, "contingency.digests")
        for item in check.texts(table, "contingency", "digests", limits.RULE_MAX_KEYS)
    ]
    if not found or len(set(found)) != len(found):
        raise check.fail(
            "contingency.digests",
            "must hold different digests, one at least",
            "`everpin key digest NAME` prints a key's, on the machine where it lies",
        )
    return _threshold(check, table, "contingency", len(found)), tuple(found)


def load(path: Path, complete: bool = True) -> Policy:
    """Return the policy of a file. `complete` demands what a document needs (two pins a host); editing does not."""
    text = read(path).decode("utf-8", "replace")
    try:
        raw = tomlkit.parse(text).unwrap()
    except ParseError as error:
        raise OperatorError(
            f"no TOML: {str(error).split(' at line')[0]}", f"{path}:{error.line}"
        ) from None
    check = Checker(path, text)
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
            "contingency",
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
        _rule(check, signers, "root"),
        _rule(check, signers, "pins"),
        tuple(hosts),
        tuple(brokers),
        tuple(rescue),
        tuple(forbidden),
        check.flag(raw, "", "urgent"),
        tuple(check.texts(raw, "", "time_sources", limits.MAX_TIME_SOURCES)),
        _contingency(check, raw),
    )
    if complete:
        _whole(check, found)
    return found


def _whole(check: Checker, policy: Policy) -> None:
    """Refuse what devices would refuse, before anybody signs it."""
    for role, rule in (("root", policy.root_rule), ("pins", policy.pins_rule)):
        if not rule:
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
