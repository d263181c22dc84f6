"""Published vectors: from `cryptography_vectors`, and from tests/data what it has not; `make` writes them for the device tests.

A device file is a row of records, so that a small heap holds one at a time: two bytes of length and a CBOR array, then two bytes
of length and the record's last field as it is, which may be long.
"""

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import cryptography_vectors
import pyhsslms

SHIPPED = Path(cryptography_vectors.__file__).parent
TYPED = Path(__file__).resolve().parent / "data"
ED25519, ESP256, HSS_LMS = -19, -9, -46
CCM_KINDS = ("DVPT", "VADT", "VNT", "VPT", "VTT")


class Signed(NamedTuple):
    """A signature and whether it is one; keys and signatures as `everpin.crypto.verify` takes them."""

    name: str
    alg: int
    key: bytes
    message: bytes
    good: bool
    signature: bytes


class Sealed(NamedTuple):
    """An AES-CCM ciphertext with its tag; plaintext None where the tag is wrong."""

    name: str
    key: bytes
    nonce: bytes
    aad: bytes
    plaintext: bytes | None
    tag_len: int
    sealed: bytes


class Derived(NamedTuple):
    """HMAC-SHA-256 (salt and info unused, length 32) or HKDF-SHA-256."""

    name: str
    key: bytes
    salt: bytes
    info: bytes
    length: int
    result: bytes


def responses(path: Path, of: str) -> Iterator[dict[str, str]]:
    """Yield one map for each vector of a CAVP response file: the fields of a paragraph that has `of`, and of those above that have not.

    A header in brackets may be `[Plen = 3, Nlen = 7]` or a name, found under "section".
    """
    above: dict[str, str] = {}
    for paragraph in path.read_text().replace("\r", "").split("\n\n"):
        found: dict[str, str] = {}
        for line in paragraph.splitlines():
            if line.startswith("["):
                found["section"] = line.strip("[]")
            for part in line.strip("[]").split(", "):
                name, equals, value = part.partition("=")
                if equals and not line.startswith("#"):
                    found[name.strip()] = value.strip()
        if of in found:
            yield above | found
        else:
            above |= found


# RFC 8032 section 7.1, "TEST SHA(abc)"; the other four stand in sign.input, under its lines 1 to 3 and 1024.
_SHA_ABC = (
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
)
RFC8032_LINES = (1, 2, 3, 1024)


def ed25519() -> list[Signed]:
    """Return RFC 8032's vectors and the list that they were taken from: key, message and signature of 1,024 lengths."""
    key, message, signature = (bytes.fromhex(text) for text in _SHA_ABC)
    found = [Signed("RFC 8032 SHA(abc)", ED25519, key, message, True, signature)]
    lines = (SHIPPED / "asymmetric/Ed25519/sign.input").read_text().splitlines()
    for number, line in enumerate(lines, 1):
        key, message, signed = (bytes.fromhex(text) for text in line.split(":")[1:4])
        name = f"{'RFC 8032 ' if number in RFC8032_LINES else ''}sign.input {number}"
        found.append(Signed(name, ED25519, key, message, True, signed[:64]))
    return found


def p256(hashed: str = "SHA-256", file: str = "SigVer.rsp") -> list[Signed]:
    """Return NIST's P-256 vectors for one hash: SigVer has good and bad ones, SigGen good ones."""
    found = []
    for fields in responses(SHIPPED / "asymmetric/ECDSA/FIPS_186-3" / file, "Msg"):
        if fields["section"] != f"P-256,{hashed}":
            continue
        x, y, r, s = (bytes.fromhex(fields[name].zfill(64)) for name in ("Qx", "Qy", "R", "S"))
        result = fields.get("Result", "P")
        name = f"{file} {fields['section']} {len(found)}: {result}"
        message = bytes.fromhex(fields["Msg"])
        found.append(Signed(name, ESP256, b"\x04" + x + y, message, result[0] == "P", r + s))
    return found


