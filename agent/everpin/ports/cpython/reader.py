"""The policy of a program beside the agent's own, from any thread: `shared.SharedTrust`, looked at before each use."""

from .serial import Serial
from .shared import SharedTrust


class Reader(Serial):
    """A device folder's trust as its agent keeps it, newer documents and forbidden keys as soon as they are committed.

    It is asked from any thread. It confirms nothing and reports nothing: that is the agent's. While the region cannot be read, it
    goes on with what it read last; at the start it raises `ConfigError`, `FlashError` or OSError.
    """

    threads = True

    def __init__(self, folder: str) -> None:
        self._shared = SharedTrust(folder)
        super().__init__(self._shared)

    @property
    def generation(self) -> int:
        """Rises with what the agent commits: connections that are up are judged anew."""
        with self.lock:
            self._shared.refresh()
            return self._shared.generation
