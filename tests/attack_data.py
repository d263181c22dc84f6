"""The documents of the attack tests (tests/device/test_attacks_*.py, test_time.py), one file each."""

from collections.abc import Callable

import cbor2

from documents import (
    ALPHA,
    BETA,
    BODY,
    GAMMA,
    PINS,
    ROOT,
    T0,
    Fleet,
    Ground,
    Signer,
    dumps,
    host,
    sign1,
)

YEAR = 31_557_600
Y2099 = 4_070_908_800
BROKER = "broker.example"


def _head(document: bytes, change: Callable[[dict], object]) -> bytes:  # type: ignore[type-arg]
    """Return a COSE_Sign1 with another protected header and the signature that it had."""
    protected, unprotected, payload, signature = cbor2.loads(document).value
    head = cbor2.loads(protected)
    change(head)
    return dumps(cbor2.CBORTag(18, [dumps(head), unprotected, payload, signature]))


def envelopes(put: Callable[[str, bytes], object], good: bytes) -> None:
    """Write what the failing examples of the COSE working group do to a message, done to a good document of ours."""
    parts = cbor2.loads(good).value
    put("cose-tag-98.cbor", dumps(cbor2.CBORTag(98, parts)))
    put("cose-tag-997.cbor", dumps(cbor2.CBORTag(997, parts)))
    put("cose-untagged.cbor", dumps(parts))
    # As one of several, by the one there is: good under its own tag, nothing under another.
    signer, payload = Fleet().signer, parts[2]
    head, own = dumps({16: PINS}), dumps({1: -19, 4: signer.kid})
    aad = dumps(["everpin/1", "acme", "meters"])
    signature = signer.sign(dumps(["Signature", head, own, aad, payload]))
    several = [head, {}, payload, [[own, {}, signature]]]
    put("cose-several.cbor", dumps(cbor2.CBORTag(98, several)))
    put("cose-several-tag-997.cbor", dumps(cbor2.CBORTag(997, several)))
    put("cose-alg-unknown.cbor", _head(good, lambda head: head.update({1: -999})))
    put("cose-alg-text.cbor", _head(good, lambda head: head.update({1: "unknown"})))
    put("cose-attribute-added.cbor", _head(good, lambda head: head.update({3: 42})))
    put("cose-attribute-removed.cbor", _head(good, lambda head: head.pop(4)))
    put("cose-typ-removed.cbor", _head(good, lambda head: head.pop(16)))


def documents(
    put: Callable[[str, bytes], object], pin_a: bytes, pin_b: bytes, pin_c: bytes
) -> None:
    """Write documents that lie about their type, their audience, their algorithm or their signers."""
    fleet = Fleet()
    real = [host(BROKER, pin_a, ALPHA)]
    envelopes(put, fleet.pins(2, [host(BROKER, pin_a, pin_b)]))
    said = {
        1: "acme",
        3: "meters",
        6: T0,
        BODY: cbor2.loads(cbor2.loads(fleet.pins(5, real)).value[2])[BODY],
    }
    for name, aad in (("protocol", ["other/1", "acme", "meters"]), ("no-aad", None)):
        head, payload = dumps({1: -19, 4: fleet.signer.kid, 16: PINS}), dumps(said)
        signature = fleet.signer.sign(
            dumps(["Signature1", head, b"" if aad is None else dumps(aad), payload])
        )
        put(f"cross-{name}.cbor", dumps(cbor2.CBORTag(18, [head, {}, payload, signature])))
    put(
        "cross-root-as-pins.cbor",
        sign1(fleet.signer, PINS, {1: "acme", 6: T0, BODY: {}}, "acme", ""),
    )
    put("cross-typ-report.cbor", fleet.pins(5, real, typ=65103))
    put("cross-pins-as-root.cbor", sign1(fleet.signer, ROOT, said, "acme", "meters"))
    # A signature made for one context (one signer) under the other (several): RFC 9052 section 4.4.
    _, _, payload, signature = cbor2.loads(fleet.pins(5, real)).value
    signer = [dumps({1: -19, 4: fleet.signer.kid}), {}, signature]
    put("cross-context.cbor", dumps(cbor2.CBORTag(98, [dumps({16: PINS}), {}, payload, [signer]])))
    # What the claims say against what external_aad says: signed by the right key, for this audience, and still refused.
    for name, claims in (
        ("fleet", {1: "other"}),
        ("channel", {3: "lamps"}),
        ("no-channel", {3: ""}),
    ):
        put(f"claims-{name}.cbor", fleet.pins(5, real, claims=claims))
    no_channel = said | {BODY: said[BODY]}
    del no_channel[3]
    put("claims-channel-lacks.cbor", sign1(fleet.signer, PINS, no_channel, "acme", "meters"))
    root = {1: 2, 2: [fleet.signer.cose], 3: {1: [[1, [0]]], 2: [[1, [0]]]}}
    for name, claims in (("fleet", {1: "other"}), ("channel", {3: "meters"})):
        full = {1: "acme", 6: T0, BODY: root} | claims
        put(f"claims-root-{name}.cbor", sign1(fleet.signer, ROOT, full, "acme", ""))
    # The number of another channel's document, copied into a document of mine by somebody without a key of ours.
    lamps = Fleet(channel="lamps")
    put("lamps-9.cbor", lamps.pins(9, real))
    put("lamps-9-as-meters.cbor", lamps.pins(9, real, claims={3: "meters"}))
    # Algorithms: the right key's good signature under another label.
    p256 = Fleet(alg=-9, seed="p256")
    for alg in (-7, -19, -46):
        head256 = {1: alg, 4: p256.signer.kid, 16: PINS}
        put(f"alg{alg}-by-p256.cbor", p256.pins(5, real, protected=head256))
    for alg in (-8, -9, -46):
        head25519 = {1: alg, 4: fleet.signer.kid, 16: PINS}
        put(f"alg{alg}-by-ed25519.cbor", fleet.pins(5, real, protected=head25519))
    thief = Signer("thief")
    put(
        "kid-of-ours.cbor",
        fleet.pins(5, real, signer=thief, protected={1: -19, 4: fleet.signer.kid, 16: PINS}),
    )
    ground = Ground()
    put(
        "factory-p.cbor",
        ground.factory(ground.root(1, "1:r", "r"), ground.pins((1, 1), "p", real)),
    )
    put("sixteen.cbor", ground.pins((1, 2), "p!" * 15 + "p", real))
    put("sixteen-unknown.cbor", ground.pins((1, 2), "x" * 16, real))
    # Undone by a higher number: the old content again.
    put("pins-3-old-content.cbor", fleet.pins(3, real))


