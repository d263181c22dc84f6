"""Paths beside `cryptography.x509.verification`, on PKITS and on chains that are wrong at random: never accept what it refuses.

Each exception has its reason. What it accepts and we refuse is no danger; PKITS' own names ("Valid...") say how much of that there is.
"""

import collections
import datetime
import ipaddress
import random
import re
import warnings
from pathlib import Path
from typing import Any

import cryptography_vectors
from cryptography import x509 as peer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID

import path_data
from documents import ALPHA, T0, Fleet, host
from everpin.core import accept, chain, verdict, x509

# ---- PKITS ----------------------------------------------------------------------------------------------------------

PKITS = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data" / "certs"
ANCHOR = "TrustAnchorRootCertificate.crt"
THEN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
# PKITS calls a path invalid for a reason that is not the path's: what a CRL says, or fails to say. everpin has its own forbidden set.
_OF_CRLS = re.compile(
    "CRL|cRL|[Rr]evoked|onlyContains|onlySomeReasons|distributionPoint|SerialNumber"
    "|BasicSelfIssuedNewWithOldTest5|BasicSelfIssuedOldWithNewTest2"
)
# Paths that `cryptography` refuses and we follow.
FOLLOWED = {
    "InvalidNegativeSerialNumberTest15EE.crt": "a negative serial number; the test is about revocation",
    "ValidGeneralizedTimenotBeforeDateTest4EE.crt": "a date before 2050 in the longer form: RFC 5280 binds CAs, and the date is clear",
    "ValidSelfIssuedpathLenConstraintTest15EE.crt": "it counts self-issued certificates, or takes the wrong one of two",
    "ValidSelfIssuedpathLenConstraintTest17EE.crt": "the same",
}
# Valid by PKITS and refused by us: names are compared byte by byte, unknown kinds of constraints are kept by nobody, policies that
# are required are an extension that we do not know, DSA and unique identifiers are not read.
_UNFOLLOWED = re.compile(
    "DNnameConstraints|DNandRFC822|RFC822nameConstraints|URInameConstraints|NameChaining|Rollover|CaseInsensitive"
    "|[pP]olicy|DSA|NameUIDs"
)


def _certificates() -> dict[str, peer.Certificate]:
    found = {}
    for path in sorted(PKITS.glob("*.crt")):
        try:
            found[path.name] = peer.load_der_x509_certificate(path.read_bytes())
        except ValueError:
            continue  # DSA parameters that are left out
    return found


def _der(certificate: peer.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _above(name: str, certificates: dict[str, peer.Certificate]) -> list[str]:
    """Return a certificate's name and those of all that might stand above it, the anchor left out."""
    by_subject = collections.defaultdict(list)
    for other, item in certificates.items():
        if other != ANCHOR:
            by_subject[item.subject.public_bytes()].append(other)
    found = todo = [name]
    while todo:
        above = [
            item
            for child in todo
            for item in by_subject[certificates[child].issuer.public_bytes()]
            if item not in found
        ]
        todo = list(dict.fromkeys(above))
        found = found + todo
    return found


def test_pkits_paths_are_followed_as_cryptography_follows_them() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _pkits()


def _pkits() -> None:
    certificates = _certificates()
    anchor = x509.Certificate(_der(certificates[ANCHOR]))
    # A client verifier, for PKITS' leaves have no names of hosts; extensions are ours to judge here.
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([certificates[ANCHOR]]))
        .time(THEN.replace(tzinfo=None))
        .max_chain_depth(8)
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.permit_all().require_present(
                peer.BasicConstraints, verification.Criticality.AGNOSTIC, None
            ),
            ee_policy=verification.ExtensionPolicy.permit_all(),
        )
        .build_client_verifier()
    )
    followed, valid, beyond = set(), set(), set()
    for name in certificates:
        if not name.endswith("EE.crt"):
            continue
        names = _above(name, certificates)
        served = chain.read([_der(certificates[item]) for item in names])
        if served is not None and served[0].for_servers():
            search = chain.Search(served, [(anchor.subject, anchor.spki)])
            if any(path.valid_at(int(THEN.timestamp())) for path in search.paths()):
                followed.add(name)
        if name.startswith("Valid"):
            valid.add(name)
        try:
            verifier.verify(certificates[name], [certificates[item] for item in names[1:]])
        except verification.VerificationError:
            beyond.add(name)
    assert len(followed) > 100
    assert followed & beyond == set(FOLLOWED) & set(certificates)
    assert {
        name for name in followed if name.startswith("Invalid") and not _OF_CRLS.search(name)
    } == set()
    assert {name for name in valid - followed if not _UNFOLLOWED.search(name)} == set()


