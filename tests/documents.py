"""Documents for tests, made with cbor2, cryptography and pyhsslms alone: independent of the fleet tool and of the device's encoder.

`Fleet` has one signer for everything; `Ground` has named signers, and rules over them.
"""

import hashlib
import re
from functools import cache
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from everpin_sim.documents import Signer, dumps

ROOT, PINS = 65101, 65102
BODY = -70001
T0 = 1_790_000_000

# Pins that stand for keys: their names hashed.
ALPHA = hashlib.sha256(b"alpha").digest()
BETA = hashlib.sha256(b"beta").digest()
GAMMA = hashlib.sha256(b"gamma").digest()
DELTA = hashlib.sha256(b"delta").digest()


# A device's key, and what is derived from it (core/sealing.py), by another implementation.
DEVICE_KEY = bytes(range(32))


def derived(device_key: bytes, purpose: str, fleet: str, device: str) -> bytes:
    info = f"everpin/1 {purpose}\0{fleet}\0{device}".encode()
    return HKDF(hashes.SHA256(), 32, None, info).derive(device_key)


def seal(device_key: bytes, fleet: str, device: str, fields: dict[int, Any]) -> bytes:
    head, nonce = dumps({1: 31}), b"n" * 13
    aad = dumps(["Encrypt0", head, dumps(["everpin/1", fleet, device])])
    key = derived(device_key, "seal", fleet, device)
    sealed = AESCCM(key, 16).encrypt(nonce, dumps(fields), aad)
    return dumps(cbor2.CBORTag(16, [head, {5: nonce}, sealed]))


def sign1(
    signer: Signer,
    typ: int,
    claims: dict[int, Any],
    fleet: str,
    channel: str,
    protected: dict[int, Any] | None = None,
    unprotected: dict[int, Any] | None = None,
) -> bytes:
    head = dumps(protected if protected is not None else {1: signer.alg, 4: signer.kid, 16: typ})
    payload = dumps(claims)
    aad = dumps(["everpin/1", fleet, channel])
    signature = signer.sign(dumps(["Signature1", head, aad, payload]))
    return dumps(cbor2.CBORTag(18, [head, unprotected or {}, payload, signature]))


@cache
def named(name: str) -> Signer:
    """Return the signer of a one-letter name: L and M are HSS-LMS (n = 32 and 24), P to S are P-256, all others Ed25519."""
    if name in "LM":
        return Signer(name, -46, 32 if name == "L" else 24)
    return Signer(name, -9 if name in "PQRS" else -19)


def groups(rule: str) -> list[tuple[int, str]]:
    """Return a rule as (threshold, names) for each group; "2:abc&1:LM" asks for two of a, b, c and for one of L, M."""
    return [(int(item.split(":")[0]), item.split(":")[1]) for item in rule.split("&")]


