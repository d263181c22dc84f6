"""Acceptance of documents: the one order of checks (DESIGN section 4), as pure functions of trust state and bytes.

Steps, and where each stands: 0 the length cap and 1 COSE shape, typ, external_aad (`cose`), 2 the root chain and 3 rule,
numbers, structure, endpoints (here and in `root`, `pins`), 4 exp (here), 5 the commit (`store`). A refusal raises one
`PeerError` and changes nothing. `everpin verify` and the agent call the same functions.
"""

from hashlib import sha256

from . import claims, cose, errors, limits, pins, root
from .errors import PeerError
from .trust import Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .keys import Key

    Rule = list[tuple[int, list[bytes]]]

# What became of a document that was not refused.
ROOT_ACCEPTED = "root-accepted"
PINS_ACCEPTED = "pins-accepted"
KNOWN = "known"


def document(
    trust: Trust,
    data: bytes,
    now: "int | None" = None,
    source: str = "",
    rescue: bool = False,
    kind: "int | None" = None,
) -> "tuple[Trust, str]":
    """Return (trust state after a `root` or `pins` document, what became of it); `trust` itself when it was known.

    `now` is Unix seconds by the time source `source` (None without a clock); `kind` is the document type that its topic is for,
    None for either. Raise one `PeerError` for a refusal.
    """
    message = cose.signed(data, kind)
    if message.typ == cose.ROOT:
        newer = _root(trust, message, data)
        return (trust, KNOWN) if newer is None else (newer, ROOT_ACCEPTED)
    newer = _pins(trust, message, data, now, source, rescue)
    return (trust, KNOWN) if newer is None else (newer, PINS_ACCEPTED)


# ---- 1: signatures and claims ---------------------------------------------------------------------------------------


def _named(message: cose.Signed, fleet: str, channel: str, error: PeerError) -> PeerError:
    """Return the error that names a refusal best. What an unverified payload says of itself can make nothing accepted."""
    said = cose.peek(message.payload)
    if said.get(claims.ISS) != fleet:
        return PeerError(errors.WRONG_FLEET)
    if said.get(claims.AUD, "") != channel:
        return PeerError(errors.WRONG_CHANNEL)
    return error


def _signed_by(
    message: cose.Signed, found: "list[Key]", rule: "Rule", fleet: str, channel: str
) -> "list[bytes]":
    """Return the kids of the keys that signed; raise unless they meet the rule."""
    try:
        kids = cose.verified(message, found, cose.external_aad(fleet, channel))
    except PeerError as error:
        raise _named(message, fleet, channel, error)
    if not root.satisfied(rule, kids):
        raise PeerError(errors.THRESHOLD)
    return kids


def _claims(message: cose.Signed, fleet: str, channel: str) -> "dict[Any, Any]":
    """Return the claims of a verified message; they must not say otherwise than its external_aad."""
    found = cose.claims(message.payload)
    if found.get(claims.ISS) != fleet:
        raise PeerError(errors.WRONG_FLEET)
    if found.get(claims.AUD, "") != channel:
        raise PeerError(errors.WRONG_CHANNEL)
    for key in found:
        if key not in (claims.ISS, claims.AUD, claims.EXP, claims.IAT, claims.BODY):
            raise PeerError(errors.STRUCTURE)
    return found


def _iat(found: "dict[Any, Any]") -> int:
    return claims.uint(found.get(claims.IAT), 0, claims.TIME_MAX)


# ---- 2: the root chain ----------------------------------------------------------------------------------------------


def _root(trust: Trust, message: cose.Signed, data: bytes) -> "Trust | None":
    digest = sha256(data).digest()
    if digest == trust.root_digest:
        return None
    # Which rule judges it: by what it says of itself, for both rules verify that very claim.
    body = cose.peek(message.payload).get(claims.BODY)
    version = body.get(root.VERSION) if isinstance(body, dict) else None
    contingency = isinstance(version, int) and version % limits.CONTINGENCY_STEP == 0
    if trust.behind():
        # The newest root ever accepted was lost on flash, or put aside by a reset: its digest, which the commit kept, brings it
        # back. An older root's keys may have been dropped, and stolen since: they bring nothing.
        if digest == trust.marks.root_digest:
            return trust.with_root(stored_root(data), digest)
        # It may have been a thief's, and withheld: the keys that it was committed to as well as the root held are a way out.
        ahead = root.next_contingency(trust.marks.root_version)
        if not contingency or root.next_contingency(trust.root.version) != ahead:
            raise PeerError(errors.ROOT_MISSING)
    held = trust.root
    if contingency:
        # RFC 5934 section 1.3.1, the contingency key: those that the root held has committed to, at their own threshold.
        parsed = root.parse(body)
        candidates = root.committed(held, parsed.keys)
        threshold = 1 if held.commitment is None else held.commitment[0]
        rule = [(threshold, [key.kid for key in candidates])]
        kids = _signed_by(message, candidates, rule, trust.fleet, "")
        found = _claims(message, trust.fleet, "")
    else:
        candidates = held.keys
        # The old rule (TUF 5.3.4) …
        kids = _signed_by(message, candidates, held.rules[root.ROLE_ROOT], trust.fleet, "")
        found = _claims(message, trust.fleet, "")
        parsed = root.parse(found.get(claims.BODY))
    # … and the new one: nobody hands the root over to keys that cannot sign. Keys in both were checked above.
    kids = _also(message, kids, candidates, parsed.keys, trust.fleet)
    if not root.satisfied(parsed.rules[root.ROLE_ROOT], kids):
        raise PeerError(errors.THRESHOLD)
    # Exactly the next version (TUF 5.3.5), or the next contingency.
    wanted = root.next_contingency(held.version) if contingency else held.version + 1
    if parsed.version == held.version:
        raise PeerError(errors.EQUIVOCATION)
    if parsed.version < wanted:
        raise PeerError(errors.ROLLBACK)
    if parsed.version > wanted:
        raise PeerError(errors.ROOT_MISSING)
    if not contingency and parsed.commitment != held.commitment:
        # Only contingency keys change it: a thief of the root keys must not take the way out with him.
        raise PeerError(errors.COMMITMENT)
    # exp of a root is never judged: an intermediate one must be walked over (TUF 5.3.6), and the last one must strand nobody.
    return trust.rooted(parsed, digest, _iat(found))


