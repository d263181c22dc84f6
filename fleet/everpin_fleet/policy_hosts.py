"""The hosts, trust anchors and Certificate Transparency logs of a policy file."""

import datetime
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from everpin.core import host as device_host
from everpin.core import limits
from everpin.core.host import canonical
from everpin.core.x509 import parsed
from everpin.ports.cpython import spki_sources

from .errors import OperatorError
from .policy_check import Checker

STATUS = {"active": 1, "backup": 2, "retiring": 3}
USAGES = {"pkix-ta": 0, "pkix-ee": 1, "dane-ta": 2, "dane-ee": 3}
FOLLOW = {
    "trust-store": device_host.FOLLOW_TRUST_STORE,
    "closed": device_host.FOLLOW_CLOSED,
    "keep": device_host.FOLLOW_KEEP,
}
FIELDS = (
    "name",
    "usage",
    "include_subdomains",
    "now",
    "pins",
    "report_only",
    "managed",
    "expires",
    "after_expiry",
    "check_dates",
    "leaf_and_ca",
    "scts",
)


@dataclass(frozen=True)
class Pin:
    """One pin: digest (32 bytes), status, note."""

    digest: bytes
    status: str
    note: str = ""


@dataclass(frozen=True)
class Host:
    """One host's entry; `expires` is Unix seconds, `after_expiry` what follows."""

    name: str
    pins: tuple[Pin, ...]
    usage: int = 3
    include_subdomains: bool = False
    now: bool = False
    report_only: bool = False
    managed: bool = False
    expires: int | None = None
    after_expiry: str = "keep"
    check_dates: bool = False
    leaf_and_ca: bool = False
    scts: int = 0

    def body(self) -> dict[int, Any]:
        """Return the entry as a document carries it, without `now`: that is a number, and the document's to say."""
        fields: dict[int, Any] = {
            1: self.name,
            2: self.usage,
            3: [[pin.digest, STATUS[pin.status]] for pin in self.pins],
        }
        for key, flag in (
            (4, self.include_subdomains),
            (5, self.report_only),
            (7, self.managed),
            (-3, self.check_dates),
            (-4, self.leaf_and_ca),
        ):
            if flag:
                fields[key] = True
        if self.expires is not None:
            if self.after_expiry == "closed":
                fields[-2] = self.expires
            else:
                fields[6] = [self.expires, FOLLOW[self.after_expiry]]
        if self.scts:
            fields[-5] = self.scts
        return fields

    def relaxed(self) -> str:
        """Return the field that lets a peer in without a match of its pins, "" when none does."""
        if self.report_only:
            return "report_only"
        if self.managed:
            return "managed"
        return (
            "after_expiry"
            if self.expires is not None and self.after_expiry == "trust-store"
            else ""
        )


@dataclass(frozen=True)
class Anchor:
    """A trust anchor: subject name and SubjectPublicKeyInfo, DER."""

    subject: bytes
    spki: bytes

    @property
    def digest(self) -> bytes:
        """Return its pin."""
        return sha256(self.spki).digest()


def host(check: Checker, raw: dict[str, Any], place: str) -> Host:
    """Return one entry."""
    check.known(raw, place, FIELDS)
    name = check.text(raw, place, "name")
    if name != canonical(name):
        raise check.fail(f"{place}.name", f"write it as {canonical(name)!r}")
    usage = _usage(check, raw, place)
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
    expires = when(check, raw, place, "expires")
    after = check.text(raw, place, "after_expiry", "keep")
    if after not in FOLLOW:
        raise check.fail(f"{place}.after_expiry", f"{after!r} is none of {', '.join(FOLLOW)}")
    if expires is None and "after_expiry" in raw:
        raise check.fail(f"{place}.after_expiry", "says what follows expires, which is missing")
    made = Host(
        name,
        tuple(pins),
        usage,
        check.flag(raw, place, "include_subdomains"),
        check.flag(raw, place, "now"),
        check.flag(raw, place, "report_only"),
        check.flag(raw, place, "managed"),
        expires,
        after,
        check.flag(raw, place, "check_dates"),
        check.flag(raw, place, "leaf_and_ca"),
        check.number(raw, place, "scts", 0, limits.MAX_SCTS),
    )
    for field, least, most in (("check_dates", 2, 2), ("leaf_and_ca", 0, 2), ("scts", 0, 1)):
        if raw.get(field) and not least <= usage <= most:
            raise check.fail(
                f"{place}.{field}",
                f"says nothing for usage {usage}",
                "usages 0 and 1 check dates anyway; usage 3 looks at the server's own key alone",
            )
    return made


