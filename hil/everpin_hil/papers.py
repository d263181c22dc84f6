"""Signed documents of a scenario from its tables: made with what everpin_sim.documents has, so that no agent is its own judge."""

import hashlib
from typing import Any

from everpin_sim import documents
from everpin_sim.documents import CHANNEL, DEVICE, FLEET, PINS, ROOT, Signer, dumps, signed

from .pki import Pki
from .scenario import BROKER, MIRROR, ScenarioError

_FLAGS = {"subdomains": 4, "report_only": 5, "managed": 7, "dates": -3, "both": -4}
_FOLLOW = {"trust-store": 1, "keep": 3}
_UNLISTED = {"refuse": 0, "pkix": 1}
DEFAULT_FLEET = {"root": "1:r", "pins": "2:abc"}


def _rule(text: str) -> list[tuple[int, str]]:
    """Return a rule's groups as (threshold, names of keys): "2:abc&1:xy"."""
    try:
        return [(int(part.split(":")[0]), part.split(":")[1]) for part in text.split("&")]
    except (ValueError, IndexError):
        raise ScenarioError(f"'{text}' is no rule; such are 2:abc and 2:abc&1:xy") from None


def root(said: dict[str, Any], fleet: dict[str, Any], iat: int) -> bytes:
    """Return a root; what it does not say is as in [fleet]."""
    rules = [_rule(said.get(role, fleet[role])) for role in ("root", "pins")]
    names = sorted({name for rule in rules for _, members in rule for name in members})
    signers = [Signer(name) for name in said.get("signers", rules[0][0][1])]
    commitment = said.get("commitment", fleet.get("commitment"))
    if commitment:
        # A contingency root carries the keys that were committed to.
        names += [key for key in said.get("signers", ()) if key not in names]
    body: dict[int, Any] = {
        1: said["version"],
        2: [Signer(name).cose for name in names],
        3: {
            role + 1: [
                [threshold, [names.index(n) for n in members]] for threshold, members in rule
            ]
            for role, rule in enumerate(rules)
        },
    }
    if commitment:
        threshold, members = _rule(commitment)[0]
        body[4] = [threshold, [Signer(name).digest for name in members]]
    return signed(ROOT, "", body, signers, iat)


def _host(said: dict[str, Any], pki: Pki) -> dict[int, Any]:
    entry: dict[int, Any] = {
        1: said["name"],
        2: said.get("usage", 3),
        3: [[pki.pin(name), 1 + (at > 0)] for at, name in enumerate(said["pins"])],
    }
    for name, key in _FLAGS.items():
        if said.get(name):
            entry[key] = True
    if "expires" in said:
        entry[6] = [int(said["expires"].timestamp()), _FOLLOW[said.get("follow", "keep")]]
    if "closes" in said:
        entry[-2] = int(said["closes"].timestamp())
    if "now" in said:
        entry[-1] = said["now"]
    return entry


def _broker(text: str) -> list[Any]:
    host, _, port = text.rpartition(":")
    return [host, int(port)]


def pins(said: dict[str, Any], pki: Pki, fleet: dict[str, Any], iat: int) -> bytes:
    """Return a pins document, or what its table wants instead of one."""
    if said.get("html"):
        return b"<!doctype html><title>Welcome</title><a href='/login'>log in</a>"
    body: dict[int, Any] = {
        1: said["number"][0],
        2: said["number"][1],
        3: [_host(item, pki) for item in said["hosts"]],
        5: [_broker(item) for item in said.get("brokers", [BROKER])],
        6: said.get("carriers", [MIRROR]),
    }
    if said.get("anchors"):
        body[4] = [list(pki.anchor(name)) for name in said["anchors"]]
    if said.get("forbidden"):
        body[-2] = [pki.pin(name) for name in said["forbidden"]]
    if said.get("unlisted"):
        body[8] = _UNLISTED[said["unlisted"]]
    if said.get("sources"):
        body[9] = said["sources"]
    if said.get("extra"):
        body[20] = "what a later release may say"
    if said.get("urgent"):
        body[-1] = said["number"]
    if "iat" in said:
        iat = int(said["iat"].timestamp())
    exp = int(said["exp"].timestamp()) if "exp" in said else None
    rule = _rule(fleet["pins"])
    signers = [Signer(n) for n in said.get("signers", [n for t, names in rule for n in names[:t]])]
    made = signed(
        PINS,
        said.get("channel", CHANNEL),
        body,
        signers,
        iat,
        fleet=said.get("fleet", FLEET),
        exp=exp,
    )
    if said.get("broken"):
        # One bit of the first pin turned: the encoding stays right, no signature does.
        at = made.index(pki.pin(said["hosts"][0]["pins"][0]))
        made = made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :]
    return made


def factory(
    first_root: bytes, first_pins: bytes, build: int, managed: list[tuple[bytes, bytes]]
) -> bytes:
    """Return the body of a factory record."""
    fields: dict[int, Any] = {
        1: 1, 2: FLEET, 3: CHANNEL, 4: DEVICE, 5: first_root, 6: first_pins, 7: build,
    }  # fmt: skip
    if managed:
        fields[8] = [list(item) for item in managed]
    return dumps(fields)


def topic(said: dict[str, Any], released: bool) -> str:
    """Return the topic that a document is published on: a root's, the device's bucket, or what all devices may take."""
    if "version" in said:
        return documents.root_topic(said["version"])
    if released:
        return f"everpin/1/{FLEET}/{CHANNEL}/pins"
    return documents.pins_topic()


DEVICE_KEY = hashlib.sha256(b"the bench's device").digest()
