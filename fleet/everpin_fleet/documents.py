"""Writes signed documents with cbor2, and has the device's own code judge each before it is kept."""

import re
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2

from everpin.core import accept, cbor, claims, cose, limits, topics
from everpin.core.errors import PeerError
from everpin.core.pins import Pins
from everpin.core.trust import Trust

from . import files, keys
from .errors import OperatorError
from .policy import Policy

_WARN_BYTES = 6000
ROOT_VERSION = 1


def sign1(key: keys.SigningKey, typ: int, said: dict[int, Any], fleet: str, channel: str) -> bytes:
    """Return a COSE_Sign1 (RFC 9052 section 4.4) of a claims set, bound to fleet and channel."""
    protected = cbor2.dumps({1: key.alg, 4: key.kid, 16: typ}, canonical=True)
    payload = cbor2.dumps(said, canonical=True)
    aad = cose.external_aad(fleet, channel)
    signature = key.sign(cbor2.dumps(["Signature1", protected, aad, payload], canonical=True))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]), canonical=True)


def root_path(folder: Path) -> Path:
    """Return where root version 1 lies."""
    return folder / "root" / f"{ROOT_VERSION}.cbor"


def numbers(folder: Path) -> list[tuple[int, int]]:
    """Return the numbers of the signed `pins` documents, rising."""
    found = []
    for path in (folder / "pins").glob("*.cbor"):
        match = re.fullmatch(r"(\d+)-(\d+)", path.stem)
        if match:
            found.append((int(match[1]), int(match[2])))
    return sorted(found)


def pins_path(folder: Path, number: tuple[int, int]) -> Path:
    """Return where a `pins` document lies."""
    return folder / "pins" / f"{number[0]}-{number[1]}.cbor"


def newest(folder: Path) -> tuple[tuple[int, int], bytes]:
    """Return (number, document) of the newest signed `pins` document."""
    found = numbers(folder)
    if not found:
        raise OperatorError(
            "nothing is signed yet", str(folder / "pins"), "`everpin sign` makes a document"
        )
    return found[-1], files.read(pins_path(folder, found[-1]))


def parsed(document: bytes, path: Path) -> Pins:
    """Return the body of a document of ours."""
    try:
        return accept.stored_pins(document)
    except PeerError as error:
        raise OperatorError(f"no pins document ({error.name})", str(path)) from None


def _single(names: tuple[str, ...], role: str, policy: Policy) -> str:
    if len(names) != 1:
        raise OperatorError(
            f"{len(names)} signers for {role}; this release signs with one key a role",
            str(policy.path),
            f"name one key in signers.{role}",
        )
    return names[0]


def sign_root(folder: Path, policy: Policy, secret_file: Path | None) -> bytes:
    """Sign and keep root version 1 from the policy's signers."""
    path = root_path(folder)
    if path.exists():
        raise OperatorError(
            "root 1 is signed already", str(path), "rotating roots is not in this release"
        )
    names = [
        _single(policy.root_signers, "root", policy),
        _single(policy.pins_signers, "pins", policy),
    ]
    loaded = {name: keys.load(folder, name, secret_file) for name in dict.fromkeys(names)}
    order = list(loaded)
    body = {
        1: ROOT_VERSION,
        2: [loaded[name].cose_key for name in order],
        3: {1: [[1, [order.index(names[0])]]], 2: [[1, [order.index(names[1])]]]},
    }
    said = {claims.ISS: policy.fleet, claims.IAT: int(time.time()), claims.BODY: body}
    document = sign1(loaded[names[0]], cose.ROOT, said, policy.fleet, "")
    try:
        accept.parse_root(policy.fleet, document)
    except PeerError as error:
        raise OperatorError(
            f"devices would refuse this root ({error.name})", str(policy.path)
        ) from None
    files.write(path, document)
    return document


def pins_body(policy: Policy, number: tuple[int, int]) -> dict[int, Any]:
    """Return a policy as the body of a `pins` document."""
    body: dict[int, Any] = {
        1: number[0],
        2: number[1],
        3: [host.body() for host in policy.hosts],
        5: [list(broker) for broker in policy.brokers],
        6: list(policy.rescue),
    }
    if policy.time_sources:
        body[9] = list(policy.time_sources)
    if policy.forbidden:
        body[-2] = list(policy.forbidden)
    return body


def changes(old: Pins, new: Pins) -> list[str]:
    """Return what a document changes, a line each, for the operator to read before signing."""
    lines = []
    before = {host.name: set(host.digests()) for host in old.hosts}
    after = {host.name: set(host.digests()) for host in new.hosts}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            lines.append(f"- host {name}")
            continue
        if name not in before:
            lines.append(f"+ host {name}")
        gone, come = before.get(name, set()) - after[name], after[name] - before.get(name, set())
        lines += [f"- {name} {cbor_base64(pin)}" for pin in sorted(gone)]
        lines += [f"+ {name} {cbor_base64(pin)}" for pin in sorted(come)]
    lines += [
        f"+ forbidden {cbor_base64(pin)}" for pin in new.forbidden if pin not in old.forbidden
    ]
    lines += [
        f"- forbidden {cbor_base64(pin)}" for pin in old.forbidden if pin not in new.forbidden
    ]
    return lines