def ccm_cavp(bits: int) -> list[Sealed]:
    """Return NIST's CAVP vectors of AES-CCM (SP 800-38C) for a key length."""
    found = []
    for kind in CCM_KINDS:
        for fields in responses(SHIPPED / f"ciphers/AES/CCM/{kind}{bits}.rsp", "CT"):
            # Nothing is written as 00 there, and a refused vector has no payload.
            aad = bytes.fromhex(fields["Adata"])[: int(fields["Alen"])]
            plaintext = bytes.fromhex(fields.get("Payload", ""))[: int(fields["Plen"])]
            where = f"{kind}{bits} {fields['section']} {fields['Count']}"
            found.append(
                Sealed(
                    where,
                    bytes.fromhex(fields["Key"]),
                    bytes.fromhex(fields["Nonce"]),
                    aad,
                    plaintext if fields.get("Result", "Pass") == "Pass" else None,
                    int(fields["Tlen"]),
                    bytes.fromhex(fields["CT"]),
                )
            )
    return found


def typed(name: str) -> list[dict[str, Any]]:
    """Return a file of tests/data."""
    rows: list[dict[str, Any]] = json.loads((TYPED / f"{name}.json").read_text())
    return rows


def ccm_examples() -> list[Sealed]:
    """Return the examples of SP 800-38C appendix C and the packet vectors of RFC 3610 section 8."""
    found = []
    for row in typed("ccm"):
        long = row["aad"] == "00..ff, 256 times"  # example 4 alone
        aad = bytes(range(256)) * 256 if long else bytes.fromhex(row["aad"])
        key, nonce, plain, sealed = (
            bytes.fromhex(row[name]) for name in ("key", "nonce", "plaintext", "sealed")
        )
        found.append(Sealed(row["name"], key, nonce, aad, plain, row["tag_len"], sealed))
    return found


def hmac() -> list[Derived]:
    """Return HMAC-SHA-256's vectors of RFC 4231."""
    rows = responses(SHIPPED / "HMAC/rfc-4231-sha256.txt", "MD")
    return [
        Derived(
            f"RFC 4231 {number}",
            bytes.fromhex(row["Key"]),
            b"",
            bytes.fromhex(row["Msg"]),
            32,
            bytes.fromhex(row["MD"]),
        )
        for number, row in enumerate(rows, 1)
    ]


def hkdf() -> list[Derived]:
    """Return HKDF-SHA-256's vectors of RFC 5869, and one of 1,200 bytes."""
    found = []
    for name in ("rfc-5869-HKDF-SHA256.txt", "hkdf-generated.txt"):
        for row in responses(SHIPPED / "KDF" / name, "OKM"):
            key, salt, info, result = (
                bytes.fromhex(row[field]) for field in ("IKM", "salt", "info", "OKM")
            )
            length = int(row["L"])
            found.append(Derived(f"{name} {row['COUNT']}", key, salt, info, length, result))
    return found


def hss() -> list[Signed]:
    """Return the HSS vectors of RFC 8554 appendix F and RFC 9858 appendix A.1 (24-byte hashes)."""
    return [
        Signed(
            row["name"],
            HSS_LMS,
            bytes.fromhex(row["key"]),
            bytes.fromhex(row["message"]),
            True,
            bytes.fromhex(row["signature"]),
        )
        for row in typed("hss")
    ]


# typecode -> bytes of hash, bits of Winternitz parameter (RFC 8554 section 4.1, SP 800-208 section 4)
OTS_TYPES = {1: (32, 1), 2: (32, 2), 3: (32, 4), 4: (32, 8)} | {
    5: (24, 1),
    6: (24, 2),
    7: (24, 4),
    8: (24, 8),
}


def tree(ots: int, height: int, name: str = "tree", first: int = 0) -> pyhsslms.LmsPrivateKey:
    """Return a library's LMS tree whose seed comes of its name, ready to sign at leaf `first`."""
    made = copy.deepcopy(_grown(ots, height, name))
    made.q = first
    return made


@cache
def _grown(ots: int, height: int, name: str) -> pyhsslms.LmsPrivateKey:
    n = OTS_TYPES[ots][0]
    seed = hashlib.sha256(f"{name} {ots} {height}".encode()).digest()
    lms = (5 if n == 32 else 10) + height // 5 - 1
    return pyhsslms.LmsPrivateKey(
        lms.to_bytes(4, "big"), ots.to_bytes(4, "big"), SEED=seed[:n], I=seed[-16:]
    )


