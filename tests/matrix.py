"""The matrix of attackers and policies: what each cell must come to, by hand for sixty and by a rule for all.

The rule is written from DESIGN section 5 over facts about keys, names and dates; it reads no certificate and calls nothing of the
product. A cell is (what is served, state of the pins, usage). An outcome is "ok" for an enforced match, "+MODE" for a peer that is
accepted without one, else the name of the refusal. The time is NOW, by a clock that the policy names.
"""

from dataclasses import dataclass

LEAVES = frozenset({"leaf", "leaf-rsa", "leaf-p384"})
MIDDLES = frozenset({"middle", "middle-rsa", "middle-p384"})
ROOTS = frozenset({"root"})


@dataclass(frozen=True)
class Served:
    """What is true of a served chain: whose key the leaf has, the keys above it up to a carried anchor (None: no verified path)."""

    leaf: str
    above: tuple[str, ...] | None
    host: bool = True
    dates: bool = True
    # Pins stand for the intermediates' keys instead of the usage's own (the leaf's for 1 and 3, the root's for 0 and 2).
    middle: bool = False


KINDS = {
    "p256": Served("leaf", ("middle", "root")),
    "p384": Served("leaf-p384", ("middle-p384", "root")),
    "rsa": Served("leaf-rsa", ("middle-rsa", "root")),
    # A certificate made today for the key that was always there.
    "same-key": Served("leaf", ("middle", "root")),
    # The same names from the same CA over another key: a new server, or a CA that was cheated.
    "same-name": Served("other", ("middle", "root")),
    "expired": Served("leaf", ("middle", "root"), dates=False),
    "not-yet": Served("leaf", ("middle", "root"), dates=False),
    "wrong-host": Served("leaf", ("middle", "root"), host=False),
    # The attacker's own key, certified by itself, by a CA that the document carries and no entry pins, and by nobody: its leaf only
    # names the genuine intermediate, served beside it, as its issuer (CVE-2016-2402).
    "self-signed": Served("thief", None),
    "trusted-ca": Served("thief", ("trusted",)),
    "forged-issuer": Served("thief", None),
    "intermediate": Served("other", ("middle", "root"), middle=True),
    "forged-intermediate": Served("thief", None, middle=True),
}
USAGES = (0, 1, 2, 3)
EXPIRED = ("expired-trust-store", "expired-closed", "expired-keep")
# States of one entry in one document; the others need two documents, a forbidden set, or flash that has rotted.
LASTING = ("current", "backup-only", "both", "retiring")
STATES = (*LASTING, *EXPIRED, "forbidden", "overlap", "corrupt")
# No entry for the host: there is no usage, so each kind counts once.
EMPTY = ("empty", "empty-pkix")

# Ways to connect that a runtime has not, and why. They are no cells.
UNREACHABLE = {
    ("both", "usages 1 to 3 of an empty state"): "a host without an entry has no usage: each kind counts once",
    ("micropython", "1.3"): "the firmware's mbedTLS is built without TLS 1.3; a server that speaks nothing else gets no handshake",
    ("micropython", "resumed"): "its tls module has no sessions: nothing can be kept, and nothing offered",
    ("cpython", "resumed"): "everpin's context offers none and takes none from its caller: what is tested is the attempt, and the full handshake after it",
}  # fmt: skip


def target(kind: str, usage: int) -> frozenset[str]:
    """Return the keys that the pins of a cell stand for."""
    if KINDS[kind].middle:
        return MIDDLES
    return LEAVES if usage in (1, 3) else ROOTS


def _pkix(served: Served, forbidden: frozenset[str]) -> str:
    """Return why ordinary validation refuses, "" when it does not."""
    if not served.host:
        return "wrong-name"
    if served.above is None:
        return "no-path"
    if not served.dates:
        return "dates"
    return "forbidden" if forbidden & {served.leaf, *served.above} else ""


def _entry(
    served: Served, usage: int, pins: frozenset[str], forbidden: frozenset[str], openssl: bool
) -> str:
    """Return what one entry says by its pins alone."""
    if usage == 3:
        return "ok" if served.leaf in pins else "pin-mismatch"
    if usage == 2:
        # Names, and a verified path up to a pinned key; dates are ignored.
        if not served.host:
            return "wrong-name"
        above = served.above or ()
        ends = [at for at, key in enumerate(above) if key in pins]
        if not ends:
            return "no-path"
        return "forbidden" if forbidden & {served.leaf, *above[: ends[0] + 1]} else "ok"
    if openssl and (not served.host or served.above is None):
        return "pkix"
    why = _pkix(served, forbidden)
    if why:
        return why
    asked = {served.leaf} if usage == 1 else {served.leaf, *(served.above or ())}
    return "ok" if asked & pins else "pin-mismatch"