def cbor_base64(digest: bytes) -> str:
    """Return a digest as people compare it."""
    import base64

    return base64.b64encode(digest).decode()


def _mistakes(old: Pins, new: Pins, reinstate: bool, no_overlap: bool) -> None:
    dropped = [pin for pin in old.forbidden if pin not in new.forbidden]
    if dropped and not reinstate:
        raise OperatorError(
            f"{len(dropped)} forbidden key(s) would be trusted again",
            "forbidden",
            "say --reinstate if that is meant",
        )
    for host in new.hosts:
        for before in old.hosts:
            common = set(host.digests()) & set(before.digests()) - set(new.forbidden)
            if host.name == before.name and not common and not no_overlap:
                raise OperatorError(
                    f"{host.name} keeps no pin of the document before",
                    "hosts",
                    "devices are safe by their own overlap, but say --no-overlap if that is meant",
                )


def draft_pins(
    folder: Path,
    policy: Policy,
    expires_days: int | None,
    urgent: bool,
    reinstate: bool,
    no_overlap: bool,
) -> tuple[tuple[int, int], dict[int, Any], list[str]]:
    """Return (number, claims, changes) of the next document, checked against the one before."""
    root = files.read(root_path(folder))
    version, _ = accept.parse_root(policy.fleet, root)
    have = numbers(folder)
    number = (version.version, have[-1][1] + 1 if have else 1)
    body = pins_body(policy, number)
    if urgent or policy.urgent:
        body[-1] = list(number)
    iat = int(time.time())
    lines = []
    new = _as_device(body)
    if have:
        path = pins_path(folder, have[-1])
        data = files.read(path)
        old = parsed(data, path)
        iat = max(iat, int(cose.claims(cose.signed(data, cose.PINS).payload)[claims.IAT]))
        _mistakes(old, new, reinstate, no_overlap)
        lines = changes(old, new)
    else:
        lines = [f"+ host {host.name} ({len(host.digests())} pins)" for host in new.hosts]
    said = {
        claims.ISS: policy.fleet,
        claims.AUD: policy.channel,
        claims.IAT: iat,
        claims.BODY: body,
    }
    if expires_days is not None:
        said[claims.EXP] = iat + expires_days * 86400
    return number, said, lines


def _as_device(body: dict[int, Any]) -> Pins:
    from everpin.core import pins

    try:
        return pins.parse(cbor.loads(cbor2.dumps(body, canonical=True)))
    except PeerError as error:
        raise OperatorError(f"devices would refuse this policy ({error.name})") from None


def sign_pins(
    folder: Path,
    policy: Policy,
    number: tuple[int, int],
    said: dict[int, Any],
    secret_file: Path | None,
) -> tuple[Path, bytes, str]:
    """Sign, let the device's acceptance judge, keep; return (path, document, warning or "")."""
    key = keys.load(folder, _single(policy.pins_signers, "pins", policy), secret_file)
    document = sign1(key, cose.PINS, said, policy.fleet, policy.channel)
    if len(document) > limits.DOCUMENT_MAX_BYTES:
        raise OperatorError(
            f"{len(document)} bytes; devices take {limits.DOCUMENT_MAX_BYTES}", str(policy.path)
        )
    trust = trust_of(folder, policy)
    try:
        if trust is None:
            accept.first(policy.fleet, policy.channel, files.read(root_path(folder)), document, 0)
        else:
            accept.document(trust, document, kind=cose.PINS)
    except PeerError as error:
        raise OperatorError(
            f"devices would refuse this document ({error.name})",
            str(policy.path),
            "nothing was kept",
        ) from None
    path = pins_path(folder, number)
    files.write(path, document)
    warning = (
        f"{len(document)} bytes; beyond {_WARN_BYTES} some brokers and devices are at their limits"
    )
    return path, document, warning if len(document) > _WARN_BYTES else ""


def trust_of(folder: Path, policy: Policy) -> Trust | None:
    """Return the trust state of a device that has taken every document, None when none is signed."""
    found = trusts_of(folder, policy)
    return found[-1] if found else None


def trusts_of(folder: Path, policy: Policy) -> list[Trust]:
    """Return the trust state after each signed document, in their order."""
    have = numbers(folder)
    if not have:
        return []
    root = files.read(root_path(folder))
    try:
        first = files.read(pins_path(folder, have[0]))
        found = [accept.first(policy.fleet, policy.channel, root, first, 0)]
        for number in have[1:]:
            newer, _ = accept.document(found[-1], files.read(pins_path(folder, number)))
            found.append(newer)
    except PeerError as error:
        raise OperatorError(
            f"the signed documents do not follow each other ({error.name})", str(folder / "pins")
        ) from None
    return found


def outgoing(folder: Path, policy: Policy, buckets: list[int], everyone: bool) -> dict[str, bytes]:
    """Return topic: document of what is published."""
    _, document = newest(folder)
    found = {topics.root(policy.fleet, ROOT_VERSION): files.read(root_path(folder))}
    for bucket in buckets:
        found[topics.pins(policy.fleet, policy.channel, bucket)] = document
    if everyone:
        found[topics.pins(policy.fleet, policy.channel)] = document
    return found


def digest(document: bytes) -> str:
    """Return a document's SHA-256, hex."""
    return sha256(document).hexdigest()
