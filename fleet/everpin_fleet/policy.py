"""The policy file: which hosts, which pins, which endpoints, who may sign. Checked on load, line and field in each error."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError

from everpin.core import limits
from everpin.core.carrier import parse_url
from everpin.core.host import USAGE_DANE_TA, match, parse_host

from . import policy_hosts
from .errors import OperatorError
from .files import read, write
from .policy_check import Checker
from .policy_hosts import Anchor, Host

RESERVED = ("root", "report", "ack")
FILE = "policy.toml"
UNLISTED = ("refuse", "pkix")
FIELDS = (
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
    "anchors",
    "unlisted",
    "ct_logs",
)


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
    anchors: tuple[Anchor, ...] = ()
    # What hosts that are not listed get: "refuse" or "pkix".
    unlisted: str = "refuse"
    # Certificate Transparency logs: when the list was made, and SPKI of each.
    logs: tuple[int, tuple[bytes, ...]] | None = None

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


def _unlisted(check: Checker, raw: dict[str, Any]) -> str:
    value = check.text(raw, "", "unlisted", "refuse")
    if value not in UNLISTED:
        raise check.fail("unlisted", f"{value!r} is none of {', '.join(UNLISTED)}")
    return value


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
    check.known(raw, "", FIELDS)
    fleet, channel = _name(check, raw, "fleet"), _name(check, raw, "channel")
    if channel in RESERVED:
        raise check.fail("channel", f"{channel!r} is one of the protocol's own topics")
    signers = raw.get("signers", {})
    if not isinstance(signers, dict):
        raise check.fail("signers", "must be a table: [signers]")
    check.known(signers, "signers", ("root", "pins"))
    hosts = (
        [
            policy_hosts.host(check, item, f"hosts[{number}]")
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
        tuple(policy_hosts.anchors(check, raw)),
        _unlisted(check, raw),
        policy_hosts.logs(check, raw),
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
        _reachable(check, policy, host, f"hosts[{number}]")
    entries = [parse_host(host.body()) for host in policy.hosts]
    if not any(match(entries, where) for where, _ in policy.brokers):
        raise check.fail(
            "brokers[0].host",
            "no broker is among the hosts",
            "devices would cut themselves off from updates",
        )
    for where, _ in policy.brokers:
        entry = match(entries, where)
        for number, host in enumerate(policy.hosts):
            if entry is not None and host.name == entry.name and host.relaxed():
                raise check.fail(
                    f"hosts[{number}].{host.relaxed()}",
                    f"{host.name} is the broker's entry: nothing relaxes the update channel",
                    "give the broker an entry of its own",
                )


def _reachable(check: Checker, policy: Policy, host: Host, place: str) -> None:
    """Refuse an entry that a device could hardly use as its operator means it."""
    carried = {anchor.digest for anchor in policy.anchors}
    if host.usage == USAGE_DANE_TA and not carried & {pin.digest for pin in host.pins}:
        raise check.fail(
            f"{place}.pins",
            f"{host.name} pins no anchor that this policy carries",
            'a server need not serve its root: [[anchors]] certificate = "root.pem"',
        )
    if (host.expires is not None or host.scts) and not policy.time_sources:
        raise check.fail(
            f"{place}.{'expires' if host.expires is not None else 'scts'}",
            "needs a clock, and time_sources names none that devices may believe",
            'time_sources = ["rtc"], say: a clock that nothing unauthenticated sets',
        )
    if host.scts and policy.logs is None:
        raise check.fail(f"{place}.scts", "needs [ct_logs], the logs that devices know")


def edit(path: Path) -> tomlkit.TOMLDocument:
    """Return the file for editing: comments and order stay."""
    try:
        return tomlkit.parse(read(path).decode("utf-8", "replace"))
    except ParseError as error:
        raise OperatorError(f"no TOML: {error}", f"{path}:{error.line}") from None


def save(path: Path, document: tomlkit.TOMLDocument) -> None:
    """Write an edited file, whole or not at all."""
    write(path, tomlkit.dumps(document).encode())
