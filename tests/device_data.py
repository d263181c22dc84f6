"""What the device tests read on both interpreters: signed documents, one file each, made anew for each session."""

import datetime
import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import attack_data
import history_data
import matrix_data
import path_data
import rotations
import sct_data
import structure_data
import vector_data
from documents import (
    ALPHA,
    BETA,
    DELTA,
    DEVICE_KEY,
    GAMMA,
    PINS,
    ROOT,
    T0,
    Fleet,
    Signer,
    derived,
    host,
)

UTC = datetime.UTC


def certificate(seed: str) -> tuple[bytes, bytes]:
    """Return (certificate DER, SHA-256 of its SPKI) of a self-signed P-256 certificate, the same each time but for its signature."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big") >> 1
    key = ec.derive_private_key(number, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, seed)])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime.datetime(2021, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return built.public_bytes(serialization.Encoding.DER), hashlib.sha256(spki).digest()


def make(folder: str) -> None:
    """Write every file the device tests name."""
    where = Path(folder)

    def put(name: str, data: bytes) -> None:
        (where / name).write_bytes(data)

    fleet = Fleet()
    cert_a, pin_a = certificate("a")
    cert_b, pin_b = certificate("b")
    cert_c, pin_c = certificate("c")
    for letter, cert, pin in (("a", cert_a, pin_a), ("b", cert_b, pin_b), ("c", cert_c, pin_c)):
        put(f"cert-{letter}.der", cert)
        put(f"pin-{letter}.bin", pin)
    real = [host("broker.example", pin_a, ALPHA)]
    put("root-1.cbor", fleet.root())
    put("root-2.cbor", fleet.root(2))
    put("pins-1.cbor", fleet.pins(1, real))
    put("factory.cbor", fleet.factory(pins=fleet.pins(1, real)))
    p256 = Fleet(alg=-9, seed="p256")
    put("factory-p256.cbor", p256.factory(pins=p256.pins(1, real)))
    put("p256-2.cbor", p256.pins(2, [host("broker.example", pin_a, pin_b)]))

    # Routine documents.
    put("pins-2.cbor", fleet.pins(2, [host("broker.example", pin_a, pin_b)], iat=T0 + 100))
    put("pins-2-other.cbor", fleet.pins(2, [host("broker.example", pin_b, pin_c)]))
    put("pins-3-nobody.cbor", fleet.pins(3, [host("broker.example", GAMMA, DELTA)], iat=T0 + 200))
    put("pins-4-nobody.cbor", fleet.pins(4, [host("broker.example", BETA, DELTA)], iat=T0 + 300))
    put("pins-5.cbor", fleet.pins(5, [host("broker.example", pin_b, pin_c)], iat=T0 + 400))
    put(
        "pins-6-forbid-a.cbor",
        fleet.pins(6, [host("broker.example", pin_b, pin_c)], body={-2: [pin_a]}, iat=T0 + 500),
    )
    put(
        "pins-7-urgent.cbor",
        fleet.pins(7, [host("broker.example", pin_b, pin_c)], body={-1: [1, 7]}),
    )
    now = host("broker.example", pin_b, pin_c, fields={-1: [1, 8]})
    put("pins-8-now.cbor", fleet.pins(8, [now]))
    both = [
        host("broker.example", pin_b, pin_c),
        host("api.example", pin_a, pin_b, fields={4: True}),
    ]
    put("pins-9-api.cbor", fleet.pins(9, both))
    narrowed = [*both, host("x.api.example", pin_c, GAMMA)]
    put("pins-10-narrowed.cbor", fleet.pins(10, narrowed))
    put("pins-11-moved.cbor", fleet.pins(11, real, body={6: ["http://elsewhere.example/p"]}))
    put(
        "pins-12-exp.cbor",
        fleet.pins(12, real, body={9: ["rtc"]}, claims={4: T0 + 1000}),
    )
    put("pins-13-exp.cbor", fleet.pins(13, real, body={9: ["rtc"]}, claims={4: T0 + 1000}))
    put("pins-14-unknown-positive.cbor", fleet.pins(14, real, body={20: "later"}))

    # Attacks and mistakes: each is refused by its own error.
    thief, foreign = Signer("thief"), Fleet("other")
    good = fleet.pins(5, real)
    put("bad-unsigned.cbor", fleet.pins(5, real, signer=thief))
    put("bad-signature.cbor", good[:-1] + bytes([good[-1] ^ 1]))
    put("bad-altered.cbor", good.replace(pin_a, pin_c))
    put("bad-fleet.cbor", foreign.pins(5, real))
    put("bad-fleet-same-key.cbor", foreign.pins(5, real, signer=fleet.signer))
    put("bad-fleet-aad.cbor", fleet.pins(5, real, fleet="other"))
    put("bad-channel.cbor", Fleet(channel="lamps").pins(5, real))
    put("bad-type.cbor", fleet.pins(5, real, typ=ROOT))
    put("bad-alg-8.cbor", fleet.pins(5, real, protected={1: -8, 4: fleet.signer.kid, 16: PINS}))
    put("bad-alg-9.cbor", fleet.pins(5, real, protected={1: -9, 4: fleet.signer.kid, 16: PINS}))
    put(
        "bad-crit.cbor",
        fleet.pins(5, real, protected={1: -19, 2: [99], 4: fleet.signer.kid, 16: PINS, 99: 1}),
    )
    put("bad-unprotected.cbor", fleet.pins(5, real, unprotected={4: b"x"}))
    put("bad-root-missing.cbor", fleet.pins(1, real, r=2))
    put("bad-one-pin.cbor", fleet.pins(5, [host("broker.example", pin_a, pin_a)]))
    put("bad-forbidden-pin.cbor", fleet.pins(5, real, body={-2: [ALPHA]}))
    put("bad-no-broker.cbor", fleet.pins(5, [host("elsewhere.example", pin_a, ALPHA)]))
    put("bad-no-rescue.cbor", fleet.pins(5, real, body={6: ["gopher://x/"]}))
    put("bad-unknown-negative.cbor", fleet.pins(5, real, body={-9: 1}))
    put("bad-host-negative.cbor", fleet.pins(5, [real[0] | {-9: 1}]))
    put("bad-claim.cbor", fleet.pins(5, real, claims={23: 1}))
    put("bad-too-long.cbor", fleet.pins(5, real, body={20: b"x" * 8000}))
    put("bad-two-hosts.cbor", fleet.pins(5, real + real))
    put("bad-no-hosts.cbor", fleet.pins(5, []))
    put("bad-upper.cbor", fleet.pins(5, [*real, host("UPPER.example", pin_a, pin_b)]))
    put("secrets.cbor", fleet.sealed_secrets())
    put("device.key", DEVICE_KEY)
    put("report.key", derived(DEVICE_KEY, "report", "acme", "meter-1"))
    rotations.make(where)
    attack_data.make(put, pin_a, pin_b, pin_c)
    structure_data.make(put, pin_a)
    path_data.make(put, pin_a)
    history_data.make(put, pin_a)
    matrix_data.make(put, pin_a)
    sct_data.make(put, pin_a)
    vector_data.make(folder)