def _usage(check: Checker, raw: dict[str, Any], place: str) -> int:
    usage = raw.get("usage", 3)
    if isinstance(usage, str) and usage in USAGES:
        return USAGES[usage]
    if not isinstance(usage, int) or isinstance(usage, bool) or not 0 <= usage <= 3:
        known = ", ".join(f"{number} ({name})" for name, number in USAGES.items())
        raise check.fail(f"{place}.usage", f"{usage!r} is none of {known}")
    return usage


def when(check: Checker, raw: dict[str, Any], place: str, name: str) -> int | None:
    """Return a date or time of TOML as Unix seconds; what has no offset is UTC."""
    where = f"{place}.{name}"
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, datetime.datetime):
        found = value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
    elif isinstance(value, datetime.date):
        found = datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
    else:
        raise check.fail(where, "must be a date, such as 2030-01-31, or a time with its offset")
    seconds = int(found.timestamp())
    if not 0 <= seconds <= 0xFFFFFFFF:
        raise check.fail(where, "must lie between 1970 and 2106")
    return seconds


def anchors(check: Checker, raw: dict[str, Any]) -> list[Anchor]:
    """Return the trust anchors: `certificate`, a file beside the policy's, or `subject` and `spki` in base64."""
    if "anchors" not in raw:
        return []
    found = []
    for number, item in enumerate(check.tables(raw, "", "anchors", limits.MAX_ANCHORS)):
        place = f"anchors[{number}]"
        check.known(item, place, ("certificate", "subject", "spki", "note"))
        if "certificate" in item:
            found.append(_of_certificate(check, item, place))
        else:
            found.append(
                Anchor(check.base64(item, place, "subject"), check.base64(item, place, "spki"))
            )
    return found


def _of_certificate(check: Checker, item: dict[str, Any], place: str) -> Anchor:
    path = check.path.parent / Path(check.text(item, place, "certificate"))
    try:
        return anchor_of(path)
    except OperatorError as error:
        raise check.fail(f"{place}.certificate", str(error)) from None


def anchor_of(path: Path) -> Anchor:
    """Return the first certificate of a file as an anchor; raise `OperatorError` for what is no CA's."""
    try:
        first = parsed(spki_sources.certificates(str(path))[0])
    except spki_sources.SourceError as error:
        raise OperatorError(error.what, error.where, error.next_step) from None
    if first is None or not first.may_issue():
        raise OperatorError("this is no CA certificate that devices can read", str(path))
    return Anchor(first.subject, first.spki)


def logs(check: Checker, raw: dict[str, Any]) -> tuple[int, tuple[bytes, ...]] | None:
    """Return the Certificate Transparency logs: when the list was made, and each log's SPKI."""
    table = raw.get("ct_logs")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise check.fail("ct_logs", "must be a table: [ct_logs]")
    check.known(table, "ct_logs", ("time", "keys"))
    made = when(check, table, "ct_logs", "time")
    keys = check.texts(table, "ct_logs", "keys", limits.MAX_LOGS)
    if made is None or not keys:
        raise check.fail("ct_logs", "needs time, the date of the list, and keys, SPKI in base64")
    return made, tuple(check.decoded(key, "ct_logs.keys") for key in keys)
