"""Chains and documents for usages 0 to 2: a small PKI, the ways in which a served chain can be wrong, and policies that judge it."""

import datetime
import hashlib
import ipaddress
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from documents import ALPHA, GAMMA, T0, Fleet, host

UTC = datetime.UTC
HOST = "api.example"
# Certificates of these chains are valid for a year from T0; T0 + _PAST is after that.
YEAR = 365 * 86400
PAST = T0 + 2 * YEAR
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def key(seed: str) -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key, the same each time."""
    number = int.from_bytes(hashlib.sha256(b"path " + seed.encode()).digest(), "big") >> 1
    return ec.derive_private_key(number, ec.SECP256R1())


def spki(of: Key) -> bytes:
    """Return a key's SubjectPublicKeyInfo, DER."""
    return of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pin(of: Key) -> bytes:
    """Return a key's pin."""
    return hashlib.sha256(spki(of)).digest()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass
class Issuer:
    """A CA: its name and key."""

    name: str
    key: Key

    @property
    def anchor(self) -> list[bytes]:
        """Return it as a document carries an anchor."""
        return [_name(self.name).public_bytes(), spki(self.key)]

    @property
    def pin(self) -> bytes:
        """Return its pin."""
        return pin(self.key)


def issue(
    by: Issuer,
    subject: str,
    of: Key,
    ca: bool = False,
    names: tuple[str, ...] = (),
    since: int = T0 - 86400,
    until: int = T0 + YEAR,
    path_len: int | None = None,
    usage: bool = True,
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    purpose: x509.ObjectIdentifier | None = None,
) -> bytes:
    """Return a certificate, DER."""
    built = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(by.name))
        .public_key(of.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(since, UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(until, UTC))
        .add_extension(x509.BasicConstraints(ca, path_len if ca else None), critical=True)
    )
    if ca and usage:
        built = built.add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False), True
        )
    if names:
        built = built.add_extension(
            x509.SubjectAlternativeName([_general(item) for item in names]), False
        )
    if purpose is not None:
        built = built.add_extension(x509.ExtendedKeyUsage([purpose]), False)
    for extension, critical in extra:
        built = built.add_extension(extension, critical)
    return built.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _excluded(tag: int, base: bytes) -> x509.UnrecognizedExtension:
    """Return name constraints that exclude one name as it is given."""
    subtree = bytes((0x30, len(base) + 2, tag, len(base))) + base
    return x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.30"),
        bytes((0x30, len(subtree) + 2, 0xA1, len(subtree))) + subtree,
    )


ROOT = Issuer("Root", key("root"))
OTHER = Issuer("Other Root", key("other root"))
MIDDLE = Issuer("Middle", key("middle"))
LEAF = key("leaf")
INSPECTION = Issuer("Inspection", key("inspection"))


def _tower(intermediates: int) -> list[bytes]:
    """Return a leaf and the intermediates above it, each signed by the next, the last one by the root."""
    above = [Issuer(f"Floor {at}", key(f"floor {at}")) for at in range(intermediates)] + [ROOT]
    return [issue(above[0], "leaf", LEAF, names=(HOST,))] + [
        issue(by, each.name, each.key, ca=True) for each, by in itertools.pairwise(above)
    ]


def _one_name() -> list[bytes]:
    """Return a leaf under one of seven CAs of one name, none of which leads anywhere: each is signed by the next."""
    same = [Issuer("Same", key(f"same {at}")) for at in range(7)]
    return [issue(same[0], "leaf", LEAF, names=(HOST,))] + [
        issue(same[(at + 1) % 7], "Same", each.key, ca=True) for at, each in enumerate(same)
    ]


