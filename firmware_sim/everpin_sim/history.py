"""Certificate chains of real outages, rebuilt with the names, dates and shapes that they had; keys are our own.

Each event has its CAs (a certificate says who signed which key, from when until when, for what), and the chains that servers sent at moments
around it. Times are UTC. Intermediates have keys of the kind that they had; roots of RSA 4096 have P-256 here: what counts is the shape, and
documents that carry them stay as small as a test's heap.

    AddTrust External CA Root ended on 2020-05-30 10:48:38, and the cross-signed USERTrust that servers sent with it. Clients with an old
    OpenSSL, and boards with that root alone, lost their servers though a path to USERTrust's own root was there.
    DST Root CA X3 ended on 2021-09-30 14:01:15, ISRG Root X1 cross-signed by it three years later.
    Let's Encrypt left that cross-sign out from 2024-02-08, signed by R10 or R11 in place of R3 from 2024-06-06, and the cross-sign ended.
    GTS Root R4 is signed by GlobalSign Root CA, which a firmware's bundle dropped in June 2026, and which ends in January 2028.
    Let's Encrypt's generation Y signs by default from 2026-05-13, under Root YR, which few stores hold: servers must send its cross-sign.
"""

import datetime
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
HOST = "api.example"
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_BOTH = (_SERVER, _CLIENT)

# ---- CAs ------------------------------------------------------------------------------------------------------------

ADDTRUST = "C=SE,O=AddTrust AB,OU=AddTrust External TTP Network,CN=AddTrust External CA Root"
USERTRUST = "C=US,ST=New Jersey,L=Jersey City,O=The USERTRUST Network,CN=USERTrust RSA Certification Authority"
SECTIGO = "C=GB,ST=Greater Manchester,L=Salford,O=Sectigo Limited,CN=Sectigo RSA Domain Validation Secure Server CA"
DST_X3 = "O=Digital Signature Trust Co.,CN=DST Root CA X3"
ISRG_X1 = "C=US,O=Internet Security Research Group,CN=ISRG Root X1"
R3 = "C=US,O=Let's Encrypt,CN=R3"
R10 = "C=US,O=Let's Encrypt,CN=R10"
R12 = "C=US,O=Let's Encrypt,CN=R12"
ROOT_YR = "C=US,O=ISRG,CN=Root YR"
YR1 = "C=US,O=Let's Encrypt,CN=YR1"
GLOBALSIGN = "C=BE,O=GlobalSign nv-sa,OU=Root CA,CN=GlobalSign Root CA"
GTS_R4 = "C=US,O=Google Trust Services LLC,CN=GTS Root R4"
WE1 = "C=US,O=Google Trust Services,CN=WE1"
_RSA = (SECTIGO, R3, R10, R12, YR1)


@dataclass(frozen=True)
class Signed:
    """A CA certificate: `subject` signed by `issuer`, its dates, its purposes (none: no such extension)."""

    subject: str
    issuer: str
    since: str
    until: str
    purposes: tuple[x509.ObjectIdentifier, ...] = ()


@dataclass(frozen=True)
class Moment:
    """What a server sends at an instant: the leaf's issuer, and the labels of the CA certificates behind the leaf.

    The leaf itself always has the same key: renewed, as servers with pinned keys are.
    """

    at: str
    by: str
    sent: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Event:
    """An outage: what it is about, and its moments by name. `old` is the root that devices held, `new` the one to come."""

    title: str
    old: str
    new: str
    leaf_since: str
    leaf_until: str
    moments: dict[str, Moment]


