"""Signing: a draft gathers signatures, on one machine or several, until its rules are met; the device's acceptance has the last word.

A draft is a file beside the documents: the payload that is signed, what it is signed for, and the signatures so far. Copies of it go
to other signers' machines and come back; what they sign is the payload, so nothing else can be changed on the way.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cbor2

from everpin import crypto
from everpin.core import accept, claims, cose, limits, root
from everpin.core import keys as device_keys
from everpin.core.errors import PeerError
from everpin.core.root import Root

from . import archive, files, keys
from .errors import OperatorError
from .policy import Policy

WARN_BYTES = 6000
Rule = list[tuple[int, list[bytes]]]


class Signer(Protocol):
    """A private key of any kind."""

    name: str
    alg: int
    kid: bytes

    def sign(self, data: bytes) -> bytes: ...


@dataclass
class Draft:
    """A document that is being signed. `rules` must all be met, by distinct keys among `known`."""

    typ: int
    fleet: str
    channel: str
    payload: bytes
    known: list[dict[int, Any]]
    rules: list[Rule]
    signatures: dict[bytes, bytes] = field(default_factory=dict)

    # ---- what it is ----------------------------------------------------------------------------------------------------

    @property
    def body(self) -> dict[int, Any]:
        """Return the body that is signed."""
        found: dict[int, Any] = cbor2.loads(self.payload)[claims.BODY]
        return found

    @property
    def single(self) -> bool:
        """Return whether any one signer meets every rule: then it is a COSE_Sign1, for the two cannot be converted (RFC 9052 section 4)."""
        groups = [group for rule in self.rules for group in rule]
        return all(threshold == 1 and set(kids) == set(groups[0][1]) for threshold, kids in groups)

    def keys(self) -> dict[bytes, keys.PublicKey]:
        """Return kid: key of everybody whose signature could count."""
        found = [keys.public_of("", item) for item in self.known]
        return {key.kid: key for key in found}

    def wanted(self) -> set[bytes]:
        """Return the kids whose signature would still help."""
        found: set[bytes] = set()
        for rule in self.rules:
            for threshold, kids in rule:
                if len(set(kids) & set(self.signatures)) < threshold:
                    found |= set(kids) - set(self.signatures)
        return found

    def complete(self) -> bool:
        """Return whether every rule is met."""
        return all(root.satisfied(rule, list(self.signatures)) for rule in self.rules)

    # ---- signing -------------------------------------------------------------------------------------------------------

    def _head(self, alg: int, kid: bytes) -> tuple[bytes, bytes]:
        """Return (the message's protected header, the signer's)."""
        if self.single:
            return cbor2.dumps({1: alg, 4: kid, 16: self.typ}, canonical=True), b""
        return (
            cbor2.dumps({16: self.typ}, canonical=True),
            cbor2.dumps({1: alg, 4: kid}, canonical=True),
        )

    def to_be_signed(self, alg: int, kid: bytes) -> bytes:
        """Return Sig_structure for one signer (RFC 9052 section 4.4)."""
        head, signer = self._head(alg, kid)
        aad = cose.external_aad(self.fleet, self.channel)
        said = (
            ["Signature1", head, aad, self.payload]
            if self.single
            else ["Signature", head, signer, aad, self.payload]
        )
        return cbor2.dumps(said, canonical=True)

    def add(self, kid: bytes, signature: bytes, where: str = "") -> None:
        """Take a signature, after checking it; raise for one that does not verify."""
        key = self.keys().get(kid)
        if key is None:
            raise OperatorError(
                f"key {kid.hex()} is none of those that may sign this",
                where,
                "see `everpin key list`",
            )
        if not crypto.verify(key.alg, key.raw, self.to_be_signed(key.alg, kid), signature):
            raise OperatorError(f"the signature of key {kid.hex()} does not verify", where)
        self.signatures[kid] = signature

    def sign(self, key: Signer) -> None:
        """Sign with a key."""
        self.add(key.kid, key.sign(self.to_be_signed(key.alg, key.kid)), key.name)

    def document(self) -> bytes:
        """Return the finished document: no more signatures than the rules ask for."""
        found = self.keys()
        chosen = self._needed()
        if self.single:
            kid = chosen[0]
            head, _ = self._head(found[kid].alg, kid)
            parts = [head, {}, self.payload, self.signatures[kid]]
            return cbor2.dumps(cbor2.CBORTag(18, parts), canonical=True)
        signers: Any = [
            [self._head(found[kid].alg, kid)[1], {}, self.signatures[kid]] for kid in chosen
        ]
        parts = [cbor2.dumps({16: self.typ}, canonical=True), {}, self.payload, signers]
        return cbor2.dumps(cbor2.CBORTag(98, parts), canonical=True)

    def _needed(self) -> list[bytes]:
        chosen = list(self.signatures)
        # The largest go first, as long as every rule stays met: HSS signatures are forty times an Ed25519 one.
        for kid in sorted(self.signatures, key=lambda item: -len(self.signatures[item])):
            rest = [item for item in chosen if item != kid]
            if rest and all(root.satisfied(rule, rest) for rule in self.rules):
                chosen = rest
        return chosen

    # ---- as a file -----------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write the draft."""
        files.write(
            path,
            cbor2.dumps(
                {
                    "everpin draft": 1,
                    "typ": self.typ,
                    "fleet": self.fleet,
                    "channel": self.channel,
                    "payload": self.payload,
                    "keys": self.known,
                    "rules": [[[t, kids] for t, kids in rule] for rule in self.rules],
                    "signatures": self.signatures,
                },
                canonical=True,
            ),
        )

    def merge(self, other: "Draft", where: str) -> int:
        """Take the signatures of another copy of this draft; return how many were new."""
        if other.payload != self.payload or other.typ != self.typ or other.rules != self.rules:
            raise OperatorError("this is a draft of another document", where)
        fresh = [kid for kid in other.signatures if kid not in self.signatures]
        for kid in fresh:
            self.add(kid, other.signatures[kid], where)
        return len(fresh)