def _also(
    message: cose.Signed, kids: "list[bytes]", old: "list[Key]", new: "list[Key]", fleet: str
) -> "list[bytes]":
    """Return the kids of `new` keys that signed, those that were checked among `old` not checked again."""
    known = [key.digest for key in old]
    good = [key.kid for key in new if key.digest in known and key.kid in kids]
    rest = [key for key in new if key.digest not in known]
    more, _ = cose.good_kids(message, rest, cose.external_aad(fleet, ""))
    return good + more


def parse_root(fleet: str, data: bytes) -> "tuple[root.Root, int]":
    """Return (root, iat) of a factory root document, checked under its own rule; raise a `PeerError`."""
    message = cose.signed(data, cose.ROOT)
    parsed = root.parse(cose.claims(message.payload).get(claims.BODY))
    _signed_by(message, parsed.keys, parsed.rules[root.ROLE_ROOT], fleet, "")
    return parsed, _iat(_claims(message, fleet, ""))


def stored_root(data: bytes) -> root.Root:
    """Return the body of a root whose record's digest vouches that it was accepted before."""
    return root.parse(cose.claims(cose.signed(data, cose.ROOT).payload).get(claims.BODY))


# ---- 3 and 4: pins --------------------------------------------------------------------------------------------------


def _pins(
    trust: Trust,
    message: cose.Signed,
    data: bytes,
    now: "int | None",
    source: str,
    rescue: bool,
) -> "Trust | None":
    held = trust.root
    digest = sha256(data).digest()
    if digest == trust.pins_digest:
        return None
    if digest == trust.marks.pins_digest:
        # Accepted before, and lost on flash or put aside by a reset: the digest vouches for it, whatever the rule is now.
        return trust.replaced(stored_pins(data), digest, 0)
    _signed_by(message, held.keys, held.rules[root.ROLE_PINS], trust.fleet, trust.channel)
    found = _claims(message, trust.fleet, trust.channel)
    body = found.get(claims.BODY)
    number = pins.number_of(body)
    # R above the root held: that root must be walked to first, and the newest root ever accepted must be there again.
    if number[0] > held.version or trust.behind():
        raise PeerError(errors.ROOT_MISSING)
    # (R, S) never falls; RFC 9124 REQ.SEC.SEQUENCE.
    if number < trust.marks.number:
        raise PeerError(errors.ROLLBACK)
    if number == trust.marks.number:
        raise PeerError(errors.EQUIVOCATION)
    # Keys that a rule has dropped bring no old document back, though others of the rule have signed it too.
    if number[0] < trust.marks.rule_since:
        raise PeerError(errors.OLD_ROOT)
    parsed = pins.parse(body)
    iat = _iat(found)
    if claims.EXP in found:
        exp = claims.uint(found[claims.EXP], 0, claims.TIME_MAX)
        # Only by a clock that the policy in force names, and never in rescue: no clock may strand a device.
        if not rescue and now is not None and source in trust.pins.sources and now >= exp:
            raise PeerError(errors.EXPIRED)
    return trust.replaced(parsed, digest, iat)


def first(
    fleet: str, channel: str, root_document: bytes, pins_document: bytes, build_time: int
) -> Trust:
    """Return the trust state of a factory record: every check but those that need an earlier state."""
    parsed_root, root_iat = parse_root(fleet, root_document)
    message = cose.signed(pins_document, cose.PINS)
    _signed_by(message, parsed_root.keys, parsed_root.rules[root.ROLE_PINS], fleet, channel)
    found = _claims(message, fleet, channel)
    parsed = pins.parse(found.get(claims.BODY))
    if parsed.number[0] > parsed_root.version:
        raise PeerError(errors.ROOT_MISSING)
    return Trust(
        fleet,
        channel,
        parsed_root,
        sha256(root_document).digest(),
        parsed,
        sha256(pins_document).digest(),
        max(build_time, root_iat, _iat(found)),
        build_time,
    )


def stored_pins(data: bytes) -> pins.Pins:
    """Return the body of a document whose record's digest vouches that it was accepted before (DESIGN section 4, end)."""
    return pins.parse(cose.claims(cose.signed(data, cose.PINS).payload).get(claims.BODY))
