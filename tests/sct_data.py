"""Signed certificate timestamps: our own logs, whose promises go wrong in every way, and a real certificate with those of two public logs."""

import base64
import datetime
import hashlib
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cryptography_vectors
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from documents import ALPHA, GAMMA, T0, Fleet, host
from path_data import HOST, LEAF, MIDDLE, ROOT, Issuer, Key, issue, key, pin, spki

LOGS: dict[str, Key] = {name: key(f"log {name}") for name in ("a", "b", "stranger")}
LOGS["rsa"] = rsa.generate_private_key(65537, 2048)
LISTED = ("a", "b", "rsa")
MADE_MS = (T0 - 3600) * 1000
_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_DAY = 86400
# A list of logs is good for 70 days.
STALE_AT = T0 + 70 * _DAY

# The two public logs of cryptography_vectors' certificate of 2018: Google's Icarus and Comodo's Mammoth. Their ids are the keys' hashes.
REAL_LOGS = {
    "icarus": (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETtK8v7MICve56qTHHDhhBOuV4IlUaESxZryCfk9QbG9co/CqPvTsgPDbCpp6oFtyAHwlDhnvr7JijXRD9Cb2FA==",
        "293c519654c83965baaa50fc5807d4b76fbf587a2972dca4c30cf4e54547f478",
    ),
    "mammoth": (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE7+R9dC4VFbbpuyOL+yy14ceAmEf7QGlo/EmtYU6DRzwat43f/3swtLr/L8ugFOOt1YU/RFmMjGCL17ixv66MZw==",
        "6f5376ac31f03119d89900a45115ff77151c11d902c10029068db2089a37d913",
    ),
}


def _sign(log: str, message: bytes) -> bytes:
    made = LOGS[log]
    if isinstance(made, rsa.RSAPrivateKey):
        return made.sign(message, padding.PKCS1v15(), hashes.SHA256())
    from cryptography.hazmat.primitives.asymmetric import ec

    return made.sign(message, ec.ECDSA(hashes.SHA256()))


def promise(
    log: str,
    tbs: bytes,
    issuer: bytes,
    when_ms: int = MADE_MS,
    extensions: bytes = b"",
    version: int = 0,
    algorithm: bytes | None = None,
    signature: Callable[[bytes], bytes] = lambda made: made,
) -> bytes:
    """Return a serialised SCT (RFC 6962 section 3.2) of a log over a precertificate's TBSCertificate."""
    tail = struct.pack(">H", len(extensions)) + extensions
    entry = (
        b"\x00\x00"
        + struct.pack(">QH", when_ms, 1)
        + hashlib.sha256(issuer).digest()
        + len(tbs).to_bytes(3, "big")
        + tbs
        + tail
    )
    signed = signature(_sign(log, entry))
    if algorithm is None:
        algorithm = b"\x04\x01" if log == "rsa" else b"\x04\x03"
    head = (
        bytes((version,)) + hashlib.sha256(spki(LOGS[log])).digest() + struct.pack(">Q", when_ms)
    )
    return head + tail + algorithm + struct.pack(">H", len(signed)) + signed


def listed(*promises: bytes) -> bytes:
    """Return a SignedCertificateTimestampList."""
    body = b"".join(struct.pack(">H", len(item)) + item for item in promises)
    return struct.pack(">H", len(body)) + body


def _wrapped(content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((4, size)) + content
    return (
        b"\x04\x81" + bytes((size,)) if size < 0x100 else b"\x04\x82" + size.to_bytes(2, "big")
    ) + content


def certificate(
    value: Callable[[bytes], bytes | None], by: Issuer = MIDDLE, first: bool = False
) -> bytes:
    """Return a leaf whose list of SCTs is what `value` makes of its precertificate's TBSCertificate; none for None."""

    def built(extra: bytes | None) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by.name)]))
            .public_key(LEAF.public_key())
            .serial_number(77)
            .not_valid_before(datetime.datetime.fromtimestamp(T0 - _DAY, datetime.UTC))
            .not_valid_after(datetime.datetime.fromtimestamp(T0 + 365 * _DAY, datetime.UTC))
        )
        names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
        timestamps = None if extra is None else x509.UnrecognizedExtension(_LIST, extra)
        for item in (timestamps, names) if first else (names, timestamps):
            if item is not None:
                made = made.add_extension(item, False)
        return made.sign(by.key, hashes.SHA256())  # type: ignore[arg-type]

    tbs = built(None).tbs_certificate_bytes
    found = built(value(tbs))
    return found.public_bytes(Encoding.DER)


