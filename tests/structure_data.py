"""Documents that are well signed and break one rule of structure each, and factory records that do."""

from collections.abc import Callable
from typing import Any

import cbor2

from documents import ALPHA, BODY, PINS, T0, Fleet, dumps, host, sign1

BROKER = "broker.example"


def make(put: Callable[[str, bytes], object], pin_a: bytes) -> None:
    """Write well signed `pins` documents, each of which breaks one rule of structure."""
    fleet = Fleet()
    good = host(BROKER, pin_a, ALPHA)

    def named(name: str) -> list[Any]:
        return [good, host(name, pin_a, ALPHA)]

    def bodies(**which: dict[Any, Any]) -> None:
        for name, body in which.items():
            put(f"structure-{name}.cbor", fleet.pins(5, [good], body=body))

    def hosts(**which: list[Any]) -> None:
        for name, found in which.items():
            put(f"structure-{name}.cbor", fleet.pins(5, found))

    bodies(
        true_sequence={2: True}, no_sequence={2: 0}, huge_sequence={2: 1 << 32}, no_root={1: 0}, text_key={"x": 1},
        far_key={24: 1}, far_negative={-25: 1}, hosts_map={3: {}}, port_0={5: [[BROKER, 0]]}, port_65536={5: [[BROKER, 65536]]},
        broker_triple={5: [[BROKER, 1, 2]]}, brokers_5={5: [[BROKER, n] for n in range(1, 6)]}, carrier_bytes={6: [b"http://x/"]},
        carrier_long={6: ["http://" + "x" * 200]}, carriers_5={6: [f"http://x/{n}" for n in range(5)]},
        source_slash={9: ["a/b"]}, source_plus={9: ["a+"]}, source_hash={9: ["#"]}, source_space={9: ["a b"]},
        source_control={9: ["a\x7f"]}, source_empty={9: [""]}, source_long={9: ["x" * 65]}, unlisted_2={8: 2},
        forbidden_short={-2: [pin_a[:31]]}, forbidden_text={-2: ["x" * 32]}, urgent_true={-1: True}, urgent_short={-1: [1]},
        anchor_text={4: [["x", b"y"]]}, logs_none={10: [T0, []]}, logs_text={10: [T0, ["x"]]}, logs_time={10: ["x", [b"y"]]},
        logs_17={10: [T0, [bytes([n]) for n in range(17)]]},
    )  # fmt: skip
    hosts(
        short_pin=[host(BROKER, pin_a[:31], ALPHA)], text_pin=[good | {3: [["x" * 32, 1], [pin_a, 1]]}],
        status_0=[good | {3: [[pin_a, 0], [ALPHA, 1]]}], status_4=[good | {3: [[pin_a, 4], [ALPHA, 1]]}],
        pins_9=[host(BROKER, pin_a, ALPHA, *[bytes([n]) * 32 for n in range(7)])], pin_1=[host(BROKER, pin_a)],
        hosts_17=[good, *[host(f"h{n}.example", pin_a, ALPHA) for n in range(16)]],
        subdomains_false=[good | {4: False}], subdomains_1=[good | {4: 1}], usage_4=[good | {2: 4}], no_usage=[good | {2: None}],
        name_slash=named("a/b"), name_space=named("a b"), name_dot=named("a.example."), name_empty=named(""),
        name_brackets=named("[::1]"), name_long=named("x" * 254), host_array=[[1]],
        report_only_false=[good | {5: False}], managed_1=[good | {7: 1}], expires_short=[good | {6: [T0]}],
        expires_closed=[good | {6: [T0, 2]}], expires_4=[good | {6: [T0, 4]}], expires_twice=[good | {6: [T0, 1], -2: T0}],
        closes_text=[good | {-2: "x"}], dates_usage_3=[good | {-3: True}], both_usage_3=[good | {-4: True}],
        scts_usage_2=[good | {2: 2, -5: 1}], scts_4=[good | {2: 1, -5: 4}], both_false=[good | {2: 1, -4: False}],
    )  # fmt: skip
    for name, claims in (
        ("exp_text", {4: "x"}),
        ("exp_negative", {4: -1}),
        ("iat_text", {6: "x"}),
        ("iat_none", {6: None}),
    ):
        put(f"structure-{name}.cbor", fleet.pins(5, [good], claims=claims))
    full = {
        1: "acme",
        3: "meters",
        BODY: cbor2.loads(cbor2.loads(fleet.pins(5, [good])).value[2])[BODY],
    }
    put("structure-no_iat.cbor", sign1(fleet.signer, PINS, full, "acme", "meters"))
    put(
        "structure-no_body.cbor",
        sign1(fleet.signer, PINS, {1: "acme", 3: "meters", 6: T0}, "acme", "meters"),
    )
    # Factory records: what is burnt in is checked like everything else.
    root, pins = fleet.root(), fleet.pins(1, [good])
    for name, fields in (
        ("pins-signature", {6: pins[:-1] + bytes([pins[-1] ^ 1])}), ("root-signature", {5: root[:-1] + bytes([root[-1] ^ 1])}),
        ("pins-ahead", {6: fleet.pins(1, [good], r=2)}), ("pins-channel", {6: Fleet(channel="lamps").pins(1, [good])}),
        ("root-fleet", {5: Fleet("other").root()}), ("swapped", {5: pins, 6: root}), ("no-broker", {6: fleet.pins(1, [host("x.example", pin_a, ALPHA)])}),
        ("slash", {4: "meter/1"}), ("reserved", {3: "root", 6: Fleet(channel="root").pins(1, [good])}), ("format", {1: 2}), ("time", {7: -1}),
    ):  # fmt: skip
        said = {1: 1, 2: "acme", 3: "meters", 4: "meter-1", 5: root, 6: pins, 7: T0} | fields
        put(f"factory-bad-{name}.cbor", dumps(said))
