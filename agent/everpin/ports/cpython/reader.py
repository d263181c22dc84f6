"""The policy of a program beside the agent's own, from any thread: `shared.SharedTrust`, looked at before each use."""

import threading

from .shared import SharedTrust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...core.host import Anchor
    from ...core.verdict import Verdict


class Reader:
    """A device folder's trust as its agent keeps it, newer documents and forbidden keys as soon as they are committed.

    It is asked from any thread. It confirms nothing and reports nothing: that is the agent's. While the region cannot be read, it
    goes on with what it read last; at the start it raises `ConfigError`, `FlashError` or OSError.
    """

    threads = True

    def __init__(self, folder: str) -> None:
        self._lock = threading.Lock()
        self._shared = SharedTrust(folder)

    @property
    def generation(self) -> int:
        """Rises with what the agent commits: connections that are up are judged anew."""
        with self._lock:
            self._shared.refresh()
            return self._shared.generation

    def platform(self, host: str) -> bool:
        """Return whether the next connection to a host needs the machine's own certificate check."""
        with self._lock:
            return self._shared.platform(host)

    def anchors(self) -> "list[Anchor]":
        """Return the device's trust anchors."""
        with self._lock:
            return self._shared.anchors()

    def verdict(
        self,
        host: str,
        chain: "list[bytes]",
        platform: "list[bytes] | None" = None,
        store: "Callable[[], list[Anchor]] | None" = None,
    ) -> "Verdict":
        """Return the verdict on a served chain, as the agent would give it."""
        with self._lock:
            return self._shared.verdict(host, chain, platform, store)

    def completed(self, found: "Verdict") -> None:
        """Confirm nothing."""
