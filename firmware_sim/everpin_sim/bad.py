"""Documents that an attacker would publish; each must be refused by its own error."""

from pathlib import Path

from everpin.core import claims, cose
from everpin_fleet import documents, files, keys, policy


def all_of(folder: Path, scratch: Path) -> list[tuple[str, bytes]]:
    """Return (error, document): replayed, altered, of another fleet, of another channel, by a stranger's key."""
    found = policy.load(folder / policy.FILE)
    have = documents.numbers(folder)
    number, good = documents.newest(folder)
    ours = keys.load(folder, found.pins_signers[0], None)
    stranger = keys.create(scratch, "stranger", "ed25519", None)
    body = documents.pins_body(found, (number[0], number[1] + 1))
    iat = cose.claims(cose.signed(good, cose.PINS).payload)[claims.IAT]

    def said(fleet: str, channel: str) -> dict[int, object]:
        return {claims.ISS: fleet, claims.AUD: channel, claims.IAT: iat, claims.BODY: body}

    own = said(found.fleet, found.channel)
    return [
        ("rollback", files.read(documents.pins_path(folder, have[0]))),
        (
            "bad-signature",
            _altered(documents.sign1(ours, cose.PINS, own, found.fleet, found.channel)),
        ),
        (
            "wrong-fleet",
            documents.sign1(ours, cose.PINS, said("rival", found.channel), "rival", found.channel),
        ),
        (
            "wrong-channel",
            documents.sign1(ours, cose.PINS, said(found.fleet, "lamps"), found.fleet, "lamps"),
        ),
        ("unsigned", documents.sign1(stranger, cose.PINS, own, found.fleet, found.channel)),
    ]


def _altered(document: bytes) -> bytes:
    """Return a document with one bit of a pin turned: its encoding stays right, its signature does not."""
    hosts = cose.claims(cose.signed(document, cose.PINS).payload)[claims.BODY][3]
    at = document.index(hosts[0][3][0][0])
    return document[:at] + bytes([document[at] ^ 1]) + document[at + 1 :]
