"""What happened, for whoever runs the agent to read: a bounded list of maps."""

from ..compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Entries that wait for the runner; the oldest go.
_MAX = const(64)


class Log:
    """Keeps what was said until it is drained."""

    def __init__(self) -> None:
        self._items: "list[dict[str, Any]]" = []

    def say(self, fields: "dict[str, Any]") -> None:
        """Add an entry."""
        self._items.append(fields)
        if len(self._items) > _MAX:
            self._items.pop(0)

    def drain(self) -> "list[dict[str, Any]]":
        """Return and forget what was said since the last call."""
        found, self._items = self._items, []
        return found