def chains() -> dict[str, list[bytes]]:
    """Return chains by what is promised of their leaf."""
    middle = issue(ROOT, "Middle", MIDDLE.key, ca=True)
    by = spki(MIDDLE.key)

    def leaf(*promises: Callable[[bytes], bytes], **how: Any) -> list[bytes]:
        return [
            certificate(lambda tbs: _wrapped(listed(*[item(tbs) for item in promises])), **how),
            middle,
        ]

    def of(log: str, **how: Any) -> Callable[[bytes], bytes]:
        return lambda tbs: promise(log, tbs, by, **how)

    def whole(change: Callable[[bytes], bytes]) -> list[bytes]:
        return [certificate(lambda tbs: change(listed(promise("a", tbs, by)))), middle]

    one = of("a")
    return {
        "none": [certificate(lambda _: None), middle],
        "one": leaf(one),
        "two": leaf(one, of("b")),
        "list-first": leaf(one, of("b"), first=True),
        "rsa": leaf(of("rsa")),
        "twice-the-same": leaf(one, of("a", when_ms=MADE_MS + 1)),
        "stranger": leaf(of("stranger")),
        "with-extensions": leaf(of("a", extensions=b"later")),
        "by-the-root": [
            certificate(lambda tbs: _wrapped(listed(promise("a", tbs, spki(ROOT.key)))), ROOT)
        ],
        # ---- promises that are none ----
        "other-issuer": leaf(lambda tbs: promise("a", tbs, spki(ROOT.key))),
        "other-certificate": leaf(lambda tbs: promise("a", tbs[:-1] + b"\x00", by)),
        "bad-signature": leaf(of("a", signature=lambda made: made[:-1] + bytes((made[-1] ^ 1,)))),
        "other-time": leaf(lambda tbs: _later(promise("a", tbs, by))),
        "of-tomorrow": leaf(of("a", when_ms=(T0 + _DAY) * 1000)),
        "version-2": leaf(of("a", version=1)),
        "other-algorithm": leaf(of("rsa", algorithm=b"\x06\x01")),
        "no-signature": leaf(of("a", signature=lambda _: b"")),
        "signature-too-long": leaf(lambda tbs: promise("a", tbs, by) + b"\x00"),
        "other-length": leaf(lambda tbs: _longer(promise("a", tbs, by))),
        "cut": leaf(lambda tbs: promise("a", tbs, by)[:40]),
        "in-vain-and-one": leaf(of("b", signature=lambda _: b"\x30\x00"), one),
        "a-ninth": leaf(*[of("stranger")] * 8, one),
        # ---- lists that are none ----
        "list-too-short": whole(lambda made: _wrapped(made[:-1])),
        "list-with-more": whole(lambda made: _wrapped(made + b"\x00\x00")),
        "list-with-a-byte": whole(
            lambda made: _wrapped(struct.pack(">H", len(made) - 1) + made[2:] + b"\x00")
        ),
        "list-and-more": whole(lambda made: _wrapped(made) + b"\x05\x00"),
        "list-bare": whole(lambda made: made),
    }


def _later(made: bytes) -> bytes:
    """Return an SCT that says another time than was signed."""
    return made[:40] + bytes((made[40] ^ 1,)) + made[41:]


def _longer(made: bytes) -> bytes:
    """Return an SCT without extensions whose signature is said to be longer than it is."""
    return made[:46] + bytes((made[46] + 1,)) + made[47:]


def policies() -> dict[str, dict[int, Any]]:
    """Return what documents say of logs, by name; with the entry's usage and how many promises it asks for as -5 and 2."""
    keys = [spki(LOGS[name]) for name in LISTED]
    fresh = {10: [T0, keys]}
    return {
        "fresh": fresh | {-5: 1},
        "fresh-two": fresh | {-5: 2},
        "fresh-ee": fresh | {-5: 1, 2: 1},
        "not-asked": fresh,
        "stale": {10: [T0 - 70 * _DAY, keys], -5: 1},
        "missing": {-5: 1},
        "strangers": {10: [T0, [spki(LOGS["stranger"])]], -5: 1},
        "junk-beside": {10: [T0, [b"junk", *keys]], -5: 1},
    }


def make(put: Callable[[str, bytes], object], pin_a: bytes) -> None:
    """Write `sct-NAME-N.der`, `sct-policy-NAME.cbor`, and the real certificate with its issuer's and its logs' keys."""
    for name, chain in chains().items():
        for at, item in enumerate(chain):
            put(f"sct-{name}-{at}.der", item)
    fleet = Fleet()
    broker = host("broker.example", pin_a, ALPHA)
    for name, said in policies().items():
        fields = {2: said.get(2, 0)} | {field: said[field] for field in (-5,) if field in said}
        entry = host(HOST, ROOT.pin, pin(LEAF), GAMMA, fields=fields)
        body = {4: [ROOT.anchor], 9: ["rtc"]} | ({10: said[10]} if 10 in said else {})
        put(f"sct-policy-{name}.cbor", fleet.pins(5, [broker, entry], body=body))
    folder = Path(cryptography_vectors.__file__).parent / "x509"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        leaf = x509.load_pem_x509_certificate((folder / "cryptography-scts.pem").read_bytes())
        issuer = x509.load_pem_x509_certificate((folder / "letsencryptx3.pem").read_bytes())
    put("sct-real.der", leaf.public_bytes(Encoding.DER))
    public = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    put("sct-real-issuer.spki", public)
    for name, (text, log_id) in REAL_LOGS.items():
        raw = base64.b64decode(text)
        assert hashlib.sha256(raw).hexdigest() == log_id
        put(f"sct-real-{name}.spki", raw)
