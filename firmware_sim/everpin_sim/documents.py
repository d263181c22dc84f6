"""Signed documents and certificates for simulated devices, made with cbor2, cryptography and pyhsslms alone.

Nothing of the agent or of the fleet's tools has a hand in them, so that neither is its own judge.
"""

import datetime
import hashlib
from typing import Any

import cbor2
import pyhsslms
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.x509.oid import NameOID

ROOT, PINS = 65101, 65102
BODY = -70001
T0 = 1_790_000_000
FLEET, CHANNEL, DEVICE = "acme", "meters", "meter-1"
SERVER = "broker.example"


def dumps(value: Any) -> bytes:
    """Return deterministic CBOR."""
    return cbor2.dumps(value, canonical=True)


ED25519, ESP256, HSS_LMS = -19, -9, -46


class Signer:
    """A key by its name: Ed25519, P-256 or HSS-LMS (height 5, W 4, hashes of n bytes), its COSE_Key map, and SHA-256 of that."""

    def __init__(self, name: str, alg: int = ED25519, n: int = 32) -> None:
        self.alg = alg
        raw = hashlib.sha256(name.encode()).digest()
        if alg == HSS_LMS:
            # RFC 8778. One level: 32 signatures.
            types = (pyhsslms.lms_sha256_m32_h5, pyhsslms.lmots_sha256_n32_w4)
            if n == 24:
                types = (pyhsslms.lms_sha256_m24_h5, pyhsslms.lmots_sha256_n24_w4)
            self.key: Any = pyhsslms.HssPrivateKey(1, *types, SEED=raw[:n])
            self.cose = {1: 5, 3: alg, -1: self.key.publicKey().serialize()}
        elif alg == ED25519:
            self.key = ed25519.Ed25519PrivateKey.from_private_bytes(raw)
            public = self.key.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw
            )
            self.cose = {1: 1, 3: alg, -1: 6, -2: public}
        else:
            self.key = ec.derive_private_key(int.from_bytes(raw, "big") >> 1, ec.SECP256R1())
            point = self.key.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            )
            self.cose = {1: 2, 3: alg, -1: 1, -2: point[1:33], -3: point[33:]}
        self.digest = hashlib.sha256(dumps(self.cose)).digest()
        self.kid = self.digest[:8]

    def sign(self, data: bytes) -> bytes:
        """Return the signature over bytes, as COSE has it."""
        if self.alg != ESP256:
            return bytes(self.key.sign(data))
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed(
    typ: int,
    channel: str,
    body: dict[int, Any],
    signers: list[Signer],
    iat: int,
    fleet: str = FLEET,
    exp: int | None = None,
) -> bytes:
    """Return a document: COSE_Sign1 for one signer, COSE_Sign for several."""
    claims: dict[int, Any] = {1: fleet, 6: iat, BODY: body}
    if channel:
        claims[3] = channel
    if exp is not None:
        claims[4] = exp
    payload = dumps(claims)
    aad = dumps(["everpin/1", fleet, channel])
    if len(signers) == 1:
        head = dumps({1: signers[0].alg, 4: signers[0].kid, 16: typ})
        signature = signers[0].sign(dumps(["Signature1", head, aad, payload]))
        return dumps(cbor2.CBORTag(18, [head, {}, payload, signature]))
    head = dumps({16: typ})
    signatures = []
    for signer in signers:
        own = dumps({1: signer.alg, 4: signer.kid})
        context = dumps(["Signature", head, own, aad, payload])
        signatures.append([own, {}, signer.sign(context)])
    return dumps(cbor2.CBORTag(98, [head, {}, payload, signatures]))


def root(
    version: int,
    keys: list[Signer],
    rules: tuple[list[Any], list[Any]],
    signers: list[Signer],
    commitment: list[Any] | None = None,
) -> bytes:
    """Return a root; `rules` are those of root and pins, each one group [threshold, indices of keys]."""
    body: dict[int, Any] = {
        1: version,
        2: [key.cose for key in keys],
        3: {1: [rules[0]], 2: [rules[1]]},
    }
    if commitment is not None:
        body[4] = commitment
    return signed(ROOT, "", body, signers, T0 + version % 1000)


def pins(
    number: tuple[int, int],
    keys: tuple[bytes, ...],
    signer: Signer,
    forbidden: tuple[bytes, ...] = (),
    padding: int = 0,
    host_padding: int = 0,
) -> bytes:
    """Return pins for the one server; `padding` is the length of an extension that agents ignore.

    That of the host comes into the base, and so makes the commit long.
    """
    r, s = number
    host: dict[int, Any] = {1: SERVER, 2: 3, 3: [[key, 1] for key in keys]}
    if host_padding:
        host[20] = b"\x5a" * host_padding
    body: dict[int, Any] = {
        1: r,
        2: s,
        3: [host],
        5: [[SERVER, 8883]],
        6: ["http://mirror.example/pins"],
    }
    if forbidden:
        body[-2] = list(forbidden)
    if padding:
        body[20] = b"\x5a" * padding
    return signed(PINS, CHANNEL, body, [signer], T0 + s)


def certificate(name: str) -> tuple[bytes, bytes]:
    """Return (a self-signed P-256 certificate, SHA-256 of its SPKI)."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 1
    key = ec.derive_private_key(number, ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC))
        .sign(key, hashes.SHA256())
    )
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return built.public_bytes(serialization.Encoding.DER), hashlib.sha256(spki).digest()


def factory(first_root: bytes, first_pins: bytes) -> bytes:
    """Return the body of a factory record."""
    return dumps({1: 1, 2: FLEET, 3: CHANNEL, 4: DEVICE, 5: first_root, 6: first_pins, 7: T0})


def root_topic(version: int) -> str:
    """Return the topic of a root."""
    return f"everpin/1/{FLEET}/root/{version}"


def pins_topic() -> str:
    """Return the topic of the device's bucket."""
    bucket = hashlib.sha256(f"{FLEET}\0{DEVICE}".encode()).digest()[0] % 64
    return f"everpin/1/{FLEET}/{CHANNEL}/{bucket}/pins"