CERTIFICATES = {
    "addtrust": Signed(ADDTRUST, ADDTRUST, "2000-05-30 10:48:38", "2020-05-30 10:48:38"),
    "usertrust": Signed(USERTRUST, USERTRUST, "2010-02-01 00:00:00", "2038-01-18 23:59:59"),
    "usertrust-by-addtrust": Signed(USERTRUST, ADDTRUST, "2000-05-30 10:48:38", "2020-05-30 10:48:38"),
    "sectigo": Signed(SECTIGO, USERTRUST, "2018-11-02 00:00:00", "2030-12-31 23:59:59", _BOTH),
    "dst-x3": Signed(DST_X3, DST_X3, "2000-09-30 21:12:19", "2021-09-30 14:01:15"),
    "isrg-x1": Signed(ISRG_X1, ISRG_X1, "2015-06-04 11:04:38", "2035-06-04 11:04:38"),
    # It outlives the root that signed it, by three years: Android judges no root's dates.
    "isrg-x1-by-dst": Signed(ISRG_X1, DST_X3, "2021-01-20 19:14:03", "2024-09-30 18:14:03"),
    "r3": Signed(R3, ISRG_X1, "2020-09-04 00:00:00", "2025-09-15 16:00:00", _BOTH),
    "r3-by-dst": Signed(R3, DST_X3, "2020-10-07 19:21:40", "2021-09-29 19:21:40", _BOTH),
    "r10": Signed(R10, ISRG_X1, "2024-03-13 00:00:00", "2027-03-12 23:59:59", _BOTH),
    "r12": Signed(R12, ISRG_X1, "2024-03-13 00:00:00", "2027-03-12 23:59:59", _BOTH),
    "root-yr": Signed(ROOT_YR, ROOT_YR, "2025-09-03 00:00:00", "2045-09-02 23:59:59"),
    # The first cross-sign said nothing of its purpose, which the rules had begun to ask for: it was signed anew.
    "root-yr-by-x1-2025": Signed(ROOT_YR, ISRG_X1, "2025-09-03 00:00:00", "2032-09-02 23:59:59"),
    "root-yr-by-x1": Signed(ROOT_YR, ISRG_X1, "2026-05-13 00:00:00", "2032-09-02 23:59:59", _BOTH),
    "yr1": Signed(YR1, ROOT_YR, "2025-09-03 00:00:00", "2028-09-02 23:59:59", (_SERVER,)),
    "globalsign": Signed(GLOBALSIGN, GLOBALSIGN, "1998-09-01 12:00:00", "2028-01-28 12:00:00"),
    "gts-r4": Signed(GTS_R4, GTS_R4, "2016-06-22 00:00:00", "2036-06-22 00:00:00"),
    "gts-r4-by-globalsign": Signed(GTS_R4, GLOBALSIGN, "2023-11-15 03:43:21", "2028-01-28 00:00:42"),
    "we1": Signed(WE1, GTS_R4, "2023-12-13 09:00:00", "2029-02-20 14:00:00", _BOTH),
}  # fmt: skip

_CROSSED = ("sectigo", "usertrust-by-addtrust")
_LONG = ("r3", "isrg-x1-by-dst")
_GTS = ("we1", "gts-r4-by-globalsign")
EVENTS = {
    "addtrust": Event(
        "AddTrust External CA Root ends", ADDTRUST, USERTRUST, "2020-01-01 00:00:00", "2020-12-31 23:59:59",
        {
            "before": Moment("2020-05-30 10:48:38", SECTIGO, _CROSSED, "the root's last second"),
            "after": Moment("2020-05-30 10:48:39", SECTIGO, _CROSSED, "servers still send the cross-sign"),
            "mended": Moment("2020-06-15 00:00:00", SECTIGO, ("sectigo",), "servers leave it out"),
        },
    ),
    "dst-x3": Event(
        "DST Root CA X3 ends", DST_X3, ISRG_X1, "2021-08-01 00:00:00", "2021-10-30 00:00:00",
        {
            "before": Moment("2021-09-29 19:21:40", R3, _LONG, "the last second of R3's own cross-sign as well"),
            "old-r3": Moment("2021-09-29 19:21:41", R3, ("r3-by-dst",), "servers that send it still"),
            "after": Moment("2021-09-30 14:01:16", R3, _LONG, "the default chain, on an ended root"),
            "short": Moment("2021-10-01 00:00:00", R3, ("r3",), "the alternate chain"),
        },
    ),
    "le-2024": Event(
        "Let's Encrypt's short chain, and new intermediates", DST_X3, ISRG_X1, "2024-01-15 00:00:00", "2024-12-31 00:00:00",
        {
            "before": Moment("2024-02-07 00:00:00", R3, _LONG, "the default chain"),
            "short": Moment("2024-02-08 18:00:00", R3, ("r3",), "the cross-sign is left out"),
            "r10": Moment("2024-06-06 18:00:00", R10, ("r10",), "another intermediate, by chance R10"),
            "ended": Moment("2024-09-30 18:14:04", R10, ("r10", "isrg-x1-by-dst"), "servers that send the cross-sign still"),
        },
    ),
    "gts-r4": Event(
        "GTS Root R4 under GlobalSign", GLOBALSIGN, GTS_R4, "2026-05-01 00:00:00", "2028-12-31 00:00:00",
        {
            "before": Moment("2026-06-01 00:00:00", WE1, _GTS, "devices hold GlobalSign Root CA"),
            "after": Moment("2026-06-02 00:00:00", WE1, _GTS, "a firmware's bundle has dropped it"),
            "ended": Moment("2028-01-28 00:00:43", WE1, _GTS, "the cross-sign has ended"),
            "short": Moment("2028-02-01 00:00:00", WE1, ("we1",), "and is left out"),
        },
    ),
    "gen-y": Event(
        "Let's Encrypt's generation Y", ISRG_X1, ROOT_YR, "2026-03-15 00:00:00", "2026-08-01 00:00:00",
        {
            "before": Moment("2026-05-12 00:00:00", R12, ("r12",), "generation X"),
            "early": Moment("2026-05-08 18:00:00", YR1, ("yr1", "root-yr-by-x1-2025"), "the first cross-sign"),
            "after": Moment("2026-05-13 18:00:00", YR1, ("yr1", "root-yr-by-x1"), "the default, whole"),
            "omitted": Moment("2026-05-13 18:00:00", YR1, ("yr1",), "a server that sends no cross-sign"),
            "own-root": Moment("2026-05-13 18:00:00", YR1, ("yr1", "root-yr"), "or Root YR's own certificate in its place"),
        },
    ),
}  # fmt: skip


