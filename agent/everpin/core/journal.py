"""The journal on flash: reports that are not acknowledged yet, the count of every fail-open, and back-off. Losing it loses no trust."""

from ..compat import const
from . import cbor
from .errors import PeerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .report import Events
    from .schedule import Schedule
    from .store import Store

_EVENTS = const(1)
_ROUNDS = const(2)
_REFUSED = const(3)
_OPENED = const(4)


def restore(store: "Store", events: "Events", plan: "Schedule") -> None:
    """Read what was kept; what cannot be read is nothing."""
    try:
        data = store.load_journal()
        fields = cbor.loads(data) if data else {}
    except (PeerError, MemoryError):
        fields = {}
    if isinstance(fields, dict):
        events.restore(fields.get(_EVENTS), fields.get(_OPENED))
        plan.restore(fields.get(_ROUNDS), fields.get(_REFUSED))


def save(store: "Store", events: "Events", plan: "Schedule") -> None:
    """Write what changed, when the day's budget allows; raise FlashError or OSError."""
    if not (events.dirty or plan.dirty) or not plan.may_write():
        return
    fields = {_EVENTS: events.copy(), _ROUNDS: plan.rounds, _REFUSED: plan.refused}
    if events.opened:
        fields[_OPENED] = events.opened
    plan.writes()  # one that fails wears the flash as well
    store.save_journal(cbor.dumps(fields))
    plan.dirty = False
    events.dirty = False
