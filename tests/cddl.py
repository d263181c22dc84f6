"""Validates documents against documents.cddl, layer by layer.

pycddl applies a `.cbor` control of one array item to its neighbours, so an envelope's protected header and payload are taken
out and validated each by its own rule; the envelope's own shape is what `core/cose.py` and its tests hold.
"""

from pathlib import Path

import cbor2
import pycddl

TOP = Path(__file__).resolve().parent.parent
TEXT = (TOP / "agent" / "everpin" / "core" / "documents.cddl").read_text()


def rule(name: str) -> pycddl.Schema:
    """Return a schema whose start is one rule."""
    return pycddl.Schema(f"start-here = {name}\n{TEXT}")


def validate(document: bytes, kind: str) -> None:
    """Raise unless a document is a `kind`: root, pins, report or ack."""
    envelope = cbor2.loads(document)
    assert envelope.tag == (18 if kind in ("root", "pins") else 17)
    protected, unprotected, payload, last = envelope.value
    assert unprotected == {} and len(last) == (64 if envelope.tag == 18 else 32)
    rule(f"{kind}-protected").validate_cbor(protected)
    claims = f"{kind}-claims"
    if kind == "root" and cbor2.loads(payload)[-70001][2][0][1] == 2:
        # pycddl looks at the first map of a choice within an array only; the roots of the tests hold one type of key.
        choice = "cose-key = ed25519-key / p256-key"
        assert choice in TEXT
        swapped = TEXT.replace(choice, "cose-key = p256-key")
        pycddl.Schema(f"start-here = {claims}\n{swapped}").validate_cbor(payload)
        return
    rule(claims).validate_cbor(payload)
