"""The body of a `root` document: the keys, and for each role the rule that its documents must meet."""

from ..compat import const
from . import errors, keys, limits
from .claims import array, body, digest, uint
from .errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .keys import Key

ROLE_ROOT = const(1)
ROLE_PINS = const(2)

VERSION = const(1)
_KEYS = const(2)
_RULES = const(3)
_COMMITMENT = const(4)


class Root:
    """One root: `version`, `keys`, `rules` (role: [(threshold, kids)]), `commitment` ((threshold, digests) or None).

    `keys` may hold more than the rules name: a contingency root carries the committed keys that signed it.
    """

    def __init__(
        self,
        version: int,
        found: "list[Key]",
        rules: "dict[int, list[tuple[int, list[bytes]]]]",
        commitment: "tuple[int, list[bytes]] | None",
    ) -> None:
        self.version = version
        self.keys = found
        self.rules = rules
        self.commitment = commitment


def parse(value: object) -> Root:
    """Return a verified root body as a `Root`; raise `structure` or `unsupported`."""
    fields = body(value, ())
    version = uint(fields.get(VERSION), 1, 0xFFFFFFFF)
    found: "list[Key]" = []
    for item in array(fields.get(_KEYS), 1, limits.ROOT_MAX_KEYS):
        key = keys.parse(item)
        for other in found:
            # Two keys that share a kid, equal keys among them: a signature could be counted for either.
            if other.kid == key.kid:
                raise PeerError(errors.STRUCTURE)
        found.append(key)
    given = fields.get(_RULES)
    if not isinstance(given, dict) or len(given) != 2:
        raise PeerError(errors.STRUCTURE)
    rules = {}
    for role in (ROLE_ROOT, ROLE_PINS):
        rules[role] = _rule(given.get(role), found)
    commitment = None
    if _COMMITMENT in fields:
        threshold, hashes = array(fields[_COMMITMENT], 2, 2)
        distinct: "list[bytes]" = []
        for item in array(hashes, 1, limits.RULE_MAX_KEYS):
            if digest(item) not in distinct:
                distinct.append(item)
        commitment = (uint(threshold, 1, len(distinct)), distinct)
    return Root(version, found, rules, commitment)


def _rule(value: object, found: "list[Key]") -> "list[tuple[int, list[bytes]]]":
    groups = []
    for group in array(value, 1, limits.RULE_MAX_GROUPS):
        threshold, indices = array(group, 2, 2)
        kids: "list[bytes]" = []
        for index in array(indices, 1, limits.RULE_MAX_KEYS):
            kid = found[uint(index, 0, len(found) - 1)].kid
            if kid not in kids:  # a key counts once, however often it is listed (TUF 5.3.4)
                kids.append(kid)
        groups.append((uint(threshold, 1, len(kids)), kids))
    return groups


def same_rule(
    one: "list[tuple[int, list[bytes]]]", other: "list[tuple[int, list[bytes]]]"
) -> bool:
    """Return whether two rules ask the same of the same keys, in whatever order they are written."""
    return _ordered(one) == _ordered(other)


def _ordered(rule: "list[tuple[int, list[bytes]]]") -> "list[tuple[int, list[bytes]]]":
    return sorted([(threshold, sorted(kids)) for threshold, kids in rule])


def next_contingency(version: int) -> int:
    """Return the version that a contingency root after `version` takes: the next multiple of 65,536 (DESIGN section 3)."""
    return (version // limits.CONTINGENCY_STEP + 1) * limits.CONTINGENCY_STEP


def committed(root: Root, candidates: "list[Key]") -> "list[Key]":
    """Return those of a contingency root's keys that a held root has committed to."""
    if root.commitment is None:
        return []
    return [key for key in candidates if key.digest in root.commitment[1]]


def satisfied(rule: "list[tuple[int, list[bytes]]]", kids: "list[bytes]") -> bool:
    """Return whether the distinct `kids` meet every group of a rule."""
    for threshold, members in rule:
        if sum([1 for kid in members if kid in kids]) < threshold:
            return False
    return True
