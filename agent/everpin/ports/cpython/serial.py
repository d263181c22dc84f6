"""One thread at a time: an agent knows no threads, and client libraries shake hands in many."""

import threading
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...core.host import Anchor
    from ...core.verdict import Verdict
    from .gate import Policy

# One for each policy, however many contexts it has.
_locks: "weakref.WeakKeyDictionary[Any, threading.RLock]" = weakref.WeakKeyDictionary()  # type: ignore[type-arg,unused-ignore]


class Serial:
    """A policy whose calls never overlap. `lock` is what a program holds that calls the agent from a thread of its own."""

    def __init__(self, policy: "Policy") -> None:
        self._policy = policy
        self.lock = _locks.setdefault(policy, threading.RLock())

    @property
    def generation(self) -> int:
        """Return the policy's."""
        return self._policy.generation

    def platform(self, host: str) -> bool:
        """Ask the policy, which may count whose turn it is."""
        with self.lock:
            return self._policy.platform(host)

    def anchors(self) -> "list[Anchor]":
        """Return the policy's."""
        with self.lock:
            return self._policy.anchors()

    def verdict(
        self,
        host: str,
        chain: "list[bytes]",
        platform: "list[bytes] | None" = None,
        store: "Callable[[], list[Anchor]] | None" = None,
    ) -> "Verdict":
        """Return the policy's verdict."""
        with self.lock:
            return self._policy.verdict(host, chain, platform, store)

    def completed(self, verdict: "Verdict") -> None:
        """Tell the policy: it may write to flash."""
        with self.lock:
            self._policy.completed(verdict)

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._policy, name)


def serial(policy: "Policy") -> "Policy":
    """Return a policy that threads may share: this one, when it says `threads = True` because it has a lock of its own."""
    return policy if getattr(policy, "threads", False) else Serial(policy)