def rule(kind: str, state: str, usage: int, openssl: bool = False) -> str:
    """Return the outcome of a cell; `openssl`: the platform's own check ends a handshake before ours does."""
    served = KINDS[kind]
    stopped = openssl and (not served.host or served.above is None)
    if state == "empty":
        return "unlisted"
    if state == "empty-pkix":
        return "pkix" if stopped else _pkix(served, frozenset()) or "+unlisted"
    ours = target(kind, usage)
    forbidden = ours if state == "forbidden" else frozenset[str]()
    if served.leaf in forbidden:
        return "forbidden"  # whatever else is true
    if state == "expired-closed":
        return "closed"
    backup = frozenset({"backup"})
    in_force = {"backup-only": [backup], "both": [ours | backup], "overlap": [backup, ours]}
    said = [
        _entry(served, usage, pins, forbidden, openssl) for pins in in_force.get(state, [ours])
    ]
    if "ok" in said:
        return "ok"
    if state == "expired-trust-store" and not (usage < 2 and stopped):
        if not _pkix(served, forbidden):
            return "+trust-store"
    return said[0]


# Sixty cells by hand: what, in which state, under which usage, and what must come of it.
BY_HAND = (
    # ---- usage 3: the leaf's key, and nothing else ----
    ("p256", "current", 3, "ok"),  # the pinned key
    ("p384", "current", 3, "ok"),  # a pin says nothing of the algorithm
    ("rsa", "both", 3, "ok"),  # a backup beside it takes nothing away
    ("same-key", "current", 3, "ok"),  # renewal with the key kept is what SPKI pins are for
    ("same-name", "current", 3, "pin-mismatch"),  # the CA's word counts for nothing here
    ("expired", "current", 3, "ok"),  # RFC 7671 section 5.1: dates are ignored
    ("not-yet", "current", 3, "ok"),  # a wrong clock cannot lock it out either
    ("wrong-host", "current", 3, "ok"),  # names are ignored: the key is the server's name
    ("self-signed", "current", 3, "pin-mismatch"),  # the thief's key
    ("trusted-ca", "current", 3, "pin-mismatch"),  # the case that pins are made for
    ("forged-issuer", "current", 3, "pin-mismatch"),  # above the leaf nothing is looked at
    ("intermediate", "current", 3, "pin-mismatch"),  # a CA's pin is no leaf's
    ("p256", "backup-only", 3, "pin-mismatch"),  # the server still has the old key
    ("p256", "retiring", 3, "ok"),  # retiring is for the operator: the device still takes it
    ("p256", "forbidden", 3, "forbidden"),  # though it is pinned in the same document
    ("trusted-ca", "forbidden", 3, "pin-mismatch"),  # what is forbidden is another key
    ("p256", "overlap", 3, "ok"),  # by the base, until the new key was met
    ("self-signed", "overlap", 3, "pin-mismatch"),  # two entries are no wider than their pins
    ("p256", "expired-closed", 3, "closed"),  # rescue alone may talk
    ("p256", "expired-keep", 3, "ok"),  # the pins go on
    ("trusted-ca", "expired-keep", 3, "pin-mismatch"),  # and nothing else
    ("p256", "expired-trust-store", 3, "ok"),  # still a match, and more than PKIX
    ("trusted-ca", "expired-trust-store", 3, "+trust-store"),  # the fail-open that was signed
    ("self-signed", "expired-trust-store", 3, "pin-mismatch"),  # PKIX, not everything
    ("wrong-host", "corrupt", 3, "ok"),  # the factory's entry has the key
    ("self-signed", "corrupt", 3, "pin-mismatch"),  # a flash that rots opens nothing
    # ---- usage 2: a verified path to a pinned anchor ----
    ("p256", "current", 2, "ok"),  # leaf, intermediate, carried root
    ("rsa", "current", 2, "ok"),  # through an RSA intermediate
    ("same-name", "current", 2, "ok"),  # the pinned CA may certify any key
    ("expired", "current", 2, "ok"),  # dates are ignored unless the policy says otherwise
    ("wrong-host", "current", 2, "wrong-name"),  # names are not
    ("self-signed", "current", 2, "no-path"),  # leads nowhere
    ("trusted-ca", "current", 2, "no-path"),  # a carried anchor that the entry does not pin is none
    ("forged-issuer", "current", 2, "no-path"),  # the signature under the pinned CA's name is false
    ("intermediate", "current", 2, "ok"),  # a served CA with the pinned key is the anchor
    ("forged-intermediate", "current", 2, "no-path"),  # the same CA beside a forged leaf is not
    ("p256", "backup-only", 2, "no-path"),  # its root is carried, and not pinned
    ("p256", "forbidden", 2, "forbidden"),  # the root at the end of the path
    ("intermediate", "forbidden", 2, "forbidden"),  # the intermediate in the middle of it
    ("p256", "overlap", 2, "ok"),  # the base keeps its pin, and the anchor with it
    ("trusted-ca", "expired-trust-store", 2, "+trust-store"),  # any carried anchor, by PKIX
    ("expired", "expired-trust-store", 2, "ok"),  # its own rule still ignores dates
    # ---- usage 1: PKIX, and the leaf's key ----
    ("p256", "current", 1, "ok"),  # both hold
    ("p384", "current", 1, "ok"),  # P-384 all the way to the intermediate
    ("same-name", "current", 1, "pin-mismatch"),  # PKIX alone is not enough
    ("expired", "current", 1, "dates"),  # the right key, too late
    ("not-yet", "current", 1, "dates"),  # or too early
    ("wrong-host", "current", 1, "wrong-name"),  # the right key under another name
    ("self-signed", "current", 1, "no-path"),  # no anchor
    ("forged-issuer", "both", 1, "no-path"),  # nor here
    ("trusted-ca", "current", 1, "pin-mismatch"),  # PKIX holds, the pin does not
    ("intermediate", "current", 1, "pin-mismatch"),  # only the leaf's pin counts
    ("trusted-ca", "expired-trust-store", 1, "+trust-store"),  # what is left is PKIX
    ("expired", "expired-trust-store", 1, "dates"),  # which judges dates
    # ---- usage 0: PKIX, and a key on the path ----
    ("p256", "current", 0, "ok"),  # the root's pin
    ("same-name", "current", 0, "ok"),  # whatever key the leaf has
    ("trusted-ca", "current", 0, "pin-mismatch"),  # no pinned key on its path
    ("forged-intermediate", "current", 0, "no-path"),  # the pinned CA is served, and on no path
    # ---- no entry ----
    ("p256", "empty", 0, "unlisted"),  # no pin, no peer: the default refuses
    ("trusted-ca", "empty-pkix", 0, "+unlisted"),  # the signed default: PKIX, told each time
)  # fmt: skip


