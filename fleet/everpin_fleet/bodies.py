"""What a policy says as the body of the next document, what that changes, and the mistakes that are refused before signing."""

import base64
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2

from everpin.core import cbor, limits, pins, root
from everpin.core import keys as device_keys
from everpin.core.errors import PeerError
from everpin.core.pins import Pins
from everpin.core.root import Root

from . import keys
from .errors import OperatorError
from .policy import Group, Policy
from .policy_hosts import FOLLOW

# Bytes that a signature adds to a COSE_Sign: its protected header with alg and kid, its own frame, and itself.
_SIGNER_BYTES = 24
_SIGNATURE_BYTES = {keys.ALGS["ed25519"]: 64, keys.ALGS["esp256"]: 64}
# HSS with one level, height 15 and W 4, the largest that everpin's signer makes by default choices; RFC 8554 section 5.4.
_LMS_BYTES = 2672


@dataclass(frozen=True)
class Meant:
    """What the operator has said to be meant, of what would else be refused."""

    reinstate: bool = False
    no_overlap: bool = False
    new_signers: bool = False


def base64_of(digest: bytes) -> str:
    """Return a digest as people compare it."""
    return base64.b64encode(digest).decode()


# ---- root -----------------------------------------------------------------------------------------------------------


def root_body(
    folder: Path, policy: Policy, version: int, extra: list[keys.PublicKey]
) -> dict[int, Any]:
    """Return the policy's signers and contingency as a root body; `extra` keys are carried without a role."""
    known = [keys.public(folder, name) for name in policy.signers()]
    order = [key.name for key in known]
    listed = known + [key for key in extra if key.digest not in {item.digest for item in known}]
    body: dict[int, Any] = {
        1: version,
        2: [key.cose_key for key in listed],
        3: {
            root.ROLE_ROOT: _rule(policy.root_rule, order),
            root.ROLE_PINS: _rule(policy.pins_rule, order),
        },
    }
    if policy.contingency is not None:
        body[4] = [policy.contingency[0], list(policy.contingency[1])]
    return body


def _rule(groups: tuple[Group, ...], order: list[str]) -> list[list[Any]]:
    return [[group.threshold, [order.index(name) for name in group.keys]] for group in groups]


def root_changes(old: Root | None, new: Root, names: dict[bytes, str]) -> list[str]:
    """Return what a root changes, a line each."""

    def said(found: Root | None) -> set[str]:
        if found is None:
            return set()
        lines = set()
        for role, title in ((root.ROLE_ROOT, "root"), (root.ROLE_PINS, "pins")):
            for threshold, kids in found.rules[role]:
                who = ", ".join(sorted(names.get(kid, kid.hex()) for kid in kids))
                lines.add(f"{title}: {threshold} of {who}")
        if found.commitment is not None:
            count = len(found.commitment[1])
            lines.add(f"contingency: {found.commitment[0]} of {count} committed key(s)")
            lines |= {f"contingency key {base64_of(item)}" for item in found.commitment[1]}
        return lines

    before, after = said(old), said(new)
    return [f"- {line}" for line in sorted(before - after)] + [
        f"+ {line}" for line in sorted(after - before)
    ]


def root_mistakes(old: Root | None, new: Root, contingency: bool, meant: Meant) -> None:
    """Refuse a root that devices would refuse, or that hands the fleet over by mistake."""
    size = successor_bytes(new)
    if size > limits.DOCUMENT_MAX_BYTES:
        raise OperatorError(
            f"the root that replaces this one could take {size} bytes; devices take {limits.DOCUMENT_MAX_BYTES}",
            "signers",
            "fewer keys, lower thresholds, or LMS keys with smaller signatures (W 8)",
        )
    if old is None:
        return
    if not contingency and new.commitment != old.commitment:
        raise OperatorError(
            "only contingency keys change the contingency commitment",
            "contingency",
            "put back what the root before has, or sign with `everpin sign root --contingency`",
        )
    kept = {kid for _, kids in new.rules[root.ROLE_ROOT] for kid in kids}
    had = {kid for _, kids in old.rules[root.ROLE_ROOT] for kid in kids}
    if not contingency and not kept & had and not meant.new_signers:
        raise OperatorError(
            "none of the keys that sign roots today could sign the next one",
            "signers.root",
            "say --new-signers if that is meant",
        )


def successor_bytes(found: Root) -> int:
    """Return the most bytes that a root could take which replaces every key of this one: its keys, and both rules' signatures."""
    body = sum(len(cbor2.dumps(device_keys.encode(key.alg, key.raw))) for key in found.keys)
    groups = sum(len(found.rules[role]) for role in found.rules)
    members = sum(len(kids) for rule in found.rules.values() for _, kids in rule)
    committed = 0 if found.commitment is None else 34 * len(found.commitment[1]) + 8
    # Envelope, headers, fleet name, claims and the map's own frame; generous.
    fixed = 200 + limits.NAME_MAX_BYTES
    algs = {key.kid: key.alg for key in found.keys}
    signatures = 0
    for threshold, kids in found.rules[root.ROLE_ROOT]:
        # As many as the threshold asks for, the largest ones; once for the old rule and once for the new.
        sizes = sorted((_signature_bytes(algs[kid]) for kid in kids), reverse=True)
        signatures += 2 * sum(sizes[:threshold])
    return fixed + body + 4 * groups + members + committed + signatures


def _signature_bytes(alg: int) -> int:
    return _SIGNER_BYTES + _SIGNATURE_BYTES.get(alg, _LMS_BYTES)


