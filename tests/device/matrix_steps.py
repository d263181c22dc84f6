"""Brings a device to where a phase of the matrix is judged (tests/matrix.py), on both interpreters."""

import gc

import making
import tools

NOW = making.T0 + 5000
# Where the store of a device in memory keeps its two pins records.
_PINS_AT = 53248
_RECORD_BYTES = 12288


def chain(kind):
    """Return what a kind serves, DER, leaf first."""
    found = []
    while True:
        try:
            found.append(tools.data("matrix-%s-%d.der" % (kind, len(found))))
        except OSError:
            return found


def device(phase):
    """Return a device that holds the documents of a phase, and knows the time."""
    # In these two the factory record speaks of the host as well, and what it burnt in counts as confirmed.
    known = phase.startswith("corrupt") or phase.startswith("overlap")
    flash = making.flash("matrix-%s-factory.cbor" % phase if known else "factory.cbor")
    made = making.agent(flash)
    gc.collect()
    became = making.give(made, "matrix-%s.cbor" % phase)
    assert became == "accepted", (phase, became)
    if phase.startswith("corrupt"):
        made = None
        gc.collect()
        for slot in (0, 1):
            flash.flip(_PINS_AT + slot * _RECORD_BYTES + 60)
        made = making.agent(flash)
        assert made.number == (1, 1), made.number
    made.poll(NOW, "rtc", 2.0)
    made.drain()
    return made


def said(found):
    """Return a verdict as the matrix writes outcomes."""
    if not found.accepted:
        return found.name
    return "ok" if found.mode == "enforced" else "+" + found.mode