def load(path: Path) -> Draft:
    """Return a draft from its file; raise for what is none."""
    try:
        said = cbor2.loads(files.read(path))
        if said["everpin draft"] != 1:
            raise ValueError
        made = Draft(
            int(said["typ"]),
            str(said["fleet"]),
            str(said["channel"]),
            bytes(said["payload"]),
            list(said["keys"]),
            [
                [(int(t), [bytes(kid) for kid in kids]) for t, kids in rule]
                for rule in said["rules"]
            ],
        )
        found = {bytes(kid): bytes(value) for kid, value in said["signatures"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, cbor2.CBORDecodeError):
        raise OperatorError(
            "this is no draft", str(path), "`everpin sign` writes one when more signers are needed"
        ) from None
    for kid, signature in found.items():
        made.add(kid, signature, str(path))
    return made


# ---- drafts of the two kinds ----------------------------------------------------------------------------------------


def _payload(
    policy: Policy, channel: str, iat: int, exp: int | None, body: dict[int, Any]
) -> bytes:
    said: dict[int, Any] = {claims.ISS: policy.fleet, claims.IAT: iat, claims.BODY: body}
    if channel:
        said[claims.AUD] = channel
    if exp is not None:
        said[claims.EXP] = exp
    return cbor2.dumps(said, canonical=True)


def pins_draft(
    policy: Policy, held: Root, body: dict[int, Any], iat: int, expires_days: int | None
) -> Draft:
    """Return the draft of a `pins` document under the rule of the root that devices will hold."""
    exp = None if expires_days is None else iat + expires_days * 86400
    rule = held.rules[root.ROLE_PINS]
    return Draft(
        cose.PINS,
        policy.fleet,
        policy.channel,
        _payload(policy, policy.channel, iat, exp, body),
        [dict(_cose_key(held, kid)) for kid in _members(rule)],
        [rule],
    )


def root_draft(
    policy: Policy, held: Root | None, new: Root, body: dict[int, Any], contingency: bool
) -> Draft:
    """Return the draft of a root: under the old rule, or the contingency commitment held, and under its own."""
    own = new.rules[root.ROLE_ROOT]
    rules: list[Rule] = [own]
    known = {kid: dict(_cose_key(new, kid)) for kid in _members(own)}
    if contingency and held is not None and held.commitment is not None:
        committed = root.committed(held, new.keys)
        rules.insert(0, [(held.commitment[0], [key.kid for key in committed])])
        known |= {key.kid: dict(_cose_key(new, key.kid)) for key in committed}
    elif held is not None:
        old = held.rules[root.ROLE_ROOT]
        rules.insert(0, old)
        known |= {kid: dict(_cose_key(held, kid)) for kid in _members(old)}
    payload = _payload(policy, "", int(time.time()), None, body)
    return Draft(cose.ROOT, policy.fleet, "", payload, list(known.values()), rules)


def _members(rule: Rule) -> list[bytes]:
    return list(dict.fromkeys(kid for _, kids in rule for kid in kids))


def _cose_key(found: Root, kid: bytes) -> dict[int, int | bytes]:
    for key in found.keys:
        if key.kid == kid:
            return device_keys.encode(key.alg, key.raw)
    raise OperatorError(f"key {kid.hex()} is not in the root")


# ---- the last word --------------------------------------------------------------------------------------------------


def finish(folder: Path, policy: Policy, draft: Draft) -> tuple[Path, bytes, str]:
    """Let the device's acceptance judge a complete draft, and keep it; return (path, document, warning or "")."""
    document = draft.document()
    if len(document) > limits.DOCUMENT_MAX_BYTES:
        raise OperatorError(
            f"{len(document)} bytes; devices take {limits.DOCUMENT_MAX_BYTES}", str(policy.path)
        )
    trust = archive.trust(folder, policy)
    try:
        if draft.typ == cose.ROOT:
            path = archive.root_path(folder, int(draft.body[1]))
            if trust is not None:
                accept.document(trust, document, kind=cose.ROOT)
            elif archive.roots(folder):
                raise OperatorError(
                    "sign a pins document before the next root",
                    str(folder / "pins"),
                    "`everpin sign` makes one; devices start from a root and pins",
                )
            else:
                accept.parse_root(policy.fleet, document)
        else:
            number = (int(draft.body[1]), int(draft.body[2]))
            path = archive.pins_path(folder, number)
            if trust is not None:
                accept.document(trust, document, kind=cose.PINS)
            else:
                _, held = archive.newest_root(folder)
                accept.first(policy.fleet, policy.channel, held, document, 0)
    except PeerError as error:
        raise OperatorError(
            f"devices would refuse this document ({error.name})",
            str(policy.path),
            "nothing was kept",
        ) from None
    files.write(path, document)
    warning = (
        f"{len(document)} bytes; beyond {WARN_BYTES} some brokers and devices are at their limits"
    )
    return path, document, warning if len(document) > WARN_BYTES else ""