# ---- building -------------------------------------------------------------------------------------------------------


def when(text: str) -> datetime.datetime:
    """Return an instant as the tables write it."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def seconds(text: str) -> int:
    """Return an instant as Unix seconds."""
    return int(when(text).timestamp())


@cache
def key(of: str) -> Key:
    """Return the key of a CA by its name, or of the leaf ("")."""
    if of in _RSA:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP384R1() if of == GTS_R4 else ec.SECP256R1())


def spki(of: str) -> bytes:
    """Return a key's SubjectPublicKeyInfo, DER."""
    return key(of).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def name(text: str) -> x509.Name:
    """Return a name that the tables write as openssl does, most general part first."""
    parts = text.split(",")
    return x509.Name.from_rfc4514_string(",".join(reversed(parts)))


def anchor(of: str) -> tuple[bytes, bytes]:
    """Return a CA as a signed document carries it: subject and SubjectPublicKeyInfo, DER."""
    return name(of).public_bytes(), spki(of)


def _signed(
    subject: x509.Name,
    of: str,
    issuer: str,
    since: str,
    until: str,
    purposes: tuple[x509.ObjectIdentifier, ...],
    ca: bool,
) -> x509.CertificateBuilder:
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(name(issuer))
        .public_key(key(of).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(when(since))
        .not_valid_after(when(until))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(
            x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key(of).public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key(issuer).public_key()), False
        )
    )
    return made.add_extension(x509.ExtendedKeyUsage(purposes), False) if purposes else made


def _sign(made: x509.CertificateBuilder, issuer: str) -> x509.Certificate:
    by = key(issuer)
    large = isinstance(by, ec.EllipticCurvePrivateKey) and by.curve.key_size > 256
    return made.sign(by, hashes.SHA384() if large else hashes.SHA256())


@cache
def certificate(label: str) -> x509.Certificate:
    """Return a CA certificate of the table."""
    row = CERTIFICATES[label]
    made = _signed(
        name(row.subject), row.subject, row.issuer, row.since, row.until, row.purposes, True
    )
    return _sign(made, row.issuer)


@cache
def leaf(event: str, by: str) -> x509.Certificate:
    """Return the server's certificate of an event, signed by one of its intermediates."""
    said = EVENTS[event]
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    made = _signed(subject, "", by, said.leaf_since, said.leaf_until, (_SERVER,), False)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), False)
    return _sign(made, by)


def chain(event: str, moment: str) -> list[x509.Certificate]:
    """Return what the server sends at a moment of an event, leaf first."""
    said = EVENTS[event].moments[moment]
    return [leaf(event, said.by), *(certificate(label) for label in said.sent)]