# ---- chains that are wrong at random ---------------------------------------------------------------------------------

HOST = path_data.HOST
NOW = T0 + 5000
KEYS = {
    name: path_data.key(f"agree {name}") for name in ("root", "middle", "deep", "leaf", "stranger")
}
_OURS = peer.ObjectIdentifier("1.3.6.1.4.1.99999.1")
_NC = peer.ObjectIdentifier("2.5.29.30")


def _subtree(kind: int, tag: int, base: bytes) -> peer.UnrecognizedExtension:
    """Return name constraints of one subtree as they come: permitted (0xA0) or excluded (0xA1)."""
    name = bytes((tag, len(base))) + base
    subtree = bytes((0x30, len(name))) + name
    listed = bytes((kind, len(subtree))) + subtree
    return peer.UnrecognizedExtension(_NC, bytes((0x30, len(listed))) + listed)


def _usage(*bits: int) -> peer.KeyUsage:
    return peer.KeyUsage(*(at in bits for at in range(9)))


def _network(text: str) -> peer.IPAddress:
    return peer.IPAddress(ipaddress.ip_network(text))


_DNS = peer.DNSName
_OF_LEAF: dict[str, list[Any]] = {
    "san": [
        [_DNS("*.example")], [_DNS("API.example")], [_DNS("else.example")], [_DNS("api.example.")], [_DNS("a*.example")], None,
        [_DNS("*.api.example")], [_DNS("else.example"), _DNS(HOST)], [peer.RFC822Name("a@api.example")],
        [_DNS(HOST), peer.IPAddress(ipaddress.ip_address("192.0.2.7"))], [_DNS(HOST), _DNS("*.else.example")],
        [_DNS(HOST), peer.UniformResourceIdentifier("https://else.example/")],
    ],
    "purpose": [None, [Purpose.CLIENT_AUTH], [Purpose.ANY_EXTENDED_KEY_USAGE], [Purpose.CODE_SIGNING, Purpose.SERVER_AUTH]],
    "usage": [None, _usage(0), _usage(2), _usage(4), _usage(5), _usage(6), _usage(1)],
    "basic": [None, peer.BasicConstraints(True, None)],
}  # fmt: skip
_OF_CA: dict[str, list[Any]] = {
    "basic": [None, peer.BasicConstraints(False, None), peer.BasicConstraints(True, 0), peer.BasicConstraints(True, 1)],
    "usage": [None, _usage(0), _usage(6), _usage(0, 5), _usage(2, 6)],
    "purpose": [
        [Purpose.SERVER_AUTH], [Purpose.CLIENT_AUTH], [Purpose.ANY_EXTENDED_KEY_USAGE], [Purpose.EMAIL_PROTECTION],
        [Purpose.CLIENT_AUTH, Purpose.SERVER_AUTH],
    ],
    "constraints": [
        *(peer.NameConstraints([base], None) for base in (
            _DNS("example"), _DNS("api.example"), _DNS("else.example"), _DNS("pi.example"), _network("192.0.2.0/24"),
            _network("198.51.100.0/24"), _network("2001:db8::/32"), peer.RFC822Name("example"),
            peer.DirectoryName(path_data._name("leaf")), peer.UniformResourceIdentifier("api.example"),
        )),
        *(peer.NameConstraints(None, [base]) for base in (
            _DNS("example"), _DNS("api.example"), _DNS("else.example"), _DNS("a.else.example"), _network("192.0.2.0/24"),
            _network("198.51.100.0/24"), peer.DirectoryName(path_data._name("leaf")),
        )),
        peer.NameConstraints([_DNS("example")], [_DNS("api.example")]),
        *(_subtree(kind, tag, base) for kind in (0xA0, 0xA1) for tag, base in (
            (0x82, b""), (0x82, b".example"), (0x82, b"*.example"), (0x82, b"api.example\x00"), (0x82, b"ex ample"), (0x82, b"\xe9"),
            (0x87, b"\xc0\x00\x02\x00"), (0x87, b"\xc0\x00\x02\x00\xff\xff\xff"), (0x87, b"\xc0\x00\x02\x00\xff\x00\xff\x00"), (0x87, b""),
            (0x87, bytes(33)),
        )),
    ],
}  # fmt: skip
_OF_ALL: dict[str, list[Any]] = {
    "since": [NOW + 1, NOW, T0 - 5 * 86400],
    "until": [NOW - 1, NOW, T0 + 86400 * 3650],
    "signer": ["stranger", "leaf", "root"],
    "issuer": ["Stranger", "agree leaf"],
    "hash": [hashes.SHA384(), hashes.SHA512(), hashes.SHA224()],
    "extra": [(_OURS, True), (_OURS, False)],
    "authority": [None, "stranger"],
}


