"""Acceptance of documents: the one order of checks (DESIGN section 4), as a pure function of trust state and bytes.

Steps, and where each stands: 0 the length cap (`cose`), 1 COSE shape, typ, external_aad (`cose`), 2 the root chain (a `root`
document other than the factory's is not taken by this release), 3 rule, number and structure (here and `pins`), 4 exp (here),
5 the commit (`store`). A refusal raises one `PeerError` and changes nothing.
"""

from hashlib import sha256

from . import claims, cose, errors, pins, root
from .errors import PeerError
from .trust import Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .keys import Key

    Rule = list[tuple[int, list[bytes]]]


def _open(
    data: bytes, typ: int, found: "list[Key]", rule: "Rule", fleet: str, channel: str
) -> "dict[Any, Any]":
    """Return the claims of a document that the rule's keys signed for this fleet and channel."""
    message = cose.sign1(data, typ)
    try:
        kids = cose.verified(message, found, cose.external_aad(fleet, channel))
    except PeerError:
        # Only to name the refusal: what an unverified payload says of itself can make nothing accepted.
        said = cose.peek(message.payload)
        if said.get(claims.ISS) != fleet:
            raise PeerError(errors.WRONG_FLEET)
        if said.get(claims.AUD, "") != channel:
            raise PeerError(errors.WRONG_CHANNEL)
        raise
    if not root.satisfied(rule, kids):
        raise PeerError(errors.THRESHOLD)
    found_claims = cose.claims(message.payload)
    # The external_aad has bound both already; the claims must not say otherwise.
    if found_claims.get(claims.ISS) != fleet:
        raise PeerError(errors.WRONG_FLEET)
    if found_claims.get(claims.AUD, "") != channel:
        raise PeerError(errors.WRONG_CHANNEL)
    for key in found_claims:
        if key not in (claims.ISS, claims.AUD, claims.EXP, claims.IAT, claims.BODY):
            raise PeerError(errors.STRUCTURE)
    return found_claims


def _iat(found: "dict[Any, Any]") -> int:
    return claims.uint(found.get(claims.IAT), 0, claims.TIME_MAX)


def pins_document(
    trust: Trust, data: bytes, now: "int | None" = None, source: str = "", rescue: bool = False
) -> "Trust | None":
    """Return the trust state after a `pins` document, or None when it is the one already in force.

    `now` is Unix seconds by the time source `source` ("" or None: no clock). Raise one `PeerError` for a refusal.
    """
    found = _open(
        data,
        cose.PINS,
        trust.root.keys,
        trust.root.rules[root.ROLE_PINS],
        trust.fleet,
        trust.channel,
    )
    parsed = pins.parse(found.get(claims.BODY))
    digest = sha256(data).digest()
    held = trust.marks.number
    # R above the root held: that root must be walked to first, and no document of this release can.
    if parsed.number[0] > trust.root.version:
        raise PeerError(errors.ROOT_MISSING)
    # (R, S) never falls; RFC 9124 REQ.SEC.SEQUENCE.
    if parsed.number < held:
        raise PeerError(errors.ROLLBACK)
    if parsed.number == held and digest != trust.marks.pins_digest:
        raise PeerError(errors.EQUIVOCATION)
    if digest == trust.pins_digest:
        return None
    iat = _iat(found)
    if claims.EXP in found:
        exp = claims.uint(found[claims.EXP], 0, claims.TIME_MAX)
        # Only by a clock that the policy in force names, and never in rescue: no clock may strand a device.
        if not rescue and now is not None and source in trust.pins.sources and now >= exp:
            raise PeerError(errors.EXPIRED)
    return trust.replaced(parsed, digest, iat)


def parse_root(fleet: str, data: bytes) -> "tuple[root.Root, int]":
    """Return (root, iat) of a factory root document, checked under its own rule; raise a `PeerError`."""
    message = cose.sign1(data, cose.ROOT)
    said = cose.claims(message.payload)
    parsed = root.parse(said.get(claims.BODY))
    found = _open(data, cose.ROOT, parsed.keys, parsed.rules[root.ROLE_ROOT], fleet, "")
    return parsed, _iat(found)


def first(
    fleet: str, channel: str, root_document: bytes, pins_document_: bytes, build_time: int
) -> Trust:
    """Return the trust state of a factory record: every check but those that need an earlier state."""
    parsed_root, root_iat = parse_root(fleet, root_document)
    found = _open(
        pins_document_,
        cose.PINS,
        parsed_root.keys,
        parsed_root.rules[root.ROLE_PINS],
        fleet,
        channel,
    )
    parsed = pins.parse(found.get(claims.BODY))
    if parsed.number[0] > parsed_root.version:
        raise PeerError(errors.ROOT_MISSING)
    floor = max(build_time, root_iat, _iat(found))
    root_digest = sha256(root_document).digest()
    pins_digest = sha256(pins_document_).digest()
    return Trust(fleet, channel, parsed_root, root_digest, parsed, pins_digest, floor)


def stored_pins(data: bytes) -> pins.Pins:
    """Return the body of a document whose record's digest vouches that it was accepted before (DESIGN section 4, end)."""
    return pins.parse(cose.claims(cose.sign1(data, cose.PINS).payload).get(claims.BODY))