class Ground:
    """Documents by named signers, each name one letter (`named`).

    `signers` is a text of names in the order in which they sign; "!" behind a name breaks its signature. One signature makes a
    COSE_Sign1, several a COSE_Sign (RFC 9052 sections 4.2 and 4.1).
    """

    def __init__(self, name: str = "acme", channel: str = "meters") -> None:
        self.name, self.channel = name, channel

    def sign(self, typ: int, claims: dict[int, Any], channel: str, signers: str) -> bytes:
        payload, aad = dumps(claims), dumps(["everpin/1", self.name, channel])
        who = [(named(name), broken) for name, broken in re.findall(r"(\w)(!?)", signers)]
        single = len(who) == 1
        head = dumps({1: who[0][0].alg, 4: who[0][0].kid, 16: typ} if single else {16: typ})
        parts = []
        for signer, broken in who:
            own = dumps({1: signer.alg, 4: signer.kid})
            context = ["Signature1", head] if single else ["Signature", head, own]
            made = signer.sign(dumps([*context, aad, payload]))
            if broken:
                made = made[:-1] + bytes([made[-1] ^ 1])
            parts.append([own, {}, made])
        last = parts[0][2] if single else parts
        return dumps(cbor2.CBORTag(18 if single else 98, [head, {}, payload, last]))

    def root(
        self,
        version: int,
        rule: str,
        signers: str,
        pins: str = "1:p",
        commitment: str = "",
        keys: str = "",
        iat: int = T0,
        body: dict[int, Any] | None = None,
    ) -> bytes:
        """Return a root with `rule` for roots and `pins` for pins; `commitment` as "threshold:names"; `keys` instead of those named."""
        both = [groups(rule), groups(pins)]
        names = keys or "".join(
            sorted({name for role in both for _, members in role for name in members})
        )
        said: dict[int, Any] = {
            1: version,
            2: [named(name).cose for name in names],
            3: {
                role + 1: [
                    [threshold, [names.index(name) for name in members]]
                    for threshold, members in found
                ]
                for role, found in enumerate(both)
            },
        }
        if commitment:
            threshold, members = groups(commitment)[0]
            said[4] = [threshold, [named(name).digest for name in members]]
        said |= body or {}
        return self.sign(ROOT, {1: self.name, 6: iat, BODY: said}, "", signers)

    def pins(
        self,
        number: tuple[int, int],
        signers: str = "p",
        hosts: list[Any] | None = None,
        iat: int = T0,
        body: dict[int, Any] | None = None,
        claims: dict[int, Any] | None = None,
    ) -> bytes:
        said = {
            1: number[0],
            2: number[1],
            3: hosts if hosts is not None else [host()],
            5: [["broker.example", 8883]],
            6: ["http://mirror.example/pins"],
        } | (body or {})
        full = {1: self.name, 3: self.channel, 6: iat, BODY: said} | (claims or {})
        return self.sign(PINS, full, self.channel, signers)

    def factory(
        self, root: bytes, pins: bytes, device: str = "meter-1", build_time: int = T0
    ) -> bytes:
        return dumps(
            {1: 1, 2: self.name, 3: self.channel, 4: device, 5: root, 6: pins, 7: build_time}
        )


class Fleet:
    """A fleet with one signer for both roles, and defaults for everything."""

    def __init__(
        self, name: str = "acme", channel: str = "meters", alg: int = -19, seed: str = "ops"
    ) -> None:
        self.name, self.channel, self.signer = name, channel, Signer(seed, alg)

    def root(self, version: int = 1, iat: int = T0, **extra: Any) -> bytes:
        body = {1: version, 2: [self.signer.cose], 3: {1: [[1, [0]]], 2: [[1, [0]]]}} | extra.get(
            "body", {}
        )
        return sign1(self.signer, ROOT, {1: self.name, 6: iat, BODY: body}, self.name, "")

    def pins(
        self,
        s: int = 1,
        hosts: list[Any] | None = None,
        r: int = 1,
        iat: int = T0,
        body: dict[int, Any] | None = None,
        claims: dict[int, Any] | None = None,
        drop: tuple[int, ...] = (),
        **how: Any,
    ) -> bytes:
        said = {
            1: r,
            2: s,
            3: hosts if hosts is not None else [host()],
            5: [["broker.example", 8883]],
            6: ["http://mirror.example/pins"],
        } | (body or {})
        for key in drop:
            del said[key]
        full = {1: self.name, 3: self.channel, 6: iat, BODY: said} | (claims or {})
        signer = how.pop("signer", self.signer)
        fleet, channel = how.pop("fleet", self.name), how.pop("channel", self.channel)
        return sign1(signer, how.pop("typ", PINS), full, fleet, channel, **how)

    def sealed_secrets(self, device: str = "meter-1") -> bytes:
        """Return a secrets record sealed with cryptography's own CCM and HKDF."""
        return seal(DEVICE_KEY, self.name, device, {2: device, 3: "password"})

    def factory(
        self,
        device: str = "meter-1",
        pins: bytes | None = None,
        build_time: int = T0,
        managed: list[list[bytes]] | None = None,
    ) -> bytes:
        return dumps(
            ({8: managed} if managed else {})
            | {
                1: 1,
                2: self.name,
                3: self.channel,
                4: device,
                5: self.root(),
                6: pins if pins is not None else self.pins(),
                7: build_time,
            }
        )


def host(name: str = "broker.example", *pins: bytes, **extra: Any) -> dict[int, Any]:
    return {1: name, 2: 3, 3: [[pin, 1] for pin in pins or (ALPHA, BETA)]} | extra.get(
        "fields", {}
    )