def keys(put: Callable[[str, bytes], object], pin_a: bytes, pin_b: bytes, pin_c: bytes) -> None:
    """Write a fleet with two of three for pins: what one stolen key can do, rules that change, sleepers."""
    ground = Ground()
    old, new = [host(BROKER, pin_a, ALPHA)], [host(BROKER, pin_b, pin_c)]
    two = "2:abc"
    roots = {
        "g-root-1": ground.root(1, "1:r", "r", pins=two),
        # b was stolen; d takes its place.
        "g-root-2": ground.root(2, "1:r", "r", pins="2:acd"),
        # Another threshold is another rule; the same rule is not.
        "g-root-2-same": ground.root(2, "1:r", "r", pins="2:cba"),
    }
    for name, data in roots.items():
        put(f"{name}.cbor", data)
    put("g-factory.cbor", ground.factory(roots["g-root-1"], ground.pins((1, 1), "ab", old)))
    put("g-1-9-thief.cbor", ground.pins((1, 9), "b", new))
    put("g-1-9-thief-twice.cbor", ground.pins((1, 9), "bb", new))
    put("g-1-9-old.cbor", ground.pins((1, 9), "ab", old))
    put("g-1-2.cbor", ground.pins((1, 2), "ac", new))
    put("g-2-1-with-b.cbor", ground.pins((2, 1), "ab", new))
    put("g-2-1.cbor", ground.pins((2, 1), "ad", new))
    put("g-2-2.cbor", ground.pins((2, 2), "cd", [host(BROKER, pin_b, GAMMA)]))
    # Slept through the document that first said urgent, or now: later ones carry the barrier on.
    fleet = Fleet()
    put("s-8-after-urgent.cbor", fleet.pins(8, [host(BROKER, pin_c, GAMMA)], body={-1: [1, 7]}))
    now = host(BROKER, pin_c, GAMMA, fields={-1: [1, 8]})
    put("s-9-after-now.cbor", fleet.pins(9, [now]))
    put("s-9-forbid-a.cbor", fleet.pins(9, [host(BROKER, pin_b, pin_c)], body={-2: [pin_a]}))
    for at, barrier in enumerate(([1, 10], [2, 1])):
        put(f"bad-urgent-ahead-{at}.cbor", fleet.pins(9, new, body={-1: barrier}))
    ahead = host(BROKER, pin_b, pin_c, fields={-1: [1, 10]})
    put("bad-now-ahead.cbor", fleet.pins(9, [ahead]))
    # Twelve roots, and the newest of sixty documents.
    shelf = Ground(channel="meters")
    for version in range(1, 14):
        now_key, before = "uv" if version % 2 else "vu"
        signers = now_key if version == 1 else before + now_key
        put(
            f"shelf-root-{version}.cbor",
            shelf.root(version, f"1:{now_key}", signers, pins=f"1:{now_key}"),
        )
    put(
        "shelf-factory.cbor",
        shelf.factory(shelf.root(1, "1:u", "u", pins="1:u"), shelf.pins((1, 1), "u", old)),
    )
    put("shelf-pins.cbor", shelf.pins((13, 60), "u", new, body={-2: [pin_a]}, iat=T0 + 3 * YEAR))
    put("shelf-1-9.cbor", shelf.pins((1, 9), "u", old))
    # The newest root is lost on flash (decision 0009); it was a thief's, for this device alone.
    way = {"commitment": "2:cde"}
    put(
        "lost-factory.cbor",
        ground.factory(ground.root(1, "1:r", "r", **way), ground.pins((1, 1), "p", old)),
    )
    put("lost-root-2.cbor", ground.root(2, "1:t", "rt", pins="1:t", **way))
    put("lost-root-2-other.cbor", ground.root(2, "1:r", "r", **way))
    put("lost-root-3.cbor", ground.root(3, "1:t", "t", pins="1:t", **way))
    put("lost-pins-2-5.cbor", ground.pins((2, 5), "t", new))
    put("lost-pins-1-2.cbor", ground.pins((1, 2), "p", new))
    put("lost-root-65536.cbor", ground.root(65536, "1:n", "cdn", keys="cdnp", commitment="2:fgh"))
    put("lost-root-65536-other.cbor", ground.root(65536, "1:t", "cdt", keys="cdtp"))
    put("lost-root-131072.cbor", ground.root(131072, "1:r", "fgr", keys="fgrp", **way))
    put("lost-pins-65536-1.cbor", ground.pins((65536, 1), "p", [host(BROKER, pin_c, ALPHA)]))


