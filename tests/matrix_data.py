"""The matrix's certificates and documents (tests/matrix.py says what must come of them)."""

import datetime
import hashlib
import itertools
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

import matrix
from documents import T0, Fleet, host
from path_data import Issuer, Key, issue, key, pin

NOW = T0 + 5000
# Long enough that mbedTLS, which goes by the machine's clock, judges as we do by NOW.
SINCE = int(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC).timestamp())
UNTIL = int(datetime.datetime(2049, 1, 1, tzinfo=datetime.UTC).timestamp())
FILLER = hashlib.sha256(b"matrix filler").digest()
_EXPIRES = {6: [T0 + 1000, 1]}, {-2: T0 + 1000}, {6: [T0 + 1000, 3]}


def _keys() -> dict[str, Key]:
    made: dict[str, Key] = {
        name: key(f"matrix {name}")
        for name in ("leaf", "middle", "root", "other", "thief", "trusted", "backup")
    }
    for name in ("leaf-p384", "middle-p384"):
        number = int.from_bytes(hashlib.sha384(name.encode()).digest(), "big") >> 1
        made[name] = ec.derive_private_key(number, ec.SECP384R1())
    for name in ("leaf-rsa", "middle-rsa"):
        made[name] = rsa.generate_private_key(65537, 2048)
    return made


KEYS = _keys()
CAS = {
    name: Issuer(f"Matrix {name}", KEYS[name])
    for name in ("root", "trusted", "middle", "middle-p384", "middle-rsa")
}


def chains() -> dict[str, list[bytes]]:
    """Return what is served by each kind, DER, leaf first."""
    always: dict[str, Any] = {"since": SINCE, "until": UNTIL}

    def under(by: Issuer, of: str, name: str = "*.m.example", **how: Any) -> bytes:
        return issue(by, "leaf", KEYS[of], names=(name,), **always | how)

    middles = {
        name: issue(CAS["root"], f"Matrix {name}", KEYS[name], ca=True, **always)
        for name in matrix.MIDDLES
    }
    middle = CAS["middle"]
    above = [middles["middle"]]
    liar = Issuer(middle.name, KEYS["thief"])
    forged = [under(liar, "thief"), *above]
    other = [under(middle, "other"), *above]
    return {
        "p256": [under(middle, "leaf"), *above],
        "p384": [under(CAS["middle-p384"], "leaf-p384"), middles["middle-p384"]],
        "rsa": [under(CAS["middle-rsa"], "leaf-rsa"), middles["middle-rsa"]],
        "same-key": [under(middle, "leaf", since=T0 + 4000), *above],
        "same-name": other,
        "expired": [under(middle, "leaf", until=T0 - 60), *above],
        "not-yet": [under(middle, "leaf", since=T0 + 4 * 365 * 86400), *above],
        "wrong-host": [under(middle, "leaf", "*.else.example"), *above],
        "self-signed": [under(Issuer("leaf", KEYS["thief"]), "thief")],
        "trusted-ca": [under(CAS["trusted"], "thief")],
        "forged-issuer": forged,
        "intermediate": other,
        "forged-intermediate": forged,
    }


def _entry(state: str, kind: str, usage: int) -> dict[int, Any]:
    target = [pin(KEYS[name]) for name in sorted(matrix.target(kind, usage))]
    backup = pin(KEYS["backup"])
    pins = {
        "backup-only": [backup, FILLER],
        "both": [*target, backup],
        "forbidden": [*target, backup, FILLER],
    }.get(state, [*target, FILLER])
    fields: dict[int, Any] = {2: usage}
    if state == "retiring":
        fields[3] = [[item, 3] for item in target] + [[FILLER, 1]]
    if state in matrix.EXPIRED:
        fields |= _EXPIRES[matrix.EXPIRED.index(state)]
    return host(matrix.where(kind, state, usage), *pins, fields=fields)


def _pinning(entry: dict[int, Any], name: str) -> dict[int, Any]:
    return entry | {3: [[pin(KEYS[name]), 1], [FILLER, 1]]}


def make(put: Callable[[str, bytes], object], pin_a: bytes) -> None:
    """Write `matrix-KIND-N.der`, `matrix-STEP.cbor`, and the cells of each phase as `matrix-PHASE.txt`."""
    for kind, chain in chains().items():
        for at, certificate in enumerate(chain):
            put(f"matrix-{kind}-{at}.der", certificate)
    fleet = Fleet()
    broker = host("broker.example", pin_a, FILLER)
    anchors = {4: [CAS[name].anchor for name in ("root", "trusted")], 9: ["rtc"]}

    steps: list[tuple[str, list[Any], dict[int, Any]]] = [
        ("empty", [], {}),
        ("empty-pkix", [], {8: 1}),
    ]
    for state, usage, kind in itertools.product(
        matrix.STATES, matrix.USAGES, ("p256", "intermediate")
    ):
        name = matrix.phase(kind, state, usage)
        entry = _entry(state, kind, usage)
        if state in ("overlap", "corrupt"):
            # The factory's entry is the base, or what is left when the record of the newest pins has rotted: those had the thief's key.
            factory = fleet.pins(1, [broker, entry], body=anchors)
            put(f"matrix-{name}-factory.cbor", fleet.factory(pins=factory))
            entry = _pinning(entry, "backup" if state == "overlap" else "thief")
        forbidden = matrix.target(kind, usage) if state == "forbidden" else ()
        steps.append((name, [entry], {-2: sorted(pin(KEYS[item]) for item in forbidden)}))
    for at, (name, hosts, body) in enumerate(steps):
        put(f"matrix-{name}.cbor", fleet.pins(10 + at, [broker, *hosts], body=anchors | body))
    for phase in matrix.PHASES:
        rows = [
            f"{kind} {matrix.where(kind, state, usage)} {matrix.rule(kind, state, usage)}"
            for kind, state, usage in matrix.cells()
            if matrix.phase(kind, state, usage) == phase
        ]
        put(f"matrix-{phase}.txt", "\n".join(rows).encode())