def cells() -> list[tuple[str, str, int]]:
    """Return every cell of one runtime and one way to connect."""
    found = [(kind, state, usage) for kind in KINDS for state in STATES for usage in USAGES]
    return found + [(kind, state, 0) for kind in KINDS for state in EMPTY]


# ---- where a cell lies: its host, and the documents that a device must hold -------------------------------------------


def phase(kind: str, state: str, usage: int) -> str:
    """Return the step of `tests/device/matrix_steps.py` that brings a device to where a cell is judged: one host in each."""
    if state in EMPTY:
        return state
    return f"{state}-{'middle' if KINDS[kind].middle else 'own'}-{usage}"


def where(kind: str, state: str, usage: int) -> str:
    """Return the host name that stands for a cell; all of them are below one wildcard."""
    return f"{phase(kind, state, usage)}.m.example"


PHASES = tuple(sorted({phase(*cell) for cell in cells()}))


def pairwise(dimensions: dict[str, tuple[object, ...]]) -> list[dict[str, object]]:
    """Return rows that hold every pair of values of any two dimensions, found greedily and the same each time."""
    names = list(dimensions)
    wanted = {
        (one, a, other, b)
        for at, one in enumerate(names)
        for other in names[at + 1 :]
        for a in dimensions[one]
        for b in dimensions[other]
    }

    def covers(row: dict[str, object]) -> set[tuple[str, object, str, object]]:
        return {
            (one, row[one], other, row[other])
            for at, one in enumerate(names)
            for other in names[at + 1 :]
            if one in row and other in row
        }

    rows = []
    while wanted:
        one, a, other, b = min(wanted, key=repr)
        row: dict[str, object] = {one: a, other: b}
        for name in names:
            if name not in row:
                row[name] = max(
                    dimensions[name], key=lambda value: len(covers(row | {name: value}) & wanted)
                )
        wanted -= covers(row)
        rows.append(row)
    return rows
