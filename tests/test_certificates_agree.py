"""Certificates and links beside `cryptography`, on its own collection (PKITS among it) and on mutated ones: never accept what it refuses."""

import collections
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography import x509 as peer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from everpin.core import chain, errors, names, x509
from everpin.crypto import links
from everpin_sim import pki

ROOT = Path(cryptography_vectors.__file__).parent / "x509"


def _collection() -> list[tuple[str, peer.Certificate]]:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted(ROOT.rglob("*")):
            if path.suffix not in (".pem", ".crt", ".cer", ".der"):
                continue
            data = path.read_bytes()
            try:
                read = (
                    peer.load_pem_x509_certificates(data)
                    if b"BEGIN CERT" in data
                    else [peer.load_der_x509_certificate(data)]
                )
                for certificate in read:
                    certificate.subject.public_bytes()
                    certificate.issuer.public_bytes()
                    found.append((path.name, certificate))
            except (ValueError, peer.InvalidVersion):
                continue
    return found


COLLECTION = _collection()
# What we do not read though `cryptography` does, each for a reason.
UNREAD = {
    "BadSignedCACert.crt": "its signature is no whole number of bytes",
    "InvalidDSASignatureTest6EE.crt": "its signature is no whole number of bytes",
    "alternate-rsa-sha1-oid.der": "key usage of one byte with trailing zero bits",
    "mismatch_inner_outer_sig_algorithm.der": "two signature algorithms",
    "rsa_pss_cert_invalid_mgf.der": "two signature algorithms",
    "rsa_pss_cert_no_sig_params.der": "two signature algorithms",
    "rsa_pss_cert_unsupported_mgf_hash.der": "two signature algorithms",
    "UIDCACert.crt": "unique identifiers, which no CA may write",
    "ValidNameUIDsTest6EE.crt": "unique identifiers, which no CA may write",
    "two_basic_constraints.pem": "one extension twice",
    "v1_cert.pem": "two signature algorithms",
    "wosign-bc-invalid.pem": "a path length without CA",
}
# Links that `cryptography` follows and we do not.
UNFOLLOWED = {
    "InvalidCASignatureTest2EE.crt": "its issuer is not read",
    "UIDCACert.crt": "it is not read",
    "ValidNameUIDsTest6EE.crt": "it is not read",
    "ec_no_named_curve.pem": "explicit curve parameters",
    "rsa_pss.pem": "PSS with SHA-1",
    "root-ed25519.pem": "Ed25519",
    "root-ed448.pem": "Ed448",
}