def endpoints(
    put: Callable[[str, bytes], object], pin_a: bytes, pin_b: bytes, pin_c: bytes
) -> None:
    """Write documents with endpoints that are dead or move, for what happens around a device's connections."""
    fleet = Fleet()
    real = [host(BROKER, pin_a, ALPHA)]
    dead = {6: ["http://dead.example/a", "http://dead.example/b"]}
    put("dead-rescue-12.cbor", fleet.pins(12, real, body=dead))
    put("dead-rescue-13.cbor", fleet.pins(13, real, body=dead | {5: [["broker.example", 8884]]}))
    put(
        "scheme-2.cbor",
        fleet.pins(2, real, body={6: ["gopher://x/", "http://mirror.example/pins"]}),
    )


def times(put: Callable[[str, bytes], object], pin_a: bytes, pin_b: bytes, pin_c: bytes) -> None:
    """Write documents from the past and the future."""
    fleet = Fleet()
    real = [host(BROKER, pin_a, ALPHA)]
    named = {9: ["rtc"]}
    put("time-2-rtc.cbor", fleet.pins(2, real, body=named))
    put("time-3-2099.cbor", fleet.pins(3, real, body=named, iat=Y2099))
    put("time-3-2106.cbor", fleet.pins(3, real, body=named, iat=0xFFFFFFFF))
    put("time-3-2107.cbor", fleet.pins(3, real, body=named, iat=0x100000000))
    put("time-3-negative.cbor", fleet.pins(3, real, body=named, iat=-1))
    put("time-4-1970.cbor", fleet.pins(4, real, body=named, iat=0))
    put("time-4-exp.cbor", fleet.pins(4, real, body=named, claims={4: T0 + YEAR}))
    put("time-4-exp-2106.cbor", fleet.pins(4, real, body=named, claims={4: 0xFFFFFFFF}))
    put("time-4-exp-2107.cbor", fleet.pins(4, real, body=named, claims={4: 0x100000000}))
    put("time-4-exp-0.cbor", fleet.pins(4, real, body=named, claims={4: 0}))
    put("time-5-no-source.cbor", fleet.pins(5, real))
    put("time-root-2.cbor", fleet.root(2, iat=T0 + YEAR))
    put("time-root-2-2099.cbor", fleet.root(2, iat=Y2099))
    put("time-root-2-1970.cbor", fleet.root(2, iat=0))
    put("time-root-3.cbor", fleet.root(3, iat=T0 + 2 * YEAR))
    put("time-pins-2-1.cbor", fleet.pins(1, [host(BROKER, pin_a, BETA)], r=2, iat=T0 + YEAR + 100))


def make(put: Callable[[str, bytes], object], pin_a: bytes, pin_b: bytes, pin_c: bytes) -> None:
    """Write every file the attack tests name."""
    for part in (documents, keys, endpoints, times):
        part(put, pin_a, pin_b, pin_c)