# ---- pins -----------------------------------------------------------------------------------------------------------


def pins_body(
    policy: Policy, number: tuple[int, int], urgent: tuple[int, int] = (0, 0)
) -> dict[int, Any]:
    """Return a policy as the body of a `pins` document. `urgent` is the number below which every base ends."""
    hosts = []
    for host in policy.hosts:
        entry = host.body()
        if host.now:
            entry[-1] = list(number)
        hosts.append(entry)
    body: dict[int, Any] = {
        1: number[0],
        2: number[1],
        3: hosts,
        5: [list(broker) for broker in policy.brokers],
        6: list(policy.rescue),
    }
    if policy.anchors:
        body[4] = [[anchor.subject, anchor.spki] for anchor in policy.anchors]
    if policy.unlisted == "pkix":
        body[8] = pins.UNLISTED_PKIX
    if policy.logs is not None:
        body[10] = [policy.logs[0], list(policy.logs[1])]
    if policy.time_sources:
        body[9] = list(policy.time_sources)
    if urgent > (0, 0):
        body[-1] = list(urgent)
    if policy.forbidden:
        body[-2] = list(policy.forbidden)
    return body


def pins_changes(old: Pins | None, new: Pins) -> list[str]:
    """Return what a document changes, a line each, for the operator to read before signing."""
    if old is None:
        return [f"+ host {host.name} ({len(host.digests())} pins)" for host in new.hosts]
    lines = []
    before = {host.name: set(host.digests()) for host in old.hosts}
    after = {host.name: set(host.digests()) for host in new.hosts}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            lines.append(f"- host {name}")
            continue
        if name not in before:
            lines.append(f"+ host {name}")
        if name in before:
            lines += _rule_changes(old, new, name)
        gone, come = before.get(name, set()) - after[name], after[name] - before.get(name, set())
        lines += [f"- {name} {base64_of(pin)}" for pin in sorted(gone)]
        lines += [f"+ {name} {base64_of(pin)}" for pin in sorted(come)]
    for title, was, now in (
        ("forbidden", map(base64_of, old.forbidden), map(base64_of, new.forbidden)),
        ("broker", map(_address, old.brokers), map(_address, new.brokers)),
        ("rescue", old.carriers, new.carriers),
        ("time source", old.sources, new.sources),
        ("anchor", _anchors(old), _anchors(new)),
        ("unlisted hosts", (_UNLISTED[old.unlisted],), (_UNLISTED[new.unlisted],)),
        ("log", map(base64_of, old.logs), map(base64_of, new.logs)),
    ):
        left, right = set(was), set(now)
        lines += [f"- {title} {item}" for item in sorted(left - right)]
        lines += [f"+ {title} {item}" for item in sorted(right - left)]
    if new.urgent > old.urgent:
        lines.append("! urgent: overlap ends at once, also for devices that take a later document")
    return lines


_FOLLOW = {number: name for name, number in FOLLOW.items()}
_UNLISTED = {pins.UNLISTED_REFUSE: "refused", pins.UNLISTED_PKIX: "PKIX"}


def _anchors(found: Pins) -> list[str]:
    return [base64_of(sha256(spki).digest()) for _, spki in found.anchors]


def _rule_changes(old: Pins, new: Pins, name: str) -> list[str]:
    """Return how the rule of one host changes, apart from its pins."""

    def said(found: Pins) -> set[str]:
        entry = found.host(name)
        if entry is None:
            return set()
        lines = {f"{name} usage {entry.usage}"}
        for field in ("report_only", "managed", "dates", "both", "subdomains"):
            if getattr(entry, field):
                lines.add(f"{name} {field}")
        if entry.expires is not None:
            lines.add(f"{name} expires {entry.expires}, then {_FOLLOW[entry.follow]}")
        if entry.scts:
            lines.add(f"{name} {entry.scts} SCT(s)")
        return lines

    before, after = said(old), said(new)
    return [f"- {line}" for line in sorted(before - after)] + [
        f"+ {line}" for line in sorted(after - before)
    ]


def _address(broker: tuple[str, int]) -> str:
    return f"{broker[0]}:{broker[1]}"


def pins_mistakes(old: Pins | None, new: Pins, meant: Meant) -> None:
    """Refuse what would trust a forbidden key again, or leave a host without a pin in common, unless that is meant."""
    if old is None:
        return
    dropped = [pin for pin in old.forbidden if pin not in new.forbidden]
    if dropped and not meant.reinstate:
        raise OperatorError(
            f"{len(dropped)} forbidden key(s) would be trusted again",
            "forbidden",
            "say --reinstate if that is meant",
        )
    for host in new.hosts:
        for before in old.hosts:
            common = set(host.digests()) & set(before.digests()) - set(new.forbidden)
            if host.name == before.name and not common and not meant.no_overlap:
                raise OperatorError(
                    f"{host.name} keeps no pin of the document before",
                    "hosts",
                    "devices are safe by their own overlap, but say --no-overlap if that is meant",
                )


def as_device_pins(body: dict[int, Any]) -> Pins:
    """Return a body as the device's own parser reads it."""
    try:
        return pins.parse(cbor.loads(cbor2.dumps(body, canonical=True)))
    except PeerError as error:
        raise OperatorError(f"devices would refuse this policy ({error.name})") from None


def as_device_root(body: dict[int, Any]) -> Root:
    """Return a body as the device's own parser reads it."""
    try:
        return root.parse(cbor.loads(cbor2.dumps(body, canonical=True)))
    except PeerError as error:
        raise OperatorError(f"devices would refuse these signers ({error.name})") from None
