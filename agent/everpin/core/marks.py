"""The commit body: the numbers and digests that never fall, and which documents are in force (DESIGN section 8)."""

from ..compat import const
from . import cbor, limits
from .claims import array, uint
from .claims import digest as _digest
from .errors import STRUCTURE, PeerError
from .host import parse_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Number = tuple[int, int]

# Keys of the commit body: 1 to 8 are frozen for ever, an older or newer agent reads them (documents.cddl).
_ROOT_VERSION = const(1)
_ROOT_DIGEST = const(2)
_NUMBER = const(3)
_PINS_DIGEST = const(4)
_FORBIDDEN = const(5)
_FLOOR = const(6)
_RULE_SINCE = const(7)
COUNT = const(8)
ROOT_NOW = const(9)
PINS_NOW = const(10)
BASE = const(11)


class Marks:
    """The numbers and digests that never fall, whatever the documents on flash are worth.

    Version and digest of the newest root ever accepted, number and digest of the newest pins, the forbidden set, the floor of
    time, and `rule_since`: the root version that last changed the rule for pins.
    """

    def __init__(
        self,
        root_version: int,
        root_digest: bytes,
        number: "Number",
        pins_digest: bytes,
        forbidden: "list[bytes]",
        floor: int,
        rule_since: int,
    ) -> None:
        self.root_version = root_version
        self.root_digest = root_digest
        self.number = number
        self.pins_digest = pins_digest
        self.forbidden = forbidden
        self.floor = floor
        self.rule_since = rule_since

    def fields(self) -> "dict[int, Any]":
        """Return them as keys of the commit body."""
        return {
            _ROOT_VERSION: self.root_version,
            _ROOT_DIGEST: self.root_digest,
            _NUMBER: list(self.number),
            _PINS_DIGEST: self.pins_digest,
            _FORBIDDEN: self.forbidden,
            _FLOOR: self.floor,
            _RULE_SINCE: self.rule_since,
        }


class Commit:
    """A commit body, decoded: `marks`, which documents are in force by digest, `base` (bytes, not yet looked at), `count`."""

    def __init__(self, data: bytes) -> None:
        """Decode a body that its record's digest vouches for; raise `PeerError` when it is none."""
        fields = cbor.loads(data, 2 * limits.DOCUMENT_MAX_BYTES)
        if not isinstance(fields, dict):
            raise PeerError(STRUCTURE)
        self.marks = Marks(
            uint(fields.get(_ROOT_VERSION), 1, 0xFFFFFFFF),
            _digest(fields.get(_ROOT_DIGEST)),
            parse_number(fields.get(_NUMBER)),
            _digest(fields.get(_PINS_DIGEST)),
            [_digest(item) for item in array(fields.get(_FORBIDDEN), 0, limits.MAX_FORBIDDEN)],
            uint(fields.get(_FLOOR), 0, 0xFFFFFFFF),
            uint(fields.get(_RULE_SINCE), 1, 0xFFFFFFFF),
        )
        self.count = uint(fields.get(COUNT), 0, 0xFFFFFFFF)
        self.root_now = _digest(fields.get(ROOT_NOW, self.marks.root_digest))
        self.pins_now = _digest(fields.get(PINS_NOW, self.marks.pins_digest))
        self.base = fields.get(BASE)
