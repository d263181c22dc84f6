"""The COSE working group's examples at the level of Sig_structure: our encoder builds it, `crypto.verify` judges the signature.

Whole messages are not for `core.cose`: everpin's documents have their own typ and headers, and an empty unprotected map.
"""

import pytest

import vector_data
from everpin import crypto
from everpin.core import cbor, cose
from everpin.core.errors import PeerError
from everpin.crypto import _ed25519, _p256
from test_vectors_signatures import theirs
from vector_data import ED25519, ESP256, HSS_LMS, Cose

_EXAMPLES = vector_data.cose()
# RFC 9864 section 2: what the polymorphic -7 with P-256, and -8 with Ed25519, are called now.
_NOW = {-7: ESP256, -8: ED25519, -46: HSS_LMS}
# Examples that fail before any signature is looked at.
_WRONG_TAG = {"sign-tests/sign-fail-01", "sign1-tests/sign-fail-01"}


def accepts(row: Cose) -> bool:
    """Return whether tag, algorithm and signature of a message are right."""
    expected = 18 if row.parts[0] == "Signature1" else 98
    if row.tag not in (
        None,
        expected,
    ):  # RFC 9052 section 2: untagged where the context says what it is
        return False
    if not isinstance(row.said, int) or _NOW.get(row.said) != row.alg:
        return False
    return crypto.verify(row.alg, row.key, cbor.dumps(row.parts), row.signature)


def test_every_kind_of_example_is_there() -> None:
    folders = {row.name.split("/")[0] for row in _EXAMPLES}
    assert folders == {"sign1-tests", "sign-tests", "eddsa-examples", "ecdsa-examples", "hashsig"}
    assert sum("-fail-" in row.name for row in _EXAMPLES) == 12
    assert {row.alg for row in _EXAMPLES if row.good} == {ED25519, ESP256, HSS_LMS}


@pytest.mark.parametrize("row", _EXAMPLES, ids=lambda row: row.name)
def test_an_example_is_judged_as_published(row: Cose) -> None:
    assert accepts(row) is row.good


@pytest.mark.parametrize("row", [row for row in _EXAMPLES if row.good], ids=lambda row: row.name)
def test_our_encoder_builds_the_published_sig_structure(row: Cose) -> None:
    assert cbor.dumps(row.parts) == row.structure


@pytest.mark.parametrize("row", _EXAMPLES, ids=lambda row: row.name)
def test_the_signature_alone_is_judged_alike_by_all(row: Cose) -> None:
    data = cbor.dumps(row.parts)
    good = row.good or row.name in _WRONG_TAG
    assert crypto.verify(row.alg, row.key, data, row.signature) is good
    assert not crypto.verify(row.alg, row.key, data + b"\0", row.signature)
    if row.alg == HSS_LMS:
        import pyhsslms

        assert pyhsslms.HssPublicKey.deserialize(row.key).verify(data, row.signature) is good
        return
    own = _ed25519 if row.alg == ED25519 else _p256
    assert own.verify(row.key, data, row.signature) is good
    assert theirs(row.alg, row.key, data, row.signature) is good


def test_no_foreign_message_is_a_document_of_ours() -> None:
    for row in vector_data.typed("cose"):
        with pytest.raises(PeerError):
            cose.signed(bytes.fromhex(row["message"]))
