"""Documents that an attacker would publish; each must be refused by its own error."""

from pathlib import Path
from typing import Any

import cbor2

from everpin.core import claims, cose
from everpin_fleet import archive, bodies, files, keys, policy
from everpin_fleet.signing import Draft


def all_of(folder: Path, scratch: Path) -> list[tuple[str, bytes]]:
    """Return (error, document): replayed, altered, of another fleet, of another channel, by a stranger's key."""
    found = policy.load(folder / policy.FILE)
    have = archive.numbers(folder)
    number, good = archive.newest(folder)
    ours = keys.load(folder, found.pins_rule[0].keys[0], None)
    stranger = keys.create(scratch, "stranger", "ed25519", None)
    body = bodies.pins_body(found, (number[0], number[1] + 1))
    iat = archive.issued(good)

    def signed(key: keys.SigningKey, fleet: str, channel: str) -> bytes:
        said: dict[int, Any] = {claims.ISS: fleet, claims.AUD: channel, claims.IAT: iat}
        payload = cbor2.dumps(said | {claims.BODY: body}, canonical=True)
        draft = Draft(cose.PINS, fleet, channel, payload, [key.cose_key], [[(1, [key.kid])]])
        draft.sign(key)
        return draft.document()

    return [
        ("rollback", files.read(archive.pins_path(folder, have[0]))),
        ("bad-signature", _altered(signed(ours, found.fleet, found.channel))),
        ("wrong-fleet", signed(ours, "rival", found.channel)),
        ("wrong-channel", signed(ours, found.fleet, "lamps")),
        ("unsigned", signed(stranger, found.fleet, found.channel)),
    ]


def _altered(document: bytes) -> bytes:
    """Return a document with one bit of a pin turned: its encoding stays right, its signature does not."""
    hosts = cose.claims(cose.signed(document, cose.PINS).payload)[claims.BODY][3]
    at = document.index(hosts[0][3][0][0])
    return document[:at] + bytes([document[at] ^ 1]) + document[at + 1 :]
