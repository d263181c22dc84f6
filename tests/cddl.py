"""Validates documents against documents.cddl, layer by layer.

pycddl applies a `.cbor` control of one array item to its neighbours, so an envelope's protected header and payload are taken
out and validated each by its own rule; the envelope's own shape is what `core/cose.py` and its tests hold.
"""

from pathlib import Path

import cbor2
import pycddl

TEXT = (
    Path(__file__).resolve().parent.parent / "agent" / "everpin" / "core" / "documents.cddl"
).read_text()


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
    rule(f"{kind}-claims").validate_cbor(payload)