def chains() -> dict[str, list[bytes]]:
    """Return what servers serve, by name, leaf first."""
    middle = issue(ROOT, "Middle", MIDDLE.key, ca=True, until=T0 + 10 * YEAR)
    root = issue(ROOT, "Root", ROOT.key, ca=True, until=T0 + 10 * YEAR)
    cross = issue(OTHER, "Middle", MIDDLE.key, ca=True)
    old = issue(ROOT, "Middle", MIDDLE.key, ca=True, until=T0 - 3600)
    leaf = issue(MIDDLE, "leaf", LEAF, names=(HOST, "*.w.example", "192.0.2.7", "2001:db8::7"))
    # Signed by a key that is not Middle's, under Middle's name: CVE-2016-2402.
    liar = Issuer("Middle", key("liar"))
    forged = issue(liar, "leaf", key("thief"), names=(HOST,))
    forged_same_key = issue(liar, "leaf", LEAF, names=(HOST,))
    # A leaf of the thief's own, from the pinned Middle, that plays CA.
    none = Issuer("No CA", key("no ca"))
    no_ca = issue(MIDDLE, "No CA", none.key)
    deep = Issuer("Deep", key("deep"))

    def middles(**how: Any) -> list[bytes]:
        return [leaf, issue(ROOT, "Middle", MIDDLE.key, **({"ca": True} | how))]

    critical = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"
    )
    constrained = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
    allowed = x509.NameConstraints(
        [x509.DNSName("example"), x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
         x509.IPAddress(ipaddress.ip_network("2001:db8::/32"))],
        None,
    )  # fmt: skip
    return {
        "good": [leaf, middle],
        "with-root": [leaf, middle, root],
        "reordered": [leaf, root, middle],
        "superfluous": [leaf, cross, root, old, middle],
        "missing": [leaf],
        "crossed": [leaf, cross],
        "two-of-one-name": [leaf, issue(liar, "Middle", key("another"), ca=True), middle],
        "same-key-twice": [leaf, old, middle],
        "old-middle": [leaf, old],
        "renewed": [issue(MIDDLE, "leaf", LEAF, names=(HOST,)), middle],
        "new-key": [issue(MIDDLE, "leaf", key("new leaf"), names=(HOST,)), middle],
        "longer": [
            issue(deep, "leaf", LEAF, names=(HOST,)),
            issue(MIDDLE, "Deep", deep.key, ca=True),
            middle,
        ],
        "forged": [forged, middle],
        "forged-with-root": [forged, middle, root],
        "forged-same-key": [forged_same_key, middle],
        "sub-ca-that-is-none": [issue(none, "leaf", LEAF, names=(HOST,)), no_ca, middle],
        "self-signed": [issue(Issuer("leaf", LEAF), "leaf", LEAF, names=(HOST,))],
        "stranger": [issue(OTHER, "leaf", key("stranger"), names=(HOST,))],
        "wrong-name": [issue(MIDDLE, "leaf", LEAF, names=("else.example",)), middle],
        "common-name-only": [issue(MIDDLE, HOST, LEAF), middle],
        "expired": [issue(MIDDLE, "leaf", LEAF, names=(HOST,), until=T0 - 60), middle],
        "not-yet": [issue(MIDDLE, "leaf", LEAF, names=(HOST,), since=T0 + 100 * 86400), middle],
        "for-clients": [
            issue(MIDDLE, "leaf", LEAF, names=(HOST,), purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
            middle,
        ],
        "leaf-unknown-critical": [
            issue(MIDDLE, "leaf", LEAF, names=(HOST,), extra=((critical, True),)),
            middle,
        ],
        "leaf-that-signs": [
            issue(
                MIDDLE,
                "leaf",
                LEAF,
                names=(HOST,),
                extra=((x509.KeyUsage(False, False, False, False, False, True, False, False, False), True),),
            ),
            middle,
        ],
        "depth-6": _tower(5),
        "depth-7": _tower(6),
        "all-of-one-name": _one_name(),
        "middle-ca-false": middles(ca=False),
        "middle-may-not-sign": middles(
            usage=False,
            extra=((x509.KeyUsage(True, False, False, False, False, False, False, False, False), True),),
        ),
        "middle-unknown-critical": middles(extra=((critical, True),)),
        "middle-for-elsewhere": middles(extra=((constrained, True),)),
        "middle-for-clients": middles(purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
        "middle-for-anything": middles(purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
        # Constraints that nobody can read bind all the same: an excluded name with a zero byte, and half an address.
        "middle-excludes-junk": middles(extra=((_excluded(0x82, b"api.example\x00"), True),)),
        "middle-excludes-a-wildcard": middles(extra=((_excluded(0x82, b"*.example"), True),)),
        "middle-excludes-half-an-address": middles(extra=((_excluded(0x87, b"\xc0\x00\x02\x00"), True),)),
        "middle-for-example": [
            issue(MIDDLE, "leaf", LEAF, names=(HOST,)),
            issue(ROOT, "Middle", MIDDLE.key, ca=True, extra=((allowed, True),)),
        ],
        "path-too-long": [
            issue(deep, "leaf", LEAF, names=(HOST,)),
            issue(MIDDLE, "Deep", deep.key, ca=True),
            issue(ROOT, "Middle", MIDDLE.key, ca=True, path_len=0),
        ],
        "broker": [issue(MIDDLE, "leaf", key("stranger"), names=("broker.example",)), middle],
        "broker-inspected": [issue(INSPECTION, "leaf", key("proxy"), names=("broker.example",))],
        "inspection-ca": [issue(INSPECTION, "Inspection", INSPECTION.key, ca=True)],
        "inspected": [issue(INSPECTION, "leaf", key("proxy"), names=(HOST,))],
    }  # fmt: skip


BACKUP = GAMMA


def _entry(usage: int, *pins: bytes, **fields: Any) -> dict[int, Any]:
    return host(HOST, *pins, fields={2: usage} | fields.get("fields", {}))


def policies() -> dict[str, dict[str, Any]]:
    """Return policies for `HOST`, by name: its entry, and what the document says beside it."""
    root, middle, leaf = ROOT.pin, MIDDLE.pin, pin(LEAF)
    store = {4: [ROOT.anchor]}
    return {
        "ta": {"entry": _entry(2, root, BACKUP), "body": store},
        "ta-middle": {"entry": _entry(2, middle, BACKUP), "body": {}},
        "ta-dates": {"entry": _entry(2, root, BACKUP, fields={-3: True}), "body": store},
        "ta-other": {"entry": _entry(2, OTHER.pin, BACKUP), "body": {4: [OTHER.anchor]}},
        "ta-both-anchors": {
            "entry": _entry(2, root, OTHER.pin),
            "body": {4: [OTHER.anchor, ROOT.anchor]},
        },
        "ta-unpinned-anchor": {"entry": _entry(2, OTHER.pin, BACKUP), "body": store},
        "ta-and-leaf": {"entry": _entry(2, root, leaf, fields={-4: True}), "body": store},
        "ta-forbids-middle": {"entry": _entry(2, root, BACKUP), "body": store | {-2: [middle]}},
        "ee": {"entry": _entry(1, leaf, BACKUP), "body": store},
        "ee-other": {"entry": _entry(1, ALPHA, BACKUP), "body": store},
        "ee-and-ca": {"entry": _entry(1, leaf, root, fields={-4: True}), "body": store},
        "ee-and-other-ca": {
            "entry": _entry(1, leaf, OTHER.pin, fields={-4: True}),
            "body": store,
        },
        "ca": {"entry": _entry(0, middle, BACKUP), "body": store},
        "ca-leaf": {"entry": _entry(0, leaf, BACKUP), "body": store},
        "ca-other": {"entry": _entry(0, OTHER.pin, BACKUP), "body": store},
        "ca-report-only": {"entry": _entry(0, OTHER.pin, BACKUP, fields={5: True}), "body": store},
        "ca-expires-store": {
            "entry": _entry(0, OTHER.pin, BACKUP, fields={6: [T0 + 1000, 1]}),
            "body": store,
        },
        "dane-report-only": {"entry": _entry(3, ALPHA, BACKUP, fields={5: True}), "body": store},
        "dane-managed": {"entry": _entry(3, ALPHA, BACKUP, fields={7: True}), "body": store},
        "managed-closed": {
            "entry": _entry(3, ALPHA, BACKUP, fields={5: True, 7: True, -2: T0 + 1000}),
            "body": store,
        },
        "dane": {"entry": _entry(3, leaf, BACKUP), "body": store},
        "dane-other": {"entry": _entry(3, ALPHA, BACKUP), "body": store},
        "expires-store": {
            "entry": _entry(3, ALPHA, BACKUP, fields={6: [T0 + 1000, 1]}),
            "body": store,
        },
        "expires-keep": {
            "entry": _entry(3, leaf, BACKUP, fields={6: [T0 + 1000, 3]}),
            "body": store,
        },
        "expires-closed": {
            "entry": _entry(3, leaf, BACKUP, fields={-2: T0 + 1000}),
            "body": store,
        },
        "closed-report-only": {
            "entry": _entry(3, ALPHA, BACKUP, fields={5: True, -2: T0 + 1000}),
            "body": store,
        },
        "unlisted-broker": {
            "entry": None,
            "body": store | {8: 1, 5: [["broker.example", 8883], [HOST, 8883]]},
        },
        "unlisted": {"entry": None, "body": store | {8: 1}},
        "unlisted-refused": {"entry": None, "body": store},
    }


def make(put: Callable[[str, bytes], object], pin_a: bytes) -> None:
    """Write each chain as `chain-NAME-N.der`, each policy as `policy-NAME.cbor`, number (1, 5), and a managed device's factory."""
    fleet = Fleet()
    broker = host("broker.example", pin_a, ALPHA)
    for name, chain in chains().items():
        for at, certificate in enumerate(chain):
            put(f"chain-{name}-{at}.der", certificate)
    for name, policy in policies().items():
        hosts = [broker] if policy["entry"] is None else [broker, policy["entry"]]
        put(f"policy-{name}.cbor", fleet.pins(5, hosts, body=policy["body"] | {9: ["rtc"]}))
    # The broker's own entry, with all that would relax another's.
    relaxed = host("broker.example", ALPHA, BACKUP, fields={5: True, 6: [T0 + 1000, 1], 7: True})
    put("policy-broker.cbor", fleet.pins(5, [relaxed], body={4: [ROOT.anchor], 8: 1, 9: ["rtc"]}))
    parent = _entry(3, ALPHA, BACKUP, fields={4: True, 6: [T0 + 1000, 3]})
    put("policy-parent.cbor", fleet.pins(5, [broker, parent]))
    for name, number, of in (("ta-then-other", 6, OTHER), ("ta-then-root", 7, ROOT)):
        entry = _entry(2, of.pin, ALPHA)
        put(f"policy-{name}.cbor", fleet.pins(number, [broker, entry], body={4: [of.anchor]}))
    # Another key, and an end: confirmed by nobody before it comes.
    closing = _entry(3, GAMMA, ALPHA, fields={-2: T0 + 1000})
    put("policy-dane-then-closed.cbor", fleet.pins(6, [broker, closing], body={9: ["rtc"]}))
    put(
        "factory-managed.cbor",
        fleet.factory(pins=fleet.pins(1, [broker]), managed=[INSPECTION.anchor]),
    )
