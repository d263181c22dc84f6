"""The gate: no byte that could carry a secret leaves before a verdict has accepted the peer's chain.

OpenSSL writes into a buffer that this class holds. Until a served chain exists only ClientHello records (a second one after
HelloRetryRequest included) and alerts pass. Then the policy is asked; a refusal drops what is held, so the client's
certificate and Finished never leave (reproduced: after `do_handshake` is too late, with TLS 1.2 and 1.3 alike).
"""

import _ssl
import ssl

from ...core import limits
from . import trust_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ...core.host import Anchor
    from ...core.verdict import Verdict
    from .strict import Strict

    class Policy(Protocol):
        """What decides (docs/architecture.md); `core.agent.Agent` is one."""

        @property
        def generation(self) -> int: ...
        def platform(self, host: str) -> bool: ...
        def anchors(self) -> list[Anchor]: ...
        def verdict(
            self,
            host: str,
            chain: list[bytes],
            platform: list[bytes] | None = None,
            store: Callable[[], list[Anchor]] | None = None,
        ) -> Verdict: ...
        def completed(self, verdict: Verdict) -> None: ...


_CHANGE_CIPHER_SPEC = 20
_ALERT = 21
_HANDSHAKE = 22
_CLIENT_HELLO = 1


class PinRefused(ssl.SSLCertVerificationError):
    """The policy refuses this peer. `verdict` says why; nothing but ClientHello was sent, or nothing more will be."""

    def __init__(self, verdict: "Verdict") -> None:
        super().__init__(1, f"everpin: {verdict.host}: {verdict.name}")
        self.verdict = verdict
        self.verify_code = verdict.why
        self.verify_message = verdict.name


class NotReady(ssl.SSLError):
    """I/O was tried before a verdict: a handshake is never implicit here."""


def _opening(data: bytes) -> bool:
    """Return whether all of `data` are records that may precede a verdict (RFC 8446 sections 5.1 and 4.1.2, D.4)."""
    at = 0
    while at < len(data):
        if len(data) - at < 5:
            return False
        kind = data[at]
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        if kind == _HANDSHAKE:
            if data[at + 5 : at + 6] != bytes((_CLIENT_HELLO,)):
                return False
        elif kind not in (_ALERT, _CHANGE_CIPHER_SPEC):
            return False
        at += 5 + length
    return True


def _der(chain: "Any") -> "list[bytes]":
    return [bytes(item.public_bytes(_ssl.ENCODING_DER)) for item in chain or ()]


class Gate:
    """One connection's OpenSSL object with its held output; `outgoing` takes what may leave."""

    def __init__(
        self,
        sslobj: "Any",
        held: ssl.MemoryBIO,
        policy: "Policy",
        host: str,
        outgoing: ssl.MemoryBIO,
        strict: "Strict | None" = None,
    ) -> None:
        """`strict` is given where the object's context has OpenSSL verify; where it does not, its path says nothing."""
        self.sslobj = sslobj
        self._held = held
        self._policy = policy
        self._host = host
        self._outgoing = outgoing
        self._chain: list[bytes] = []
        self._strict = strict
        self._platform: list[bytes] | None = None
        self.verdict: Verdict | None = None
        self.done = False
        # The refusal that ended it: raised anew each time, for an exception holds the frames that it went through.
        self._dead: Verdict | None = None
        self._told = False

    def _refuse(self, verdict: "Verdict") -> None:
        self._held.read()
        self._dead = verdict
        raise PinRefused(verdict)

    def _served(self) -> "list[bytes]":
        # Public as get_unverified_chain() from 3.13; the object below it has had it since 3.10.
        return _der(self.sslobj.get_unverified_chain())

    def _verified(self) -> "list[bytes] | None":
        """Return OpenSSL's verified path, DER, root last; None where it did not verify one.

        A served chain is there only after OpenSSL has verified it, in one step; otherwise that step has raised.
        """
        if self._strict is None:
            return None
        return _der(self.sslobj.get_verified_chain()) or None

    def _ask(self, chain: "list[bytes]") -> None:
        size = sum(len(item) for item in chain)
        if len(chain) > limits.CHAIN_MAX or size > limits.CHAIN_MAX_BYTES:
            chain = []  # refused as no readable certificate
        platform, strict = self._platform, self._strict
        if platform and strict is not None and strict.gone(platform[-1], self._policy.anchors()):
            platform = (
                None  # also for a live connection, when the document that had the anchor is gone
            )
        verdict = self._policy.verdict(self._host, chain, platform, trust_store.anchors)
        if not verdict.accepted:
            self._refuse(verdict)
        self._chain = chain
        self.verdict = verdict

    def release(self) -> None:
        """Let what OpenSSL has written leave, when a verdict allows it."""
        if not self._held.pending:
            return
        data = self._held.read()
        if self.verdict is None and not _opening(data):
            # OpenSSL wants to send something that is no ClientHello, and no chain was served.
            self._ask([])
        self._outgoing.write(data)

    def handshake(self) -> None:
        """Go on with the handshake; raise SSLWantReadError while it needs more, `PinRefused` for a refusal."""
        if self._dead is not None:
            raise PinRefused(self._dead)
        if self.done:
            return
        try:
            self.sslobj.do_handshake()
        except ssl.SSLWantReadError:
            self._look(False)
            self.release()
            raise
        except ssl.SSLCertVerificationError:
            self._strict = None  # what OpenSSL has of a path, it refused
            self._look(False)
            self.release()
            raise
        except ssl.SSLError:
            self._look(False)
            self.release()  # an alert
            raise
        self._look(True)
        self.release()
        self.done = True

    def _look(self, over: bool) -> None:
        if self.verdict is None:
            chain = self._served()
            if chain:
                self._platform = self._verified()
            # A handshake that ends without a chain (resumed, PSK, anonymous) is refused like an unreadable one.
            if chain or over:
                self._ask(chain)

    def completed(self) -> None:
        """Tell the policy, once: the peer has proved that it holds its key."""
        if self.verdict is not None and not self._told:
            self._told = True
            self._policy.completed(self.verdict)

    def check(self) -> None:
        """Raise unless the policy as it is now accepts this peer: before each write, and before a read is delivered."""
        if self._dead is not None:
            raise PinRefused(self._dead)
        if self.verdict is None or not self.done:
            raise NotReady(1, "everpin: no verdict yet: call do_handshake() first")
        if self.verdict.generation != self._policy.generation:
            self._ask(self._chain)