def _built(
    subject: str, key: str, issuer: str, signer: str, ca: bool, how: dict[str, Any]
) -> bytes:
    signer = how.get("signer", signer)
    made = (
        peer.CertificateBuilder()
        .subject_name(peer.Name([peer.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(
            peer.Name([peer.NameAttribute(NameOID.COMMON_NAME, how.get("issuer", issuer))])
        )
        .public_key(KEYS[key].public_key())
        .serial_number(peer.random_serial_number())
        .not_valid_before(
            datetime.datetime.fromtimestamp(how.get("since", T0 - 86400), datetime.UTC)
        )
        .not_valid_after(
            datetime.datetime.fromtimestamp(how.get("until", T0 + 86400 * 300), datetime.UTC)
        )
        .add_extension(peer.SubjectKeyIdentifier.from_public_key(KEYS[key].public_key()), False)
    )
    basic = how.get("basic", peer.BasicConstraints(ca, None))
    if basic is not None:
        made = made.add_extension(basic, True)
    usage = how.get("usage", _usage(5, 6) if ca else _usage(0))
    if usage is not None:
        made = made.add_extension(usage, True)
    purpose = how.get("purpose", None if ca else [Purpose.SERVER_AUTH])
    if purpose is not None:
        made = made.add_extension(peer.ExtendedKeyUsage(purpose), False)
    san = how.get("san", None if ca else [_DNS(HOST)])
    if san is not None:
        made = made.add_extension(peer.SubjectAlternativeName(san), False)
    if "constraints" in how:
        made = made.add_extension(how["constraints"], True)
    authority = how.get("authority", signer)
    if authority is not None:
        made = made.add_extension(
            peer.AuthorityKeyIdentifier.from_issuer_public_key(KEYS[authority].public_key()), False
        )
    if "extra" in how:
        oid, critical = how["extra"]
        made = made.add_extension(peer.UnrecognizedExtension(oid, b"\x05\x00"), critical)
    return _der(made.sign(KEYS[signer], how.get("hash", hashes.SHA256())))


def _chains() -> list[tuple[str, list[bytes]]]:
    """Return (what is wrong, chain): each single variation, then pairs of them at random."""
    chosen = random.Random(11)
    menus = {0: _OF_LEAF | _OF_ALL, 1: _OF_CA | _OF_ALL, 2: _OF_CA | _OF_ALL}
    single = [
        (at, field, value) for at, menu in menus.items() for field in menu for value in menu[field]
    ]
    plans: list[list[tuple[int, str, Any]]] = [[], *([item] for item in single)]
    # A wildcard that stands for an excluded name as well.
    wild, deep = [_DNS(HOST), _DNS("*.else.example")], _DNS("a.else.example")
    plans.append([(0, "san", wild), (1, "constraints", peer.NameConstraints(None, [deep]))])
    plans += [chosen.sample(single, 2) for _ in range(500)]
    found = []
    for plan in plans:
        how: list[dict[str, Any]] = [{}, {}, {}]
        for at, field, value in plan:
            how[at][field] = value
        for each in how:
            each["until"] = max(each.get("until", T0 + 86400 * 300), each.get("since", 0))
        longer = any(at == 2 for at, _, _ in plan) or chosen.random() < 0.3
        by = ("agree deep", "deep") if longer else ("agree middle", "middle")
        served = [_built("agree leaf", "leaf", *by, False, how[0])]
        if longer:
            served.append(_built("agree deep", "deep", "agree middle", "middle", True, how[2]))
        served.append(_built("agree middle", "middle", "agree root", "root", True, how[1]))
        if chosen.random() < 0.2:
            served[1:] = reversed(served[1:])
        found.append((" & ".join(f"{at} {field} {value}" for at, field, value in plan), served))
    return found


def _trust() -> Any:
    fleet = Fleet()
    root = path_data.Issuer("agree root", KEYS["root"])
    hosts = [host("broker.example", ALPHA, bytes(32)), host(HOST, root.pin, ALPHA, fields={2: 0})]
    body = {4: [root.anchor], 9: ["rtc"]}
    return accept.first(
        fleet.name, fleet.channel, fleet.root(), fleet.pins(1, hosts, body=body), T0
    )


def _verifier() -> Any:
    root = peer.load_der_x509_certificate(
        _built("agree root", "root", "agree root", "root", True, {})
    )
    return (
        verification.PolicyBuilder()
        .store(verification.Store([root]))
        .time(datetime.datetime.fromtimestamp(NOW, datetime.UTC).replace(tzinfo=None))
        .build_server_verifier(_DNS(HOST))
    )


def _peer_refuses(verifier: Any, served: list[bytes]) -> str:
    """Return why `cryptography` refuses, "" when it does not; as we do, it passes over what is no certificate above the leaf."""
    read = []
    for item in served:
        try:
            read.append(peer.load_der_x509_certificate(item))
        except ValueError as error:
            if item is served[0]:
                return str(error)
    try:
        verifier.verify(read[0], read[1:])
    except (verification.VerificationError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


# What `cryptography` refuses and we follow: the words of its refusal, what in the chain it must come from, and the reason.
_EXCEPTIONS = (
    ("required EKU not found", "0 purpose [<ObjectIdentifier(oid=2.5.29.37.0", "any purpose is for servers too (RFC 5280 section 4.2.1.12)"),
    ("basicConstraints.cA must not be asserted in an EE", "0 basic <BasicConstraints(ca=True", "a CA may serve TLS by its own key; devices' brokers do"),
    ("2.5.29.35: Certificate is missing", "authority None", "a key identifier helps to find issuers, and proves nothing"),
    ("2.5.29.15: Certificate is missing", "usage None", "key usage binds where it is said"),
    ("malformed DNS name constraint: .example", ".example", "below a domain, as many CAs write it"),
    ("malformed DNS name constraint: ", "\\x82\\x00", "the empty name stands for all names (CA/B Forum BR section 7.1.2.5.2)"),
)  # fmt: skip


def _excepted(plan: str, why: str) -> int:
    """Return which exception a refusal is, -1 for none."""
    for at, (words, cause, _) in enumerate(_EXCEPTIONS):
        if words in why and cause in plan:
            return at
    return -1


def test_chains_that_are_wrong_at_random_are_never_followed_where_cryptography_refuses() -> None:
    trust, verifier = _trust(), _verifier()
    evidence = verdict.Evidence(NOW, [])
    followed = refused = 0
    excepted = set()
    for plan, served in _chains():
        mine = verdict.decide(trust, HOST, served, evidence)
        why = _peer_refuses(verifier, served)
        followed += mine.accepted
        refused += bool(why)
        if mine.accepted and why:
            excepted.add(_excepted(plan, why))
            assert _excepted(plan, why) >= 0, (plan, why)
    assert followed > 150 and refused > 300
    assert excepted == set(range(len(_EXCEPTIONS)))


def test_mutated_chains_are_never_followed_where_cryptography_refuses() -> None:
    trust, verifier = _trust(), _verifier()
    evidence = verdict.Evidence(NOW, [])
    chosen = random.Random(13)
    good = [
        _built("agree leaf", "leaf", "agree deep", "deep", False, {"san": [_DNS(HOST), _DNS("*.example")]}),
        _built("agree deep", "deep", "agree middle", "middle", True, {"basic": peer.BasicConstraints(True, 0)}),
        _built("agree middle", "middle", "agree root", "root", True, {"constraints": peer.NameConstraints([_DNS("example")], None)}),
    ]  # fmt: skip
    assert verdict.decide(trust, HOST, good, evidence).accepted
    assert not _peer_refuses(verifier, good)
    followed = 0
    for _ in range(1500):
        served = list(good)
        at = chosen.randrange(3)
        data = bytearray(served[at])
        where = chosen.randrange(40, len(data))  # behind the serial number: we take a negative one
        if chosen.randrange(2):
            data[where] ^= 1 << chosen.randrange(8)
        else:
            data[where] = chosen.randrange(256)
        served[at] = bytes(data)
        if chosen.randrange(4) == 0:
            served.insert(chosen.randrange(1, 4), good[chosen.randrange(3)])
        if verdict.decide(trust, HOST, served, evidence).accepted:
            followed += 1
            assert not _peer_refuses(verifier, served), [item.hex() for item in served]
    assert followed > 20