def _der(certificate: peer.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _peer_follows(child: bytes, issuer: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            peer.load_der_x509_certificate(child).verify_directly_issued_by(
                peer.load_der_x509_certificate(issuer)
            )
        except Exception:  # noqa: BLE001 - whatever it raises is its refusal
            return False
    return True


def test_the_collection_is_there() -> None:
    assert len(COLLECTION) > 500


def test_little_is_unreadable_and_each_for_its_reason() -> None:
    unread = {name for name, item in COLLECTION if x509.parsed(_der(item)) is None}
    assert unread == set(UNREAD)


def test_fields_are_what_cryptography_reads() -> None:
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, item in COLLECTION:
            ours = x509.parsed(_der(item))
            if ours is None:
                continue
            assert ours.subject == item.subject.public_bytes(), name
            assert ours.issuer == item.issuer.public_bytes(), name
            assert ours.tbs == item.tbs_certificate_bytes and ours.signature == item.signature
            assert ours.not_before == int(item.not_valid_before_utc.timestamp()), name
            assert ours.not_after == int(item.not_valid_after_utc.timestamp()), name
            try:
                spki = item.public_key().public_bytes(
                    Encoding.DER, PublicFormat.SubjectPublicKeyInfo
                )
                extensions = item.extensions
            except (
                ValueError,
                TypeError,
                UnsupportedAlgorithm,
                peer.DuplicateExtension,
                peer.UnsupportedGeneralNameType,
            ):
                continue  # a key or an extension that it does not know
            if name != "ec_no_named_curve.pem" and "pss" not in name:
                assert ours.spki == spki, name
            for extension in extensions:
                compared += _same_extension(ours, extension, name)
    assert compared > 700


def _same_extension(ours: x509.Certificate, extension: Any, name: str) -> int:
    value = extension.value
    if isinstance(value, peer.BasicConstraints):
        assert (ours.ca, ours.path_len) == (value.ca, value.path_length), name
    elif isinstance(value, peer.KeyUsage):
        assert ours.usage is not None
        assert bool(ours.usage >> 5 & 1) == value.key_cert_sign, name
        assert bool(ours.usage & 1) == value.digital_signature, name
    elif isinstance(value, peer.SubjectAlternativeName):
        theirs = [item.value for item in value if isinstance(item, peer.DNSName)]
        assert [data.decode() for tag, data in ours.names if tag == x509.DNS] == theirs, name
    elif isinstance(value, peer.NameConstraints):
        for mine, other in (
            (ours.permitted, value.permitted_subtrees),
            (ours.excluded, value.excluded_subtrees),
        ):
            assert len(mine or []) == len(other or []), name
    elif isinstance(value, peer.ExtendedKeyUsage):
        assert len(ours.purposes or []) == len(list(value)), name
    else:
        return 0
    return 1


@pytest.mark.parametrize("native", [True, False], ids=["native", "own"])
def test_links_are_followed_as_cryptography_follows_them(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        monkeypatch.setattr(links, "_native", None)
    by_subject = collections.defaultdict(list)
    for name, item in COLLECTION:
        by_subject[item.subject.public_bytes()].append((name, item))
    followed = 0
    unfollowed = set()
    for name, item in COLLECTION:
        for _, issuer in by_subject.get(item.issuer.public_bytes(), []):
            mine = chain.check_link(_der(item), _der(issuer))
            theirs = _peer_follows(_der(item), _der(issuer))
            assert theirs or not mine, name
            followed += mine
            if theirs and not mine:
                unfollowed.add(name)
    assert followed > 500 and unfollowed == set(UNFOLLOWED)


@pytest.mark.parametrize("native", [True, False], ids=["native", "own"])
def test_a_key_in_another_form_than_uncompressed_signs_nothing_on_either(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenSSL takes a compressed point and a hybrid one; the boards' code takes neither, and one answer is wanted.
    if not native:
        monkeypatch.setattr(links, "_native", None)
    root = x509.Certificate(_der(pki.root("Root", pki.datetime.datetime(2040, 1, 1)).certificate))
    assert chain.signed_by(root, root.spki)
    head, point = root.spki[:-65], root.spki[-65:]
    compressed = bytes((2 + point[-1] % 2,)) + point[1:33]
    # SEQUENCE and BIT STRING are 32 bytes shorter.
    shorter = bytes((0x30, head[1] - 32)) + head[2:-2] + bytes((head[-2] - 32, 0))
    hybrid = bytes((6 + point[-1] % 2,)) + point[1:]
    for other in (shorter + compressed, head + hybrid):
        assert (
            load_der_public_key(other).public_numbers()
            == load_der_public_key(root.spki).public_numbers()
        )  # type: ignore[union-attr]
        assert not chain.signed_by(root, other)


def _pairs() -> list[tuple[bytes, bytes]]:
    """Return (child, issuer) of one small link of each algorithm that is followed."""
    by_subject = {item.subject.public_bytes(): _der(item) for _, item in COLLECTION}
    found = {}
    for _, item in COLLECTION:
        issuer = by_subject.get(item.issuer.public_bytes())
        if issuer is not None and chain.check_link(_der(item), issuer):
            oid = item.signature_algorithm_oid
            best = found.get(oid)
            if best is None or len(_der(item)) < len(best[0]):
                found[oid] = (_der(item), issuer)
    return list(found.values())


def test_mutated_certificates_are_never_followed_where_cryptography_refuses() -> None:
    chosen = random.Random(7)
    pairs = _pairs()
    assert len(pairs) >= 5
    followed = 0
    for child, issuer in pairs:
        for _ in range(250):
            which = chosen.randrange(2)
            data = bytearray((child, issuer)[which])
            how = chosen.randrange(4)
            at = chosen.randrange(len(data))
            if how == 0:
                data[at] ^= 1 << chosen.randrange(8)
            elif how == 1:
                data[at] = chosen.randrange(256)
            elif how == 2:
                del data[at : at + chosen.randrange(1, 4)]
            else:
                data[at:at] = bytes(chosen.randrange(256) for _ in range(chosen.randrange(1, 4)))
            one, other = (bytes(data), issuer) if which == 0 else (child, bytes(data))
            if chain.check_link(one, other):
                followed += 1
                assert _peer_follows(one, other), (one.hex(), other.hex())
    # A bit of an issuer's own signature, of its dates or serial number, changes nothing of the link.
    assert followed > 50


def test_every_truncation_is_the_one_error() -> None:
    for _, item in COLLECTION[:: len(COLLECTION) // 12]:
        data = _der(item)
        for length in range(len(data)):
            assert x509.parsed(data[:length]) is None
        with pytest.raises(errors.PeerError):
            x509.Certificate(data + b"\x00")


def test_a_link_of_junk_is_none() -> None:
    good = _der(COLLECTION[0][1])
    for junk in (
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"\xff" * 100,
        b"\x30\x83\xff\xff\xff",
        bytes(9000),
    ):
        assert not chain.check_link(junk, good) and not chain.check_link(good, junk)


def _extended(build: Callable[[peer.CertificateBuilder], peer.CertificateBuilder]) -> bytes:
    key = pki.new_key()
    name = pki._name("x")
    made = (
        peer.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(pki._an_hour_ago())
        .not_valid_after(pki._an_hour_ago() + pki.datetime.timedelta(days=1))
    )
    return _der(build(made).sign(key, pki.hashes.SHA256()))


@pytest.mark.parametrize(
    ("patterns", "where", "wanted"),
    [
        (["broker.example"], "broker.example", True),
        (["BROKER.example"], "broker.example", True),
        (["broker.example"], "other.example", False),
        (["*.example.org"], "a.example.org", True),
        (["*.example.org"], "a.b.example.org", False),
        (["*.example.org"], "example.org", False),
        (["*.org"], "example.org", False),
        (["a*.example.org"], "ab.example.org", False),
        (["*a.example.org"], "ba.example.org", False),
        (["a.*.org"], "a.example.org", False),
        (["*"], "localhost", False),
        (["localhost"], "localhost", True),
        (["one.example", "two.example"], "two.example", True),
        (["192.0.2.1"], "192.0.2.1", False),
    ],
)
def test_names_are_matched_as_rfc_9525_has_it(
    patterns: list[str], where: str, wanted: bool
) -> None:
    listed = [peer.DNSName(pattern) for pattern in patterns]
    leaf = x509.Certificate(
        _extended(lambda made: made.add_extension(peer.SubjectAlternativeName(listed), False))
    )
    assert names.matches(leaf, where) is wanted


def test_a_common_name_is_no_name() -> None:
    assert not names.matches(x509.Certificate(_extended(lambda made: made)), "x")


@pytest.mark.parametrize(
    ("address", "where", "wanted"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8:0:0::1", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1", True),
    ],
)
def test_addresses_are_matched_by_value(address: str, where: str, wanted: bool) -> None:
    import ipaddress

    listed = [peer.IPAddress(ipaddress.ip_address(address))]
    leaf = x509.Certificate(
        _extended(lambda made: made.add_extension(peer.SubjectAlternativeName(listed), False))
    )
    assert names.matches(leaf, where) is wanted


def test_addresses_are_read_as_pythons_own_library_reads_them() -> None:
    import ipaddress

    for text in (
        "10.0.0.0", "255.255.255.255", "1.2.3", "1.2.3.256", "1.2.3.4.5", "a.b.c.d", "::", "::1", "1::", "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1::2::3", ":::", "12345::", "g::", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4",
        "1.2.3.4::", "::1.2.3", "localhost", "", ":", "1:2:3:4:5:6:7:8:9",
    ):  # fmt: skip
        try:
            wanted = ipaddress.ip_address(text).packed
        except ValueError:
            wanted = None
        assert names.ip_bytes(text) == wanted, text