def hss_key(*trees: pyhsslms.LmsPrivateKey) -> pyhsslms.HssPrivateKey:
    """Return an HSS key of one level, or of more, each signed by the one above; signing walks the last tree."""
    below = [part.publicKey().serialize() for part in trees[1:]]
    signed = [part.sign(key) for part, key in zip(trees[:-1], below, strict=True)]
    return pyhsslms.HssPrivateKey(
        levels=len(trees),
        lms_type=trees[0].lms_type,
        lmots_type=trees[0].lmots_type,
        SEED=trees[0].SEED,
        remaining_signatures=trees[-1].remaining(),
        prvs=list(trees),
        sigs=signed,
    )


def signed_by(key: pyhsslms.HssPrivateKey, name: str, message: bytes) -> Signed:
    """Return a fresh signature of the library's."""
    return Signed(name, HSS_LMS, key.publicKey().serialize(), message, True, key.sign(message))


class Cose(NamedTuple):
    """An example of the COSE working group: what is signed, as the parts of its Sig_structure (RFC 9052 section 4.4)."""

    name: str
    alg: int  # by the key: -7 with P-256 is -9, -8 with Ed25519 is -19 (RFC 9864)
    said: object  # alg as the header has it
    tag: int | None
    parts: list[Any]
    key: bytes
    good: bool
    structure: bytes | None  # as published, where the example is a good one
    signature: bytes


def _zero(protected: bytes) -> bytes:
    # RFC 9052 section 4.4: an empty map is signed as a string of no bytes.
    return b"" if protected == b"\xa0" else protected


def cose() -> list[Cose]:
    """Return the COSE working group's examples with keys of ours: sign1-tests, sign-tests, eddsa, ecdsa, hashsig."""
    found = []
    for row in typed("cose"):
        message = cbor2.loads(bytes.fromhex(row["message"]))
        tag = message.tag if isinstance(message, cbor2.CBORTag) else None
        body, outer, payload, last = message if tag is None else message.value
        external = bytes.fromhex(row["external"])
        if isinstance(last, bytes):
            parts, headers = ["Signature1", _zero(body), external, payload], (body, outer)
            signature = last
        else:
            ((inner, unprotected, signature),) = last
            parts = ["Signature", _zero(body), _zero(inner), external, payload]
            headers = (inner, unprotected)
        said = (cbor2.loads(headers[0]) if headers[0] else {}).get(1, headers[1].get(1))
        structure = bytes.fromhex(row["structure"]) if "structure" in row else None
        key = bytes.fromhex(row["key"])
        found.append(
            Cose(row["name"], row["alg"], said, tag, parts, key, row["good"], structure, signature)
        )
    return found


def records(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows as a device test reads them, one at a time."""
    with path.open("wb") as file:
        for row in rows:
            for data in (cbor2.dumps(list(row[:-1]), canonical=True), row[-1]):
                file.write(len(data).to_bytes(2, "big") + data)


def make(folder: str) -> None:
    """Write the files that tests/device/test_vectors.py reads; few of each long list, for own code verifies slowly."""
    where = Path(folder)
    signatures = ed25519()
    some = [row for row in signatures if "RFC" in row.name] + signatures[40::128]
    records(where / "vectors-ed25519.bin", some)
    records(where / "vectors-p256.bin", p256())
    made = [
        signed_by(hss_key(tree(ots, 5)), f"LMOTS type {ots}", b"device")
        for ots, (_, w) in OTS_TYPES.items()
        if w != 8  # the slow ones are there as published
    ]
    made.append(signed_by(hss_key(tree(7, 5, "top", 31), tree(7, 5, "low")), "two levels", b"x"))
    short = [row for row in made if len(row.signature) <= 4096]
    records(where / "vectors-hss.bin", [*hss(), *short])
    records(where / "vectors-hss-long.bin", [row for row in made if row not in short])
    sealed = [row for row in ccm_examples() if len(row.aad) < 1000]
    sealed += ccm_cavp(128)[::32] + ccm_cavp(256)[5::32]
    records(where / "vectors-ccm.bin", sealed)
    records(where / "vectors-hmac.bin", hmac())
    records(where / "vectors-hkdf.bin", hkdf())
    records(where / "vectors-cose.bin", cose())
