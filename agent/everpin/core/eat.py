"""The status of a device in the shape of an Entity Attestation Token (RFC 9711): claims that stand beside a report's body.

It is no attestation of hardware: whoever holds the report key says it. What is of everpin alone is in the body (report.py).
"""

from hashlib import sha256

from ..compat import const
from . import claims, cose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Claim keys, RFC 9711 section 10.2.
NONCE = const(10)
UEID = const(256)
UPTIME = const(261)
PROFILE = const(265)
BOOTSEED = const(268)
SWNAME = const(270)
SWVERSION = const(271)

# Section 4.3.2: a URI that names the rules which documents.cddl gives. A UUID needs no registry.
REPORT_PROFILE = "urn:uuid:2c05646b-bee3-4016-aeaa-4b0360ead796"
NAME = "everpin"
VERSION = "0.1.0"

_RAND = b"\x01"  # section 4.2.1.1
NONCE_BYTES = const(16)  # of the 8 to 64 of section 4.1
SEED_BYTES = const(8)


def ueid(fleet: str, device: str) -> bytes:
    """Return the device's UEID, 17 bytes: section 4.2.1.1 has it made from what identifies the device by a hash of 128 bits."""
    return _RAND + sha256(cose.external_aad(fleet, device)).digest()[:16]


def make(
    fleet: str, device: str, bootseed: bytes, nonce: bytes, uptime: "int | None"
) -> "dict[int, Any]":
    """Return the claims; `uptime` is seconds since the device started, None when it does not know."""
    found: "dict[int, Any]" = {
        claims.ISS: fleet,
        NONCE: nonce,
        UEID: ueid(fleet, device),
        PROFILE: REPORT_PROFILE,
        BOOTSEED: bootseed,
        SWNAME: NAME,
        SWVERSION: [VERSION],
    }
    if uptime is not None and 0 <= uptime <= claims.TIME_MAX:
        found[UPTIME] = uptime
    return found


def check(found: "dict[Any, Any]") -> "dict[int, Any]":
    """Return those of a report's claims that are of its status; raise `structure` for one of another shape."""
    said: "dict[int, Any]" = {
        NONCE: claims.octets(found.get(NONCE), NONCE_BYTES),
        BOOTSEED: claims.octets(found.get(BOOTSEED), SEED_BYTES),
        UEID: claims.octets(found.get(UEID), 17),
        PROFILE: claims.text(found.get(PROFILE), 64),
        SWNAME: claims.text(found.get(SWNAME), 64),
        SWVERSION: [claims.text(claims.array(found.get(SWVERSION), 1, 2)[0], 64)],
    }
    if UPTIME in found:
        said[UPTIME] = claims.uint(found[UPTIME], 0, claims.TIME_MAX)
    return said
