"""What devices pinned in several ways do at each moment of everpin_sim.history's events, by hand, and a static device beside them."""

import hashlib
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from documents import ALPHA, DELTA, Fleet, dumps, host
from everpin_sim import history

# Before the first event: a device takes no clock for true that is behind its documents.
MADE = history.seconds("2019-06-01 00:00:00")
POLICIES = ("ee", "ta", "ta-old", "pkix-ee", "pkix", "pkix-old", "middle")

# Each moment, what each policy says of it (in the order above), and whether a static device does.
#   ee        usage 3, the leaf's key: no CA is looked at
#   ta        usage 2, the old root and the new one, both carried: what everpin asks operators for
#   ta-old    usage 2, the old root alone
#   pkix-ee   usage 1, the leaf's key, both roots carried
#   pkix      usage 0, both roots
#   pkix-old  usage 0, the old root alone
#   middle    usage 0, the intermediate that signed at first, both roots carried
WANTED = {
    "addtrust": {
        "before": ("ok", "ok", "ok", "ok", "ok", "ok", "ok", True),
        # Usage 2 ignores dates: the ended root is still the operator's. PKIX goes by another path, where there is one.
        "after": ("ok", "ok", "ok", "ok", "ok", "dates", "ok", False),
        # Nothing leads to the old root any more: the update that carries the new one has to be there by now.
        "mended": ("ok", "ok", "no-path", "ok", "ok", "no-path", "ok", False),
    },
    "dst-x3": {
        "before": ("ok", "ok", "ok", "ok", "ok", "ok", "ok", True),
        # What is served leads to the ended root alone, though a path to the new one exists elsewhere.
        "old-r3": ("ok", "ok", "ok", "dates", "dates", "dates", "dates", False),
        # An anchor is a name and a key: that DST Root CA X3 has ended is on no certificate below it.
        "after": ("ok", "ok", "ok", "ok", "ok", "ok", "ok", False),
        "short": ("ok", "ok", "no-path", "ok", "ok", "no-path", "ok", False),
    },
    "le-2024": {
        "before": ("ok", "ok", "ok", "ok", "ok", "ok", "ok", True),
        "short": ("ok", "ok", "no-path", "ok", "ok", "no-path", "ok", True),
        # Who pins intermediates is at the mercy of chance from here on.
        "r10": ("ok", "ok", "no-path", "ok", "ok", "no-path", "pin-mismatch", False),
        "ended": ("ok", "ok", "ok", "ok", "ok", "dates", "pin-mismatch", False),
    },
    "gts-r4": {
        "before": ("ok", "ok", "ok", "ok", "ok", "ok", "ok", True),
        # Anchors come with signed documents: a firmware without the root takes none away.
        "after": ("ok", "ok", "ok", "ok", "ok", "ok", "ok", False),
        "ended": ("ok", "ok", "ok", "ok", "ok", "dates", "ok", False),
        "short": ("ok", "ok", "no-path", "ok", "ok", "no-path", "ok", False),
    },
    "gen-y": {
        "before": ("ok", "ok", "ok", "ok", "ok", "ok", "ok", True),
        "early": ("ok", "ok", "ok", "ok", "ok", "ok", "pin-mismatch", True),
        "after": ("ok", "ok", "ok", "ok", "ok", "ok", "pin-mismatch", True),
        "omitted": ("ok", "ok", "no-path", "ok", "ok", "no-path", "pin-mismatch", False),
        "own-root": ("ok", "ok", "no-path", "ok", "ok", "no-path", "pin-mismatch", False),
    },
}


def static(event: str, moment: str) -> str:
    """Return the one certificate that a static device holds as its anchor: the root of its firmware, or the intermediate that it pinned."""
    if event == "gts-r4" and moment != "before":
        return "usertrust"  # the new firmware's bundle has others
    return {
        "addtrust": "addtrust", "dst-x3": "dst-x3", "le-2024": "r3", "gts-r4": "globalsign", "gen-y": "isrg-x1",
    }[event]  # fmt: skip


def _pin(of: str) -> bytes:
    return hashlib.sha256(history.spki(of)).digest()


def _policy(event: str, policy: str) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return a host's entry, and what its document says beside it."""
    said = history.EVENTS[event]
    old, new = _pin(said.old), _pin(said.new)
    usage = {"ee": 3, "ta": 2, "ta-old": 2, "pkix-ee": 1}.get(policy, 0)
    pins = {
        "ee": (_pin(""), DELTA),
        "pkix-ee": (_pin(""), DELTA),
        "ta": (old, new),
        "pkix": (old, new),
        "middle": (_pin(said.moments["before"].by), DELTA),
    }.get(policy, (old, DELTA))
    carried = [said.old] if policy.endswith("old") else [said.old, said.new]
    anchors = [list(history.anchor(item)) for item in carried]
    entry = host(history.HOST, *pins, fields={2: usage})
    return entry, {} if policy == "ee" else {4: anchors}


def make(put: Callable[[str, bytes], object], pin_a: bytes) -> None:
    """Write `history-EVENT-MOMENT-N.der`, `history-EVENT-POLICY.cbor`, its rows as .txt, and a factory record of 2019."""
    fleet = Fleet()
    broker = host("broker.example", pin_a, ALPHA)
    known = {
        1: 1,
        2: fleet.name,
        3: fleet.channel,
        4: "meter-1",
        5: fleet.root(iat=MADE),
        6: fleet.pins(1, [broker], iat=MADE),
        7: MADE,
    }
    put("history-factory.cbor", dumps(known))
    for event, moments in WANTED.items():
        for moment in moments:
            for at, item in enumerate(history.chain(event, moment)):
                put(f"history-{event}-{moment}-{at}.der", item.public_bytes(Encoding.DER))
        for policy in POLICIES:
            entry, body = _policy(event, policy)
            document = fleet.pins(2, [broker, entry], iat=MADE, body=body | {9: ["rtc"]})
            put(f"history-{event}-{policy}.cbor", document)
            rows = [
                f"{moment} {history.seconds(history.EVENTS[event].moments[moment].at)} {wanted[POLICIES.index(policy)]}"
                for moment, wanted in moments.items()
            ]
            put(f"history-{event}-{policy}.txt", "\n".join(rows).encode())
